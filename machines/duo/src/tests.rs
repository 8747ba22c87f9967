use super::*;
use emu_machine_devices::mailbox::spec::{DATA, ENABLE, cause};
use emu_machine_devices::mock::{MockHost, config};
use emu_plugins_api::{Slice, Str};

static ARM_INPUTS: [Str<'static>; 2] = [Str::new("irq"), Str::new("fiq")];
static ARM_OUTPUTS: [Str<'static>; 2] = [Str::new("timer-phys"), Str::new("timer-virt")];
static HART_INPUTS: [Str<'static>; 4] = [Str::new("msi"), Str::new("mti"), Str::new("mei"), Str::new("sei")];

fn clusters(cpus: u32) -> &'static [Cluster<'static>] {
    let one = |target, cpu, first, inputs: &'static [Str<'static>], outputs: &'static [Str<'static>]| Cluster {
        target: Str::new(target),
        cpu: Str::new(cpu),
        first,
        cpus,
        properties: Slice::new(&[]),
        inputs: Slice::new(inputs),
        outputs: Slice::new(outputs),
    };
    Box::leak(Box::new([one("aarch64", "max", 0, &ARM_INPUTS, &ARM_OUTPUTS), one("riscv64", "rv64", cpus, &HART_INPUTS, &[])]))
}

fn made(cpus: u32, ram: u64, options: &[(&str, &str)], images: &[(&str, &str)]) -> (&'static MockHost, Result<Duo, String>) {
    let (mock, host) = MockHost::new(2 * cpus);
    let config = MachineConfig { clusters: Slice::new(clusters(cpus)), ..config(2 * cpus, ram, options, images, &[]) };
    (mock, Duo::create(&config, host))
}

#[test]
fn nothing_overlaps() {
    for (i, a) in ROWS.iter().enumerate() {
        assert!(a.base + a.size <= RAM_BASE, "{a:?}");
        for b in &ROWS[i + 1..] {
            assert!(a.base + a.size <= b.base || b.base + b.size <= a.base, "{a:?} {b:?}");
        }
    }
}

#[test]
fn both_sides_start_where_their_programs_lie() {
    let (mock, duo) = made(2, 4 << 20, &[], &[]);
    duo.unwrap();
    let on: Vec<_> = mock.records().on.iter().map(|(cpu, (pc, arg))| (*cpu, *pc, *arg)).collect();
    assert_eq!(on, [(0, RAM_BASE, 0), (2, RISCV64_AT, 0), (3, RISCV64_AT, 1)], "the second Arm CPU waits for PSCI");
}

#[test]
fn the_mailbox_interrupts_each_side_by_its_own_controller() {
    let (mock, duo) = made(1, 4 << 20, &[], &[]);
    let duo = duo.unwrap();
    let (arm, hart) = (MAILBOX.base, MAILBOX.base + WINDOW);
    let line = |cpu, input| mock.records().lines.get(&(cpu, input)).copied().unwrap_or(false);
    // The harts' side: priority, enable bit of context 0.
    for (at, value) in [(PLIC.base + 4, 1), (PLIC.base + 0x2000, 1 << MAILBOX_SOURCE)] {
        assert!(mock.store(at, 4, value));
    }
    assert!(mock.store(hart + ENABLE, 4, cause::WORD.into()) && mock.store(arm + DATA, 8, 77));
    assert_eq!([line(1, 2), line(0, 0)], [true, false]);
    assert_eq!((mock.load(hart + DATA, 8), line(1, 2)), (Some(77), false));
    // The Arm side: group 1, enabled at the distributor, the redistributor awake, the interface on.
    for (at, value) in [(GICD.base, 0x12), (GICD.base + 0x84, 1), (GICD.base + 0x104, 1), (GICR.base + 0x14, 0)] {
        assert!(mock.store(at, 4, value), "{at:#x}");
    }
    use emu_machine_devices::gicv3::spec::icc;
    for (register, value) in [(icc::PMR, 0xff), (icc::IGRPEN1, 1)] {
        assert!(duo.bank(0, register, &mut { value }, true));
        assert!(!duo.bank(1, register, &mut { value }, true), "a hart has no such register");
    }
    assert!(mock.store(arm + ENABLE, 4, cause::WORD.into()) && mock.store(hart + DATA, 8, 78));
    assert_eq!([line(1, 2), line(0, 0)], [false, true]);
    assert_eq!((mock.load(arm + DATA, 8), line(0, 0)), (Some(78), false));
}

#[test]
fn mistakes_are_sentences() {
    let error = |cpus, ram, options: &[(&str, &str)], images: &[(&str, &str)]| made(cpus, ram, options, images).1.err().unwrap();
    assert!(error(1, 4 << 20, &[], &[("kernel", "k")]).contains("-M duo,aarch64=FILE,riscv64=FILE"));
    assert!(error(1, 1 << 20, &[], &[]).contains("2 MiB to 65536 MiB"));
    assert!(error(5, 4 << 20, &[], &[]).contains("at most 4 CPUs"));
    assert!(
        error(1, 4 << 20, &[("riscv64", "/nonexistent")], &[])
            .contains("cannot read '/nonexistent': there is no such file; check the path after riscv64= of -M duo")
    );
    let (_, host) = MockHost::new(1);
    assert!(Duo::create(&config(1, 4 << 20, &[], &[], &[]), host).err().unwrap().contains("at the same time"));
}
