//! The guest program: it runs the cases of the image one after another at EL0 and prints, for each,
//! a line with a 32-bit hash of the final state and the exception class that ended the case.
//!
//! Everything that ends a case is an exception from EL0 to EL1: the SVC behind its code, or a fault.
//! EL1 needs no register of the case, since SP_EL1 always points to the save area. Between cases the
//! memory regions are filled from the case's template; nothing else of a case reaches the next one.
//!
//! The code holds no absolute address of itself and runs where the loader put it.

use crate::layout::{self, record, state};
use emu_a64_asm::*;

const UART: u64 = 0x0900_0000;
const UARTDR: i32 = 0x00;
const UARTFR: i32 = 0x18;
const UARTLCR_H: i32 = 0x2c;
const UARTCR: i32 = 0x30;
const FR_TXFF: u32 = 5;

/// PSCI SYSTEM_OFF, by HVC on this board.
const PSCI_SYSTEM_OFF: u64 = 0x8400_0008;

/// Descriptor bits (VMSAv8-64 stage 1).
const BLOCK: u64 = 0b01;
const TABLE_OR_PAGE: u64 = 0b11;
const AF: u64 = 1 << 10;
const INNER_SHAREABLE: u64 = 0b11 << 8;
const EL0_READ_WRITE: u64 = 0b01 << 6;
const EL0_READ_ONLY: u64 = 0b11 << 6;
const PXN: u64 = 1 << 53;
const UXN: u64 = 1 << 54;
/// Indices into MAIR_EL1 below, at the descriptor's AttrIndx.
const DEVICE_NGNRNE: u64 = 0 << 2;
const DEVICE_NGNRE: u64 = 1 << 2;
const NON_CACHEABLE: u64 = 2 << 2;
const WRITE_BACK: u64 = 3 << 2;
const MAIR: u64 = 0xff44_0400;

/// T0SZ 25 (39 bits, from level 1), write-back inner-shareable walks, 4 KiB granule, EPD1, 32-bit PA,
/// TBI0.
const TCR: u64 = 25 | 0b01 << 8 | 0b01 << 10 | 0b11 << 12 | 1 << 23 | 1 << 37;

/// M, C, I; DZE, UCT, nTWI, nTWE, UCI: what EL0 may do; no alignment check (A, SA, SA0 are 0); the four
/// PAuth enables; MSCEn; and the bits that are RES1 on a core without what they control.
const SCTLR: u64 = 1 << 33
    | 1 << 31
    | 1 << 30
    | 1 << 29
    | 1 << 28
    | 1 << 27
    | 1 << 26
    | 1 << 23
    | 1 << 22
    | 1 << 20
    | 1 << 18
    | 1 << 16
    | 1 << 15
    | 1 << 14
    | 1 << 13
    | 1 << 12
    | 1 << 11
    | 1 << 2
    | 1;

/// The multiplier of the state hash: any odd number with well-spread bits.
pub(crate) const HASH_FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Labels that several parts of the program need.
pub(crate) struct Places {
    pub vectors: Label,
    pub parameters: Label,
    pub next: Label,
    pub handler: Label,
    pub put_char: Label,
    pub put_hex: Label,
    pub put_text: Label,
    pub fatal: Label,
    pub power_off: Label,
    pub begin: Label,
    pub end: Label,
    pub fatal_text: Label,
}

impl Places {
    /// None of them bound.
    pub fn new(a: &mut Asm) -> Places {
        Places {
            vectors: a.label(),
            parameters: a.label(),
            next: a.label(),
            handler: a.label(),
            put_char: a.label(),
            put_hex: a.label(),
            put_text: a.label(),
            fatal: a.label(),
            power_off: a.label(),
            begin: a.label(),
            end: a.label(),
            fatal_text: a.label(),
        }
    }
}

/// The program from the image's first byte behind the header up to the end of the parameters, which
/// are those given. TCR_EL1 has the bits of `tcr_flip` inverted.
///
/// # Panics
/// Only on a mistake in this file.
pub fn assemble(first_record: u64, count: u64, tcr_flip: u64) -> Vec<u8> {
    let mut a = Asm::new(0);
    let p = Places::new(&mut a);
    set_up(&mut a, &p, tcr_flip);
    start_case(&mut a, &p);
    end_case(&mut a, &p);
    print(&mut a, &p);
    texts(&mut a, &p);
    // VBAR_EL1 needs 2 KiB alignment of the image offset.
    a.org(0x1000 - image::HEADER_LEN);
    vectors(&mut a, &p);
    a.org(layout::PARAMETERS - image::HEADER_LEN);
    a.bind(p.parameters);
    a.quad(first_record);
    a.quad(count);
    a.finish().unwrap_or_else(|e| panic!("the runner does not assemble: {e}"))
}

/// What it prints.
pub(crate) fn texts(a: &mut Asm, p: &Places) {
    a.align(8);
    a.bind(p.begin);
    a.asciz(&format!("{}\n", layout::BEGIN));
    a.bind(p.end);
    a.asciz(&format!("{}\n", layout::END));
    a.bind(p.fatal_text);
    a.asciz("FATAL\n");
}

fn set_up(a: &mut Asm, p: &Places, tcr_flip: u64) {
    let image = a.here();
    a.msr_imm(PState::DaifSet, 15);
    a.msr_imm(PState::SpSel, 1);
    a.adr(X19, image);
    a.sub_imm(X19, X19, image::HEADER_LEN as u32);
    a.mov_imm(X0, 3 << 20); // CPACR_EL1.FPEN
    a.msr(SysReg::CPACR_EL1, X0);
    a.isb();
    a.mov_imm(X0, layout::SAVE);
    a.mov_sp(SP, X0);
    a.adr(X0, p.vectors);
    a.msr(SysReg::VBAR_EL1, X0);

    a.mov_imm(X20, UART);
    a.mov_imm(W0, 0x70); // 8 bits, FIFOs on
    a.str(W0, Addr::Off(X20, UARTLCR_H));
    a.mov_imm(W0, 0x301); // UARTEN, TXE, RXE
    a.str(W0, Addr::Off(X20, UARTCR));

    // The code mapping is made of 2 MiB blocks.
    a.tst_imm(X19, (2 << 20) - 1);
    a.b_cond(Cond::Ne, p.fatal);

    a.adr(X0, p.parameters);
    a.ldp(X1, X2, Addr::Off(X0, 0));
    a.add(X1, X1, X19, 0);
    a.mov_imm(X3, layout::CONTEXT);
    a.stp(X1, X2, Addr::Off(X3, 0));
    a.str(X19, Addr::Off(X3, 16));

    // The read-only page holds the first case's template. It is filled here, while nothing is mapped:
    // with the MMU off every access is aligned, and neither emulator has caches to maintain.
    a.ldr(X0, Addr::Off(X1, record::MEMORY as i32));
    a.add(X0, X0, X19, 0);
    a.mov_imm(X1, layout::READ_ONLY);
    a.mov_imm(X2, 256 / 16);
    let fill = a.here();
    a.ldp(X3, X4, Addr::Post(X0, 16));
    a.stp(X3, X4, Addr::Post(X1, 16));
    a.subs_imm(X2, X2, 1);
    a.b_cond(Cond::Ne, fill);

    tables(a);
    a.mov_imm(X0, MAIR);
    a.msr(SysReg::MAIR_EL1, X0);
    a.mov_imm(X0, TCR ^ tcr_flip);
    a.msr(SysReg::TCR_EL1, X0);
    a.mov_imm(X0, layout::TABLES);
    a.msr(SysReg::TTBR0_EL1, X0);
    a.msr(SysReg::TTBR1_EL1, XZR);
    a.dsb(Barrier::Sy);
    a.tlbi_vmalle1();
    a.ic_iallu();
    a.dsb(Barrier::Sy);
    a.isb();
    a.mov_imm(X0, SCTLR);
    a.msr(SysReg::SCTLR_EL1, X0);
    a.isb();

    keys(a);
    identify(a, p);
    a.adr(X0, p.begin);
    a.bl(p.put_text);
    a.b(p.next);
}

/// The translation tables: level 1 at TABLES, then two of level 2 (RAM; the image's second view) and
/// one of level 3 (the window).
fn tables(a: &mut Asm) {
    let level1 = layout::TABLES;
    let (ram, code, window) = (level1 + 0x1000, level1 + 0x2000, level1 + 0x3000);
    let normal = AF | INNER_SHAREABLE | WRITE_BACK;
    let store = |a: &mut Asm, table: u64, index: u64, descriptor: u64| {
        a.mov_imm(X0, table + 8 * index);
        a.mov_imm(X1, descriptor);
        a.str(X1, Addr::Off(X0, 0));
    };
    // RAM may hold anything at first.
    a.mov_imm(X0, level1);
    a.mov_imm(X1, 4 * 4096 / 16);
    let clear = a.here();
    a.stp(XZR, XZR, Addr::Post(X0, 16));
    a.subs_imm(X1, X1, 1);
    a.b_cond(Cond::Ne, clear);

    store(a, level1, 0, BLOCK | AF | DEVICE_NGNRE | PXN | UXN);
    store(a, level1, 1, ram | TABLE_OR_PAGE);
    store(a, level1, 2, code | TABLE_OR_PAGE);
    let blocks = |a: &mut Asm, table: u64, count: u64| {
        // X1 is the first descriptor.
        a.mov_imm(X0, table);
        a.mov_imm(X2, count);
        a.mov_imm(X3, 2 << 20);
        let top = a.here();
        a.str(X1, Addr::Post(X0, 8));
        a.add(X1, X1, X3, 0);
        a.subs_imm(X2, X2, 1);
        a.b_cond(Cond::Ne, top);
    };
    a.mov_imm(X1, 0x4000_0000 | BLOCK | normal | UXN);
    blocks(a, ram, 256);
    a.mov_imm(X1, BLOCK | normal | EL0_READ_ONLY | PXN);
    a.orr(X1, X1, X19, 0);
    blocks(a, code, layout::CODE_LEN >> 21);
    store(a, ram, (layout::WINDOW - 0x4000_0000) >> 21, window | TABLE_OR_PAGE);
    let never = PXN | UXN | AF | TABLE_OR_PAGE;
    for (address, attributes) in [
        (layout::WRITABLE, normal | EL0_READ_WRITE),
        (layout::MIDDLE, normal | EL0_READ_WRITE),
        (layout::READ_ONLY, normal | EL0_READ_ONLY),
        (layout::DEVICE & !0xfff, DEVICE_NGNRNE | EL0_READ_WRITE),
        (layout::NON_CACHEABLE & !0xfff, NON_CACHEABLE | INNER_SHAREABLE | EL0_READ_WRITE),
    ] {
        store(a, window, (address - layout::WINDOW) >> 12, address | attributes | never);
    }
}

/// Fixed PAuth keys, where there is PAuth (ID_AA64ISAR1_EL1.APA or API, or ID_AA64ISAR2_EL1.APA3).
fn keys(a: &mut Asm) {
    let none = a.label();
    a.mrs(X0, SysReg::ID_AA64ISAR1_EL1);
    a.mov_imm(X2, 0xff0);
    a.and(X0, X0, X2, 0);
    a.mrs(X1, SysReg::ID_AA64ISAR2_EL1);
    a.mov_imm(X2, 0xf000);
    a.and(X1, X1, X2, 0);
    a.orr(X0, X0, X1, 0);
    a.cbz(X0, none);
    a.mov_imm(X0, 0x0123_4567_89ab_cdef);
    for key in [
        SysReg::APIAKeyLo_EL1,
        SysReg::APIAKeyHi_EL1,
        SysReg::APIBKeyLo_EL1,
        SysReg::APIBKeyHi_EL1,
        SysReg::APDAKeyLo_EL1,
        SysReg::APDAKeyHi_EL1,
        SysReg::APDBKeyLo_EL1,
        SysReg::APDBKeyHi_EL1,
        SysReg::APGAKeyLo_EL1,
        SysReg::APGAKeyHi_EL1,
    ] {
        a.msr(key, X0);
        a.ror(X0, X0, 13);
    }
    a.isb();
    a.bind(none);
}

/// Prints the AArch64 identification registers: op0 3, op1 0, CRn 0, CRm 4 to 7, op2 0 to 7.
fn identify(a: &mut Asm, p: &Places) {
    for register in 0..layout::ID_REGISTERS {
        let (crm, op2) = (4 + register / 8, register % 8);
        a.word(0xd538_0000 | crm << 8 | op2 << 5); // MRS X0
        a.mov_imm(X1, 16);
        a.bl(p.put_hex);
    }
}

fn start_case(a: &mut Asm, p: &Places) {
    a.bind(p.next);
    a.mov_imm(X20, layout::CONTEXT);
    a.ldp(X30, X22, Addr::Off(X20, 0));
    a.ldr(X19, Addr::Off(X20, 16));
    let go = a.label();
    a.cbnz(X22, go);
    a.adr(X0, p.end);
    a.bl(p.put_text);
    a.b(p.power_off);

    a.bind(go);
    a.ldr(X0, Addr::Off(X30, record::MEMORY as i32));
    a.add(X0, X0, X19, 0);
    for (address, len) in layout::REGIONS {
        a.mov_imm(X1, address);
        a.mov_imm(X2, len / 128);
        let top = a.here();
        for pair in 0..4 {
            a.ldp_q(VReg(2 * pair), VReg(2 * pair + 1), Addr::Post(X0, 32));
        }
        for pair in 0..4 {
            a.stp_q(VReg(2 * pair), VReg(2 * pair + 1), Addr::Post(X1, 32));
        }
        a.subs_imm(X2, X2, 1);
        a.b_cond(Cond::Ne, top);
    }
    a.ldr(X0, Addr::Off(X30, record::V as i32));
    a.add(X0, X0, X19, 0);
    for pair in 0..16 {
        a.ldp_q(VReg(2 * pair), VReg(2 * pair + 1), Addr::Post(X0, 32));
    }
    for (offset, register) in [
        (record::SP, SysReg::SP_EL0),
        (record::ELR, SysReg::ELR_EL1),
        (record::SPSR, SysReg::SPSR_EL1),
        (record::FPCR, SysReg::FPCR),
        (record::FPSR, SysReg::FPSR),
    ] {
        a.ldr(X0, Addr::Off(X30, offset as i32));
        a.msr(register, X0);
    }
    for pair in 0..15 {
        a.ldp(Reg::x(2 * pair), Reg::x(2 * pair + 1), Addr::Off(X30, 16 * i32::from(pair)));
    }
    a.ldr(X30, Addr::Off(X30, 240));
    a.eret();
}

fn end_case(a: &mut Asm, p: &Places) {
    a.bind(p.handler);
    for pair in 0..15 {
        a.stp(Reg::x(2 * pair), Reg::x(2 * pair + 1), Addr::Off(SP, 16 * i32::from(pair)));
    }
    a.str(X30, Addr::Off(SP, 240));
    for (offset, register) in [
        (state::SP, SysReg::SP_EL0),
        (state::ELR, SysReg::ELR_EL1),
        (state::SPSR, SysReg::SPSR_EL1),
        (state::FPCR, SysReg::FPCR),
        (state::FPSR, SysReg::FPSR),
    ] {
        a.mrs(X0, register);
        a.str(X0, Addr::Off(SP, offset as i32));
    }
    a.mrs(X12, SysReg::ESR_EL1);
    a.lsr(X10, X12, 26);
    forget_unknown_btype(a);
    forget_wnr_of_atomics(a);
    a.str(X12, Addr::Off(SP, state::ESR as i32));
    // FAR_EL1 is UNKNOWN but for aborts and PC alignment: exception classes 0x20 to 0x25.
    a.mrs(X1, SysReg::FAR_EL1);
    a.sub_imm(X2, X10, 0x20);
    a.cmp_imm(X2, 6);
    a.csel(X1, X1, XZR, Cond::Lo);
    a.str(X1, Addr::Off(SP, state::FAR as i32));
    a.add_imm(X0, SP, state::V);
    for pair in 0..16 {
        a.stp_q(VReg(2 * pair), VReg(2 * pair + 1), Addr::Post(X0, 32));
    }

    a.mov_imm(X8, 0x1234_5678);
    a.mov_imm(X9, HASH_FACTOR);
    hash(a, layout::SAVE, u64::from(state::LEN));
    for (address, len) in layout::REGIONS {
        hash(a, address, len);
    }
    print_case(a, p);
    a.b(p.next);
}

/// Finishes the hash in X8, prints the case's line with the class in X10, and the whole state if it is asked for; goes on to the next record.
pub(crate) fn print_case(a: &mut Asm, p: &Places) {
    a.lsr(X0, X8, 32);
    a.eor(X0, X8, X0, 0);
    a.mul(X0, X0, X9);
    a.lsr(X0, X0, 32);

    // hash (8 digits), exception class (2 digits), line end
    a.lsl(X0, X0, 8);
    a.orr(X0, X0, X10, 0);
    a.mov_imm(X1, 10);
    a.bl(p.put_hex);

    let quiet = a.label();
    a.mov_imm(X20, layout::CONTEXT);
    a.ldp(X21, X22, Addr::Off(X20, 0));
    a.ldr(X0, Addr::Off(X21, record::VERBOSE as i32));
    a.cbz(X0, quiet);
    dump(a, p, layout::SAVE, u64::from(state::LEN));
    for (address, len) in layout::REGIONS {
        dump(a, p, address, len);
    }
    a.bind(quiet);
    a.add_imm(X21, X21, record::LEN);
    a.sub_imm(X22, X22, 1);
    a.stp(X21, X22, Addr::Off(X20, 0));
}

/// Exception classes by which SPSR_EL1.BTYPE is what PSTATE.BTYPE was (AArch64.TakeException): branch target, illegal
/// state, instruction abort, PC alignment, breakpoint, software step, BRK.
const BTYPE_IS_KEPT: u64 = 1 << 0x0d | 1 << 0x0e | 1 << 0x20 | 1 << 0x21 | 1 << 0x22 | 1 << 0x30 | 1 << 0x32 | 1 << 0x3c;

/// In all other classes (X10), an SVC behind a branch among them, BTYPE in the saved SPSR may be zero instead: CONSTRAINED
/// UNPREDICTABLE.
fn forget_unknown_btype(a: &mut Asm) {
    let kept = a.label();
    a.mov_imm(X2, BTYPE_IS_KEPT);
    a.lsrv(X2, X2, X10);
    a.tbnz(X2, 0, kept);
    a.ldr(X1, Addr::Off(SP, state::SPSR as i32));
    a.mov_imm(X2, !(0b11 << 10));
    a.and(X1, X1, X2, 0);
    a.str(X1, Addr::Off(SP, state::SPSR as i32));
    a.bind(kept);
}

/// Clears WnR in the syndrome (X12) of an alignment fault of an exclusive or atomic access. ESR_ELx says that it is 0 when a
/// read would have faulted too, as any misaligned one does; the oracle reports 1.
fn forget_wnr_of_atomics(a: &mut Asm) {
    let (done, clear, not_exclusive) = (a.label(), a.label(), a.label());
    a.cmp_imm(X10, 0x24);
    a.b_cond(Cond::Ne, done);
    a.and_imm(X1, X12, 0x3f);
    a.cmp_imm(X1, 0x21);
    a.b_cond(Cond::Ne, done);
    a.ldr(X1, Addr::Off(SP, state::ELR as i32));
    a.ldr(W1, Addr::Off(X1, 0));
    let matches = |a: &mut Asm, mask: u64, value: u64| {
        a.mov_imm(X2, mask);
        a.and(X2, X1, X2, 0);
        a.mov_imm(X3, value);
        a.eor(X2, X2, X3, 0);
    };
    // Exclusives, CAS and CASP; but not LDAR, STLR and the like.
    matches(a, 0x3f00_0000, 0x0800_0000);
    a.cbnz(X2, not_exclusive);
    matches(a, 0x00a0_0000, 0x0080_0000);
    a.cbz(X2, done);
    a.b(clear);
    a.bind(not_exclusive);
    // LDADD and its family, and those of two registers.
    matches(a, 0x3f20_0c00, 0x3820_0000);
    a.cbz(X2, clear);
    matches(a, 0x3f20_0c00, 0x1920_0000);
    a.cbnz(X2, done);
    a.bind(clear);
    a.mov_imm(X2, !(1 << 6));
    a.and(X12, X12, X2, 0);
    a.bind(done);
}

/// Mixes memory into X8, word by word: rotate, exclusive or, multiply by X9. The rotation brings
/// high bits down, where the multiplication spreads them.
pub(crate) fn hash(a: &mut Asm, address: u64, len: u64) {
    a.mov_imm(X2, address);
    a.mov_imm(X3, len / 64);
    let top = a.here();
    for _ in 0..4 {
        a.ldp(X4, X5, Addr::Post(X2, 16));
        for word in [X4, X5] {
            // EOR X8, word, X8, ROR #23
            a.word(0xcac0_0000 | 8 << 16 | 23 << 10 | word.num() << 5 | 8);
            a.mul(X8, X8, X9);
        }
    }
    a.subs_imm(X3, X3, 1);
    a.b_cond(Cond::Ne, top);
}

/// Prints memory, a 64-bit word a line.
fn dump(a: &mut Asm, p: &Places, address: u64, len: u64) {
    a.mov_imm(X23, address);
    a.mov_imm(X24, len / 8);
    let top = a.here();
    a.ldr(X0, Addr::Post(X23, 8));
    a.mov_imm(X1, 16);
    a.bl(p.put_hex);
    a.subs_imm(X24, X24, 1);
    a.b_cond(Cond::Ne, top);
}

/// put_char(W0), put_hex(X0, X1 digits) with a line end, put_text(X0); and the two ways to end. They
/// use X2 to X7 and, the callers, X11.
fn print(a: &mut Asm, p: &Places) {
    a.bind(p.put_char);
    a.mov_imm(X2, UART);
    let wait = a.here();
    a.ldr(W3, Addr::Off(X2, UARTFR));
    a.tbnz(W3, FR_TXFF, wait);
    a.str(W0, Addr::Off(X2, UARTDR));
    a.ret();
    print_text(a, p);

    // An exception that no case can cause: say where, and stop.
    a.bind(p.fatal);
    a.adr(X0, p.fatal_text);
    a.bl(p.put_text);
    for register in [SysReg::ESR_EL1, SysReg::ELR_EL1, SysReg::FAR_EL1] {
        a.mrs(X0, register);
        a.mov_imm(X1, 16);
        a.bl(p.put_hex);
    }
    a.bind(p.power_off);
    a.mov_imm(X0, PSCI_SYSTEM_OFF);
    a.hvc(0);
    let forever = a.here();
    a.wfi();
    a.b(forever);
}

/// put_hex and put_text, by put_char.
pub(crate) fn print_text(a: &mut Asm, p: &Places) {
    a.bind(p.put_hex);
    a.mov(X11, X30);
    a.mov(X6, X0);
    a.lsl(X7, X1, 2);
    let digit = a.here();
    a.sub_imm(X7, X7, 4);
    a.lsrv(X0, X6, X7);
    a.and_imm(X0, X0, 15);
    a.add_imm(X4, X0, u32::from(b'a') - 10);
    a.add_imm(X5, X0, u32::from(b'0'));
    a.cmp_imm(X0, 10);
    a.csel(X0, X4, X5, Cond::Hs);
    a.bl(p.put_char);
    a.cbnz(X7, digit);
    a.mov_imm(X0, u64::from(b'\n'));
    a.bl(p.put_char);
    a.br(X11);

    a.bind(p.put_text);
    a.mov(X11, X30);
    a.mov(X6, X0);
    let done = a.label();
    let next = a.here();
    a.ldrb(W0, Addr::Post(X6, 1));
    a.cbz(W0, done);
    a.bl(p.put_char);
    a.b(next);
    a.bind(done);
    a.br(X11);
}

/// Sixteen vectors of 128 bytes; a synchronous exception from AArch64 at EL0 is the ninth.
fn vectors(a: &mut Asm, p: &Places) {
    let base = a.offset();
    a.bind(p.vectors);
    for vector in 0..16 {
        a.org(base + 128 * vector);
        a.b(if vector == 8 { p.handler } else { p.fatal });
    }
    a.org(base + 0x800);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fits_and_is_aligned() {
        let code = assemble(0x1122_3344, 7, 0);
        assert_eq!(code.len() + image::HEADER_LEN, layout::PARAMETERS + 16);
        let parameters = &code[layout::PARAMETERS - image::HEADER_LEN..];
        assert_eq!(parameters[..8], 0x1122_3344_u64.to_le_bytes());
        let ninth = 0x1000 - image::HEADER_LEN + 8 * 128;
        assert_eq!(code[ninth + 3] >> 2, 0b000101, "a branch");
    }
}
