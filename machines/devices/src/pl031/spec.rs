//! Registers of the PrimeCell real-time clock (Arm DDI 0224C, PL031).

/// RTCDR: the time in seconds.
pub const RTCDR: u64 = 0x000;
/// RTCMR: match.
pub const RTCMR: u64 = 0x004;
/// RTCLR: load.
pub const RTCLR: u64 = 0x008;
/// RTCCR: control; the clock always runs.
pub const RTCCR: u64 = 0x00c;
/// RTCIMSC: interrupt mask.
pub const RTCIMSC: u64 = 0x010;
/// RTCRIS: raw interrupt status.
pub const RTCRIS: u64 = 0x014;
/// RTCMIS: masked interrupt status.
pub const RTCMIS: u64 = 0x018;
/// RTCICR: interrupt clear.
pub const RTCICR: u64 = 0x01c;
/// RTCPeriphID0 to 3.
pub const PERIPH_ID: [u8; 4] = [0x31, 0x10, 0x14, 0x00];
