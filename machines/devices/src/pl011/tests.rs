use super::*;
use crate::mock::MockHost;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

struct Bench {
    uart: Arc<Pl011>,
    irq: Arc<AtomicBool>,
    mock: &'static MockHost,
}

fn bench() -> Bench {
    let irq = Arc::new(AtomicBool::new(false));
    let seen = irq.clone();
    let (mock, host) = MockHost::new(1);
    let uart = Arc::new(Pl011::new("uart0", Line::new(move |l| seen.store(l, Ordering::Relaxed))));
    let id = host.map_device(0, primecell::WINDOW, uart.clone(), false).unwrap();
    uart.connect(host, host.stream_open(id, "serial0").unwrap());
    Bench { uart, irq, mock }
}

impl Bench {
    fn r(&self, at: u64) -> u64 {
        self.uart.read(at, 4).unwrap()
    }
    fn w(&self, at: u64, v: u32) {
        assert!(self.uart.write(at, 4, v.into()));
    }
    fn irq(&self) -> bool {
        self.irq.load(Ordering::Relaxed)
    }
}

#[test]
fn identifies_itself() {
    let b = bench();
    let id: Vec<u64> = (0..8).map(|i| b.r(0xfe0 + 4 * i)).collect();
    assert_eq!(id, [0x11, 0x10, 0x34, 0, 0x0d, 0xf0, 0x05, 0xb1]);
    assert_eq!((b.r(UARTFR), b.r(UARTCR), b.r(UARTIFLS)), (0x90, 0x300, 0x12));
}

#[test]
fn sends_and_interrupts() {
    let b = bench();
    b.w(UARTIMSC, int::TX);
    assert!(!b.irq(), "nothing was sent yet");
    for c in "hi\n".bytes() {
        b.w(UARTDR, c.into());
    }
    assert_eq!(b.mock.output("serial0"), "hi\n");
    assert!(b.irq());
    b.w(UARTICR, int::TX);
    assert!(!b.irq());
    assert_eq!(b.r(UARTFR) as u32 & fr::TXFE, fr::TXFE);
    b.w(UARTCR, cr::RXE);
    b.w(UARTDR, b'x'.into());
    assert_eq!(b.mock.output("serial0"), "hi\n", "TXE is clear");
}

#[test]
fn receives_by_level_and_timeout() {
    let b = bench();
    assert_eq!(b.uart.receive(b"abc"), 1, "without FIFO there is one holding register");
    assert_eq!(b.r(UARTRIS) as u32, int::RX | int::RT);
    assert_eq!(b.r(UARTDR), b'a'.into());
    assert_eq!(b.r(UARTRIS), 0);
    b.w(UARTLCR_H, lcr_h::FEN | 0x60);
    b.w(UARTIMSC, int::RX);
    assert_eq!(b.uart.receive(&[b'x'; 15]), 15);
    assert!(!b.irq(), "below half");
    assert_eq!(b.r(UARTRIS) as u32, int::RT);
    assert_eq!(b.uart.receive(b"y"), 1);
    assert!(b.irq());
    assert_eq!(b.uart.receive(&[b'z'; 100]), 16);
    assert_eq!(b.r(UARTFR) as u32 & (fr::RXFF | fr::RXFE), fr::RXFF);
    for _ in 0..17 {
        b.r(UARTDR);
    }
    assert!(!b.irq(), "below the level again");
    assert_eq!(b.r(UARTRIS) as u32, int::RT);
    b.w(UARTICR, int::RT);
    assert_eq!(b.r(UARTRIS), 0);
    b.r(UARTDR);
    assert_eq!(b.r(UARTRIS) as u32, int::RT, "data still waits");
    for _ in 0..14 {
        b.r(UARTDR);
    }
    assert_eq!((b.r(UARTRIS), b.r(UARTFR) as u32 & fr::RXFE), (0, fr::RXFE));
    b.w(UARTCR, cr::TXE);
    assert_eq!(b.uart.receive(b"q"), 0, "RXE is clear");
}

#[test]
fn loops_back() {
    let b = bench();
    b.w(UARTCR, cr::RESET | cr::LBE | 1);
    b.w(UARTDR, 0x55);
    b.w(UARTDR, 0x66);
    assert_eq!(b.r(UARTRIS) as u32, int::RX | int::TX | int::RT | int::OE);
    assert_eq!(b.r(UARTDR), 0x55);
    b.w(UARTDR, 0x77);
    assert_eq!(b.r(UARTDR), 0x877, "OE goes with the next character");
    assert_eq!(b.r(UARTRSR), 8);
    b.w(UARTRSR, 0);
    assert_eq!(b.r(UARTRSR), 0);
    assert_eq!(b.mock.output("serial0"), "");
    b.w(UARTICR, int::MASK);
    b.w(UARTCR, cr::RESET | cr::LBE | cr::RTS | cr::OUT2);
    assert_eq!(b.r(UARTFR) as u32 & 0x107, fr::CTS | fr::RI);
    assert_eq!(b.r(UARTRIS) as u32, int::CTSM | int::RIM);
    assert_eq!(b.uart.receive(b"q"), 0, "the wire is cut");
}

#[test]
fn narrow_and_odd_accesses() {
    let b = bench();
    b.w(UARTIBRD, 0x1234);
    assert_eq!(b.uart.read(UARTIBRD, 2), Some(0x1234));
    assert_eq!(b.uart.read(UARTIBRD + 1, 1), Some(0x12));
    assert_eq!(b.uart.read(UARTIBRD, 8), Some(0));
    assert!(b.uart.write(UARTDR, 1, 0x141));
    assert_eq!(b.mock.output("serial0"), "A");
    assert!(b.uart.write(0xffc, 4, 0) && b.uart.write(UARTDR + 1, 1, 0));
}
