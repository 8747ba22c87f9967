//! Lines to a checked table: names are resolved, operands supplied, overlaps refused.

use std::collections::HashMap;

use crate::parse::{ActionText, Item, MethodText, Part, RowText, Source};
use crate::{Error, Gate, tree};

/// A part of an operand's value, most significant first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Fixed bits.
    Bits {
        /// The value.
        value: u32,
        /// How many bits.
        width: u32,
    },
    /// Bits of the instruction word.
    Field {
        /// The lowest bit.
        low: u32,
        /// How many bits.
        width: u32,
    },
}

impl Piece {
    pub(crate) fn width(self) -> u32 {
        match self {
            Piece::Bits { width, .. } | Piece::Field { width, .. } => width,
        }
    }
}

/// An operand of a decode method.
#[derive(Clone, Debug)]
pub struct Operand {
    /// As in the table; the struct field is its lower case.
    pub name: String,
    /// Sign-extended, an `i32`.
    pub signed: bool,
}

/// A decode method: one struct, one trait method.
#[derive(Clone, Debug)]
pub struct Method {
    /// Name of the trait method.
    pub name: String,
    /// In the order of the table.
    pub operands: Vec<Operand>,
    /// What it is.
    pub doc: String,
    /// How many rows use it; a method without rows is not generated.
    pub rows: usize,
}

/// What a row does.
#[derive(Clone, Debug)]
pub enum Action {
    /// Calls a method with these operand values (index into [`Table::methods`], pieces per operand).
    Method(usize, Vec<Vec<Piece>>),
    /// Named, but not implemented, and why.
    Unimplemented(String),
}

/// A row: one encoding.
#[derive(Clone, Debug)]
pub struct Row {
    /// The encoding's name.
    pub name: String,
    /// Title of its class.
    pub class: String,
    /// The bits that are fixed.
    pub mask: u32,
    /// Their values.
    pub bits: u32,
    /// (mask, bits) that the row does not match, from `field!=value`.
    pub excluded: Vec<(u32, u32)>,
    /// The features it needs.
    pub gate: Option<Gate>,
    /// What it does.
    pub action: Action,
    /// A more specific row may overlap it.
    pub yields: bool,
    /// The row that takes the word when the gate is closed: the narrowest one that yields to it.
    pub general: Option<usize>,
    /// `file:line`.
    pub place: String,
}

impl Row {
    /// Whether the row's pattern matches the word, its gate aside.
    pub fn matches(&self, insn: u32) -> bool {
        insn & self.mask == self.bits && !self.excluded.iter().any(|&(m, b)| insn & m == b)
    }
}

/// A checked table.
#[derive(Clone, Debug)]
pub struct Table {
    /// In the order of the files.
    pub rows: Vec<Row>,
    /// In the order of the files.
    pub methods: Vec<Method>,
    pub(crate) tree: tree::Tree,
}

impl Table {
    /// The row of a word by the decision tree: what the generated decoder does.
    pub fn find(&self, insn: u32) -> Option<usize> {
        self.tree.candidates(insn).iter().map(|&r| r as usize).find(|&r| self.rows[r].matches(insn))
    }

    /// The row of a word by a linear search for the most specific match: what [`Table::find`] means.
    pub fn find_linear(&self, insn: u32) -> Option<usize> {
        let hits = self.rows.iter().enumerate().filter(|(_, r)| r.matches(insn));
        hits.max_by_key(|(_, r)| r.mask.count_ones()).map(|(i, _)| i)
    }
}

/// A pattern field: low bit, width, whether its value is fixed.
struct Field {
    low: u32,
    width: u32,
    fixed: bool,
}

struct Pattern {
    mask: u32,
    bits: u32,
    excluded: Vec<(u32, u32)>,
    fields: HashMap<String, Field>,
}

fn pattern(row: &RowText) -> Result<Pattern, String> {
    let width = |i: &Item| match i {
        Item::Bits(s) | Item::Named(_, s) => s.len() as u32,
        Item::Field(_, w, _) => *w,
    };
    let total: u32 = row.items.iter().map(width).sum();
    if total != 32 {
        return Err(format!("the pattern of {} has {total} bits; it must have 32", row.name));
    }
    let mut p = Pattern { mask: 0, bits: 0, excluded: Vec::new(), fields: HashMap::new() };
    let mut low = 32;
    for item in &row.items {
        let w = width(item);
        low -= w;
        let mut fixed = |s: &str| {
            let (m, b) = cube(s, low);
            p.mask |= m;
            p.bits |= b;
        };
        let field = match item {
            Item::Bits(s) => {
                fixed(s);
                None
            }
            Item::Named(name, s) => {
                fixed(s);
                Some((name, true))
            }
            Item::Field(name, _, not) => {
                if let Some(s) = not {
                    p.excluded.push(cube(s, low));
                }
                Some((name, false))
            }
        };
        if let Some((name, fixed)) = field
            && p.fields.insert(name.clone(), Field { low, width: w, fixed }).is_some()
        {
            return Err(format!("field `{name}` is in the pattern of {} twice", row.name));
        }
    }
    Ok(p)
}

/// (mask, bits) of binary digits with `x`, at a bit position.
fn cube(s: &str, low: u32) -> (u32, u32) {
    let (mut m, mut b) = (0u32, 0u32);
    for c in s.chars() {
        m = m << 1 | u32::from(c != 'x');
        b = b << 1 | u32::from(c == '1');
    }
    (m << low, b << low)
}

/// The pieces of every operand of `method` in `row`, or what is missing.
fn operands(row: &RowText, p: &Pattern, method: &MethodText, assigned: &[(String, Vec<Part>)]) -> Result<Vec<Vec<Piece>>, String> {
    let known = |name: &str| method.operands.iter().any(|o| o.name == name || o.parts.iter().flatten().any(|q| *q == Part::Name(name.into())));
    if let Some((n, _)) = assigned.iter().find(|(n, _)| !known(n)) {
        return Err(format!("row {} gives `{n}`, which is no operand of method {}; remove it or declare it", row.name, method.name));
    }
    let mut used: Vec<&str> = Vec::new();
    let mut out = Vec::new();
    for operand in &method.operands {
        let mut pieces = Vec::new();
        // Names of a method's own expression may be given by the row; names of a row's are fields.
        let mut todo: Vec<(&Part, bool)> = Vec::new();
        let own = [Part::Name(operand.name.clone())];
        match (assigned.iter().find(|(n, _)| *n == operand.name), &operand.parts) {
            (Some((_, given)), _) => todo.extend(given.iter().rev().map(|q| (q, false))),
            (None, Some(parts)) => todo.extend(parts.iter().rev().map(|q| (q, true))),
            (None, None) => todo.push((&own[0], false)),
        }
        while let Some((part, may_be_given)) = todo.pop() {
            let name = match part {
                Part::Bits(s) => {
                    pieces.push(Piece::Bits { value: cube(s, 0).1, width: s.len() as u32 });
                    continue;
                }
                Part::Name(name) => name,
            };
            if let (true, Some((_, given))) = (may_be_given, assigned.iter().find(|(n, _)| n == name)) {
                todo.extend(given.iter().rev().map(|q| (q, false)));
            } else if let Some((key, f)) = p.fields.get_key_value(name) {
                used.push(key);
                match pieces.last_mut() {
                    Some(Piece::Field { low, width }) if *low == f.low + f.width => {
                        *low = f.low;
                        *width += f.width;
                    }
                    _ => pieces.push(Piece::Field { low: f.low, width: f.width }),
                }
            } else if *name == operand.name {
                return Err(format!(
                    "row {} lacks operand `{name}` of method {}; name it in the pattern or write `{name}=...` after the method",
                    row.name, method.name
                ));
            } else {
                return Err(format!("row {}: operand `{}` is made of `{name}`, which is no field of the pattern", row.name, operand.name));
            }
        }
        if pieces.iter().map(|p| p.width()).sum::<u32>() > 32 {
            return Err(format!("row {}: operand `{}` has more than 32 bits", row.name, operand.name));
        }
        out.push(pieces);
    }
    let mut unused: Vec<_> = p.fields.iter().filter(|(n, f)| !f.fixed && !used.contains(&n.as_str())).map(|(n, _)| n).collect();
    unused.sort();
    if let Some(n) = unused.first() {
        return Err(format!("row {}: method {} does not take field `{n}`; declare it as an operand", row.name, method.name));
    }
    Ok(out)
}

/// What the cubes of two rows have in common, if a word can be in both.
fn overlap(a: &Row, b: &Row) -> bool {
    if (a.bits ^ b.bits) & a.mask & b.mask != 0 {
        return false;
    }
    let (mask, bits) = (a.mask | b.mask, a.bits | b.bits);
    !a.excluded.iter().chain(&b.excluded).any(|&(m, v)| m & mask == m && bits & m == v)
}

fn inside(narrow: &Row, wide: &Row) -> bool {
    narrow.mask & wide.mask == wide.mask && narrow.mask != wide.mask
}

pub(crate) fn check(source: Source) -> Result<Table, Error> {
    let err = |place: &str, message: String| Error { place: place.into(), message };
    let mut methods: Vec<Method> = Vec::new();
    let mut method_index: HashMap<&str, usize> = HashMap::new();
    for (i, m) in source.methods.iter().enumerate() {
        if let Some(first) = method_index.insert(&m.name, i) {
            return Err(err(&m.place, format!("method {} is declared at {} already; keep one", m.name, source.methods[first].place)));
        }
        let operands = m.operands.iter().map(|o| Operand { name: o.name.clone(), signed: o.signed }).collect();
        methods.push(Method { name: m.name.clone(), operands, doc: m.doc.clone(), rows: 0 });
    }
    let mut reasons: HashMap<&str, &str> = HashMap::new();
    for (name, text, place) in &source.reasons {
        if reasons.insert(name, text).is_some_and(|t| t != text) {
            return Err(err(place, format!("reason {name} is declared already with another text; keep one")));
        }
    }
    let mut rows: Vec<Row> = Vec::new();
    let mut names: HashMap<&str, &str> = HashMap::new();
    let mut signed_width: HashMap<(usize, usize), u32> = HashMap::new();
    for r in &source.rows {
        let fail = |message| err(&r.place, message);
        if let Some(first) = names.insert(&r.name, &r.place) {
            return Err(fail(format!("row {} is at {first} already; keep one", r.name)));
        }
        let p = pattern(r).map_err(fail)?;
        let action = match &r.action {
            ActionText::Method(name, assigned) => {
                let i = *method_index
                    .get(name.as_str())
                    .ok_or_else(|| fail(format!("row {} calls method {name}, which is not declared; add a `method {name}(...)` line", r.name)))?;
                let pieces = operands(r, &p, &source.methods[i], assigned).map_err(fail)?;
                for (o, v) in pieces.iter().enumerate().filter(|(o, _)| methods[i].operands[*o].signed) {
                    let width = v.iter().map(|p| p.width()).sum();
                    if *signed_width.entry((i, o)).or_insert(width) != width {
                        return Err(fail(format!(
                            "row {}: signed operand `{}` has another width than in an earlier row",
                            r.name, methods[i].operands[o].name
                        )));
                    }
                }
                methods[i].rows += 1;
                Action::Method(i, pieces)
            }
            ActionText::Unimplemented { text, quoted: true } => Action::Unimplemented(text.clone()),
            ActionText::Unimplemented { text, .. } => match reasons.get(text.as_str()) {
                Some(t) => Action::Unimplemented((*t).into()),
                None => {
                    return Err(fail(format!("reason {text} is not declared; add a `reason {text} \"...\"` line or quote the text")));
                }
            },
        };
        rows.push(Row {
            name: r.name.clone(),
            class: r.class.clone(),
            mask: p.mask,
            bits: p.bits,
            excluded: p.excluded,
            gate: r.gate.clone(),
            action,
            yields: r.yields,
            general: None,
            place: r.place.clone(),
        });
    }
    for (i, j) in tree::overlapping_pairs(&rows) {
        if !overlap(&rows[i], &rows[j]) {
            continue;
        }
        let (narrow, wide) = if inside(&rows[i], &rows[j]) {
            (i, j)
        } else if inside(&rows[j], &rows[i]) {
            (j, i)
        } else {
            return Err(err(
                &rows[j].place,
                format!(
                    "row {} overlaps row {} ({}), and neither is inside the other; tell them apart with `field!=bits`",
                    rows[j].name, rows[i].name, rows[i].place
                ),
            ));
        };
        if !rows[wide].yields {
            return Err(err(
                &rows[wide].place,
                format!(
                    "row {} overlaps the more specific row {} ({}); mark it `yields`, or exclude the values with `field!=bits`",
                    rows[wide].name, rows[narrow].name, rows[narrow].place
                ),
            ));
        }
        let better = rows[narrow].general.is_none_or(|g| rows[g].mask.count_ones() < rows[wide].mask.count_ones());
        if better {
            rows[narrow].general = Some(wide);
        }
    }
    let tree = tree::build(&rows);
    Ok(Table { rows, methods, tree })
}
