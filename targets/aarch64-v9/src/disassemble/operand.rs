//! Operands: what the braces of a form stand for.

use super::{Insn, system};
use crate::translate::decode_bit_mask;

/// Fills a form's text in; `None` if an operand has a reserved value.
pub(super) fn fill(form: &str, mnemonic: &str, i: Insn) -> Option<String> {
    let mut out = String::new();
    let mut rest = form;
    while let Some(at) = rest.find(['{', '*']) {
        out += &rest[..at];
        if rest.as_bytes()[at] == b'*' {
            out += mnemonic;
            rest = &rest[at + 1..];
            continue;
        }
        let end = rest[at..].find('}')? + at;
        out += &operand(&rest[at + 1..end], mnemonic, i)?;
        rest = &rest[end + 1..];
    }
    Some(out + rest)
}

/// The bit mask of a logical immediate, in 64 bits or zero-extended from 32.
pub(super) fn bit_mask(i: Insn) -> Option<u64> {
    let n = i.field(22, 1);
    if n == 1 && !i.sf() {
        return None;
    }
    let mask = decode_bit_mask(n, i.field(10, 6), i.field(16, 6))?;
    Some(if i.sf() { mask } else { mask & 0xffff_ffff })
}

/// MOVZ can make the value.
pub(super) fn is_wide(value: u64, sf: bool) -> bool {
    let (value, places) = if sf { (value, 4) } else { (value & 0xffff_ffff, 2) };
    (0..places).any(|p| value & !(0xffff << (p * 16)) == 0)
}

const CONDITIONS: [&str; 16] = ["eq", "ne", "cs", "cc", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le", "al", "nv"];

/// A register: its letter is x, w or that of a SIMD&FP view; 31 is the zero register or, with `sp`, the stack pointer.
fn register(letter: char, n: u32, sp: bool) -> String {
    match (letter, n, sp) {
        ('x', 31, true) => "sp".into(),
        ('w', 31, true) => "wsp".into(),
        ('x' | 'w', 31, false) => format!("{letter}zr"),
        _ => format!("{letter}{n}"),
    }
}

/// The width that an encoding's name gives its data registers.
fn tagged(tag: &str) -> char {
    match tag.as_bytes().first() {
        Some(c @ (b'B' | b'H' | b'S' | b'D' | b'Q')) if tag.len() == 1 || tag == "BL" => c.to_ascii_lowercase() as char,
        _ if tag.contains("64") => 'x',
        _ => 'w',
    }
}

/// log2 of the size of a load or store by its name's tag, else by the size field.
fn scale(i: Insn) -> u32 {
    match tagged(i.tag) {
        'b' => 0,
        'h' => 1,
        's' => 2,
        'd' => 3,
        'q' => 4,
        _ => i.field(30, 2),
    }
}

/// log2 of the size of one register of a pair.
fn pair_scale(i: Insn) -> u32 {
    let opc = i.field(30, 2);
    if i.field(26, 1) == 1 { 2 + opc } else { 2 + (opc >> 1) }
}

fn base(i: Insn) -> String {
    register('x', i.n(), true)
}

fn memory(i: Insn, offset: i64) -> String {
    if offset == 0 { format!("[{}]", base(i)) } else { format!("[{}, #{offset}]", base(i)) }
}

fn hex(v: impl Into<u64>) -> String {
    format!("#{:#x}", v.into())
}

fn address(i: Insn, offset: i64) -> String {
    format!("{:#x}", i.pc.wrapping_add_signed(offset))
}

fn operand(name: &str, mnemonic: &str, i: Insn) -> Option<String> {
    let (immr, imms) = (i.field(16, 6), i.field(10, 6));
    let bits = if i.sf() { 64 } else { 32 };
    // Bit fields of 32-bit registers lie in them.
    let lies_in = |v: u32| (v < bits).then_some(());
    let decimal = |v: i64| format!("#{v}");
    Some(match name {
        "imm12" => format!("{}{}", hex(i.field(10, 12)), if i.field(22, 1) == 1 { ", lsl #12" } else { "" }),
        "imm16" => hex(i.field(5, 16)),
        "udf" => decimal(i.field(0, 16).into()),
        "imm5" => hex(i.m()),
        "imm6" => decimal(i.field(15, 6).into()),
        "simm8" => decimal(i.signed(10, 8)),
        "uimm8" => decimal(i.field(10, 8).into()),
        "flags" => decimal(i.field(0, 4).into()),
        "imm6 cb" => decimal(i.field(15, 6).into()),
        "nzcv" => hex(i.field(0, 4)),
        "crm" => hex(i.field(8, 4)),
        "hint" => hex(i.field(5, 7)),
        "hw" => match i.field(21, 2) {
            0 => String::new(),
            n => format!(", lsl #{}", n * 16),
        },
        "wide" | "wide not" => {
            let value = u64::from(i.field(5, 16)) << (i.field(21, 2) * 16);
            let value = if name == "wide" { value } else { !value };
            hex(if i.sf() { value } else { value & 0xffff_ffff })
        }
        "mask" => hex(bit_mask(i)?),
        "immr" => {
            lies_in(immr).and(lies_in(imms))?;
            decimal(immr.into())
        }
        "imms" => decimal(imms.into()),
        "lsb" => {
            lies_in(immr).and(lies_in(imms))?;
            decimal(i64::from(bits - immr) % i64::from(bits))
        }
        "width of lsb" => decimal(i64::from(imms) + 1),
        "width" => decimal(i64::from(imms) - i64::from(immr) + 1),
        "shift" => {
            let (kind, amount) = (i.field(22, 2), imms);
            lies_in(amount)?;
            // Additions have no rotation: bit 24 tells them from logical operations.
            if kind == 3 && i.field(24, 1) == 1 {
                return None;
            }
            match (kind, amount) {
                (0, 0) => String::new(),
                _ => format!(", {} #{amount}", ["lsl", "lsr", "asr", "ror"][kind as usize]),
            }
        }
        "ext" => extension(i)?,
        "bit" => decimal((i.field(31, 1) << 5 | i.field(19, 5)).into()),
        "cond" => CONDITIONS[i.field(12, 4) as usize].into(),
        "cond not" => CONDITIONS[i.field(12, 4) as usize ^ 1].into(),
        "cond low" => CONDITIONS[i.field(0, 4) as usize].into(),
        "adr" => address(i, i.signed(5, 19) << 2 | i64::from(i.field(29, 2))),
        "adrp" => {
            let pages = i.signed(5, 19) << 2 | i64::from(i.field(29, 2));
            address(Insn { pc: i.pc & !0xfff, ..i }, pages << 12)
        }
        "pc9" => address(i, i.signed(5, 9) * 4),
        "pc14" => address(i, i.signed(5, 14) * 4),
        "pc19" => address(i, i.signed(5, 19) * 4),
        "pc26" => address(i, i.signed(0, 26) * 4),
        "bti" => ["", "c", "j", "jc"][i.field(6, 2) as usize].into(),
        "barrier" => system::barrier(i.field(8, 4)),
        "barrier nxs" => system::barrier(i.field(8, 4) & 12 | 3) + "nxs",
        "pstate" => system::pstate(i)?.into(),
        "pstate fields" => format!("s0_{}_c4_c{}_{}", i.field(16, 3), i.field(8, 4), i.field(5, 3)),
        "sys" => match system::name(i)? {
            (name, false) => name,
            (name, true) => format!("{name}{}{}", if name.contains(' ') { ", " } else { " " }, register('x', i.d(), false)),
        },
        "sys fields" => format!("#{}, C{}, C{}, #{}", i.field(16, 3), i.field(12, 4), i.field(8, 4), i.field(5, 3)),
        "register" => system::register(i),
        "prefetch" => system::prefetch(i.d()),
        "rprfm" => system::range_prefetch(i),
        "mem" => memory(i, 0),
        "mem9" => memory(i, i.signed(12, 9)),
        "imm9" => decimal(i.signed(12, 9)),
        "mem12" => memory(i, i64::from(i.field(10, 12)) << scale(i)),
        "mem7" => memory(i, i.signed(15, 7) << pair_scale(i)),
        "imm7" => decimal(i.signed(15, 7) << pair_scale(i)),
        "mem10" => memory(i, (i.signed(22, 1) << 9 | i64::from(i.field(12, 9))) * 8),
        "memreg" => register_offset(i),
        "mem less" => format!("[{}, #-{}]!", base(i), 1 << i.field(30, 2)),
        "mem more" => format!("[{}], #{}", base(i), 1 << i.field(30, 2)),
        "mem less2" => format!("[{}, #-{}]!", base(i), 2 << i.field(30, 2)),
        "mem more2" => format!("[{}], #{}", base(i), 2 << i.field(30, 2)),
        // "ldaddlb" is "staddlb".
        "store form" => mnemonic.replacen("ld", "st", 1),
        _ => return named_register(name, i),
    })
}

/// A register by its width (R by the sf bit, T by the encoding's name, X, W) and field; `!` where 31 is the stack pointer.
fn named_register(name: &str, i: Insn) -> Option<String> {
    let letter = match name.as_bytes().first()? {
        b'R' => tagged(if i.sf() { "64" } else { "32" }),
        b'T' => tagged(i.tag),
        b'X' => 'x',
        _ => 'w',
    };
    let field = name[1..].trim_end_matches('!');
    let n = match field {
        "d" | "t" => i.d(),
        "n" => i.n(),
        "m" | "s" => i.m(),
        "a" | "t2" => i.a(),
        "t+1" => i.d() + 1,
        "s+1" => i.m() + 1,
        _ => return None,
    };
    Some(register(letter, n, name.ends_with('!')))
}

/// Rm of an addition, extended. LSL stands for the extension that changes nothing where the stack pointer takes part.
fn extension(i: Insn) -> Option<String> {
    const NAMES: [&str; 8] = ["uxtb", "uxth", "uxtw", "uxtx", "sxtb", "sxth", "sxtw", "sxtx"];
    let (option, amount) = (i.field(13, 3), i.field(10, 3));
    if amount > 4 {
        return None;
    }
    let rm = register(if i.sf() && option & 3 == 3 { 'x' } else { 'w' }, i.m(), false);
    // Rd is a stack pointer only where no flags are set.
    let has_sp = i.n() == 31 || (i.d() == 31 && i.field(29, 1) == 0);
    let name = if has_sp && option == if i.sf() { 3 } else { 2 } { "lsl" } else { NAMES[option as usize] };
    Some(match (name, amount) {
        ("lsl", 0) => rm,
        (_, 0) => format!("{rm}, {name}"),
        _ => format!("{rm}, {name} #{amount}"),
    })
}

/// An address with a register for its offset.
fn register_offset(i: Insn) -> String {
    let (option, shifts) = (i.field(13, 3), i.field(12, 1) == 1);
    let rm = register(if option & 1 == 1 { 'x' } else { 'w' }, i.m(), false);
    let name = ["uxtw", "lsl", "sxtw", "sxtx"][(option >> 2 << 1 | option & 1) as usize];
    match (name, shifts) {
        ("lsl", false) => format!("[{}, {rm}]", base(i)),
        (_, false) => format!("[{}, {rm}, {name}]", base(i)),
        _ => format!("[{}, {rm}, {name} #{}]", base(i), scale(i)),
    }
}
