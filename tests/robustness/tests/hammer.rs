//! Guests made of chance: devices, system registers, page tables and instruction words. `EMU_SEED` replays a run.

use emu_a64_asm::*;
use emu_test_kit::Rng;
use emu_test_robustness::guest::*;
use emu_test_robustness::words::random_word;
use emu_test_robustness::{Expect, How, attack};

const SCRATCH: u64 = RAM + (16 << 20);
const RAM_MIB: u64 = 32;
const RAM_END: u64 = RAM + (RAM_MIB << 20);

/// A value that means something to many registers, or just any.
fn value(rng: &mut Rng) -> u64 {
    match rng.below(10) {
        0 => 0,
        1 => u64::MAX,
        2 => 1 << rng.below(64),
        3 => !(1 << rng.below(64)),
        4 => rng.below(256),
        5 => RAM + rng.below(RAM_MIB << 20),
        6 => rng.below(RAM),
        _ => rng.u64(),
    }
}

/// A load or store of x1 at x9, of one to eight bytes.
fn access(a: &mut Asm, rng: &mut Rng) {
    let at = Addr::Off(X9, 0);
    match rng.below(8) {
        0 => a.ldrb(W2, at),
        1 => a.ldrh(W2, at),
        2 => a.ldr(W2, at),
        3 => a.ldr(X2, at),
        4 => a.strb(W1, at),
        5 => a.strh(W1, at),
        6 => a.str(W1, at),
        _ => a.str(X1, at),
    }
}

/// Windows of the board's devices, and how often each is chosen.
const DEVICES: [(&str, u64, u64); 9] = [
    ("flash", 0, 0x800_0000),
    ("distributor", 0x0800_0000, 0x1_0000),
    ("redistributors", 0x080a_0000, 0xf6_0000),
    ("first redistributor", 0x080a_0000, 0x2_0000),
    ("uart", UART, 0x1000),
    ("rtc", 0x0901_0000, 0x1000),
    ("fw_cfg", 0x0902_0000, 0x18),
    ("gpio", 0x0903_0000, 0x1000),
    ("virtio", 0x0a00_0000, 0x4000),
];

#[test]
fn device_registers() {
    let mut rng = Rng::announced("device_registers");
    for cpus in [1, 2] {
        let image = assemble(Handler::Skip, |a, _| {
            mmu_on(a, SCRATCH);
            for _ in 0..60_000 {
                let (_, base, size) = *rng.pick(&DEVICES);
                let within = if rng.one_in(2) { size.min(0x100) } else { size };
                let mut at = base + rng.below(within);
                if !rng.one_in(4) {
                    at &= !7;
                }
                a.mov_imm(X9, at);
                a.mov_imm(X1, value(&mut rng));
                access(a, &mut rng);
            }
            // Flash commands where they mean most: a few per sector.
            for _ in 0..4000 {
                let commands = [0x90u64, 0x98, 0x70, 0x50, 0x10, 0x40, 0xe8, 0x20, 0x60, 0xd0, 0xff, 0x01, 0];
                a.mov_imm(X9, rng.below(0x800_0000) & !3);
                a.mov_imm(X1, *rng.pick(&commands) * 0x1_0001);
                a.str(W1, Addr::Off(X9, 0));
                if rng.one_in(4) {
                    a.ldr(X2, Addr::Off(X9, 0));
                }
            }
        });
        attack("devices", &image, How { cpus, ram_mib: RAM_MIB, ..How::default() }, Expect::Off);
    }
}

#[test]
fn firmware_configuration_dma() {
    let mut rng = Rng::announced("firmware_configuration_dma");
    let image = assemble(Handler::Skip, |a, _| {
        for i in 0..4000u64 {
            let descriptor = SCRATCH + 16 * (i % 64);
            // Control, length, address, each big-endian: anything into RAM, devices, itself and nothing.
            let key = *rng.pick(&[0u64, 1, 5, 0x19, 0x20, 0x4001, 0xffff]);
            let control = key << 16 | rng.below(32);
            let length = match rng.below(5) {
                0 => 0xffff_ffff,
                1 => rng.below(1 << 20),
                _ => rng.below(64),
            };
            let address = match rng.below(6) {
                0 => 0x0902_0000 + rng.below(0x20),
                1 => rng.pick(&DEVICES).1 + rng.below(0x1000),
                2 => RAM_END - rng.below(64),
                3 => descriptor,
                4 => value(&mut rng),
                // Not over the program.
                _ => SCRATCH + 0x1000 + rng.below(0x1000),
            };
            if (RAM..SCRATCH).contains(&(address.wrapping_add(length).min(SCRATCH - 1))) || (RAM..SCRATCH).contains(&address) {
                continue;
            }
            a.mov_imm(X9, descriptor);
            a.mov_imm(X1, control.swap_bytes() >> 32 | length.swap_bytes() & !0xffff_ffff);
            a.str(X1, Addr::Off(X9, 0));
            a.mov_imm(X1, address.swap_bytes());
            a.str(X1, Addr::Off(X9, 8));
            let place = if rng.one_in(8) { value(&mut rng) } else { descriptor };
            a.mov_imm(X9, 0x0902_0010);
            a.mov_imm(X1, place.swap_bytes());
            a.str(X1, Addr::Off(X9, 0));
        }
    });
    attack("fw_cfg-dma", &image, How { ram_mib: RAM_MIB, ..How::default() }, Expect::Off);
}

/// Registers whose change ends the program's own world: where code, tables and vectors are.
fn keeps_the_world(op0: u32, op1: u32, crn: u32, crm: u32, op2: u32) -> bool {
    !matches!(
        (op0, op1, crn, crm, op2),
        // SCTLR_EL1, SCTLR2_EL1, TTBRn_EL1, TCR_EL1, TCR2_EL1, VBAR_EL1.
        (3, 0, 1, 0, 0 | 3) | (3, 0, 2, 0, 0..=3) | (3, 0, 12, 0, 0)
    )
}

#[test]
fn system_registers() {
    let mut rng = Rng::announced("system_registers");
    for at_el0 in [false, true] {
        let image = assemble(Handler::Own, |a, f| {
            mmu_on(a, SCRATCH);
            let over = a.label();
            a.b(over);
            a.bind(f.trap);
            a.mrs(X28, SysReg::ELR_EL1);
            // BRK 0xbad is the program's end.
            a.mrs(X27, SysReg::ESR_EL1);
            a.mov_imm(X26, 0xf200_0bad);
            a.cmp(X27, X26);
            a.b_cond(Cond::Eq, f.end);
            a.add_imm(X28, X28, 4);
            a.msr(SysReg::ELR_EL1, X28);
            a.mov_imm(X28, if at_el0 { 0x3c0 } else { EL1H_MASKED });
            a.msr(SysReg::SPSR_EL1, X28);
            a.eret();
            a.bind(over);
            if at_el0 {
                let el0 = a.label();
                a.load_address(X0, el0);
                // EL0 sees RAM 4 GiB up.
                a.mov_imm(X1, 1 << 32);
                a.add(X0, X0, X1, 0);
                a.msr(SysReg::ELR_EL1, X0);
                a.mov_imm(X1, 0x3c0);
                a.msr(SysReg::SPSR_EL1, X1);
                a.eret();
                a.bind(el0);
            }
            for field in 0..1u32 << 16 {
                let (op0, op1, crn, crm, op2) = (field >> 14, field >> 11 & 7, field >> 7 & 15, field >> 3 & 15, field & 7);
                if !keeps_the_world(op0, op1, crn, crm, op2) {
                    continue;
                }
                let direct = 0xd500_0000 | field << 5;
                // PSTATE fields and hints with Rt = 31 (WFI and WFE among them), SYS, and registers with a value and back.
                a.mov_imm(X1, value(&mut rng));
                if op0 == 0 {
                    let is_wait = op1 == 3 && crn == 2 && crm == 0 && op2 == 3;
                    if !is_wait {
                        a.word(direct | 31);
                    }
                    continue;
                }
                a.word(direct | 1);
                a.word(direct | 1 << 21 | 2);
            }
            a.brk(0xbad);
        });
        attack(if at_el0 { "sysregs-el0" } else { "sysregs-el1" }, &image, How { ram_mib: RAM_MIB, ..How::default() }, Expect::Off);
    }
}

#[test]
fn page_tables() {
    let mut rng = Rng::announced("page_tables");
    // The program tries a regime, touches memory, and comes back by its handler: fetches fail too, for the program is not mapped by what is
    // random. So it runs in the upper half, which TTBR1 maps by good tables, and the lower half is what is tried.
    const UP: u64 = 0xffff_ff80_0000_0000;
    let mut ended = 0;
    const RUNS: usize = 8;
    for _ in 0..RUNS {
        let image = assemble(Handler::Skip, |a, f| {
            mmu_on(a, SCRATCH);
            // The same 1 GiB blocks for both halves; T1SZ 25, TG1 4 KiB.
            a.mov_imm(X0, SCRATCH);
            a.msr(SysReg::TTBR1_EL1, X0);
            const HIGH: u64 = 25 << 16 | 2 << 30 | 2 << 32;
            a.mov_imm(X1, HIGH | 25);
            a.msr(SysReg::TCR_EL1, X1);
            a.isb();
            let up = a.label();
            a.load_address(X0, up);
            a.mov_imm(X1, UP);
            a.orr(X0, X0, X1, 0);
            a.br(X0);
            a.bind(up);
            set_vectors(a, f.vectors);
            let tables = SCRATCH + 0x10_0000;
            for i in 0..600u64 {
                // Tables of 64 KiB in each of three kinds: noise, descriptors that point to tables and to themselves, and devices.
                let kind = rng.below(4);
                a.mov_imm(X9, UP | tables);
                let fill = rng.u64();
                let low = match kind {
                    // Table descriptors to the same table: every level finds itself.
                    0 => tables | 3,
                    // Blocks and pages, contiguous or reserved, anywhere.
                    1 => value(&mut rng) & 0x0000_ffff_ffff_f000 | rng.below(4) | 1 << 10 | rng.below(2) << 52,
                    2 => rng.pick(&[0x0800_0000u64, UART, 0x0902_0000, 0, 0x0bad_0000, RAM_END, 0x000f_ffff_ffff_0000]) | 3,
                    _ => fill,
                };
                a.mov_imm(X1, low);
                a.mov_imm(X2, if kind == 3 { rng.u64() | 1 } else { 0 });
                repeat(a, X3, 128, |a| {
                    a.str(X1, Addr::Post(X9, 8));
                    a.mul(X1, X1, X2);
                    a.mov_imm(X4, low);
                    a.cmp(X2, XZR);
                    a.csel(X1, X4, X1, Cond::Eq);
                });
                let ttbr = match rng.below(8) {
                    0 => rng.u64(),
                    1 => rng.pick(&DEVICES).1,
                    2 => RAM_END - 8,
                    _ => tables | rng.below(2),
                };
                let size = i % 64;
                // TG0 with its reserved value, HA, HD, DS, HPD, EPD0 now and then, any IPS.
                let noise = rng.u64() & (1 << 39 | 1 << 40 | 1 << 41 | 1 << 59 | 1 << 36 | 1 << 37 | 1 << 51 | 0x3f00);
                let tcr = HIGH & !(7 << 32) | rng.below(8).max(2) << 32 | size | rng.below(4) << 14 | noise | u64::from(rng.one_in(16)) << 7;
                a.mov_imm(X1, ttbr);
                a.msr(SysReg::TTBR0_EL1, X1);
                a.mov_imm(X1, tcr);
                a.msr(SysReg::TCR_EL1, X1);
                a.isb();
                a.tlbi_vmalle1();
                a.dsb(Barrier::Sy);
                for _ in 0..6 {
                    let at = match rng.below(4) {
                        0 => rng.below(1 << 48),
                        1 => 1 << rng.below(56),
                        2 => rng.u64() >> 8 >> rng.below(48),
                        _ => (1u64 << (64 - size.clamp(9, 60))).wrapping_sub(1 + rng.below(16)),
                    };
                    // Not the program's own memory: a good translation to it may come out of noise.
                    a.mov_imm(X9, at & !(1 << 55));
                    a.ldr(X2, Addr::Off(X9, 0));
                    a.ldp(X2, X3, Addr::Off(X9, 8));
                    a.at_s1e1w(X9);
                    a.at_s1e0r(X9);
                    a.mrs(X2, SysReg::PAR_EL1);
                    a.ldxr(X2, X9);
                    if kind != 1 && kind != 3 {
                        a.str(X2, Addr::Off(X9, 0));
                        a.ldaddal(X2, X3, X9);
                    }
                    a.lsr(X4, X9, 12);
                    a.tlbi_vae1is(X4);
                }
            }
            // Down again, where the frame's end turns the MMU off.
            a.mov_imm(X1, SCRATCH);
            a.msr(SysReg::TTBR0_EL1, X1);
            a.mov_imm(X1, HIGH | 25);
            a.msr(SysReg::TCR_EL1, X1);
            a.isb();
            a.tlbi_vmalle1();
            a.dsb(Barrier::Sy);
            let end = f.end;
            let down = a.label();
            a.load_address(X0, down);
            a.movz(X1, 0xffff, 16);
            a.movk(X1, 0xffff, 0);
            a.and(X0, X0, X1, 0);
            a.br(X0);
            a.bind(down);
            a.b(end);
        });
        // Stores through noise can hit the program after all; then it goes on for ever.
        let done = attack("tables", &image, How { ram_mib: RAM_MIB, limit_s: 5, ..How::default() }, Expect::Any);
        ended += usize::from(done.code == Some(0));
    }
    assert!(ended * 2 >= RUNS, "only {ended} of {RUNS} runs came to their end");
}

#[test]
fn garbage_tables_under_the_program() {
    let mut rng = Rng::announced("garbage_tables");
    // The MMU goes on with tables of noise under the program itself: whatever comes, it comes by the vectors, in a loop.
    for i in 0..12 {
        let image = assemble(Handler::Skip, |a, _| {
            a.mov_imm(X9, SCRATCH);
            a.mov_imm(X1, rng.u64());
            a.mov_imm(X2, rng.u64() | 1);
            repeat(a, X3, 1 << 14, |a| {
                a.str(X1, Addr::Post(X9, 8));
                a.madd(X1, X1, X2, X2);
            });
            a.mov_imm(X1, if i == 0 { BASE } else { SCRATCH });
            a.msr(SysReg::TTBR0_EL1, X1);
            a.msr(SysReg::TTBR1_EL1, X1);
            a.mov_imm(X1, rng.u64());
            a.msr(SysReg::TCR_EL1, X1);
            a.mov_imm(X1, rng.u64());
            a.msr(SysReg::MAIR_EL1, X1);
            a.mov_imm(X1, rng.u64() | 1);
            a.msr(SysReg::SCTLR_EL1, X1);
            a.isb();
            a.tlbi_vmalle1();
            a.dsb(Barrier::Sy);
        });
        attack("garbage-tables", &image, How { ram_mib: RAM_MIB, limit_s: 1, ..How::default() }, Expect::Any);
    }
}

/// Every word of a list is executed once as the first of a run. Whatever exception ends the run, the handler goes on with the next word:
/// its place is kept in memory, and all registers are set anew from a table.
fn run_words(words: &[u32], registers: &[u64; 31], el0: bool) -> Vec<u8> {
    // What the handler keeps: the next word, the end of the list, the registers.
    const STATE: u64 = SCRATCH + 0x8000;
    let up: u64 = if el0 { 1 << 32 } else { 0 };
    assemble(Handler::Own, |a, f| {
        let (list, end) = (a.label(), a.label());
        a.mov_imm(X0, 3 << 20);
        a.msr(SysReg::CPACR_EL1, X0);
        mmu_on(a, SCRATCH);
        a.mov_imm(X0, STATE);
        a.load_address(X1, list);
        a.load_address(X2, end);
        a.stp(X1, X2, Addr::Off(X0, 0));
        for (n, value) in registers.iter().enumerate() {
            a.mov_imm(X1, *value);
            a.str(X1, Addr::Off(X0, 16 + 8 * n as i32));
        }
        a.bind(f.trap);
        a.mov_imm(X0, STATE);
        a.ldp(X1, X2, Addr::Off(X0, 0));
        a.cmp(X1, X2);
        a.b_cond(Cond::Hs, f.end);
        a.add_imm(X3, X1, 4);
        a.str(X3, Addr::Off(X0, 0));
        a.mov_imm(X2, up);
        a.add(X1, X1, X2, 0);
        a.msr(SysReg::ELR_EL1, X1);
        a.mov_imm(X1, if el0 { 0x3c0 } else { EL1H_MASKED });
        a.msr(SysReg::SPSR_EL1, X1);
        a.ldr(X1, Addr::Off(X0, 16));
        a.mov_sp(SP, X1);
        a.msr(SysReg::SP_EL0, X1);
        for n in (2..30u8).step_by(2) {
            a.ldp(Reg::x(n), Reg::x(n + 1), Addr::Off(X0, 16 + i32::from(n) * 8));
        }
        a.ldr(X30, Addr::Off(X0, 16 + 240));
        a.ldr(X1, Addr::Off(X0, 16 + 8));
        a.ldr(X0, Addr::Off(X0, 16));
        a.eret();
        a.align(0x1000);
        a.bind(list);
        for w in words {
            a.word(*w);
        }
        a.bind(end);
        a.udf(0);
    })
}

#[test]
fn random_instruction_words() {
    let mut rng = Rng::announced("random_instruction_words");
    let mut ended = 0;
    const RUNS: usize = 8;
    for n in 0..RUNS {
        let el0 = n % 2 == 1;
        let words: Vec<u32> = (0..125_000).map(|_| random_word(&mut rng)).collect();
        // Half of the registers point into RAM far behind the program, where EL0 may go.
        let up = if el0 { 1 << 32 } else { 0 };
        let registers = std::array::from_fn(|i| if i % 2 == 0 { up + SCRATCH + (4 << 20) + (rng.below(1 << 20) & !15) } else { value(&mut rng) });
        let image = run_words(&words, &registers, el0);
        let more = if n < 6 { &["-cpu", "max"] } else { &["-cpu", "cortex-a72"] };
        let done =
            attack(if el0 { "words-el0" } else { "words-el1" }, &image, How { ram_mib: RAM_MIB, limit_s: 10, more, ..How::default() }, Expect::Any);
        ended += usize::from(done.code == Some(0));
    }
    // A word now and then destroys the program; that all do it would be a mistake of the test.
    assert!(ended * 2 >= RUNS, "only {ended} of {RUNS} runs came to their end");
}
