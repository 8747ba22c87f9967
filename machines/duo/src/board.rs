//! The board as a value: what lies where, and the interrupts on either side.

/// A device at its place. Both architectures' CPUs see all of them at these addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// Name.
    pub name: &'static str,
    /// First address.
    pub base: u64,
    /// Size in bytes.
    pub size: u64,
}

const fn row(name: &'static str, base: u64, size: u64) -> Row {
    Row { name, base, size }
}

/// Test finisher: power off and reset, from either side.
pub const FINISHER: Row = row("test", 0x0010_0000, 0x1000);
/// Core-local interruptor of the harts.
pub const ACLINT: Row = row("clint", 0x0200_0000, 0x1_0000);
/// Distributor of the GIC.
pub const GICD: Row = row("gic", 0x0800_0000, 0x1_0000);
/// Redistributors of the GIC, 128 KiB a CPU.
pub const GICR: Row = row("gic-redistributors", 0x080a_0000, 0x2_0000 * MAX_CPUS as u64);
/// The first serial line.
pub const PL011: Row = row("uart0", 0x0900_0000, 0x1000);
/// The Arm CPUs' side of the mailbox; that of the harts follows.
pub const MAILBOX: Row = row("mailbox", 0x0a00_0000, 2 * emu_machine_devices::mailbox::spec::WINDOW);
/// Interrupt controller of the harts.
pub const PLIC: Row = row("plic", 0x0c00_0000, 0x60_0000);
/// The second serial line.
pub const NS16550A: Row = row("uart1", 0x1000_0000, 0x100);
/// Where RAM begins; its size is the user's.
pub const RAM_BASE: u64 = 0x8000_0000;
/// Where plain bytes for the harts go: behind those for the Arm CPUs, which are at the start.
pub const RISCV64_AT: u64 = RAM_BASE + (1 << 20);

/// All devices.
pub const ROWS: &[Row] = &[FINISHER, ACLINT, GICD, GICR, PL011, MAILBOX, PLIC, NS16550A];

/// Largest number of CPUs of either architecture.
pub const MAX_CPUS: u32 = 4;
/// Smallest and largest RAM.
pub const RAM: std::ops::RangeInclusive<u64> = 2 << 20..=64 << 30;

/// Number of SPIs of the GIC.
pub const SPIS: usize = 32;
/// The mailbox's interrupt on the Arm side, counted from the first SPI (interrupt 32).
pub const MAILBOX_SPI: usize = 0;
/// The UART's.
pub const UART_SPI: usize = 1;
/// Number of sources of the PLIC.
pub const SOURCES: usize = 31;
/// The mailbox's source on the RISC-V side.
pub const MAILBOX_SOURCE: usize = 1;
/// The second UART's.
pub const UART_SOURCE: usize = 10;
/// Private interrupts of the Arm CPUs' output lines, as the Base System Architecture has them.
pub const PPIS: &[(&str, usize)] =
    &[("timer-phys", 30), ("timer-virt", 27), ("timer-hyp", 26), ("timer-sec", 29), ("timer-hyp-virt", 28), ("pmu", 23)];
/// Frequency of the harts' time.
pub const TIMEBASE_HZ: u64 = 10_000_000;
