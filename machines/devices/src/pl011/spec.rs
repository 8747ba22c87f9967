//! Registers of the PrimeCell UART (Arm DDI 0183G, PL011 r1p5).

/// UARTDR: data.
pub const UARTDR: u64 = 0x000;
/// UARTRSR (read), UARTECR (write): receive errors.
pub const UARTRSR: u64 = 0x004;
/// UARTFR: flags.
pub const UARTFR: u64 = 0x018;
/// UARTILPR: IrDA low-power counter.
pub const UARTILPR: u64 = 0x020;
/// UARTIBRD: integer baud rate divisor.
pub const UARTIBRD: u64 = 0x024;
/// UARTFBRD: fractional baud rate divisor.
pub const UARTFBRD: u64 = 0x028;
/// UARTLCR_H: line control.
pub const UARTLCR_H: u64 = 0x02c;
/// UARTCR: control.
pub const UARTCR: u64 = 0x030;
/// UARTIFLS: FIFO level select.
pub const UARTIFLS: u64 = 0x034;
/// UARTIMSC: interrupt mask.
pub const UARTIMSC: u64 = 0x038;
/// UARTRIS: raw interrupt status.
pub const UARTRIS: u64 = 0x03c;
/// UARTMIS: masked interrupt status.
pub const UARTMIS: u64 = 0x040;
/// UARTICR: interrupt clear.
pub const UARTICR: u64 = 0x044;
/// UARTDMACR: DMA control.
pub const UARTDMACR: u64 = 0x048;

/// UARTPeriphID0 to 3: 0x00341011, revision r1p5, whose FIFOs have 32 entries.
pub const PERIPH_ID: [u8; 4] = [0x11, 0x10, 0x34, 0x00];
/// Entries of a FIFO (section 1.1.1: 32 from r1p5 on).
pub const FIFO_DEPTH: usize = 32;

/// Bits of UARTDR beside the data, 11 to 8.
pub mod dr {
    /// OE: a character was lost before this one.
    pub const OE: u16 = 1 << 11;
}

/// Bits of UARTFR.
pub mod fr {
    /// CTS.
    pub const CTS: u32 = 1 << 0;
    /// DSR.
    pub const DSR: u32 = 1 << 1;
    /// DCD.
    pub const DCD: u32 = 1 << 2;
    /// RXFE: receive FIFO empty.
    pub const RXFE: u32 = 1 << 4;
    /// RXFF: receive FIFO full.
    pub const RXFF: u32 = 1 << 6;
    /// TXFE: transmit FIFO empty.
    pub const TXFE: u32 = 1 << 7;
    /// RI.
    pub const RI: u32 = 1 << 8;
}

/// Bits of UARTLCR_H.
pub mod lcr_h {
    /// FEN: FIFOs enabled.
    pub const FEN: u32 = 1 << 4;
}

/// Bits of UARTCR.
pub mod cr {
    /// LBE: loopback.
    pub const LBE: u32 = 1 << 7;
    /// TXE: transmit enable.
    pub const TXE: u32 = 1 << 8;
    /// RXE: receive enable.
    pub const RXE: u32 = 1 << 9;
    /// DTR.
    pub const DTR: u32 = 1 << 10;
    /// RTS.
    pub const RTS: u32 = 1 << 11;
    /// Out1.
    pub const OUT1: u32 = 1 << 12;
    /// Out2.
    pub const OUT2: u32 = 1 << 13;
    /// Bits that exist; 6 to 3 are reserved.
    pub const MASK: u32 = 0xff87;
    /// At reset.
    pub const RESET: u32 = TXE | RXE;
}

/// Interrupts, at the same place in UARTIMSC, UARTRIS, UARTMIS and UARTICR.
pub mod int {
    /// RIM: RI modem interrupt.
    pub const RIM: u32 = 1 << 0;
    /// CTSM.
    pub const CTSM: u32 = 1 << 1;
    /// DCDM.
    pub const DCDM: u32 = 1 << 2;
    /// DSRM.
    pub const DSRM: u32 = 1 << 3;
    /// RX: receive FIFO has reached its level.
    pub const RX: u32 = 1 << 4;
    /// TX: transmit FIFO has fallen to its level.
    pub const TX: u32 = 1 << 5;
    /// RT: receive timeout.
    pub const RT: u32 = 1 << 6;
    /// OE: overrun.
    pub const OE: u32 = 1 << 10;
    /// All.
    pub const MASK: u32 = 0x7ff;
}

/// UARTIFLS at reset: both at half.
pub const IFLS_RESET: u32 = 0x12;
