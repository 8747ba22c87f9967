//! Feature gates: expressions over names of features with `&`, `|`, `!` and parentheses. `FEAT_` in front of a name is spelling only.

use std::collections::BTreeSet;
use std::fmt;

/// A feature expression. `FEAT_SVE | FEAT_SME & FEAT_FP16` binds as `FEAT_SVE | (FEAT_SME & FEAT_FP16)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate {
    /// The feature is implemented; the name as the table has it.
    Feature(String),
    /// Not.
    Not(Box<Gate>),
    /// All of them.
    And(Vec<Gate>),
    /// Any of them.
    Or(Vec<Gate>),
}

impl Gate {
    /// Parses an expression; the error says what is wrong, without a place.
    pub fn parse(text: &str) -> Result<Gate, String> {
        let tokens = tokens(text)?;
        let mut parser = Parser { tokens: &tokens, at: 0 };
        let gate = parser.or()?;
        match parser.peek() {
            None => Ok(gate),
            Some(t) => Err(format!("`{t}` does not fit in the gate `{text}`; join names with `&` or `|`")),
        }
    }

    /// Both of two optional gates.
    pub(crate) fn both(a: Option<&Gate>, b: Option<&Gate>) -> Option<Gate> {
        match (a, b) {
            (Some(a), Some(b)) if a == b => Some(a.clone()),
            (Some(a), Some(b)) => {
                let mut all = Vec::new();
                for g in [a, b] {
                    match g {
                        Gate::And(v) => all.extend(v.iter().cloned()),
                        g => all.push(g.clone()),
                    }
                }
                Some(Gate::And(all))
            }
            (a, b) => a.or(b).cloned(),
        }
    }

    /// Adds the feature names of the expression to `names`.
    pub fn features(&self, names: &mut BTreeSet<String>) {
        match self {
            Gate::Feature(name) => {
                names.insert(short(name).to_owned());
            }
            Gate::Not(g) => g.features(names),
            Gate::And(v) | Gate::Or(v) => v.iter().for_each(|g| g.features(names)),
        }
    }

    /// The value of the expression when `has` says which features are implemented.
    pub fn eval(&self, has: &dyn Fn(&str) -> bool) -> bool {
        match self {
            Gate::Feature(name) => has(short(name)),
            Gate::Not(g) => !g.eval(has),
            Gate::And(v) => v.iter().all(|g| g.eval(has)),
            Gate::Or(v) => v.iter().any(|g| g.eval(has)),
        }
    }

    /// Rust for the expression, `call` being how a feature is asked for.
    pub(crate) fn rust(&self, call: &dyn Fn(&str) -> String) -> String {
        let join = |v: &[Gate], op: &str| {
            let parts: Vec<String> = v
                .iter()
                .map(|g| match g {
                    Gate::And(_) | Gate::Or(_) => format!("({})", g.rust(call)),
                    _ => g.rust(call),
                })
                .collect();
            parts.join(op)
        };
        match self {
            Gate::Feature(name) => call(short(name)),
            Gate::Not(g) => format!("!({})", g.rust(call)),
            Gate::And(v) => join(v, " && "),
            Gate::Or(v) => join(v, " || "),
        }
    }
}

/// A feature's name without `FEAT_`.
pub(crate) fn short(name: &str) -> &str {
    name.strip_prefix("FEAT_").unwrap_or(name)
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, v: &[Gate], op: &str| {
            for (i, g) in v.iter().enumerate() {
                if i > 0 {
                    f.write_str(op)?;
                }
                match g {
                    Gate::And(_) | Gate::Or(_) => write!(f, "({g})")?,
                    _ => write!(f, "{g}")?,
                }
            }
            Ok(())
        };
        match self {
            Gate::Feature(name) => f.write_str(name),
            Gate::Not(g) => write!(f, "!({g})"),
            Gate::And(v) => list(f, v, " & "),
            Gate::Or(v) => list(f, v, " | "),
        }
    }
}

fn tokens(text: &str) -> Result<Vec<String>, String> {
    let mut out: Vec<String> = Vec::new();
    let mut word = String::new();
    for c in text.chars().chain([' ']) {
        if c.is_ascii_alphanumeric() || c == '_' {
            word.push(c);
            continue;
        }
        if !word.is_empty() {
            out.push(std::mem::take(&mut word));
        }
        match c {
            '&' | '|' | '!' | '(' | ')' => out.push(c.to_string()),
            c if c.is_whitespace() => {}
            c => {
                return Err(format!("`{c}` has no meaning in the gate `{text}`; use FEAT_ names with `&`, `|`, `!` and parentheses"));
            }
        }
    }
    Ok(out)
}

struct Parser<'a> {
    tokens: &'a [String],
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.tokens.get(self.at).map(String::as_str)
    }

    fn next(&mut self) -> Option<&'a str> {
        let t = self.peek();
        self.at += 1;
        t
    }

    fn or(&mut self) -> Result<Gate, String> {
        let mut v = vec![self.and()?];
        while self.peek() == Some("|") {
            self.at += 1;
            v.push(self.and()?);
        }
        Ok(if v.len() == 1 { v.remove(0) } else { Gate::Or(v) })
    }

    fn and(&mut self) -> Result<Gate, String> {
        let mut v = vec![self.unary()?];
        while self.peek() == Some("&") {
            self.at += 1;
            v.push(self.unary()?);
        }
        Ok(if v.len() == 1 { v.remove(0) } else { Gate::And(v) })
    }

    fn unary(&mut self) -> Result<Gate, String> {
        match self.next() {
            Some("!") => Ok(Gate::Not(Box::new(self.unary()?))),
            Some("(") => {
                let g = self.or()?;
                match self.next() {
                    Some(")") => Ok(g),
                    _ => Err("a gate lacks its closing `)`".into()),
                }
            }
            Some(name) if !short(name).is_empty() && name.starts_with(|c: char| c.is_ascii_alphabetic()) => Ok(Gate::Feature(name.into())),
            Some(name) => Err(format!("`{name}` is not a feature; a gate is made of names such as FEAT_LSE or Zba")),
            None => Err("a gate ends early; a FEAT_ name is missing".into()),
        }
    }
}
