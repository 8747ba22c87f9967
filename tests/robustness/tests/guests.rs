//! Guests that do one bad thing each, on one CPU.

use emu_a64_asm::*;
use emu_test_robustness::guest::*;
use emu_test_robustness::{Expect, How, attack};

/// Free RAM for the guest's tables and data.
const SCRATCH: u64 = RAM + (16 << 20);
const RAM_END: u64 = RAM + (32 << 20);

fn off(name: &str, image: &[u8]) {
    attack(name, image, How::default(), Expect::Off);
}

fn forever(name: &str, image: &[u8]) {
    attack(name, image, How { limit_s: 1, ..How::default() }, Expect::Timeout);
    // Deterministic execution has a loop of its own.
    attack(&format!("{name}-icount"), image, How { limit_s: 1, more: &["-icount", "shift=0"], ..How::default() }, Expect::Timeout);
}

/// Places where no instruction can be.
fn nowhere() -> Vec<u64> {
    let mut all = vec![
        0x0000_0000_0bad_0000,
        0x0000_00ff_ffff_f000,
        0x0000_ffff_ffff_fffc,
        0x0001_0000_0000_0000,
        0x00ff_ffff_ffff_fff0,
        0x8000_0000_0000_0000,
        0xffff_0000_0000_0000,
        0xffff_ffff_ffff_fffc,
        0xff00_0000_4020_0000,
        BASE + 1,
        BASE + 2,
        BASE + 3,
        RAM_END,
        RAM_END - 1,
        RAM - 4,
        u64::MAX,
        // Devices: flash, distributor, redistributor, UART, clock, fw_cfg, GPIO, virtio.
        0x0000_1000,
        0x0800_0000,
        0x080a_0000,
        UART,
        // Not the clock's first register: as an instruction the time of day is another one each second.
        0x0901_0004,
        0x0902_0000,
        0x0902_0014,
        0x0903_0000,
        0x0a00_0000,
        0x0a00_01fe,
    ];
    all.extend((0..64).map(|bit| 1 << bit));
    all
}

fn jump_everywhere(a: &mut Asm) {
    for target in nowhere() {
        let next = a.label();
        a.adr(X30, next);
        a.mov_imm(X9, target);
        a.br(X9);
        a.bind(next);
        // The same by ERET, which also has a PSTATE.
        let next = a.label();
        a.adr(X30, next);
        a.msr(SysReg::ELR_EL1, X9);
        a.mov_imm(X10, EL1H_MASKED);
        a.msr(SysReg::SPSR_EL1, X10);
        a.eret();
        a.bind(next);
    }
}

#[test]
fn jumps_to_nowhere() {
    let image = assemble(Handler::Link, |a, _| jump_everywhere(a));
    off("jumps", &image);
    attack("jumps-icount", &image, How { more: &["-icount", "shift=0"], ..How::default() }, Expect::Off);
    off(
        "jumps-mmu",
        &assemble(Handler::Link, |a, _| {
            mmu_on(a, SCRATCH);
            jump_everywhere(a);
        }),
    );
}

#[test]
fn exception_returns_to_impossible_states() {
    off(
        "eret",
        &assemble(Handler::Link, |a, _| {
            for i in 0..1024u64 {
                let next = a.label();
                a.adr(X30, next);
                a.load_address(X9, next);
                a.msr(SysReg::ELR_EL1, X9);
                // M[4:0] and the bits around it in the lower half; every bit above it in turn.
                a.mov_imm(X10, (i & 31) | 1 << (i / 32 % 32) | 0x3c0);
                a.msr(SysReg::SPSR_EL1, X10);
                a.eret();
                a.bind(next);
                // EL0 cannot go on by itself: the handler brings it back behind the UDF.
                let next = a.label();
                a.adr(X30, next);
                a.udf(0);
                a.bind(next);
            }
        }),
    );
}

#[test]
fn vectors_to_nowhere() {
    for (n, target) in [0x0bad_0000u64, 0xffff_ffff_ffff_f800, 0x0001_0000_0000_0000, UART & !0x7ff, RAM_END - 0x800, 0x1000].into_iter().enumerate()
    {
        let image = assemble(Handler::Skip, |a, _| {
            a.mov_imm(X0, target);
            a.msr(SysReg::VBAR_EL1, X0);
            a.isb();
            a.udf(0);
        });
        if n < 2 {
            forever(&format!("vbar-{n}"), &image);
        } else {
            attack(&format!("vbar-{n}"), &image, How { limit_s: 1, ..How::default() }, Expect::Timeout);
        }
    }
}

#[test]
fn another_cpu_goes_on_beside_an_exception_loop() {
    // Under -icount CPUs take turns by instructions, so faults must count as such.
    let image = assemble(Handler::Skip, |a, f| {
        let second = a.label();
        a.cpu_on(1, second);
        a.mov_imm(X0, 0x0bad_0000);
        a.msr(SysReg::VBAR_EL1, X0);
        a.isb();
        a.udf(0);
        a.bind(second);
        a.mov_imm(X1, 100_000);
        let again = a.here();
        a.subs_imm(X1, X1, 1);
        a.b_cond(Cond::Ne, again);
        a.b(f.end);
    });
    for more in [&["-icount", "shift=0"][..], &[]] {
        attack("vbar-beside", &image, How { cpus: 2, more, ..How::default() }, Expect::Off);
    }
}

#[test]
fn waits_with_everything_masked() {
    forever(
        "wfi",
        &assemble(Handler::Skip, |a, _| {
            let again = a.here();
            a.wfi();
            a.b(again);
        }),
    );
    forever(
        "wfe",
        &assemble(Handler::Skip, |a, _| {
            let again = a.here();
            a.wfe();
            a.yield_();
            a.b(again);
        }),
    );
}

#[test]
fn endless_loops() {
    forever(
        "spin",
        &assemble(Handler::Skip, |a, _| {
            let again = a.here();
            a.b(again);
        }),
    );
    // Recursion until the stack has run through all of RAM and off its end.
    off(
        "recursion",
        &assemble(Handler::Own, |a, f| {
            // It ends below RAM, and does not pass over the program.
            a.mov_imm(X0, RAM + (1 << 20));
            a.mov_sp(SP, X0);
            let again = a.label();
            a.bind(again);
            a.stp(X29, X30, Addr::Pre(SP, -512));
            a.add_imm(X1, X1, 1);
            a.cmp_imm(X1, 0x4_0000);
            a.b_cond(Cond::Eq, f.end);
            a.bl(again);
            a.bind(f.trap);
            a.b(f.end);
        }),
    );
    forever(
        "svc",
        &assemble(Handler::Own, |a, f| {
            a.svc(0);
            a.bind(f.trap);
            a.svc(1);
            a.b(f.trap);
        }),
    );
    // Each exception returns to what raises it.
    forever(
        "eret-loop",
        &assemble(Handler::Own, |a, f| {
            let again = a.here();
            a.svc(7);
            a.b(again);
            a.bind(f.trap);
            a.eret();
        }),
    );
}

/// Loads and stores of all sizes at x9, exclusives and atomics among them.
fn every_access(a: &mut Asm) {
    let at = Addr::Off(X9, 0);
    a.ldrb(W0, at);
    a.ldrh(W0, at);
    a.ldr(W0, at);
    a.ldr(X0, at);
    a.ldp(X0, X1, at);
    a.ldr_q(VReg(0), at);
    a.ldp_q(VReg(0), VReg(1), at);
    a.strb(W0, at);
    a.strh(W0, at);
    a.str(W0, at);
    a.str(X0, at);
    a.stp(X0, X1, at);
    a.str_q(VReg(0), at);
    a.stp_q(VReg(0), VReg(1), at);
    a.ldar(X0, X9);
    a.stlr(X0, X9);
    a.ldxr(X0, X9);
    a.stxr(W1, X0, X9);
    a.ldaxr(W0, X9);
    a.stlxr(W1, W0, X9);
    a.ldaddal(X0, X1, X9);
    a.ldaddal(W0, W1, X9);
    // LDXP, STXP; CASPAL x0, x1, x2, x3; CASB; SWPAH; LDAPR; LDAPUR.
    for word in [0xc87f_0520, 0xc821_0d20, 0x4860_fd22, 0x08a0_7d21, 0x78a0_8121, 0xf8bf_c120, 0xd940_1120] {
        a.word(word);
    }
    // LD1 and ST4 of four registers; LDNP; PRFM; DC ZVA.
    for word in [0x4c40_2120, 0x4c00_0120, 0x6c40_0520, 0xf980_0120] {
        a.word(word);
    }
    a.dc_zva(X9);
    a.dc_civac(X9);
    a.ic_ivau(X9);
    for at in [Asm::at_s1e1r, Asm::at_s1e1w, Asm::at_s1e0r, Asm::at_s1e0w] {
        at(a, X9);
    }
}

/// Sets the floating-point unit's traps off.
fn fp_on(a: &mut Asm) {
    a.mov_imm(X0, 3 << 20);
    a.msr(SysReg::CPACR_EL1, X0);
    a.isb();
}

#[test]
fn accesses_to_nothing_and_across_ends() {
    for mmu in [false, true] {
        let image = assemble(Handler::Skip, |a, _| {
            fp_on(a);
            if mmu {
                mmu_on(a, SCRATCH);
            }
            let places = nowhere().into_iter().chain((1..40).flat_map(|n| [RAM_END - n, RAM - n, 0x0902_0018 - n.min(24), UART + 0x1000 - n]));
            for at in places {
                a.mov_imm(X9, at);
                every_access(a);
            }
            // Normal memory at all distances from the end of a page.
            for n in 0..64 {
                a.mov_imm(X9, SCRATCH + 0x2000 - n);
                every_access(a);
            }
        });
        off(if mmu { "accesses-mmu" } else { "accesses" }, &image);
    }
}

#[test]
fn hammering_nothing() {
    off(
        "unmapped",
        &assemble(Handler::Skip, |a, _| {
            fp_on(a);
            a.mov_imm(X9, 0x0c00_0000);
            repeat(a, X20, 20_000, |a| {
                every_access(a);
                a.add_imm(X9, X9, 0x7);
            });
        }),
    );
}

#[test]
fn code_at_the_end_of_memory() {
    off(
        "last-word",
        &assemble(Handler::Link, |a, _| {
            // NOPs up to the last word of RAM, with the MMU off and on: the fetch behind it finds nothing.
            for mmu in [false, true] {
                if mmu {
                    mmu_on(a, SCRATCH);
                }
                for n in [1u64, 2, 70] {
                    a.mov_imm(X9, RAM_END - 4 * n);
                    a.mov_imm(W1, 0xd503_201f);
                    for i in 0..n as i32 {
                        a.str(W1, Addr::Off(X9, 4 * i));
                    }
                    a.ic_ialluis();
                    a.isb();
                    let next = a.label();
                    a.adr(X30, next);
                    a.br(X9);
                    a.bind(next);
                }
            }
        }),
    );
}

#[test]
fn code_that_rewrites_itself() {
    for maintained in [false, true] {
        let image = assemble(Handler::Skip, |a, _| {
            // ADD x2, x2, #imm12, rewritten in each turn; with the maintenance the architecture asks for the sum is exact.
            a.mov(X2, XZR);
            let site = a.label();
            a.load_address(X3, site);
            a.mov_imm(X4, 0x9100_0042);
            repeat(a, X5, 30_000, |a| {
                a.and_imm(X6, X5, 0xfff);
                a.lsl(X6, X6, 10);
                a.orr(X6, X6, X4, 0);
                a.str(W6, Addr::Off(X3, 0));
                if maintained {
                    a.dc_cvau(X3);
                    a.dsb(Barrier::Ish);
                    a.ic_ivau(X3);
                    a.dsb(Barrier::Ish);
                    a.isb();
                }
                a.bind(site);
                a.nop();
            });
            if maintained {
                let sum = (1..=30_000u64).map(|i| i & 0xfff).sum();
                a.mov_imm(X7, sum);
                a.cmp(X2, X7);
                let right = a.label();
                a.b_cond(Cond::Eq, right);
                let wrong = a.here();
                a.b(wrong);
                a.bind(right);
            }
        });
        off(if maintained { "rewrites-maintained" } else { "rewrites" }, &image);
    }
    // A new block at each address of a page, over and over.
    off(
        "rewrites-page",
        &assemble(Handler::Skip, |a, _| {
            a.mov_imm(X9, SCRATCH);
            a.mov_imm(X1, 0xd65f_03c0_d503_201f); // NOP, RET
            repeat(a, X5, 20_000, |a| {
                a.and_imm(X6, X5, 0x1ff);
                a.lsl(X6, X6, 3);
                a.add(X7, X9, X6, 0);
                a.str(X1, Addr::Off(X7, 0));
                a.ic_ivau(X7);
                a.blr(X7);
            });
        }),
    );
}

#[test]
fn psci_with_any_argument() {
    let image = assemble(Handler::Skip, |a, _| {
        let values = [0u64, 1, 2, 3, 4, 7, 8, 0xff, 0x100, 0x1_0000, 0x1_0000_0000, 0x8000_0000, u64::MAX, BASE, BASE + 1, !3];
        // All functions but those that end the run or this CPU.
        for id in (0..0x20u64).filter(|id| !matches!(id, 2 | 8 | 9 | 0x12)) {
            for (n, v) in values.into_iter().enumerate() {
                for wide in [0x8400_0000u64, 0xc400_0000] {
                    a.mov_imm(X1, v);
                    a.mov_imm(X2, values[(n + 3) % values.len()]);
                    a.mov_imm(X3, values[(n + 7) % values.len()]);
                    call(a, wide | id);
                }
            }
        }
        for v in values {
            call(a, v);
            a.smc(v as u16);
            a.mov_imm(X0, v);
            a.hvc(v as u16 | 1);
        }
    });
    // CPUs that this turns on begin anywhere with vectors at 0: they go round in the flash.
    attack("psci", &image, How { cpus: 4, ..How::default() }, Expect::Off);
    attack("psci-icount", &image, How { cpus: 4, more: &["-icount", "shift=0"], ..How::default() }, Expect::Off);
}

#[test]
fn resets_again_and_again() {
    let image = assemble(Handler::Skip, |a, f| {
        // RAM keeps its contents over a reset: count there.
        a.mov_imm(X9, SCRATCH);
        a.ldr(X1, Addr::Off(X9, 0));
        a.add_imm(X1, X1, 1);
        a.str(X1, Addr::Off(X9, 0));
        a.cmp_imm(X1, 40);
        a.b_cond(Cond::Hs, f.end);
        let spin = a.label();
        for n in 1..4 {
            a.cpu_on(n, spin);
        }
        call(a, SYSTEM_RESET);
        a.bind(spin);
        let again = a.here();
        a.tlbi_vmalle1is();
        a.dsb(Barrier::Ish);
        a.b(again);
    });
    attack("resets", &image, How { cpus: 4, ..How::default() }, Expect::Off);
    attack("resets-icount", &image, How { cpus: 4, more: &["-icount", "shift=0"], ..How::default() }, Expect::Off);
}

/// Turns the interrupt controller on for the timers' private interrupts, 27 and 30.
fn gic_on(a: &mut Asm) {
    for (at, value) in [
        (0x0800_0000u64, 0x12u64), // GICD_CTLR: EnableGrp1, ARE
        (0x080a_0014, 0),          // GICR_WAKER
        (0x080b_0080, 0xffff_ffff),
        (0x080b_0100, 0xffff_ffff),
    ] {
        a.mov_imm(X0, at);
        a.mov_imm(X1, value);
        a.str(W1, Addr::Off(X0, 0));
    }
    a.movz(X0, 1, 0);
    a.msr(SysReg::ICC_SRE_EL1, X0);
    a.msr(SysReg::ICC_IGRPEN1_EL1, X0);
    a.movz(X0, 0xff, 0);
    a.msr(SysReg::ICC_PMR_EL1, X0);
    a.isb();
}

#[test]
fn timers_at_their_extremes() {
    let image = assemble(Handler::Own, |a, f| {
        let over = a.label();
        a.b(over);
        // An interrupt is taken, acknowledged and ended, but its cause stays; the return masks interrupts at every other time.
        a.bind(f.trap);
        a.mrs(X20, SysReg::ICC_IAR1_EL1);
        a.msr(SysReg::ICC_EOIR1_EL1, X20);
        a.add_imm(X27, X27, 1);
        a.mrs(X20, SysReg::SPSR_EL1);
        a.eor_imm(X20, X20, 0x80);
        a.msr(SysReg::SPSR_EL1, X20);
        a.eret();
        a.bind(over);
        gic_on(a);
        let timers = [
            (SysReg::CNTP_CTL_EL0, SysReg::CNTP_CVAL_EL0, SysReg::CNTP_TVAL_EL0),
            (SysReg::CNTV_CTL_EL0, SysReg::CNTV_CVAL_EL0, SysReg::CNTV_TVAL_EL0),
        ];
        repeat(a, X10, 20, |a| {
            for (ctl, cval, tval) in timers {
                for value in [0u64, 1, u64::MAX, u64::MAX - 1, 1 << 63, i64::MAX as u64, 1 << 62, 1 << 32, 0xffff_ffff, 0x7fff_ffff, 0x8000_0000] {
                    a.mov_imm(X1, value);
                    for (register, control) in [(cval, 1), (tval, 1), (cval, 3), (tval, 7), (cval, 0)] {
                        a.movz(X2, control, 0);
                        a.msr(register, X1);
                        a.msr(ctl, X2);
                        a.msr_imm(PState::DaifClr, 15);
                        a.isb();
                        a.mrs(X3, ctl);
                        a.mrs(X3, tval);
                        a.msr_imm(PState::DaifSet, 15);
                    }
                }
                a.msr(ctl, XZR);
            }
        });
        // A wait for a timer that never comes would not end; this one has come already.
        a.movz(X2, 1, 0);
        a.msr(SysReg::CNTV_CVAL_EL0, XZR);
        a.msr(SysReg::CNTV_CTL_EL0, X2);
        a.wfi();
        a.msr(SysReg::CNTV_CTL_EL0, XZR);
    });
    off("timers", &image);
    for shift in ["shift=0", "shift=10"] {
        attack("timers-icount", &image, How { more: &["-icount", shift], ..How::default() }, Expect::Off);
    }
    // The end of time is where nothing can run before it.
    forever(
        "timers-end",
        &assemble(Handler::Skip, |a, _| {
            a.mov_imm(X1, u64::MAX - 1);
            a.movz(X2, 1, 0);
            for (ctl, cval) in [(SysReg::CNTP_CTL_EL0, SysReg::CNTP_CVAL_EL0), (SysReg::CNTV_CTL_EL0, SysReg::CNTV_CVAL_EL0)] {
                a.msr(cval, X1);
                a.msr(ctl, X2);
                a.mov_imm(X1, 0x0400_0000_0000_0000);
            }
            let again = a.here();
            a.wfi();
            a.b(again);
        }),
    );
}

#[test]
fn input_that_nobody_reads() {
    let image = assemble(Handler::Skip, |a, _| {
        let again = a.here();
        a.b(again);
    });
    attack("input", &image, How { limit_s: 1, stdin: "/dev/zero", ..How::default() }, Expect::Timeout);
    attack("input-icount", &image, How { limit_s: 1, stdin: "/dev/zero", more: &["-icount", "shift=0"], ..How::default() }, Expect::Timeout);
}

#[test]
fn an_interrupt_that_never_goes_away() {
    // The handler returns at once to where the same interrupt is taken again.
    forever(
        "interrupt-storm",
        &assemble(Handler::Own, |a, f| {
            gic_on(a);
            a.movz(X2, 1, 0);
            a.msr(SysReg::CNTV_CVAL_EL0, XZR);
            a.msr(SysReg::CNTV_CTL_EL0, X2);
            a.msr_imm(PState::DaifClr, 15);
            let again = a.here();
            a.b(again);
            a.bind(f.trap);
            a.eret();
        }),
    );
}
