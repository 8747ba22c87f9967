//! Registers of the PrimeCell GPIO (Arm DDI 0190B, PL061).

/// GPIODATA: bits 9 to 2 of the address are the mask.
pub const GPIODATA: u64 = 0x000;
/// Last address of GPIODATA.
pub const GPIODATA_LAST: u64 = 0x3fc;
/// GPIODIR: 1 is output.
pub const GPIODIR: u64 = 0x400;
/// GPIOIS: 1 is level-sensitive.
pub const GPIOIS: u64 = 0x404;
/// GPIOIBE: both edges.
pub const GPIOIBE: u64 = 0x408;
/// GPIOIEV: rising edge or high level.
pub const GPIOIEV: u64 = 0x40c;
/// GPIOIE: interrupt mask.
pub const GPIOIE: u64 = 0x410;
/// GPIORIS: raw interrupt status.
pub const GPIORIS: u64 = 0x414;
/// GPIOMIS: masked interrupt status.
pub const GPIOMIS: u64 = 0x418;
/// GPIOIC: interrupt clear (edges only).
pub const GPIOIC: u64 = 0x41c;
/// GPIOAFSEL: mode control.
pub const GPIOAFSEL: u64 = 0x420;
/// GPIOPeriphID0 to 3.
pub const PERIPH_ID: [u8; 4] = [0x61, 0x10, 0x04, 0x00];
/// Number of pins.
pub const PINS: usize = 8;
