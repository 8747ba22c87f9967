//! A checked table to Rust source.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

use crate::table::{Action, Method, Piece, Table};
use crate::{Gate, Options, tree};

/// Words that a Rust field or method cannot be called.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
    "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
    "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
    "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

fn ident(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    if KEYWORDS.contains(&lower.as_str()) {
        lower + "_"
    } else {
        lower
    }
}

fn camel(name: &str) -> String {
    name.split('_')
        .map(|w| {
            let (first, rest) = w.split_at(w.len().min(1));
            first.to_ascii_uppercase() + rest
        })
        .collect()
}

fn lit(v: u32) -> String {
    format!("0x{v:08x}")
}

/// Rust for an operand's value.
fn value(pieces: &[Piece], signed: bool) -> String {
    let total: u32 = pieces.iter().map(|p| p.width()).sum();
    let mut terms = Vec::new();
    let mut up = total;
    for piece in pieces {
        up -= piece.width();
        let term = match *piece {
            Piece::Bits { value: 0, .. } => continue,
            Piece::Bits { value, .. } => format!("{}", u64::from(value) << up),
            Piece::Field { low, width } => {
                let shifted = if low == 0 {
                    "insn".to_string()
                } else {
                    format!("insn >> {low}")
                };
                let masked = if low + width == 32 {
                    shifted
                } else {
                    format!("{shifted} & {:#x}", (1u64 << width) - 1)
                };
                if up == 0 {
                    masked
                } else {
                    format!("({masked}) << {up}")
                }
            }
        };
        terms.push(term);
    }
    let all = match terms.len() {
        0 => "0".to_string(),
        1 => terms.remove(0),
        _ => terms
            .iter()
            .map(|t| format!("({t})"))
            .collect::<Vec<_>>()
            .join(" | "),
    };
    match (signed, 32 - total) {
        (false, _) => all,
        (true, 0) => format!("({all}) as i32"),
        (true, n) => format!("(({all}) << {n}) as i32 >> {n}"),
    }
}

fn structs(out: &mut String, m: &Method) {
    let name = camel(&m.name);
    let _ = writeln!(out, "/// {}.", m.doc);
    let _ = writeln!(out, "#[derive(Clone, Copy, Debug, PartialEq, Eq)]");
    if m.operands.is_empty() {
        let _ = writeln!(out, "pub struct {name};\n");
        return;
    }
    let _ = writeln!(out, "pub struct {name} {{");
    for o in &m.operands {
        let ty = if o.signed { "i32" } else { "u32" };
        let _ = writeln!(
            out,
            "    /// `{}`\n    pub {}: {ty},",
            o.name,
            ident(&o.name)
        );
    }
    let _ = writeln!(out, "}}\n");
}

fn used(table: &Table) -> impl Iterator<Item = &Method> {
    table.methods.iter().filter(|m| m.rows > 0)
}

pub(crate) fn describe(table: &Table) -> String {
    let mut out = String::new();
    for (part, methods) in parts(table) {
        let _ = writeln!(out, "trait {}: Decode {{", camel(&part));
        for m in methods {
            let operands: Vec<String> = m
                .operands
                .iter()
                .map(|o| {
                    format!(
                        "{}: {}",
                        ident(&o.name),
                        if o.signed { "i32" } else { "u32" }
                    )
                })
                .collect();
            let _ = writeln!(out, "    /// {}. ({} rows)", m.doc, m.rows);
            let _ = writeln!(
                out,
                "    fn {}(&mut self, insn: &{} {{ {} }}) -> Self::Output;",
                ident(&m.name),
                camel(&m.name),
                operands.join(", ")
            );
        }
        let _ = writeln!(out, "}}\n");
    }
    out
}

/// The distinct gates, in order of appearance; a row's gate is an index, 0 being none.
struct Gates<'a> {
    list: Vec<&'a Gate>,
}

impl<'a> Gates<'a> {
    fn of(table: &'a Table) -> Self {
        let mut list: Vec<&Gate> = Vec::new();
        for g in table.rows.iter().filter_map(|r| r.gate.as_ref()) {
            if !list.contains(&g) {
                list.push(g);
            }
        }
        Gates { list }
    }

    fn index(&self, gate: Option<&Gate>) -> usize {
        gate.map_or(0, |g| {
            1 + self
                .list
                .iter()
                .position(|l| *l == g)
                .expect("every gate was listed")
        })
    }
}

pub(crate) fn emit(table: &Table, options: &Options) -> String {
    let tr = &options.trait_name;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "// Generated by emu-decodetree: change the *.decode files instead.\n"
    );
    let mut features = BTreeSet::new();
    table
        .rows
        .iter()
        .filter_map(|r| r.gate.as_ref())
        .for_each(|g| g.features(&mut features));
    let feature = match &options.feature {
        Some(path) => path.clone(),
        None => {
            let _ = writeln!(
                out,
                "/// The architectural features that rows ask for, without `FEAT_`."
            );
            let _ = writeln!(
                out,
                "#[allow(non_camel_case_types)]\n#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]\npub enum Feature {{"
            );
            features.iter().for_each(|f| {
                let _ = writeln!(out, "    /// FEAT_{f}\n    {f},");
            });
            let _ = writeln!(out, "}}\n");
            "Feature".into()
        }
    };
    used(table).for_each(|m| structs(&mut out, m));
    emit_types(&mut out, &feature);
    emit_trait(&mut out, table, tr, &feature);
    emit_macro(&mut out, table);
    let gates = Gates::of(table);
    emit_gates(&mut out, &gates, &feature);
    emit_rows(&mut out, table, &gates);
    let actions = emit_dispatch(&mut out, table, tr, &feature);
    emit_tree(&mut out, table, tr, &actions);
    out
}

fn emit_types(out: &mut String, feature: &str) {
    let text = r#"/// Whether a row has a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Decoded by this trait method.
    Implemented(&'static str),
    /// Known but not implemented, and why.
    Unimplemented(&'static str),
}

/// The feature expression of a row.
#[derive(Debug)]
pub struct Gate {
    /// As in the table.
    pub text: &'static str,
    /// Every feature it names.
    pub features: &'static [@F@],
    /// Its value.
    pub eval: fn(&dyn Fn(@F@) -> bool) -> bool,
}

/// One row of the tables: one encoding.
#[derive(Debug)]
pub struct Row {
    /// The encoding's name.
    pub name: &'static str,
    /// Title of its class.
    pub class: &'static str,
    /// The bits that are fixed.
    pub mask: u32,
    /// Their values.
    pub bits: u32,
    /// (mask, bits) that the row does not match although its fixed bits do.
    pub excluded: &'static [(u32, u32)],
    /// The features it needs.
    pub gate: Option<&'static Gate>,
    /// Whether it is implemented.
    pub status: Status,
    /// `file:line` of the row.
    pub source: &'static str,
}

impl Row {
    /// Whether the features that `has` knows open the row.
    pub fn allowed(&self, has: &dyn Fn(@F@) -> bool) -> bool {
        self.gate.is_none_or(|g| (g.eval)(has))
    }
}
"#;
    let _ = writeln!(out, "{}", text.replace("@F@", feature));
}

fn emit_trait(out: &mut String, table: &Table, tr: &str, feature: &str) {
    let _ = writeln!(
        out,
        "/// What a decoder asks of its user; the traits below it have one method per decode method of the tables.\npub trait {tr} {{"
    );
    let _ = writeln!(out, "    /// What each method returns.\n    type Output;");
    let _ = writeln!(
        out,
        "    /// Whether a feature is implemented: asked for the gates of rows.\n    fn has(&self, feature: {feature}) -> bool;"
    );
    let _ = writeln!(
        out,
        "    /// The word matches no row.\n    fn unallocated(&mut self, insn: u32) -> Self::Output;"
    );
    let _ = writeln!(
        out,
        "    /// The word's row is not implemented.\n    fn unimplemented(&mut self, insn: u32, row: &'static Row) -> Self::Output;"
    );
    let _ = writeln!(
        out,
        "    /// The word's row needs a feature that is absent.\n    fn gated_off(&mut self, insn: u32, row: &'static Row) -> Self::Output {{\n        let _ = row;\n        self.unallocated(insn)\n    }}"
    );
    let _ = writeln!(out, "}}\n");
    // A trait per table file, so that an implementation can be split the same way.
    for (part, methods) in parts(table) {
        let _ = writeln!(
            out,
            "/// The methods of `{part}.decode`.\npub trait {}: {tr} {{",
            camel(&part)
        );
        for m in methods {
            let _ = writeln!(
                out,
                "    /// {}.\n    fn {}(&mut self, insn: &{}) -> Self::Output;",
                m.doc,
                ident(&m.name),
                camel(&m.name)
            );
        }
        let _ = writeln!(out, "}}\n");
    }
}

/// The methods that rows use, by the table file of the first row that uses each.
fn parts(table: &Table) -> Vec<(String, Vec<&Method>)> {
    let mut parts: Vec<(String, Vec<&Method>)> = Vec::new();
    let mut seen = BTreeSet::new();
    for r in &table.rows {
        let Action::Method(index, _) = &r.action else {
            continue;
        };
        if !seen.insert(*index) {
            continue;
        }
        let stem = r
            .place
            .split(['.', ':'])
            .next()
            .unwrap_or("table")
            .to_string();
        match parts.iter_mut().find(|(p, _)| *p == stem) {
            Some((_, methods)) => methods.push(&table.methods[*index]),
            None => parts.push((stem, vec![&table.methods[*index]])),
        }
    }
    parts
}

/// The bound that names every part: `Decode + BaseDpimm + ...`.
fn bound(table: &Table, tr: &str) -> String {
    parts(table).iter().fold(tr.to_string(), |b, (part, _)| {
        format!("{b} + {}", camel(part))
    })
}

/// A macro over the methods, for what wants all of them alike: a tracer, a test, a set of stubs.
fn emit_macro(out: &mut String, table: &Table) {
    let text = r#"/// Calls the macro `$callback` with `Part { method Operands; ... } ...`: every trait and its methods.
#[allow(unused_macros)]
macro_rules! decode_methods {
    ($callback:ident) => {
        $callback! {"#;
    let _ = writeln!(out, "{text}");
    for (part, methods) in parts(table) {
        let _ = writeln!(out, "            {} {{", camel(&part));
        for m in methods {
            let _ = writeln!(
                out,
                "                {} {};",
                ident(&m.name),
                camel(&m.name)
            );
        }
        let _ = writeln!(out, "            }}");
    }
    let _ = writeln!(
        out,
        "        }}\n    }};\n}}\n#[allow(unused_imports)]\npub(crate) use decode_methods;\n"
    );
}

fn emit_gates(out: &mut String, gates: &Gates<'_>, feature: &str) {
    let _ = writeln!(out, "static GATES: [Gate; {}] = [", gates.list.len());
    for g in &gates.list {
        let mut names = BTreeSet::new();
        g.features(&mut names);
        let names: Vec<String> = names.iter().map(|n| format!("{feature}::{n}")).collect();
        let eval = g.rust(&|n| format!("has({feature}::{n})"));
        let _ = writeln!(
            out,
            "    Gate {{ text: \"{g}\", features: &[{}], eval: |has| {eval} }},",
            names.join(", ")
        );
    }
    let _ = writeln!(out, "];\n");
}

fn emit_rows(out: &mut String, table: &Table, gates: &Gates<'_>) {
    let _ = writeln!(
        out,
        "/// Every row, in the order of the tables.\npub static ROWS: [Row; {}] = [",
        table.rows.len()
    );
    for r in &table.rows {
        let gate = match gates.index(r.gate.as_ref()) {
            0 => "None".to_string(),
            n => format!("Some(&GATES[{}])", n - 1),
        };
        let status = match &r.action {
            Action::Method(m, _) => {
                format!("Status::Implemented({:?})", ident(&table.methods[*m].name))
            }
            Action::Unimplemented(why) => format!("Status::Unimplemented({why:?})"),
        };
        let excluded: Vec<String> = r
            .excluded
            .iter()
            .map(|&(m, b)| format!("({}, {})", lit(m), lit(b)))
            .collect();
        let _ = writeln!(
            out,
            "    Row {{ name: {:?}, class: {:?}, mask: {}, bits: {}, excluded: &[{}], gate: {gate}, status: {status}, source: {:?} }},",
            r.name,
            r.class,
            lit(r.mask),
            lit(r.bits),
            excluded.join(", "),
            r.place
        );
    }
    let _ = writeln!(out, "];\n");
}

/// Emits the dispatcher; returns the action of each row. Rows that do the same share an action.
fn emit_dispatch(out: &mut String, table: &Table, tr: &str, feature: &str) -> Vec<usize> {
    let mut arms: Vec<String> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut actions = Vec::new();
    for r in &table.rows {
        let mut arm = String::new();
        if let Some(g) = &r.gate {
            let closed = match r.general {
                // The instruction space around the row still has its say, as for hints.
                Some(general) => format!("dispatch(t, insn, {general})"),
                None => "t.gated_off(insn, &ROWS[row])".to_string(),
            };
            let test = match g {
                Gate::Feature(n) => format!("!t.has({feature}::{})", crate::gate::short(n)),
                g => format!("!({})", g.rust(&|n| format!("t.has({feature}::{n})"))),
            };
            let _ = writeln!(
                arm,
                "            if {test} {{\n                return {closed};\n            }}"
            );
        }
        match &r.action {
            Action::Unimplemented(_) => {
                let _ = writeln!(arm, "            t.unimplemented(insn, &ROWS[row])");
            }
            Action::Method(m, pieces) => {
                let m = &table.methods[*m];
                let name = camel(&m.name);
                if m.operands.is_empty() {
                    let _ = writeln!(arm, "            t.{}(&{name})", ident(&m.name));
                } else {
                    let _ = writeln!(arm, "            t.{}(&{name} {{", ident(&m.name));
                    for (o, p) in m.operands.iter().zip(pieces) {
                        let _ = writeln!(
                            arm,
                            "                {}: {},",
                            ident(&o.name),
                            value(p, o.signed)
                        );
                    }
                    let _ = writeln!(arm, "            }})");
                }
            }
        }
        let next = arms.len();
        let action = *known.entry(arm.clone()).or_insert(next);
        if action == next {
            arms.push(arm);
        }
        actions.push(action);
    }
    let tr = bound(table, tr);
    let _ = writeln!(
        out,
        "fn dispatch<T: {tr} + ?Sized>(t: &mut T, insn: u32, row: usize) -> T::Output {{"
    );
    let _ = writeln!(out, "    match PATTERNS[row].action {{");
    for (i, arm) in arms.iter().enumerate() {
        let _ = writeln!(out, "        {i} => {{\n{arm}        }}");
    }
    let _ = writeln!(out, "        _ => t.unallocated(insn),\n    }}\n}}\n");
    actions
}

fn emit_tree(out: &mut String, table: &Table, tr: &str, actions: &[usize]) {
    let tr = bound(table, tr);
    let _ = writeln!(
        out,
        "/// Decodes one instruction word and calls the method of its row.\n#[inline]\npub fn decode<T: {tr} + ?Sized>(t: &mut T, insn: u32) -> T::Output {{\n    match find(insn) {{\n        Some(row) => dispatch(t, insn, row),\n        None => t.unallocated(insn),\n    }}\n}}\n"
    );
    let text = r#"/// The row of an instruction word, its gate aside: an encoding's name for listings.
pub fn lookup(insn: u32) -> Option<&'static Row> {
    find(insn).map(|row| &ROWS[row])
}

/// The index in [`ROWS`] of the row of an instruction word, its gate aside.
#[inline]
pub fn find(insn: u32) -> Option<usize> {
    let mut at: u32 = ROOT;
    while at & 0x8000_0000 == 0 {
        let index = (at >> @BASE@) + (insn >> (at & 31) & ((1 << (at >> @WIDTH@ & 15)) - 1));
        at = NODES[index as usize];
    }
    let start = ((at & 0x7fff_ffff) >> @LEN@) as usize;
    let len = (at & @LENMASK@) as usize;
    LEAVES[start..start + len].iter().map(|&row| usize::from(row)).find(|&row| {
        let p = &PATTERNS[row];
        insn & p.mask == p.bits && (p.excluded == 0 || !EXCLUDED[usize::from(p.excluded)].iter().any(|&(m, b)| insn & m == b))
    })
}

struct Pattern {
    mask: u32,
    bits: u32,
    action: u16,
    excluded: u16,
}
"#;
    let text = text
        .replace("@BASE@", &tree::BASE_AT.to_string())
        .replace("@WIDTH@", &tree::WIDTH_AT.to_string())
        .replace("@LENMASK@", &((1 << tree::LEN_BITS) - 1).to_string())
        .replace("@LEN@", &tree::LEN_BITS.to_string());
    let _ = writeln!(out, "{text}");
    let mut excluded: Vec<&[(u32, u32)]> = vec![&[]];
    let _ = writeln!(out, "static PATTERNS: [Pattern; {}] = [", table.rows.len());
    for (r, action) in table.rows.iter().zip(actions) {
        let e = excluded
            .iter()
            .position(|e| *e == r.excluded)
            .unwrap_or_else(|| {
                excluded.push(&r.excluded);
                excluded.len() - 1
            });
        let _ = writeln!(
            out,
            "    Pattern {{ mask: {}, bits: {}, action: {action}, excluded: {e} }},",
            lit(r.mask),
            lit(r.bits)
        );
    }
    let _ = writeln!(
        out,
        "];\n\nstatic EXCLUDED: [&[(u32, u32)]; {}] = [",
        excluded.len()
    );
    for e in &excluded {
        let pairs: Vec<String> = e
            .iter()
            .map(|&(m, b)| format!("({}, {})", lit(m), lit(b)))
            .collect();
        let _ = writeln!(out, "    &[{}],", pairs.join(", "));
    }
    let _ = writeln!(out, "];\n\nconst ROOT: u32 = {};\n", lit(table.tree.root));
    numbers(
        out,
        "NODES",
        "u32",
        table.tree.nodes.iter().map(|&n| lit(n)),
    );
    numbers(
        out,
        "LEAVES",
        "u16",
        table.tree.leaves.iter().map(|n| n.to_string()),
    );
}

fn numbers(out: &mut String, name: &str, ty: &str, values: impl ExactSizeIterator<Item = String>) {
    let _ = writeln!(out, "static {name}: [{ty}; {}] = [", values.len());
    let values: Vec<String> = values.collect();
    for line in values.chunks(12) {
        let _ = writeln!(out, "    {},", line.join(", "));
    }
    let _ = writeln!(out, "];\n");
}
