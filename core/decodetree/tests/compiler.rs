//! The compiler's checks and its decision tree, on small tables.

use std::collections::BTreeSet;

use emu_decodetree::{Action, Gate, Options, Piece, Table, emit, load_text};

fn load(text: &str) -> Result<Table, String> {
    load_text(&[("t.decode", text)]).map_err(|e| e.to_string())
}

/// The error of a table that must not compile.
fn error(text: &str) -> String {
    match load(text) {
        Ok(_) => panic!("this table should not compile:\n{text}"),
        Err(e) => e,
    }
}

#[track_caller]
fn refused(text: &str, place: &str, words: &[&str]) {
    let e = error(text);
    assert!(e.starts_with(&format!("t.decode:{place}: ")), "wrong place: {e}");
    for w in words {
        assert!(e.contains(w), "`{w}` is not in: {e}");
    }
}

const HEAD: &str = "class \"C\"\nmethod m(Rd) \"M\"\nmethod two(a, Rd) \"T\"\n";

fn head(rows: &str) -> String {
    format!("{HEAD}{rows}")
}

#[test]
fn a_row_gives_mask_bits_and_operands() {
    let t = load(&head("A a=01 10 x 0 (11) 0 imm:3 00000000 000000 Rd:5 0 : two a=1:imm:0")).unwrap();
    let row = &t.rows[0];
    assert_eq!((row.name.as_str(), row.class.as_str(), row.place.as_str()), ("A", "C", "t.decode:4"));
    assert_eq!(row.mask, 0b1111_0111_1000_1111_1111_1111_1100_0001);
    assert_eq!(row.bits, 0b0110_0011_0000_0000_0000_0000_0000_0000);
    let Action::Method(1, pieces) = &row.action else { panic!("{:?}", row.action) };
    let a = [Piece::Bits { value: 1, width: 1 }, Piece::Field { low: 20, width: 3 }, Piece::Bits { value: 0, width: 1 }];
    assert_eq!(pieces[0], a);
    assert_eq!(pieces[1], [Piece::Field { low: 1, width: 5 }]);
}

#[test]
fn neighbouring_fields_become_one_piece() {
    let t = load("class \"C\"\nmethod m(imm:signed=hi:lo) \"M\"\nA 0 hi:5 lo:6 00000000000000000000 : m").unwrap();
    let Action::Method(_, pieces) = &t.rows[0].action else { panic!("{:?}", t.rows[0].action) };
    assert_eq!(pieces[0], [Piece::Field { low: 20, width: 11 }]);
    let source = emit(&t, &Options::default());
    assert!(source.contains("imm: ((insn >> 20 & 0x7ff) << 21) as i32 >> 21,"), "{source}");
    assert!(source.contains("pub imm: i32,"));
}

#[test]
fn overlap_is_an_error() {
    let partial = "A 0 00000000000000000000000000 Rd:5 : m\nB x 00000000000000000000000000 00 Rd:3 : m";
    refused(&head(partial), "5", &["B overlaps row A (t.decode:4)", "neither is inside"]);
    let inside = "A 00000000000000000000000000 0 Rd:5 : m\nB 00000000000000000000000000 0 00000 : m Rd=0";
    refused(&head(inside), "4", &["A overlaps the more specific row B (t.decode:5)", "yields"]);
    let same = "A 00000000000000000000000000 0 Rd:5 : m yields\nB 00000000000000000000000000 0 Rd:5 : m";
    refused(&head(same), "5", &["overlaps"]);
}

#[test]
fn yields_prefers_the_more_specific_row() {
    let text = "A 00000000000000000000000000 x Rd:5 : m yields\n\
                B 00000000000000000000000000 0 Rd:5 : m ?FEAT_X yields\n\
                C 00000000000000000000000000 0 00000 : m Rd=1";
    let t = load(&head(text)).unwrap();
    let name = |w| t.find(w).map(|r| t.rows[r].name.as_str());
    assert_eq!((name(0x20), name(1), name(0), name(0x40)), (Some("A"), Some("B"), Some("C"), None));
    assert_eq!((t.rows[0].general, t.rows[1].general, t.rows[2].general), (None, Some(0), Some(1)));
    let source = emit(&t, &Options::default());
    assert!(source.contains("return dispatch(t, insn, 0);"), "a closed gate leads to the row that yields");
}

#[test]
fn excluded_values_resolve_an_overlap() {
    let text = "A 00000000000000000000000000 0 Rd!=11111 : m\nB 00000000000000000000000000 0 11111 : m Rd=0";
    let t = load(&head(text)).unwrap();
    assert_eq!(t.rows[0].excluded, [(0x1f, 0x1f)]);
    assert_eq!(t.find(0x1f), Some(1));
    assert_eq!(t.find(0x1e), Some(0));
    let x = "A 00000000000000000000000000 0 Rd!=11xxx : m";
    let t = load(&head(x)).unwrap();
    assert_eq!(t.rows[0].excluded, [(0x18, 0x18)]);
    assert_eq!((t.find(0x18), t.find(0x17)), (None, Some(0)));
}

#[test]
fn operands_are_checked() {
    let zeros = "000000000000000000000000000";
    refused(&head(&format!("A {zeros} Rd:5 : two")), "4", &["lacks operand `a` of method two"]);
    refused(&head(&format!("A {zeros} Rd:5 : two a=b")), "4", &["`b`", "no field of the pattern"]);
    refused(&head(&format!("A {zeros} Rd:5 : m q=1")), "4", &["`q`", "no operand of method m"]);
    refused(&head("A 0000000000000000000000 Rn:5 Rd:5 : m"), "4", &["does not take field `Rn`"]);
    refused(&head(&format!("A {zeros} Rd:5 : n")), "4", &["method n", "not declared"]);
    refused(&head(&format!("A {zeros} Rd:5 : m Rd=1 Rd=0")), "4", &["twice"]);
    refused("class \"C\"\nmethod m(a, A) \"M\"", "2", &["twice"]);
    refused("class \"C\"\nmethod m(a) \"M\"\nmethod m(b) \"M\"", "3", &["declared at t.decode:2 already"]);
    let widths = "class \"C\"\nmethod m(a:signed) \"M\"\nA 0000000000000000000000000000 a:4 : m\nB 100000000000000000000000000 a:5 : m";
    refused(widths, "4", &["another width"]);
}

#[test]
fn syntax_errors_say_what_to_write() {
    let zeros = "000000000000000000000000000";
    refused("A 0 : m", "1", &["before the first `class`"]);
    refused("class C", "1", &["class \"title\""]);
    refused(&head("A 000 Rd:5 : m"), "4", &["8 bits", "must have 32"]);
    refused(&head(&format!("A {zeros} Rd:5")), "4", &["add `: method` or `! reason`"]);
    refused(&head(&format!("A {zeros} Rd:5 ! why")), "4", &["reason why is not declared"]);
    refused(&head(&format!("A {zeros} Rd:5 !")), "4", &["no reason"]);
    refused(&head(&format!("A {zeros} Rd-5 : m")), "4", &["`Rd-5` is not a pattern item"]);
    refused(&head("A 0000000000000000000000 Rd:5 Rd:5 : m"), "4", &["twice"]);
    refused(&head(&format!("A {zeros} Rd:5 : m\nA 1{} Rd:5 : m", &zeros[1..])), "5", &["A is at t.decode:4 already"]);
    refused(&head(&format!("A {zeros} Rd:5 : m ?FEAT_")), "4", &["`FEAT_` is not a feature"]);
    refused("method m(a:long) \"M\"", "1", &["only `:signed`"]);
}

#[test]
fn reasons_are_shared_or_quoted() {
    let text = "reason later \"not # yet\"\nclass \"C\" ?FEAT_A\n\
                X 000000000000000000000000000 Rd:5 ! later  # a comment\n\
                Y 100000000000000000000000000 Rd:5 ! \"too new\" ?FEAT_B | FEAT_C";
    let t = load(text).unwrap();
    let why = |i: usize| match &t.rows[i].action {
        Action::Unimplemented(w) => w.clone(),
        a => panic!("{a:?}"),
    };
    assert_eq!((why(0), why(1)), ("not # yet".into(), "too new".into()));
    assert_eq!(t.rows[0].gate.as_ref().unwrap().to_string(), "FEAT_A");
    assert_eq!(t.rows[1].gate.as_ref().unwrap().to_string(), "FEAT_A & (FEAT_B | FEAT_C)");
}

#[test]
fn gates_parse_and_evaluate() {
    for (text, printed, on) in [
        ("FEAT_LSE", "FEAT_LSE", [false, true, true, true]),
        ("FEAT_LSE & FEAT_FP", "FEAT_LSE & FEAT_FP", [false, false, false, true]),
        ("FEAT_LSE|FEAT_FP", "FEAT_LSE | FEAT_FP", [false, true, true, true]),
        ("(FEAT_A | FEAT_LSE) & !FEAT_FP", "(FEAT_A | FEAT_LSE) & !(FEAT_FP)", [false, true, true, false]),
        ("FEAT_A | FEAT_LSE & FEAT_FP", "FEAT_A | (FEAT_LSE & FEAT_FP)", [false, false, false, true]),
    ] {
        let g = Gate::parse(text).unwrap();
        assert_eq!(g.to_string(), printed);
        assert_eq!(Gate::parse(&g.to_string()), Ok(g.clone()), "{text} survives printing");
        let sets: [&[&str]; 4] = [&[], &["LSE"], &["LSE", "X"], &["LSE", "FP"]];
        for (set, want) in sets.iter().zip(on) {
            assert_eq!(g.eval(&|f| set.contains(&f)), want, "{text} with {set:?}");
        }
    }
    // A name without `FEAT_` is the same feature, spelt as its architecture does.
    let plain = Gate::parse("Zba & !FEAT_LSE").unwrap();
    assert_eq!(plain.to_string(), "Zba & !(FEAT_LSE)");
    assert!(plain.eval(&|f| f == "Zba"));
    for bad in ["", "FEAT_", "1LSE", "FEAT_A &", "FEAT_A FEAT_B", "(FEAT_A", "FEAT_A)", "FEAT_A + FEAT_B", "FEAT_A && FEAT_B"] {
        assert!(Gate::parse(bad).is_err(), "`{bad}` is no gate");
    }
    let mut names = BTreeSet::new();
    Gate::parse("FEAT_B | !FEAT_A & FEAT_B").unwrap().features(&mut names);
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["A", "B"]);
}

#[test]
fn the_source_follows_the_options() {
    let t = load(&head("A 000000000000000000000000000 Rd:5 : m ?FEAT_LSE & FEAT_FP")).unwrap();
    let own = emit(&t, &Options::default());
    assert!(own.contains("pub enum Feature {") && own.contains("pub trait Decode {"), "{own}");
    assert!(own.contains("!(t.has(Feature::LSE) && t.has(Feature::FP))"), "{own}");
    let given = emit(&t, &Options { feature: Some("crate::f::Feat".into()), trait_name: "A64".into() });
    assert!(!given.contains("pub enum Feature {") && given.contains("t.has(crate::f::Feat::LSE)") && given.contains("pub trait A64 {"), "{given}");
    assert!(!own.contains("struct Two"), "a method without rows is not generated");
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) as u32
    }
}

/// Random tables: nested cubes, so that every overlap is an inclusion, some with exclusions.
#[test]
fn the_tree_is_a_linear_search() {
    let seed =
        std::env::var("EMU_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64);
    println!("EMU_SEED={seed}");
    let mut random = Random(seed);
    let (mut compiled, mut tried) = (0, 0);
    // About one table in fifteen compiles.
    while compiled < 10 && tried < 5000 {
        tried += 1;
        let mut text = String::from("reason r \"r\"\nclass \"C\"\n");
        for row in 0..3 + random.next() % 60 {
            // Few distinct bits, so that rows are near one another.
            let keep = [0xffff_0000u32, 0xff0f_f000, 0xffff_ffff, 0xf0f0_f0f0][random.next() as usize % 4];
            let bits = random.next() & random.next() & 0xf3f3_0f03;
            let mut pattern = String::new();
            for b in (0..32).rev() {
                pattern.push(if keep >> b & 1 == 0 {
                    'x'
                } else if bits >> b & 1 != 0 {
                    '1'
                } else {
                    '0'
                });
            }
            text += &format!("R{row} {pattern} ! r yields\n");
        }
        // Tables with partial overlaps or equal rows are refused, as they should be.
        let Ok(t) = load(&text) else { continue };
        compiled += 1;
        for _ in 0..2000 {
            let word =
                if random.next() & 1 == 0 { random.next() } else { t.rows[random.next() as usize % t.rows.len()].bits ^ 1 << (random.next() % 32) };
            assert_eq!(t.find(word), t.find_linear(word), "{word:08x} of\n{text}");
        }
    }
    assert_eq!(compiled, 10, "of {tried} random tables");
}
