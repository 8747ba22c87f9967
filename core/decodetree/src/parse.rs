//! Text to lines: the syntax of `*.decode`, without any meaning across lines.

use crate::{Error, Gate};

/// One item of a bit pattern, most significant first.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    /// Fixed and ignored bits: `0`, `1`, `x`.
    Bits(String),
    /// A variable field: name, width, value it must not have (`x` matches both).
    Field(String, u32, Option<String>),
    /// A named field with a fixed value.
    Named(String, String),
}

/// The right side of `operand=part:part`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    Bits(String),
    Name(String),
}

#[derive(Clone, Debug)]
pub(crate) struct OperandText {
    pub name: String,
    pub signed: bool,
    pub parts: Option<Vec<Part>>,
}

#[derive(Clone, Debug)]
pub(crate) struct MethodText {
    pub name: String,
    pub operands: Vec<OperandText>,
    pub doc: String,
    pub place: String,
}

#[derive(Clone, Debug)]
pub(crate) enum ActionText {
    Method(String, Vec<(String, Vec<Part>)>),
    /// A quoted text, or the name of a `reason` line.
    Unimplemented {
        text: String,
        quoted: bool,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct RowText {
    pub name: String,
    pub class: String,
    pub items: Vec<Item>,
    pub action: ActionText,
    pub gate: Option<Gate>,
    pub yields: bool,
    pub place: String,
}

/// Everything that the files say, in order.
#[derive(Debug, Default)]
pub(crate) struct Source {
    pub rows: Vec<RowText>,
    pub methods: Vec<MethodText>,
    /// Name, text, place.
    pub reasons: Vec<(String, String, String)>,
}

fn is_name(s: &str) -> bool {
    let mut chars = s.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_') && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn is_bits(s: &str, also_x: bool) -> bool {
    !s.is_empty() && s.chars().all(|c| c == '0' || c == '1' || (also_x && c == 'x'))
}

/// Cuts a `#` comment that is not inside quotes.
fn uncomment(line: &str) -> &str {
    let mut quoted = false;
    for (i, c) in line.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '#' if !quoted => return &line[..i],
            _ => {}
        }
    }
    line
}

/// Splits `"text" rest`.
fn quoted(s: &str) -> Option<(&str, &str)> {
    let (text, rest) = s.trim_start().strip_prefix('"')?.split_once('"')?;
    Some((text, rest.trim()))
}

/// Splits off `?gate` at the end of a line.
fn split_gate(s: &str) -> Result<(&str, Option<Gate>), String> {
    match s.split_once('?') {
        None => Ok((s.trim(), None)),
        Some((before, gate)) => Ok((before.trim(), Some(Gate::parse(gate.trim())?))),
    }
}

fn parts(s: &str) -> Result<Vec<Part>, String> {
    s.split(':')
        .map(|p| match p.trim() {
            p if is_bits(p, false) => Ok(Part::Bits(p.into())),
            p if is_name(p) => Ok(Part::Name(p.into())),
            p => Err(format!("`{p}` is neither binary digits nor a field name; write `operand=part:part`")),
        })
        .collect()
}

fn item(token: &str) -> Result<Item, String> {
    if is_bits(token, true) {
        return Ok(Item::Bits(token.into()));
    }
    // Should-be-zero and should-be-one bits, as the manual writes them.
    if let Some(inner) = token.strip_prefix('(').and_then(|t| t.strip_suffix(')')) {
        return if is_bits(inner, false) { Ok(Item::Bits(inner.into())) } else { Err(format!("`{token}` should hold binary digits")) };
    }
    let parsed = if let Some((name, bits)) = token.split_once("!=") {
        (is_name(name) && is_bits(bits, true)).then(|| Item::Field(name.into(), bits.len() as u32, Some(bits.into())))
    } else if let Some((name, bits)) = token.split_once('=') {
        (is_name(name) && is_bits(bits, false)).then(|| Item::Named(name.into(), bits.into()))
    } else if let Some((name, width)) = token.split_once(':') {
        let width = width.parse().ok().filter(|w| (1..=32).contains(w) && is_name(name));
        width.map(|w| Item::Field(name.into(), w, None))
    } else {
        None
    };
    parsed.ok_or_else(|| format!("`{token}` is not a pattern item; write bits, `name:width`, `name=bits` or `name!=bits`"))
}

fn method(rest: &str, place: &str) -> Result<MethodText, String> {
    let bad = || "write `method name(operand, operand:signed, operand=field:field) \"what it is\"`".to_string();
    let (name, rest) = rest.split_once('(').ok_or_else(bad)?;
    let (list, rest) = rest.split_once(')').ok_or_else(bad)?;
    let (doc, tail) = quoted(rest).ok_or_else(bad)?;
    let name = name.trim();
    if !is_name(name) || !tail.is_empty() {
        return Err(bad());
    }
    let mut operands: Vec<OperandText> = Vec::new();
    for o in list.split(',').map(str::trim).filter(|o| !o.is_empty()) {
        let (left, right) = match o.split_once('=') {
            Some((l, r)) => (l.trim(), Some(parts(r)?)),
            None => (o, None),
        };
        let (name, signed) = match left.split_once(':') {
            Some((n, "signed")) => (n, true),
            Some((_, other)) => {
                return Err(format!("`{other}` has no meaning after an operand; only `:signed` has"));
            }
            None => (left, false),
        };
        if !is_name(name) {
            return Err(format!("`{name}` is not an operand name"));
        }
        if operands.iter().any(|p| p.name.eq_ignore_ascii_case(name)) {
            return Err(format!("operand `{name}` is there twice (letter case does not tell operands apart)"));
        }
        operands.push(OperandText { name: name.into(), signed, parts: right });
    }
    Ok(MethodText { name: name.into(), operands, doc: doc.into(), place: place.into() })
}

fn row(line: &str, class: &(String, Option<Gate>), place: &str) -> Result<RowText, String> {
    let (line, own_gate) = match line.rsplit_once(char::is_whitespace) {
        Some((before, "yields")) => {
            let (l, g) = split_gate(before)?;
            (format!("{l} yields"), g)
        }
        _ => {
            let (l, g) = split_gate(line)?;
            (l.to_string(), g)
        }
    };
    let mut tokens = line.split_whitespace();
    let name = tokens.next().unwrap_or_default();
    if !is_name(name) {
        return Err(format!("`{name}` starts no line; a line is `class`, `method`, `reason` or a row that starts with the encoding's name"));
    }
    let mut items = Vec::new();
    let mut colon = None;
    for t in tokens.by_ref() {
        if t == ":" || t == "!" {
            colon = Some(t == ":");
            break;
        }
        items.push(item(t)?);
    }
    let mut rest: Vec<&str> = tokens.collect();
    let yields = rest.last() == Some(&"yields");
    if yields {
        rest.pop();
    }
    let action = match colon {
        None => {
            return Err(format!("row {name} ends after its pattern; add `: method` or `! reason`"));
        }
        Some(true) => {
            let mut rest = rest.into_iter();
            let method = rest.next().filter(|m| is_name(m)).ok_or_else(|| format!("row {name} names no method after `:`"))?;
            let mut assigned: Vec<(String, Vec<Part>)> = Vec::new();
            for t in rest {
                let (n, v) = t
                    .split_once('=')
                    .filter(|(n, _)| is_name(n))
                    .ok_or_else(|| format!("`{t}` does not fit after the method; write `operand=part:part`, `?FEAT_X` or `yields`"))?;
                if assigned.iter().any(|(a, _)| a == n) {
                    return Err(format!("row {name} gives operand `{n}` twice"));
                }
                assigned.push((n.into(), parts(v)?));
            }
            ActionText::Method(method.into(), assigned)
        }
        Some(false) => {
            let text = rest.join(" ");
            match quoted(&text) {
                Some((t, "")) => ActionText::Unimplemented { text: t.into(), quoted: true },
                _ if is_name(&text) => ActionText::Unimplemented { text, quoted: false },
                _ => {
                    return Err(format!("row {name} gives no reason after `!`; write a quoted text or the name of a `reason` line"));
                }
            }
        }
    };
    Ok(RowText {
        name: name.into(),
        class: class.0.clone(),
        items,
        action,
        gate: Gate::both(class.1.as_ref(), own_gate.as_ref()),
        yields,
        place: place.into(),
    })
}

/// Adds one file to `out`.
pub(crate) fn parse(file: &str, text: &str, out: &mut Source) -> Result<(), Error> {
    let mut class: Option<(String, Option<Gate>)> = None;
    for (n, line) in text.lines().enumerate() {
        let place = format!("{file}:{}", n + 1);
        let line = uncomment(line).trim();
        if line.is_empty() {
            continue;
        }
        let fail = |message: String| Error { place: place.clone(), message };
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match word {
            "class" => {
                let (title, rest) = quoted(rest).ok_or_else(|| fail("write `class \"title\" ?FEAT_X`, the gate being optional".into()))?;
                let (junk, gate) = split_gate(rest).map_err(fail)?;
                if !junk.is_empty() {
                    return Err(Error { place, message: format!("`{junk}` has no meaning after a class title; only a `?gate` has") });
                }
                class = Some((title.into(), gate));
            }
            "method" => out.methods.push(method(rest, &place).map_err(fail)?),
            "reason" => {
                let (name, text) = rest
                    .split_once(char::is_whitespace)
                    .and_then(|(n, t)| Some((n, quoted(t)?.0)))
                    .filter(|(n, _)| is_name(n))
                    .ok_or_else(|| fail("write `reason name \"why\"`".into()))?;
                out.reasons.push((name.into(), text.into(), place));
            }
            _ => {
                let class = class.as_ref().ok_or_else(|| fail("a row stands before the first `class` line; give it a class".into()))?;
                out.rows.push(row(line, class, &place).map_err(fail)?);
            }
        }
    }
    Ok(())
}
