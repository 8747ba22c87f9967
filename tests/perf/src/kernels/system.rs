//! What kernels do: system calls, system registers, devices, translation tables, faults.

use crate::guest::*;
use emu_a64_asm::*;

/// EL0 calls EL1, which saves and restores registers as a kernel's entry does, and returns.
pub fn svc(a: &mut Asm, f: Frame, repeats: u64) {
    let (start, user, over) = (a.label(), a.label(), a.label());
    a.b(start);
    a.bind(f.from_el0);
    let pairs: Vec<(Reg, Reg)> = (0..15).map(|n| (Reg::x(2 * n), Reg::x(2 * n + 1))).collect();
    a.sub_imm(SP, SP, 256);
    for (n, &(low, high)) in pairs.iter().enumerate() {
        a.stp(low, high, Addr::Off(SP, 16 * n as i32));
    }
    a.mrs(X20, SysReg::ELR_EL1);
    a.mrs(X21, SysReg::SPSR_EL1);
    a.mrs(X22, SysReg::SP_EL0);
    a.mrs(X23, SysReg::ESR_EL1);
    a.lsr(X24, X23, 26);
    a.cmp_imm(X24, 0x15);
    a.b_cond(Cond::Ne, over);
    a.and_imm(X25, X23, 0xffff);
    a.cbnz(X25, over);
    // The result goes where the caller's x0 is kept.
    a.add(X0, X0, X1, 0);
    a.str(X0, Addr::Off(SP, 0));
    a.msr(SysReg::ELR_EL1, X20);
    a.msr(SysReg::SPSR_EL1, X21);
    a.msr(SysReg::SP_EL0, X22);
    for (n, &(low, high)) in pairs.iter().enumerate() {
        a.ldp(low, high, Addr::Off(SP, 16 * n as i32));
    }
    a.add_imm(SP, SP, 256);
    a.eret();
    a.bind(over);
    a.ldr(X0, Addr::Off(SP, 0));
    a.b(f.end);
    a.bind(user);
    a.mov(X0, XZR);
    repeat(a, X10, repeats, |a| {
        a.mov(X1, X10);
        a.svc(0);
        a.eor_imm(X0, X0, 0xff);
    });
    a.svc(1);
    a.bind(start);
    enter_el0(a, user);
}

/// The same in Rust.
pub fn svc_model(repeats: u64) -> u64 {
    (1..=repeats).rev().fold(0, |x: u64, n| x.wrapping_add(n) ^ 0xff)
}

/// Asks who it is and who its parent is: calls that take a kernel next to no time. The sum: 1 and 2 for each answer that is the first one again.
pub fn syscall(a: &mut Asm, _: Frame, repeats: u64) {
    const GETPID: u64 = 172;
    const GETPPID: u64 = 173;
    let call = |a: &mut Asm, number: u64| {
        a.mov_imm(X8, number);
        a.svc(0);
    };
    for (number, first) in [(GETPID, X19), (GETPPID, X20)] {
        call(a, number);
        a.mov(first, X0);
    }
    a.mov(X21, XZR);
    repeat(a, X10, repeats, |a| {
        for (number, first, by) in [(GETPID, X19, 1), (GETPPID, X20, 2)] {
            call(a, number);
            a.add_imm(X22, X21, by);
            a.cmp(X0, first);
            a.csel(X21, X22, X21, Cond::Eq);
        }
    });
    a.mov(X0, X21);
}

/// The sum, if no answer was another one.
pub fn syscall_model(repeats: u64) -> u64 {
    3 * repeats
}

/// Reads and writes system registers that every kernel uses all the time.
pub fn sysreg(a: &mut Asm, _: Frame, repeats: u64) {
    a.mov(X0, XZR);
    repeat(a, X10, repeats, |a| {
        a.mrs(X1, SysReg::DAIF);
        a.msr_imm(PState::DaifSet, 2);
        a.msr(SysReg::TPIDR_EL1, X0);
        a.mrs(X2, SysReg::TPIDR_EL1);
        a.msr(SysReg::TPIDR_EL0, X10);
        a.mrs(X3, SysReg::TPIDR_EL0);
        a.mrs(X4, SysReg::CurrentEL);
        a.msr(SysReg::SP_EL0, X2);
        a.mrs(X5, SysReg::SP_EL0);
        a.mrs(X6, SysReg::CNTVCT_EL0);
        a.lsr(X6, X6, 63);
        a.msr(SysReg::DAIF, X1);
        a.add(X0, X3, X5, 0);
        a.add(X0, X0, X4, 0);
        a.add(X0, X0, X6, 0);
    });
}

/// The sum: the counter of the loop, and 4 for EL1, each time.
pub fn sysreg_model(repeats: u64) -> u64 {
    (1..=repeats).sum::<u64>() + 4 * repeats
}

/// Reads a register of the first serial line that never changes: UARTPeriphID0.
pub fn mmio(a: &mut Asm, _: Frame, repeats: u64) {
    a.mov_imm(X1, UART);
    a.mov(X0, XZR);
    repeat(a, X10, repeats, |a| {
        a.ldr(W2, Addr::Off(X1, 0xfe0));
        a.add(X0, X0, X2, 0);
    });
}

/// 0x11 each time (PrimeCell UART, PartNumber0).
pub fn mmio_model(repeats: u64) -> u64 {
    0x11 * repeats
}

const PAGE: u64 = 4096;
/// Where the kernels' own pages appear: entry 8 of the first-level table, 1 GiB each.
const WINDOW: u64 = 8 << 30;

/// Maps `size` bytes from `physical` by pages at [`WINDOW`]: a second-level table at `tables`, third-level tables behind it. x0 to x3 are
/// lost.
fn window(a: &mut Asm, root: u64, tables: u64, physical: u64, size: u64, attributes: u64) {
    store_entry(a, root + 8 * (WINDOW >> 30), tables | TABLE);
    table(a, tables, size.div_ceil(512 * PAGE), (tables + PAGE) | TABLE, PAGE);
    table(a, tables + PAGE, size / PAGE, physical | attributes | NORMAL | 3, PAGE);
    synchronise(a);
}

const WIDE: u64 = 256 << 20;
/// The memory of `tlb` in bytes.
pub const TLB_BYTES: u64 = WIDE;

/// Adds to doublewords at random places in 256 MiB of pages of 4 KiB.
pub fn tlb(a: &mut Asm, _: Frame, repeats: u64) {
    window(a, TABLES, OWN_TABLES, BULK, WIDE, 0);
    random_constants(a, X16, X17);
    a.mov_imm(X1, WINDOW);
    a.movz(X15, 53, 0);
    a.mov(X0, XZR);
    repeat(a, X10, repeats, |a| {
        a.madd(X15, X15, X16, X17);
        // 28 bits of place, but for three: a doubleword.
        a.lsr(X2, X15, 39);
        a.ldr(X3, Addr::Scaled(X1, X2));
        a.add(X3, X3, X10, 0);
        a.str(X3, Addr::Scaled(X1, X2));
        a.add(X0, X3, X0, 1);
    });
}

/// The same in Rust.
pub fn tlb_model(repeats: u64) -> u64 {
    let (mut memory, mut state, mut sum) = (std::collections::HashMap::new(), 53, 0u64);
    for n in (1..=repeats).rev() {
        state = random(state);
        let word: &mut u64 = memory.entry(state >> 39).or_default();
        *word = word.wrapping_add(n);
        sum = word.wrapping_add(sum << 1);
    }
    sum
}

const SPACES: u64 = 4;
const PAGES: u64 = 8;

/// Goes round four address spaces by TTBR0_EL1 with their ASIDs and touches eight pages of each, which have one address in all.
pub fn asid(a: &mut Asm, _: Frame, repeats: u64) {
    let space = |n: u64| OWN_TABLES + n * 0x10000;
    for n in 0..SPACES {
        // The entries that all have: devices and RAM.
        store_entry(a, space(n), 1 << 10 | 1);
        store_entry(a, space(n) + 8, (TABLES + PAGE) | TABLE);
        window(a, space(n), space(n) + PAGE, DATA + n * PAGES * PAGE, PAGES * PAGE, NOT_GLOBAL);
        a.mov_imm(Reg::x(11 + n as u8), (n + 1) << 48 | space(n));
    }
    a.mov_imm(X1, WINDOW);
    a.movz(X5, PAGE as u16, 0);
    a.mov(X0, XZR);
    repeat(a, X10, repeats, |a| {
        for n in 0..SPACES {
            a.msr(SysReg::TTBR0_EL1, Reg::x(11 + n as u8));
            a.isb();
            a.mov(X2, X1);
            for _ in 0..PAGES {
                a.ldr(X3, Addr::Off(X2, 8));
                a.add(X3, X3, X10, n as u32);
                a.str(X3, Addr::Off(X2, 8));
                a.eor(X0, X3, X0, 1);
                a.add(X2, X2, X5, 0);
            }
        }
    });
}

/// The same in Rust.
pub fn asid_model(repeats: u64) -> u64 {
    let (mut memory, mut sum) = ([0u64; (SPACES * PAGES) as usize], 0u64);
    for turn in (1..=repeats).rev() {
        for (n, word) in memory.iter_mut().enumerate() {
            *word += turn << (n as u64 / PAGES);
            sum = *word ^ sum << 1;
        }
    }
    sum
}

const FAULTING: u64 = 256;

/// EL0 touches 256 pages that are not there; EL1 maps each on its fault. Then EL0 asks for all to be unmapped.
pub fn fault(a: &mut Asm, f: Frame, repeats: u64) {
    let (tables, pages) = (OWN_TABLES, OWN_TABLES + PAGE);
    let (start, user, call, unexpected) = (a.label(), a.label(), a.label(), a.label());
    a.b(start);
    a.bind(f.from_el0);
    // x10 and above belong to EL0.
    a.mrs(X1, SysReg::ESR_EL1);
    a.lsr(X2, X1, 26);
    a.cmp_imm(X2, 0x15);
    a.b_cond(Cond::Eq, call);
    // A data abort from EL0, a translation fault at level 3.
    a.cmp_imm(X2, 0x24);
    a.b_cond(Cond::Ne, unexpected);
    a.and_imm(X1, X1, 0x3f);
    a.cmp_imm(X1, 7);
    a.b_cond(Cond::Ne, unexpected);
    a.mrs(X1, SysReg::FAR_EL1);
    a.ubfx(X2, X1, 12, 9);
    a.mov_imm(X3, DATA | NORMAL | FOR_EL0 | NOT_GLOBAL | 3);
    a.add(X3, X3, X2, 12);
    a.mov_imm(X1, pages);
    a.str(X3, Addr::Scaled(X1, X2));
    synchronise(a);
    a.add_imm(X28, X28, 1);
    a.eret();
    a.bind(call);
    a.and_imm(X1, X1, 1);
    let finish = a.label();
    a.cbnz(X1, finish);
    // Unmap: forget each page by its address, as a kernel does when it unmaps a few.
    a.mov_imm(X1, pages);
    a.mov_imm(X2, WINDOW >> 12);
    repeat(a, X3, FAULTING / 8, |a| {
        for n in 0..8 {
            a.str(XZR, Addr::Off(X1, 8 * n));
        }
        a.add_imm(X1, X1, 64);
    });
    a.dsb(Barrier::Ishst);
    repeat(a, X3, FAULTING, |a| {
        a.tlbi_vaae1is(X2);
        a.add_imm(X2, X2, 1);
    });
    a.dsb(Barrier::Ish);
    a.isb();
    a.eret();
    a.bind(unexpected);
    a.mov(X27, X1);
    a.bind(finish);
    a.add(X0, X27, X28, 0);
    a.b(f.end);
    a.bind(user);
    repeat(a, X10, repeats, |a| {
        a.mov_imm(X11, WINDOW);
        a.mov_imm(X13, PAGE);
        repeat(a, X12, FAULTING, |a| {
            a.ldr(X14, Addr::Off(X11, 16));
            a.add(X14, X14, X10, 0);
            a.str(X14, Addr::Off(X11, 16));
            a.add(X27, X14, X27, 1);
            a.add(X11, X11, X13, 0);
        });
        a.svc(0);
    });
    a.svc(1);
    a.bind(start);
    store_entry(a, TABLES + 8 * (WINDOW >> 30), tables | TABLE);
    store_entry(a, tables, pages | TABLE);
    synchronise(a);
    a.mov(X27, XZR);
    a.mov(X28, XZR);
    enter_el0(a, user);
}

/// The sum of what the pages hold, and the number of faults.
pub fn fault_model(repeats: u64) -> u64 {
    let (mut word, mut sum) = (0u64, 0u64);
    for turn in (1..=repeats).rev() {
        // All pages hold the same.
        word += turn;
        for _ in 0..FAULTING {
            sum = word.wrapping_add(sum << 1);
        }
    }
    sum.wrapping_add(repeats * FAULTING)
}
