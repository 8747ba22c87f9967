//! Registers of the 16550A (National Semiconductor PC16550D data sheet).

/// Number of registers, a byte each.
pub const REGISTERS: u64 = 8;
/// Depth of the FIFOs.
pub const FIFO_DEPTH: usize = 16;

/// Receiver buffer, transmitter holding; low byte of the divisor.
pub const DATA: u64 = 0;
/// Interrupt enable; high byte of the divisor.
pub const IER: u64 = 1;
/// Interrupt identification when read, FIFO control when written.
pub const IIR: u64 = 2;
/// Line control.
pub const LCR: u64 = 3;
/// Modem control.
pub const MCR: u64 = 4;
/// Line status.
pub const LSR: u64 = 5;
/// Modem status.
pub const MSR: u64 = 6;

/// Interrupt enable bits.
pub mod ier {
    /// Received data available.
    pub const RECEIVED: u8 = 1;
    /// Transmitter holding register empty.
    pub const EMPTY: u8 = 2;
    /// Receiver line status.
    pub const LINE_STATUS: u8 = 4;
    /// Modem status.
    pub const MODEM: u8 = 8;
}
/// Interrupt identification.
pub mod iir {
    /// Modem status.
    pub const MODEM: u8 = 0;
    /// Nothing pending.
    pub const NONE: u8 = 1;
    /// Transmitter holding register empty.
    pub const EMPTY: u8 = 2;
    /// Received data available.
    pub const RECEIVED: u8 = 4;
    /// Receiver line status.
    pub const LINE_STATUS: u8 = 6;
    /// Character timeout.
    pub const TIMEOUT: u8 = 0xc;
    /// FIFOs are enabled.
    pub const FIFOS: u8 = 0xc0;
}
/// FIFO control bits.
pub mod fcr {
    /// FIFOs on.
    pub const ENABLE: u8 = 1;
    /// Clears the receive FIFO.
    pub const CLEAR_RX: u8 = 2;
    /// Clears the transmit FIFO.
    pub const CLEAR_TX: u8 = 4;
    /// Receive trigger level.
    pub const TRIGGER: u8 = 0xc0;
}
/// Line control bits.
pub mod lcr {
    /// The divisor is in the place of data and interrupt enable.
    pub const DLAB: u8 = 0x80;
}
/// Modem control bits.
pub mod mcr {
    /// Data terminal ready.
    pub const DTR: u8 = 1;
    /// Request to send.
    pub const RTS: u8 = 2;
    /// Output 1.
    pub const OUT1: u8 = 4;
    /// Output 2.
    pub const OUT2: u8 = 8;
    /// Loopback.
    pub const LOOP: u8 = 0x10;
}
/// Line status bits.
pub mod lsr {
    /// Data ready.
    pub const DR: u8 = 1;
    /// Overrun.
    pub const OE: u8 = 2;
    /// Transmitter holding register empty.
    pub const THRE: u8 = 0x20;
    /// Transmitter empty.
    pub const TEMT: u8 = 0x40;
}
/// Modem status bits.
pub mod msr {
    /// Clear to send.
    pub const CTS: u8 = 0x10;
    /// Data set ready.
    pub const DSR: u8 = 0x20;
    /// Ring indicator.
    pub const RI: u8 = 0x40;
    /// Data carrier detect.
    pub const DCD: u8 = 0x80;
}
