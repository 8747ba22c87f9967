//! The text form, for `-d op`, tests and bug reports. It round-trips: `parse(print(ops)) == ops`.
//!
//! One op a line: `%dst = name.ty[xshape] %a, %b, %c aux=0x.. imm=0x..`; absent members are left out.

use crate::{Code, NONE, OPS, Op, Shape, Ty};
use std::fmt::Write;

/// Prints ops, one a line.
pub fn print(ops: &[Op]) -> String {
    let mut s = String::with_capacity(ops.len() * 40);
    for op in ops {
        if op.dst != NONE {
            let _ = write!(s, "%{} = ", op.dst);
        }
        let name = op.info().map_or("?", |i| i.name);
        let _ = write!(s, "{name}.{}", op.ty.name());
        if op.shape != Shape::SCALAR {
            let _ = write!(s, "x{}", op.shape.name());
        }
        let mut operands = vec![op.a, op.b, op.c];
        while operands.last() == Some(&NONE) {
            operands.pop();
        }
        for (i, v) in operands.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            let _ = if *v == NONE { write!(s, "{comma} _") } else { write!(s, "{comma} %{v}") };
        }
        if op.aux != 0 {
            let _ = write!(s, " aux={:#x}", op.aux);
        }
        if op.imm != 0 {
            let _ = write!(s, " imm={:#x}", op.imm);
        }
        s.push('\n');
    }
    s
}

/// Parses what [`print`] wrote. The error names the line (from 1) and what is wrong with it.
pub fn parse(text: &str) -> Result<Vec<Op>, String> {
    text.lines()
        .enumerate()
        .map(|(i, line)| (i, line.split('#').next().unwrap_or("").trim()))
        .filter(|(_, line)| !line.is_empty())
        .map(|(i, line)| parse_line(line).map_err(|e| format!("line {}: {e}", i + 1)))
        .collect()
}

fn number(text: &str) -> Result<u64, String> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    }
    .map_err(|_| format!("`{text}` is not a number"))
}

fn value(text: &str) -> Result<u32, String> {
    if text == "_" {
        return Ok(NONE);
    }
    let digits = text.strip_prefix('%').ok_or_else(|| format!("`{text}` is not a value"))?;
    digits.parse().map_err(|_| format!("`{text}` is not a value"))
}

fn parse_line(line: &str) -> Result<Op, String> {
    let mut op = Op { code: 0, ty: Ty::I64, shape: Shape::SCALAR, dst: NONE, a: NONE, b: NONE, c: NONE, aux: 0, imm: 0 };
    let rest = match line.split_once('=') {
        Some((dst, rest)) if dst.trim().starts_with('%') && !dst.trim().contains(' ') => {
            op.dst = value(dst.trim())?;
            rest.trim()
        }
        _ => line,
    };
    let mut words = rest.split_whitespace();
    let head = words.next().ok_or("no op")?;
    let (name, ty) = head.split_once('.').ok_or_else(|| format!("`{head}` has no type"))?;
    op.code = OPS.iter().position(|r| r.name == name).ok_or_else(|| format!("no op is called `{name}`"))? as u16;
    let (ty, shape) = ty.split_once('x').unwrap_or((ty, ""));
    op.ty = Ty::parse(ty).ok_or_else(|| format!("no type is called `{ty}`"))?;
    op.shape = Shape::parse(shape).ok_or_else(|| format!("no shape is called `{shape}`"))?;
    let mut operands = Vec::new();
    for word in words {
        if let Some(n) = word.strip_prefix("aux=") {
            op.aux = u32::try_from(number(n)?).map_err(|_| format!("`{n}` is too large"))?;
        } else if let Some(n) = word.strip_prefix("imm=") {
            op.imm = number(n)?;
        } else {
            operands.push(value(word.trim_end_matches(','))?);
        }
    }
    let [a, b, c] = [0, 1, 2].map(|i| operands.get(i).copied().unwrap_or(NONE));
    (op.a, op.b, op.c) = (a, b, c);
    if operands.len() > 3 {
        return Err("more than three operands".into());
    }
    debug_assert!(Code::ALL.len() == OPS.len());
    Ok(op)
}
