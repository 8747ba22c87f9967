//! Names of system instructions, registers, barriers and prefetches.

use super::Insn;
use crate::sysreg;

/// The domain and types of a barrier.
pub(super) fn barrier(crm: u32) -> String {
    let domain = ["osh", "nsh", "ish", ""][crm as usize >> 2];
    match (crm & 3, domain) {
        (0, _) => format!("#{crm:#04x}"),
        (1, "") => "ld".into(),
        (2, "") => "st".into(),
        (_, "") => "sy".into(),
        (1, d) => format!("{d}ld"),
        (2, d) => format!("{d}st"),
        (_, d) => d.into(),
    }
}

/// The PSTATE field that MSR (immediate) writes: op1, op2, name. (The SME fields are part of their value and are not here.)
const PSTATE: &[(u32, u32, &str)] =
    &[(0, 3, "uao"), (0, 4, "pan"), (0, 5, "spsel"), (3, 1, "ssbs"), (3, 2, "dit"), (3, 4, "tco"), (3, 6, "daifset"), (3, 7, "daifclr")];

/// A field of one bit takes 0 and 1, DAIFSet and DAIFClr all.
pub(super) fn fits_pstate(i: Insn) -> bool {
    pstate(i).is_some_and(|name| name.starts_with("daif") || i.field(8, 4) <= 1)
}

pub(super) fn pstate(i: Insn) -> Option<&'static str> {
    PSTATE.iter().find(|(op1, op2, _)| (*op1, *op2) == (i.field(16, 3), i.field(5, 3))).map(|p| p.2)
}

/// A register by the name that the table of registers has for it, else by its numbers.
pub(super) fn register(i: Insn) -> String {
    let op0 = 2 | i.field(19, 1);
    let (op1, crn, crm, op2) = (i.field(16, 3), i.field(12, 4), i.field(8, 4), i.field(5, 3));
    const DTR: (u32, u32, u32, u32, u32) = (2, 3, 0, 5, 0);
    match sysreg::find(sysreg::key(op0, op1, crn, crm, op2)) {
        // One register to read, another to write.
        _ if (op0, op1, crn, crm, op2) == DTR => ["dbgdtrtx_el0", "dbgdtrrx_el0"][i.field(21, 1) as usize].into(),
        Some(row) => sysreg::ROWS[row].name.to_ascii_lowercase(),
        None => format!("s{op0}_{op1}_c{crn}_c{crm}_{op2}"),
    }
}

/// A prefetch operation.
pub(super) fn prefetch(op: u32) -> String {
    let (kind, target, policy) = (op >> 3, op >> 1 & 3, op & 1);
    match (["pld", "pli", "pst", ""][kind as usize], target) {
        ("", _) => format!("#{op:#04x}"),
        (kind, level) => format!("{kind}{}{}", ["l1", "l2", "l3", "slc"][level as usize], ["keep", "strm"][policy as usize]),
    }
}

/// The operation of RPRFM: bits 0 to 2 of Rt, option<2>, option<0> and S.
pub(super) fn range_prefetch(i: Insn) -> String {
    let op = i.field(15, 1) << 5 | i.field(13, 1) << 4 | i.field(12, 1) << 3 | i.field(0, 3);
    match op {
        0 => "pldkeep".into(),
        1 => "pstkeep".into(),
        4 => "pldstrm".into(),
        5 => "pststrm".into(),
        _ => format!("#{op}"),
    }
}

/// IC, DC, AT and what else has CRn 7: op1, CRm, op2, name, takes a register.
const CACHE: &[(u32, u32, u32, &str, bool)] = &[
    (0, 1, 0, "ic ialluis", false),
    (0, 5, 0, "ic iallu", false),
    (3, 5, 1, "ic ivau", true),
    (3, 4, 1, "dc zva", true),
    (0, 6, 1, "dc ivac", true),
    (0, 6, 2, "dc isw", true),
    (3, 10, 1, "dc cvac", true),
    (0, 10, 2, "dc csw", true),
    (3, 11, 1, "dc cvau", true),
    (3, 12, 1, "dc cvap", true),
    (3, 13, 1, "dc cvadp", true),
    (3, 14, 1, "dc civac", true),
    (0, 14, 2, "dc cisw", true),
    (0, 8, 0, "at s1e1r", true),
    (0, 8, 1, "at s1e1w", true),
    (0, 8, 2, "at s1e0r", true),
    (0, 8, 3, "at s1e0w", true),
    (0, 9, 0, "at s1e1rp", true),
    (0, 9, 1, "at s1e1wp", true),
    (0, 9, 2, "at s1e1a", true),
    (4, 8, 0, "at s1e2r", true),
    (4, 8, 1, "at s1e2w", true),
    (4, 8, 4, "at s12e1r", true),
    (4, 8, 5, "at s12e1w", true),
    (4, 8, 6, "at s12e0r", true),
    (4, 8, 7, "at s12e0w", true),
    (4, 9, 2, "at s1e2a", true),
    (6, 9, 2, "at s1e3a", true),
    (6, 8, 0, "at s1e3r", true),
    (6, 8, 1, "at s1e3w", true),
    (3, 3, 4, "cfp rctx", true),
    (3, 3, 5, "dvp rctx", true),
    (3, 3, 6, "cosp rctx", true),
    (3, 3, 7, "cpp rctx", true),
    (0, 6, 3, "dc igvac", true),
    (0, 6, 4, "dc igsw", true),
    (0, 6, 5, "dc igdvac", true),
    (0, 6, 6, "dc igdsw", true),
    (3, 4, 3, "dc gva", true),
    (3, 4, 4, "dc gzva", true),
    (0, 10, 4, "dc cgsw", true),
    (0, 10, 6, "dc cgdsw", true),
    (3, 10, 3, "dc cgvac", true),
    (3, 10, 5, "dc cgdvac", true),
    (3, 12, 3, "dc cgvap", true),
    (3, 12, 5, "dc cgdvap", true),
    (3, 13, 3, "dc cgvadp", true),
    (3, 13, 5, "dc cgdvadp", true),
    (3, 14, 3, "dc cigvac", true),
    (3, 14, 5, "dc cigdvac", true),
    (0, 14, 4, "dc cigsw", true),
    (0, 14, 6, "dc cigdsw", true),
    (6, 14, 1, "dc cipapa", true),
    (6, 14, 5, "dc cigdpapa", true),
    (3, 7, 0, "gcspushm", true),
    (3, 7, 2, "gcsss1", true),
    (0, 7, 4, "gcspushx", false),
    (0, 7, 5, "gcspopcx", false),
    (0, 7, 6, "gcspopx", false),
    (3, 2, 7, "trcit", true),
    (1, 2, 4, "brb iall", false),
    (1, 2, 5, "brb inj", false),
];

/// The name of a system instruction with its operation, and whether it takes a register.
pub(super) fn name(i: Insn) -> Option<(String, bool)> {
    let (op1, crn, crm, op2) = (i.field(16, 3), i.field(12, 4), i.field(8, 4), i.field(5, 3));
    match crn {
        7 => {
            let found = CACHE.iter().find(|c| (c.0, c.1, c.2) == (op1, crm, op2));
            // Rt is ignored where none is written, but for these.
            found.filter(|c| c.4 || i.d() == 31 || !c.3.starts_with("gcs")).map(|c| (c.3.to_owned(), c.4))
        }
        // There is nXS for translations only.
        9 if op1 == 6 && (crm == 4 || op2 == 4) => None,
        8 | 9 => tlbi(op1, crm, op2).map(|(name, takes)| (format!("tlbi {name}{}", if crn == 9 { "nxs" } else { "" }), takes)),
        _ => None,
    }
}

/// TLBI: the operation by op2, its domain by CRm.
fn tlbi(op1: u32, crm: u32, op2: u32) -> Option<(String, bool)> {
    // CRm: 1 and 3 inner, 1 and 5 outer shareable, 7 local; ranges are CRm 2, 5 and 6.
    let (range, domain) = match crm {
        1 => (false, "os"),
        2 => (true, "is"),
        3 => (false, "is"),
        5 => (true, "os"),
        6 => (true, ""),
        7 => (false, ""),
        0 | 4 if op1 == 4 => return tlbi_stage2(crm, op2),
        4 if op1 == 6 && op2 == 3 => return Some(("rpaos".to_owned(), true)),
        4 if op1 == 6 && op2 == 7 => return Some(("rpalos".to_owned(), true)),
        _ => return None,
    };
    let what = match (op1, op2, range) {
        (0, 0, false) => "vmalle1",
        (0, 1, false) => "vae1",
        (0, 2, false) => "aside1",
        (0, 3, false) => "vaae1",
        (0, 5, false) => "vale1",
        (0, 7, false) => "vaale1",
        (0, 1, true) => "rvae1",
        (0, 3, true) => "rvaae1",
        (0, 5, true) => "rvale1",
        (0, 7, true) => "rvaale1",
        (4, 0, false) => "alle2",
        (4, 1, false) => "vae2",
        (4, 4, false) => "alle1",
        (4, 5, false) => "vale2",
        (4, 6, false) => "vmalls12e1",
        (4, 1, true) => "rvae2",
        (4, 5, true) => "rvale2",
        (6, 0, false) => "alle3",
        (6, 1, false) => "vae3",
        (6, 4, false) if domain != "is" => "paall",
        (6, 5, false) => "vale3",
        (6, 1, true) => "rvae3",
        (6, 5, true) => "rvale3",
        _ => return None,
    };
    let takes = !matches!(what, "vmalle1" | "alle1" | "alle2" | "alle3" | "vmalls12e1" | "paall");
    Some((format!("{what}{domain}"), takes))
}

/// TLBI by intermediate physical address.
fn tlbi_stage2(crm: u32, op2: u32) -> Option<(String, bool)> {
    let name = match (crm, op2) {
        (0, 1) => "ipas2e1is",
        (0, 2) => "ripas2e1is",
        (0, 5) => "ipas2le1is",
        (0, 6) => "ripas2le1is",
        (4, 0) => "ipas2e1os",
        (4, 1) => "ipas2e1",
        (4, 2) => "ripas2e1",
        (4, 3) => "ripas2e1os",
        (4, 4) => "ipas2le1os",
        (4, 5) => "ipas2le1",
        (4, 6) => "ripas2le1",
        (4, 7) => "ripas2le1os",
        _ => return None,
    };
    Some((name.to_owned(), true))
}
