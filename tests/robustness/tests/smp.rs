//! CPUs against each other.

use emu_a64_asm::*;
use emu_test_robustness::guest::*;
use emu_test_robustness::{Expect, How, attack};

const SCRATCH: u64 = RAM + (16 << 20);
const CPUS: u64 = 4;

/// Runs `body` on all CPUs; the first one ends the guest when all have come to their end. Registers x20 and above are the frame's, and x19
/// holds the CPU's number.
fn on_all(a: &mut Asm, f: Frame, body: impl FnOnce(&mut Asm)) {
    let (entry, begin) = (a.label(), a.label());
    let counter = SCRATCH - 64;
    for n in 1..CPUS {
        a.cpu_on(n, entry);
    }
    a.mov(X0, XZR);
    a.b(begin);
    a.bind(entry);
    a.mov(X21, X0);
    set_vectors(a, f.vectors);
    a.mov(X0, X21);
    a.bind(begin);
    a.mov(X19, X0);
    // Each CPU has tables of its own, a page apart.
    a.lsl(X22, X19, 12);
    a.mov_imm(X0, SCRATCH);
    a.add(X0, X0, X22, 0);
    mmu_on_at_x0(a);
    body(a);
    a.mov_imm(X20, counter);
    a.movz(X21, 1, 0);
    a.ldaddal(X21, X22, X20);
    let wait = a.here();
    a.cbnz(X19, wait);
    a.ldar(X21, X20);
    a.cmp_imm(X21, CPUS as u32);
    a.b_cond(Cond::Lo, wait);
}

/// As `mmu_on`, with the tables at x0.
fn mmu_on_at_x0(a: &mut Asm) {
    for (index, descriptor) in [(0, 0x401u64), (1, RAM | 0x705)] {
        a.mov_imm(X1, descriptor);
        a.str(X1, Addr::Off(X0, index * 8));
    }
    a.mmu_on();
}

fn both(name: &str, image: &[u8]) {
    both_expecting(name, image, Expect::Off);
}

fn both_expecting(name: &str, image: &[u8], expect: Expect) {
    attack(name, image, How { cpus: CPUS as u32, ..How::default() }, expect);
    attack(&format!("{name}-icount"), image, How { cpus: CPUS as u32, more: &["-icount", "shift=0,seed=7"], ..How::default() }, expect);
}

#[test]
fn invalidation_storm() {
    for synchronised in [true, false] {
        let image = assemble(Handler::Skip, |a, f| {
            on_all(a, f, |a| {
                a.mov_imm(X5, 0x4_0000);
                repeat(a, X10, if synchronised { 300 } else { 5_000 }, |a| {
                    a.tlbi_vmalle1is();
                    a.tlbi_vae1is(X5);
                    a.tlbi_vaae1is(X5);
                    if synchronised {
                        a.dsb(Barrier::Ish);
                        a.isb();
                    }
                    a.add_imm(X5, X5, 1);
                });
            });
        });
        both(if synchronised { "tlbi-dsb" } else { "tlbi" }, &image);
    }
}

#[test]
fn code_that_others_rewrite() {
    // Each CPU runs a function of two instructions, which all of them rewrite.
    for maintained in [true, false] {
        let image = assemble(Handler::Skip, |a, f| {
            on_all(a, f, |a| {
                let site = SCRATCH + 0x10_0000;
                a.mov_imm(X5, site);
                a.mov_imm(X6, 0xd65f_03c0_9100_0442); // ADD x2, x2, #1; RET
                a.str(X6, Addr::Off(X5, 0));
                a.dsb(Barrier::Ish);
                a.isb();
                repeat(a, X10, if maintained { 300 } else { 4_000 }, |a| {
                    a.str(X6, Addr::Off(X5, 0));
                    if maintained {
                        a.dc_cvau(X5);
                        a.dsb(Barrier::Ish);
                        a.ic_ivau(X5);
                        a.dsb(Barrier::Ish);
                        a.isb();
                    }
                    a.blr(X5);
                });
            });
        });
        both(if maintained { "rewrite-maintained" } else { "rewrite" }, &image);
    }
}

#[test]
fn new_code_is_seen_by_all_in_the_end() {
    // One CPU writes a function that returns another value each time, maintains the caches and hands the number over; the others call it
    // until they get that value. A CPU that keeps an old translation waits for ever.
    let image = assemble(Handler::Skip, |a, f| {
        on_all(a, f, |a| {
            let (site, number, seen) = (SCRATCH + 0x10_0000, SCRATCH + 0x20_0000, SCRATCH + 0x20_0100);
            a.mov_imm(X5, site);
            a.mov_imm(X6, number);
            a.mov_imm(X7, seen);
            a.movz(X10, 1, 0);
            let (reader, over, again) = (a.label(), a.label(), a.label());
            a.bind(again);
            a.cbnz(X19, reader);
            // MOVZ x2, #x10; RET
            a.lsl(X11, X10, 5);
            a.mov_imm(X12, 0xd65f_03c0_d280_0002);
            a.orr(X11, X11, X12, 0);
            a.str(X11, Addr::Off(X5, 0));
            a.dc_cvau(X5);
            a.dsb(Barrier::Ish);
            a.ic_ivau(X5);
            a.dsb(Barrier::Ish);
            a.stlr(X10, X6);
            // Wait for the three others.
            a.mov_imm(X13, CPUS - 1);
            a.mul(X13, X13, X10);
            let wait = a.here();
            a.ldar(X14, X7);
            a.cmp(X14, X13);
            a.b_cond(Cond::Lo, wait);
            a.b(over);
            a.bind(reader);
            // Call meanwhile, so that the page is translated while it changes.
            let call = a.here();
            a.ldar(X14, X6);
            a.cbz(X14, call);
            a.isb();
            a.blr(X5);
            a.ldar(X14, X6);
            a.cmp(X14, X10);
            a.b_cond(Cond::Lo, call);
            a.isb();
            let until = a.here();
            a.blr(X5);
            a.cmp(X2, X10);
            a.b_cond(Cond::Lo, until);
            a.movz(X11, 1, 0);
            a.ldaddal(X11, X12, X7);
            a.bind(over);
            a.add_imm(X10, X10, 1);
            a.cmp_imm(X10, 150);
            a.b_cond(Cond::Lo, again);
        });
    });
    both("new-code", &image);
}

#[test]
fn the_same_cpu_on_and_off() {
    let image = assemble(Handler::Skip, |a, f| {
        let (entry, loop_) = (a.label(), a.label());
        // The secondary CPUs turn themselves off as soon as they are on; the first one turns them on all the time, also twice at once.
        a.b(loop_);
        a.bind(entry);
        call(a, 0x8400_0002);
        let stay = a.here();
        a.b(stay);
        a.bind(loop_);
        repeat(a, X10, 3000, |a| {
            for n in [1, 2, 3, 1, 3, 0, 7, 0x1_0000] {
                a.cpu_on(n, entry);
            }
            a.mov_imm(X1, 2);
            a.mov(X2, XZR);
            call(a, 0xc400_0004);
        });
        a.b(f.end);
    });
    both("on-off", &image);
}

#[test]
fn everybody_turns_the_machine_off() {
    let image = assemble(Handler::Skip, |a, f| {
        on_all(a, f, |_| ());
        a.b(f.end);
    });
    for _ in 0..5 {
        both_expecting("off", &image, Expect::OffTogether);
    }
    // All CPUs reset and power off at the same moment, whoever comes first.
    let image = assemble(Handler::Skip, |a, f| {
        let entry = a.label();
        for n in 1..CPUS {
            a.cpu_on(n, entry);
        }
        a.bind(entry);
        a.mov_imm(X9, SCRATCH);
        a.movz(X1, 1, 0);
        a.ldaddal(X1, X2, X9);
        a.cmp_imm(X2, 200);
        a.b_cond(Cond::Hs, f.end);
        call(a, SYSTEM_RESET);
        a.b(f.end);
    });
    attack("reset-race", &image, How { cpus: CPUS as u32, ..How::default() }, Expect::OffTogether);
}

#[test]
fn atomics_and_exclusives_on_one_word() {
    // 4 CPUs add to one word by atomics and by exclusives, at a misaligned place across 16 bytes too, which must not fault into a loop.
    let image = assemble(Handler::Skip, |a, f| {
        on_all(a, f, |a| {
            a.mov_imm(X5, SCRATCH + 0x30_0000);
            a.movz(X6, 1, 0);
            repeat(a, X10, 5_000, |a| {
                a.ldaddal(X6, X7, X5);
                let again = a.here();
                a.ldaxr(X7, X5);
                a.add_imm(X7, X7, 1);
                a.stlxr(W8, X7, X5);
                a.cbnz(W8, again);
                a.add_imm(X9, X5, 13);
                a.ldaddal(X6, X7, X9);
                a.ldxr(X7, X9);
                a.stxr(W8, X7, X9);
                a.sev();
                a.wfe();
            });
        });
        a.mov_imm(X5, SCRATCH + 0x30_0000);
        a.ldr(W6, Addr::Off(X5, 0));
        a.mov_imm(X7, CPUS * 10_000);
        let wrong = a.here();
        a.cmp(X6, X7);
        a.b_cond(Cond::Ne, wrong);
    });
    both("atomics", &image);
}
