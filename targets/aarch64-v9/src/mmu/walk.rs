//! Stage 1 walks of VMSAv8-64 tables: AArch64.S1Walk and what belongs to it.

use super::{FAULT, READ_ALLOWED, Want, fsc, tcr};
use crate::Aarch64;
use crate::feature::Feature;
use crate::mode::sctlr;
use crate::state::State;
use crate::sysreg::word;
use emu_plugins_api::perm;

/// The walk parameters of one half of the address space (AArch64.S1TTWParams): what TCR_EL1 and the model say. TTBRn_EL1, SCTLR_EL1 and MAIR_EL1
/// are looked at in each walk. All zeroes is none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Regime {
    /// TCR_EL1.
    tcr: u64,
    /// The bits of TTBRn_EL1 that are the table's address.
    base_mask: u64,
    /// The bits of a descriptor that are the next table's address, the `wide` ones apart.
    table_mask: u64,
    /// The bits that no output address has.
    beyond: u64,
    /// A bit for each level, from -1 on, that blocks may be at.
    blocks: u8,
    /// Upper half.
    upper: bool,
    /// 64 - TxSZ, limited to what exists; never 0.
    pub input_bits: u32,
    /// The level at which walks begin.
    start: i32,
    /// Addresses of tables and pages have bits 51:48 (or 51:50) elsewhere than in their places.
    wide: bool,
    /// log2 of the granule.
    pub granule: u32,
    /// TCR_EL1.DS: 52-bit addresses with 4 KB and 16 KB granules.
    ds: bool,
    /// Bits of output addresses: the least of TCR_EL1.IPS, the model and the format.
    output_bits: u32,
    /// Hierarchical permissions are off.
    hpd: bool,
    /// Hardware sets the access flag.
    ha: bool,
    /// Hardware manages dirty state.
    hd: bool,
}

/// The answer of a walk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaf {
    pub pa: u64,
    pub page_bits: u8,
    pub perms: u8,
    /// The attribute byte of MAIR_EL1.
    pub memory: u8,
    pub shareability: u8,
    pub device: bool,
    pub guarded: bool,
    pub global: bool,
}

/// Physical address bits by ID_AA64MMFR0_EL1.PARange and TCR_EL1.IPS.
pub(crate) const fn address_bits(code: u64) -> u32 {
    match code {
        0 => 32,
        1 => 36,
        2 => 40,
        3 => 42,
        4 => 44,
        5 => 48,
        _ => 52,
    }
}

impl Regime {
    /// That of the half `upper` in EL1&0, worked out anew only if TCR_EL1 is not what it was: nothing else that it depends on ever changes, and
    /// the register is compared because generated code, snapshots and helpers write it in ways of their own.
    #[inline]
    pub fn of(cpu: &mut State, upper: bool) -> &Regime {
        let n = usize::from(upper);
        let known = &cpu.regimes[n];
        if known.tcr != cpu.sysreg[word::TCR_EL1] || known.input_bits == 0 {
            cpu.regimes[n] = Regime::compute(cpu, upper);
        }
        &cpu.regimes[n]
    }
    /// log2 of the granule of the half `upper` by TCR_EL1.
    pub const fn granule(t: u64, upper: bool) -> u32 {
        match (upper, t >> if upper { 30 } else { 14 } & 3) {
            (true, 1) | (false, 2) => 14,
            (true, 3) | (false, 1) => 16,
            // What is reserved is CONSTRAINED UNPREDICTABLE, here 4 KB.
            _ => 12,
        }
    }
    /// The same, worked out.
    #[cold]
    pub fn compute(cpu: &State, upper: bool) -> Regime {
        let arch = Aarch64::of(cpu);
        let t = cpu.sysreg[word::TCR_EL1];
        let granule = Regime::granule(t, upper);
        let (size, hpd) = if upper { (t >> 16 & 63, tcr::HPD1) } else { (t & 63, tcr::HPD0) };
        let ds = granule != 16 && t & tcr::DS != 0 && arch.has(Feature::LPA2);
        let widest = if ds || (granule == 16 && arch.has(Feature::LVA)) { 52 } else { 48 };
        let narrowest = match (arch.has(Feature::TTST), granule) {
            (false, _) => 25,
            (_, 16) => 17,
            _ => 16,
        };
        let output_limit = if ds || (granule == 16 && arch.has(Feature::LPA)) { 52 } else { 48 };
        let ha = t & tcr::HA != 0 && arch.has(Feature::HAF);
        // A size out of range is CONSTRAINED UNPREDICTABLE: treated as the nearest one in range.
        let input_bits = (64 - size as u32).clamp(narrowest, widest);
        let output_bits = address_bits(t >> 32 & 7).min(arch.pa_bits()).min(output_limit);
        let start = 4 - (input_bits - granule).div_ceil(granule - 3) as i32;
        let wide = ds || (granule == 16 && output_bits == 52);
        let mut r = Regime {
            tcr: t,
            base_mask: 0,
            table_mask: 0x0000_ffff_ffff_ffff & !((1 << granule) - 1),
            beyond: u64::MAX << output_bits,
            blocks: 0,
            upper,
            input_bits,
            start,
            wide,
            granule,
            ds,
            output_bits,
            hpd: t & hpd != 0 && arch.has(Feature::HPDS),
            ha,
            hd: ha && t & tcr::HD != 0 && arch.has(Feature::HAFDBS),
        };
        // As many low bits of the table's address are zero as the table has, at least 6 where its bits 51:48 lie in TTBR[5:2].
        let entries_bits = input_bits - r.shift(start);
        let low = (entries_bits + 3).max(if wide { 6 } else { 4 });
        r.blocks = (-1..=3).filter(|level| r.has_blocks(*level)).fold(0, |set, level| set | 1 << (level + 1));
        r.base_mask = 0x0000_ffff_ffff_ffff & !((1 << low) - 1);
        r
    }
    fn stride(&self) -> u32 {
        self.granule - 3
    }
    /// Lowest input address bit that the level resolves.
    fn shift(&self, level: i32) -> u32 {
        self.granule + self.stride() * (3 - level) as u32
    }
    /// Blocks may be at this level.
    fn has_blocks(&self, level: i32) -> bool {
        match self.granule {
            12 => matches!(level, 1 | 2) || (level == 0 && self.ds),
            14 => level == 2 || (level == 1 && self.ds),
            _ => level == 2 || (level == 1 && self.output_bits == 52),
        }
    }
    /// The table's address in TTBRn_EL1.
    fn base(&self, ttbr: u64) -> u64 {
        ttbr & self.base_mask | if self.wide { (ttbr >> 2 & 15) << 48 } else { 0 }
    }
    /// The address in a descriptor, its low `low` bits zero.
    fn address(&self, descriptor: u64, low: u32) -> u64 {
        let mask = |top: u32| ((1u64 << top) - 1) & !((1u64 << low) - 1);
        if !self.wide {
            descriptor & mask(48)
        } else if self.ds {
            descriptor & mask(50) & !0x300 | (descriptor >> 8 & 3) << 50
        } else {
            descriptor & mask(48) | (descriptor >> 12 & 15) << 48
        }
    }
    fn too_large(&self, address: u64) -> bool {
        address & self.beyond != 0
    }
}

const fn err<T>(code: u32, level: i32) -> Result<T, u64> {
    Err(FAULT | fsc::at(code, level) as u64)
}

/// Walks the tables for `va`, whose tag has been removed.
pub(super) fn stage1(cpu: &mut State, upper: bool, va: u64, want: Want) -> Result<Leaf, u64> {
    Regime::of(cpu, upper);
    let (cpu, r) = (&*cpu, &cpu.regimes[usize::from(upper)]);
    let high = if r.upper { u64::MAX << r.input_bits } else { 0 };
    if va & (u64::MAX << r.input_bits) != high {
        return err(fsc::TRANSLATION, 0);
    }
    let in_half = va ^ high;
    let (epd, e0pd) = if r.upper { (tcr::EPD1, tcr::E0PD1) } else { (tcr::EPD0, tcr::E0PD0) };
    if r.tcr & epd != 0 || (want.el0 && r.tcr & e0pd != 0 && Aarch64::of(cpu).has(Feature::E0PD)) {
        return err(fsc::TRANSLATION, 0);
    }
    let big_endian = cpu.sctlr() & sctlr::EE != 0;
    let mut table = r.base(cpu.sysreg[if upper { word::TTBR1_EL1 } else { word::TTBR0_EL1 }]);
    let mut level = r.start;
    if r.too_large(table) {
        return err(fsc::ADDRESS_SIZE, 0);
    }
    // APTable, UXNTable, PXNTable of the tables so far.
    let mut inherited = 0;
    let index_mask = (1 << r.stride()) - 1;
    let mut shift = r.shift(level);
    loop {
        let at = table | (in_half >> shift & index_mask) << 3;
        // A descriptor that another agent changes between its reading and the update of its flags is read again.
        let descriptor = loop {
            let Some(raw) = cpu.header.physical_word(at) else { return err(fsc::EXTERNAL_ON_WALK, level) };
            let d = if big_endian { raw.swap_bytes() } else { raw };
            let is_leaf = match d & 3 {
                1 => r.blocks >> (level + 1) & 1 != 0,
                3 if level == 3 => true,
                3 => break d,
                _ => false,
            };
            if !is_leaf {
                return err(fsc::TRANSLATION, level);
            }
            let updated = match leaf_update(cpu, r, d, inherited, level, want)? {
                None => return leaf(cpu, r, d, inherited, va, level, want),
                Some(u) => u,
            };
            let new = if big_endian { updated.swap_bytes() } else { updated };
            match cpu.header.physical_cas(at, raw, new) {
                Some(true) => return leaf(cpu, r, updated, inherited, va, level, want),
                Some(false) => {}
                // Tables outside of RAM cannot be updated atomically.
                None => return err(fsc::EXTERNAL_ON_WALK, level),
            }
        };
        table = if r.wide { r.address(descriptor, r.granule) } else { descriptor & r.table_mask };
        if r.too_large(table) {
            return err(fsc::ADDRESS_SIZE, level);
        }
        if !r.hpd {
            inherited |= descriptor & TABLE_BITS;
        }
        level += 1;
        shift -= r.stride();
    }
}

const AF: u64 = 1 << 10;
const DBM: u64 = 1 << 51;
const AP_EL0: u64 = 1 << 6;
const AP_READ_ONLY: u64 = 1 << 7;
const PXN: u64 = 1 << 53;
const UXN: u64 = 1 << 54;
const GP: u64 = 1 << 50;
const NG: u64 = 1 << 11;
const TABLE_BITS: u64 = 0x1f << 59;
const PXN_TABLE: u64 = 1 << 59;
const UXN_TABLE: u64 = 1 << 60;
const AP_TABLE_NO_EL0: u64 = 1 << 61;
const AP_TABLE_READ_ONLY: u64 = 1 << 62;

/// The descriptor with the access flag and dirty state that this access makes the hardware set; `None` if it has them.
#[inline]
fn leaf_update(cpu: &State, r: &Regime, d: u64, inherited: u64, level: i32, want: Want) -> Result<Option<u64>, u64> {
    // An address size fault comes before anything is updated.
    if r.too_large(r.address(d, r.shift(level))) {
        return err(fsc::ADDRESS_SIZE, level);
    }
    let mut new = d;
    if d & AF == 0 {
        if !r.ha {
            return err(fsc::ACCESS_FLAG, level);
        }
        new |= AF;
    }
    if r.hd && want.write && d & DBM != 0 && d & AP_READ_ONLY != 0 {
        let writable = new & !AP_READ_ONLY;
        if want.allowed_by(permissions(cpu, writable, inherited, want)) {
            new = writable;
        }
    }
    Ok((new != d).then_some(new))
}

/// AArch64.S1DirectBasePermissions and hierarchical ones, for the privilege that is asked for.
#[inline]
fn permissions(cpu: &State, d: u64, inherited: u64, want: Want) -> u8 {
    let control = cpu.sctlr();
    let el0_access = d & AP_EL0 != 0 && inherited & AP_TABLE_NO_EL0 == 0;
    let writable = d & AP_READ_ONLY == 0 && inherited & AP_TABLE_READ_ONLY == 0;
    let uxn = d & UXN != 0 || inherited & UXN_TABLE != 0;
    // What EL0 can write, EL1 never executes.
    let pxn = d & PXN != 0 || inherited & PXN_TABLE != 0 || (el0_access && writable);
    let wxn = control & sctlr::WXN != 0 && writable;
    let mut p = 0;
    if want.el0 {
        if el0_access {
            p |= perm::READ | if writable { perm::WRITE } else { 0 };
        }
        if !(uxn || wxn && el0_access) {
            p |= perm::EXEC;
        }
        return p;
    }
    let epan = control & sctlr::EPAN != 0 && !uxn;
    if !(want.pan && (el0_access || epan)) {
        p |= perm::READ | if writable { perm::WRITE } else { 0 };
    }
    if !pxn && !wxn {
        p |= perm::EXEC;
    }
    p
}

#[inline]
fn leaf(cpu: &State, r: &Regime, d: u64, inherited: u64, va: u64, level: i32, want: Want) -> Result<Leaf, u64> {
    let shift = r.shift(level);
    let perms = permissions(cpu, d, inherited, want);
    if !want.allowed_by(perms) {
        let read_allowed = if perms & perm::READ != 0 { READ_ALLOWED } else { 0 };
        return Err(FAULT | u64::from(fsc::at(fsc::PERMISSION, level)) | read_allowed);
    }
    let memory = (cpu.sysreg[word::MAIR_EL1] >> (8 * (d >> 2 & 7))) as u8;
    // With FEAT_LPA2's format, SH is in TCR_EL1 and its place belongs to the address.
    let shareability = if r.ds { r.tcr >> (if r.upper { 28 } else { 12 }) & 3 } else { d >> 8 & 3 };
    Ok(Leaf {
        pa: r.address(d, shift) | va & ((1 << shift) - 1),
        page_bits: shift as u8,
        perms,
        memory,
        shareability: shareability as u8,
        device: memory & 0xf0 == 0,
        guarded: d & GP != 0 && Aarch64::of(cpu).has(Feature::BTI),
        global: d & NG == 0,
    })
}
