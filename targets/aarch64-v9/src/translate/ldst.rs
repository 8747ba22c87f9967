//! Loads and stores of general-purpose registers, and of SIMD&FP registers one or two at a time (`decode/base_ldst.decode`).
//!
//! Where writeback meets a transferred register (CONSTRAINED UNPREDICTABLE), a load's register ends up with the written-back address and a
//! store stores what the register held before. Where a load pair names one register twice, it gets the second element.

use crate::decode::*;
use crate::feature::Feature;
use crate::helper::pauth;
use crate::translate::Translator;
use emu_plugins_api::ir::{MemFlags, Ty, Val};

/// Where an access goes, and what the base register becomes after it.
struct Address {
    base: Val,
    offset: i64,
    writeback: Option<(u32, i64)>,
}

/// The addressing modes of the `index` field of load and store pairs.
const POST_INDEX: u32 = 1;
const PRE_INDEX: u32 = 3;

/// Type of a general-purpose access.
pub(crate) fn access_ty(size: u32) -> Ty {
    [Ty::I8, Ty::I16, Ty::I32, Ty::I64][(size & 3) as usize]
}

/// Type of a SIMD&FP access: `opc<1>:size`; the tables have no row for more than 16 bytes.
fn fp_access_ty(opc: u32, size: u32) -> Ty {
    if opc & 2 != 0 { Ty::I128 } else { access_ty(size) }
}

impl Translator<'_> {
    /// Base plus offset without writeback.
    fn at(&mut self, n: u32, offset: i64) -> Address {
        Address { base: self.base_address(n), offset, writeback: None }
    }
    fn post_index(&mut self, n: u32, offset: i64) -> Address {
        Address { base: self.base_address(n), offset: 0, writeback: Some((n, offset)) }
    }
    fn pre_index(&mut self, n: u32, offset: i64) -> Address {
        Address { base: self.base_address(n), offset, writeback: Some((n, offset)) }
    }
    fn index_mode(&mut self, index: u32, n: u32, offset: i64) -> Address {
        match index {
            POST_INDEX => self.post_index(n, offset),
            PRE_INDEX => self.pre_index(n, offset),
            _ => self.at(n, offset),
        }
    }
    fn literal(&mut self, words: i32) -> Address {
        let base = self.ir.address(self.pc.wrapping_add_signed(i64::from(words) * 4));
        Address { base, offset: 0, writeback: None }
    }
    /// Base plus extended register; `None` (and UNDEFINED) for an extension of less than 32 bits.
    fn register_offset(&mut self, n: u32, m: u32, option: u32, shift: u32) -> Option<Address> {
        if option & 2 == 0 {
            self.undefined();
            return None;
        }
        let base = self.base_address(n);
        let offset = self.extend_reg(Ty::I64, m, option, shift);
        let base = self.ir.add(Ty::I64, base, offset);
        Some(Address { base, offset: 0, writeback: None })
    }
    /// The base register's new value, once the access can no longer fault.
    fn write_back(&mut self, address: &Address) {
        if let Some((n, change)) = address.writeback {
            let offset = self.ir.c64(change as u64);
            let value = self.ir.add(Ty::I64, address.base, offset);
            self.set_base(n, value, change as u64);
        }
    }

    /// AArch64.UnalignedAccessFaults() of an access that must not be split: aligned, or under FEAT_LSE2 within 16 bytes.
    fn unsplit(&self, ty: Ty, flags: MemFlags) -> MemFlags {
        if ty == Ty::I8 {
            flags
        } else if self.feature(Feature::LSE2) {
            flags.with(MemFlags::WITHIN16).with(MemFlags::ATOMIC16)
        } else {
            flags.with(MemFlags::ALIGNED)
        }
    }
    /// Flags of a load-acquire or store-release, which SCTLR_ELx.nAA lets cross a 16-byte boundary under FEAT_LSE2.
    pub(crate) fn ordered_flags(&self, ty: Ty, order: MemFlags) -> MemFlags {
        let flags = self.mem().with(order);
        if self.feature(Feature::LSE2) && self.key.naa() == 1 { flags.with(MemFlags::ATOMIC16) } else { self.unsplit(ty, flags) }
    }
    /// Flags of an atomic read-modify-write or an exclusive access.
    pub(crate) fn atomic_flags(&self, ty: Ty, acquire: bool, release: bool) -> MemFlags {
        let mut flags = self.mem();
        if acquire {
            flags = flags.with(MemFlags::ACQUIRE);
        }
        if release {
            flags = flags.with(MemFlags::RELEASE);
        }
        self.unsplit(ty, flags)
    }

    /// X[n] cut to an access of that type.
    pub(crate) fn x_narrow(&mut self, ty: Ty, n: u32) -> Val {
        if ty == Ty::I64 {
            return self.x(n);
        }
        let value = self.w(n);
        self.ir.trunc(ty, Ty::I32, value)
    }
    /// Writes X[n] from a loaded value, zero-extended.
    pub(crate) fn set_wide(&mut self, ty: Ty, n: u32, value: Val) {
        let value = self.ir.zext(Ty::I64, ty, value);
        self.set_x(n, value);
    }
    /// One value from the two registers of a pair of elements of type `ty`; the first one lies at the lower address.
    pub(crate) fn join_pair(&mut self, ty: Ty, first: Val, second: Val) -> Val {
        let (low, high) = if self.key.big_endian() == 0 { (first, second) } else { (second, first) };
        if ty == Ty::I64 {
            return self.ir.pair(low, high);
        }
        let low = self.ir.zext(Ty::I64, Ty::I32, low);
        let high = self.ir.zext(Ty::I64, Ty::I32, high);
        self.ir.deposit(Ty::I64, low, high, 32, 32)
    }
    /// The two elements of type `ty` of a joined value.
    pub(crate) fn split_pair(&mut self, ty: Ty, value: Val) -> (Val, Val) {
        let (low, high) = if ty == Ty::I64 {
            (self.ir.lo64(value), self.ir.hi64(value))
        } else {
            let low = self.ir.trunc(Ty::I32, Ty::I64, value);
            let high = self.ir.extract(Ty::I64, value, 32, 32);
            (low, self.ir.trunc(Ty::I32, Ty::I64, high))
        };
        if self.key.big_endian() == 0 { (low, high) } else { (high, low) }
    }
    /// The type of a pair as one access.
    pub(crate) fn pair_ty(ty: Ty) -> Ty {
        if ty == Ty::I64 { Ty::I128 } else { Ty::I64 }
    }
    /// Flags with which a pair of `ty` is one access, if it can be: 16 bytes under FEAT_LSE2, 8 bytes unless each word is checked alone.
    fn pair_flags(&self, ty: Ty) -> Option<MemFlags> {
        let lse2 = self.feature(Feature::LSE2);
        let atomic = if lse2 { MemFlags::ATOMIC16 } else { MemFlags::NONE };
        match ty {
            Ty::I64 if lse2 => Some(self.mem().with(atomic).with(MemFlags::PAIR)),
            Ty::I32 if self.key.align_check() == 0 => Some(self.mem().with(atomic).with(MemFlags::PAIR)),
            _ => None,
        }
    }
    fn load_pair(&mut self, ty: Ty, address: &Address) -> (Val, Val) {
        if let Some(flags) = self.pair_flags(ty) {
            let both = self.ir.load(Self::pair_ty(ty), address.base, address.offset, flags);
            return self.split_pair(ty, both);
        }
        self.load_two(ty, address, self.mem())
    }
    fn load_two(&mut self, ty: Ty, address: &Address, flags: MemFlags) -> (Val, Val) {
        let first = self.ir.load(ty, address.base, address.offset, flags);
        let second = self.ir.load(ty, address.base, address.offset + i64::from(ty.bytes()), flags);
        (first, second)
    }
    fn store_pair(&mut self, ty: Ty, address: &Address, first: Val, second: Val) {
        if let Some(flags) = self.pair_flags(ty) {
            let both = self.join_pair(ty, first, second);
            self.ir.store(Self::pair_ty(ty), address.base, address.offset, both, flags);
            return;
        }
        self.store_two(ty, address, first, second, self.mem());
    }
    fn store_two(&mut self, ty: Ty, address: &Address, first: Val, second: Val, flags: MemFlags) {
        self.ir.store(ty, address.base, address.offset, first, flags);
        self.ir.store(ty, address.base, address.offset + i64::from(ty.bytes()), second, flags);
    }

    /// A general-purpose access: `opc` 0 stores, 1 loads, 2 sign-extends to 64 bits, 3 to 32 bits.
    fn transfer(&mut self, size: u32, opc: u32, t: u32, address: &Address, flags: MemFlags) {
        let ty = access_ty(size);
        if opc == 0 {
            let value = self.x_narrow(ty, t);
            self.ir.store(ty, address.base, address.offset, value, flags);
        } else {
            let value = self.ir.load(ty, address.base, address.offset, flags);
            let value = match opc {
                2 => self.ir.sext(Ty::I64, ty, value),
                3 => {
                    let word = self.ir.sext(Ty::I32, ty, value);
                    self.ir.zext(Ty::I64, Ty::I32, word)
                }
                _ => self.ir.zext(Ty::I64, ty, value),
            };
            self.set_x(t, value);
        }
        self.write_back(address);
    }
    /// A SIMD&FP access: `load` or store of V[t].
    fn transfer_fp(&mut self, ty: Ty, load: bool, t: u32, address: &Address, flags: MemFlags) {
        if load {
            let value = self.ir.load(ty, address.base, address.offset, flags);
            self.set_loaded_fp(ty, t, value);
        } else {
            let value = self.v_low(ty, t);
            self.ir.store(ty, address.base, address.offset, value, flags);
        }
        self.write_back(address);
    }
    fn set_loaded_fp(&mut self, ty: Ty, t: u32, value: Val) {
        if ty == Ty::I128 { self.set_v(t, value) } else { self.set_v_low(ty, t, value) }
    }
}

impl BaseLdst for Translator<'_> {
    fn stxp(&mut self, i: &Stxp) {
        let ty = Self::ty(i.sz);
        let address = self.base_address(i.rn);
        let (first, second) = (self.r(i.sz, i.rt), self.r(i.sz, i.rt2));
        let value = self.join_pair(ty, first, second);
        let wide = Self::pair_ty(ty);
        let flags = self.atomic_flags(wide, false, i.o0 == 1);
        let failed = self.ir.store_ex(wide, address, value, flags);
        self.set_wide(Ty::I1, i.rs, failed);
    }
    fn ldxp(&mut self, i: &Ldxp) {
        let ty = Self::ty(i.sz);
        let address = self.base_address(i.rn);
        let wide = Self::pair_ty(ty);
        let flags = self.atomic_flags(wide, i.o0 == 1, false);
        let value = self.ir.load_ex(wide, address, flags);
        let (first, second) = self.split_pair(ty, value);
        self.set_wide(ty, i.rt, first);
        self.set_wide(ty, i.rt2, second);
    }
    fn stxr(&mut self, i: &Stxr) {
        let ty = access_ty(i.size);
        let address = self.base_address(i.rn);
        let value = self.x_narrow(ty, i.rt);
        let flags = self.atomic_flags(ty, false, i.o0 == 1);
        let failed = self.ir.store_ex(ty, address, value, flags);
        self.set_wide(Ty::I1, i.rs, failed);
    }
    fn ldxr(&mut self, i: &Ldxr) {
        let ty = access_ty(i.size);
        let address = self.base_address(i.rn);
        let flags = self.atomic_flags(ty, i.o0 == 1, false);
        let value = self.ir.load_ex(ty, address, flags);
        self.set_wide(ty, i.rt, value);
    }
    // STLLR and LDLAR: there is one LORegion, all of memory.
    fn stlr(&mut self, i: &Stlr) {
        let address = self.at(i.rn, 0);
        let flags = self.ordered_flags(access_ty(i.size), MemFlags::RELEASE);
        self.transfer(i.size, 0, i.rt, &address, flags);
    }
    fn ldar(&mut self, i: &Ldar) {
        let address = self.at(i.rn, 0);
        let flags = self.ordered_flags(access_ty(i.size), MemFlags::ACQUIRE);
        self.transfer(i.size, 1, i.rt, &address, flags);
    }

    fn cas(&mut self, i: &Cas) {
        let ty = access_ty(i.size);
        let address = self.base_address(i.rn);
        let (expected, new) = (self.x_narrow(ty, i.rs), self.x_narrow(ty, i.rt));
        let flags = self.atomic_flags(ty, i.l == 1, i.o0 == 1);
        let old = self.ir.cas(ty, address, expected, new, flags);
        self.set_wide(ty, i.rs, old);
    }
    fn casp(&mut self, i: &Casp) {
        if (i.rs | i.rt) & 1 != 0 {
            return self.undefined();
        }
        let ty = Self::ty(i.sz);
        let address = self.base_address(i.rn);
        let (first, second) = (self.r(i.sz, i.rs), self.r(i.sz, i.rs + 1));
        let expected = self.join_pair(ty, first, second);
        let (first, second) = (self.r(i.sz, i.rt), self.r(i.sz, i.rt + 1));
        let new = self.join_pair(ty, first, second);
        let wide = Self::pair_ty(ty);
        let flags = self.atomic_flags(wide, i.l == 1, i.o0 == 1);
        let old = self.ir.cas(wide, address, expected, new, flags);
        let (first, second) = self.split_pair(ty, old);
        self.set_wide(ty, i.rs, first);
        self.set_wide(ty, i.rs + 1, second);
    }

    fn ldapur_stlur(&mut self, i: &LdapurStlur) {
        let address = self.at(i.rn, i64::from(i.imm9));
        let order = if i.opc == 0 { MemFlags::RELEASE } else { MemFlags::ACQUIRE_PC };
        let flags = self.ordered_flags(access_ty(i.size), order);
        self.transfer(i.size, i.opc, i.rt, &address, flags);
    }
    fn ldapur_stlur_fp(&mut self, i: &LdapurStlurFp) {
        if !self.fp_access() {
            return;
        }
        let ty = fp_access_ty(i.opc, i.size);
        let address = self.at(i.rn, i64::from(i.imm9));
        let load = i.opc & 1 == 1;
        let flags = self.ordered_flags(ty, if load { MemFlags::ACQUIRE_PC } else { MemFlags::RELEASE });
        self.transfer_fp(ty, load, i.rt, &address, flags);
    }
    fn stlr_pre(&mut self, i: &StlrPre) {
        let ty = access_ty(i.size);
        let address = self.pre_index(i.rn, -i64::from(ty.bytes()));
        let flags = self.ordered_flags(ty, MemFlags::RELEASE);
        self.transfer(i.size, 0, i.rt, &address, flags);
    }
    fn ldapr_post(&mut self, i: &LdaprPost) {
        let ty = access_ty(i.size);
        let address = self.post_index(i.rn, i64::from(ty.bytes()));
        let flags = self.ordered_flags(ty, MemFlags::ACQUIRE_PC);
        self.transfer(i.size, 1, i.rt, &address, flags);
    }
    // FEAT_LRCPC3 implies FEAT_LSE2: the pair is one access.
    fn stilp(&mut self, i: &Stilp) {
        let ty = access_ty(i.size);
        let bytes = 2 * i64::from(ty.bytes());
        let address = if i.opc2 == 0 { self.pre_index(i.rn, -bytes) } else { self.at(i.rn, 0) };
        let (first, second) = (self.x_narrow(ty, i.rt), self.x_narrow(ty, i.rt2));
        let value = self.join_pair(ty, first, second);
        let wide = Self::pair_ty(ty);
        let flags = self.ordered_flags(wide, MemFlags::RELEASE.with(MemFlags::PAIR));
        self.ir.store(wide, address.base, address.offset, value, flags);
        self.write_back(&address);
    }
    fn ldiapp(&mut self, i: &Ldiapp) {
        let ty = access_ty(i.size);
        let bytes = 2 * i64::from(ty.bytes());
        let address = if i.opc2 == 0 { self.post_index(i.rn, bytes) } else { self.at(i.rn, 0) };
        let wide = Self::pair_ty(ty);
        let flags = self.ordered_flags(wide, MemFlags::ACQUIRE_PC.with(MemFlags::PAIR));
        let value = self.ir.load(wide, address.base, address.offset, flags);
        let (first, second) = self.split_pair(ty, value);
        self.set_wide(ty, i.rt, first);
        self.set_wide(ty, i.rt2, second);
        self.write_back(&address);
    }

    fn ldr_lit(&mut self, i: &LdrLit) {
        let address = self.literal(i.imm19);
        let (size, opc) = match i.opc {
            0 => (2, 1),
            1 => (3, 1),
            _ => (2, 2),
        };
        self.transfer(size, opc, i.rt, &address, self.mem());
    }
    fn ldr_lit_fp(&mut self, i: &LdrLitFp) {
        if !self.fp_access() {
            return;
        }
        let ty = [Ty::I32, Ty::I64, Ty::I128, Ty::I128][(i.opc & 3) as usize];
        let address = self.literal(i.imm19);
        self.transfer_fp(ty, true, i.rt, &address, self.mem());
    }
    fn prfm_lit(&mut self, _: &PrfmLit) {}

    fn ldst_pair(&mut self, i: &LdstPair) {
        let sf = i.opc >> 1;
        let ty = Self::ty(sf);
        let address = self.index_mode(i.index, i.rn, i64::from(i.imm7) * i64::from(ty.bytes()));
        if i.l == 1 {
            let (first, second) = self.load_pair(ty, &address);
            self.set_wide(ty, i.rt, first);
            self.set_wide(ty, i.rt2, second);
        } else {
            let (first, second) = (self.r(sf, i.rt), self.r(sf, i.rt2));
            self.store_pair(ty, &address, first, second);
        }
        self.write_back(&address);
    }
    fn ldst_pair_fp(&mut self, i: &LdstPairFp) {
        if !self.fp_access() {
            return;
        }
        let ty = [Ty::I32, Ty::I64, Ty::I128, Ty::I128][(i.opc & 3) as usize];
        let address = self.index_mode(i.index, i.rn, i64::from(i.imm7) * i64::from(ty.bytes()));
        if i.l == 1 {
            let (first, second) = self.load_two(ty, &address, self.mem());
            self.set_loaded_fp(ty, i.rt, first);
            self.set_loaded_fp(ty, i.rt2, second);
        } else {
            let (first, second) = (self.v_low(ty, i.rt), self.v_low(ty, i.rt2));
            self.store_two(ty, &address, first, second, self.mem());
        }
        self.write_back(&address);
    }
    fn ldpsw(&mut self, i: &Ldpsw) {
        let address = self.index_mode(i.index, i.rn, i64::from(i.imm7) * 4);
        let (first, second) = self.load_pair(Ty::I32, &address);
        let first = self.ir.sext(Ty::I64, Ty::I32, first);
        let second = self.ir.sext(Ty::I64, Ty::I32, second);
        self.set_x(i.rt, first);
        self.set_x(i.rt2, second);
        self.write_back(&address);
    }

    fn ldst_unscaled(&mut self, i: &LdstUnscaled) {
        let address = self.at(i.rn, i64::from(i.imm9));
        self.transfer(i.size, i.opc, i.rt, &address, self.mem());
    }
    fn ldst_unscaled_fp(&mut self, i: &LdstUnscaledFp) {
        if !self.fp_access() {
            return;
        }
        let address = self.at(i.rn, i64::from(i.imm9));
        self.transfer_fp(fp_access_ty(i.opc, i.size), i.opc & 1 == 1, i.rt, &address, self.mem());
    }
    fn prfum(&mut self, _: &Prfum) {}
    fn ldst_post(&mut self, i: &LdstPost) {
        let address = self.post_index(i.rn, i64::from(i.imm9));
        self.transfer(i.size, i.opc, i.rt, &address, self.mem());
    }
    fn ldst_post_fp(&mut self, i: &LdstPostFp) {
        if !self.fp_access() {
            return;
        }
        let address = self.post_index(i.rn, i64::from(i.imm9));
        self.transfer_fp(fp_access_ty(i.opc, i.size), i.opc & 1 == 1, i.rt, &address, self.mem());
    }
    fn ldst_unpriv(&mut self, i: &LdstUnpriv) {
        let address = self.at(i.rn, i64::from(i.imm9));
        let flags = self.mem_view(self.key.unpriv_view());
        self.transfer(i.size, i.opc, i.rt, &address, flags);
    }
    fn ldst_pre(&mut self, i: &LdstPre) {
        let address = self.pre_index(i.rn, i64::from(i.imm9));
        self.transfer(i.size, i.opc, i.rt, &address, self.mem());
    }
    fn ldst_pre_fp(&mut self, i: &LdstPreFp) {
        if !self.fp_access() {
            return;
        }
        let address = self.pre_index(i.rn, i64::from(i.imm9));
        self.transfer_fp(fp_access_ty(i.opc, i.size), i.opc & 1 == 1, i.rt, &address, self.mem());
    }
    fn ldst_unsigned(&mut self, i: &LdstUnsigned) {
        let address = self.at(i.rn, i64::from(i.imm12 << i.size));
        self.transfer(i.size, i.opc, i.rt, &address, self.mem());
    }
    fn ldst_unsigned_fp(&mut self, i: &LdstUnsignedFp) {
        if !self.fp_access() {
            return;
        }
        let ty = fp_access_ty(i.opc, i.size);
        let address = self.at(i.rn, i64::from(i.imm12 * ty.bytes()));
        self.transfer_fp(ty, i.opc & 1 == 1, i.rt, &address, self.mem());
    }
    fn prfm_imm(&mut self, _: &PrfmImm) {}
    fn ldst_reg_off(&mut self, i: &LdstRegOff) {
        if let Some(address) = self.register_offset(i.rn, i.rm, i.option, i.size * i.s) {
            self.transfer(i.size, i.opc, i.rt, &address, self.mem());
        }
    }
    fn ldst_reg_off_fp(&mut self, i: &LdstRegOffFp) {
        if i.option & 2 == 0 {
            return self.undefined();
        }
        if !self.fp_access() {
            return;
        }
        let ty = fp_access_ty(i.opc, i.size);
        if let Some(address) = self.register_offset(i.rn, i.rm, i.option, ty.bytes().trailing_zeros() * i.s) {
            self.transfer_fp(ty, i.opc & 1 == 1, i.rt, &address, self.mem());
        }
    }
    fn prfm_reg(&mut self, _: &PrfmReg) {}
    fn rprfm(&mut self, _: &Rprfm) {}

    fn ldra(&mut self, i: &Ldra) {
        let pointer = self.base_address(i.rn);
        let zero = self.ir.c64(0);
        let base = self.pointer_auth(pauth::key(true, i.m == 1), true, true, pointer, zero);
        let offset = i64::from(i.simm) * 8;
        let address = Address { base, offset, writeback: (i.w == 1).then_some((i.rn, offset)) };
        self.transfer(3, 1, i.rt, &address, self.mem());
    }
}
