//! 16550A UART. Output goes to a host stream at once, so the transmitter is always empty and the baud rate means nothing; input waits in the
//! receive FIFO, and what has no room stays with the host. The character timeout comes at once, for there is no bit clock.

pub mod spec;

use crate::{Line, lock};
use emu_plugins_api::{Device, Host, Reader, StreamId, Writer};
use spec::*;
use std::collections::VecDeque;
use std::sync::{Mutex, OnceLock};

/// The UART; its registers are a byte each.
pub struct Ns16550a {
    name: String,
    irq: Line,
    stream: OnceLock<(Host, StreamId)>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ier: u8,
    fcr: u8,
    lcr: u8,
    mcr: u8,
    scr: u8,
    divisor: u16,
    /// The transmitter became empty and nobody has been told.
    empty: bool,
    overrun: bool,
    /// Modem status as it was last read.
    modem_seen: u8,
    rx: VecDeque<u8>,
}

impl State {
    fn new() -> State {
        State { divisor: 12, ..State::default() }
    }
    fn depth(&self) -> usize {
        if self.fcr & fcr::ENABLE != 0 { FIFO_DEPTH } else { 1 }
    }
    /// Modem inputs: those of a terminal that is there, or in loopback the outputs.
    fn modem(&self) -> u8 {
        if self.mcr & mcr::LOOP == 0 {
            return msr::CTS | msr::DSR | msr::DCD;
        }
        [(mcr::RTS, msr::CTS), (mcr::DTR, msr::DSR), (mcr::OUT1, msr::RI), (mcr::OUT2, msr::DCD)]
            .into_iter()
            .fold(0, |v, (out, input)| if self.mcr & out != 0 { v | input } else { v })
    }
    fn modem_changed(&self) -> u8 {
        (self.modem() ^ self.modem_seen) >> 4
    }
    /// The interrupt of the highest priority, as IIR shows it.
    fn interrupt(&self) -> u8 {
        if self.ier & ier::LINE_STATUS != 0 && self.overrun {
            iir::LINE_STATUS
        } else if self.ier & ier::RECEIVED != 0 && !self.rx.is_empty() {
            // Less than the trigger level is the timeout, which comes at once.
            if self.fcr & fcr::ENABLE != 0 && self.rx.len() < self.trigger() { iir::TIMEOUT } else { iir::RECEIVED }
        } else if self.ier & ier::EMPTY != 0 && self.empty {
            iir::EMPTY
        } else if self.ier & ier::MODEM != 0 && self.modem_changed() != 0 {
            iir::MODEM
        } else {
            iir::NONE
        }
    }
    fn trigger(&self) -> usize {
        [1, 4, 8, 14][usize::from(self.fcr >> 6)]
    }
    fn push(&mut self, c: u8) {
        if self.rx.len() < self.depth() {
            self.rx.push_back(c);
        } else {
            self.overrun = true;
        }
    }
    fn read(&mut self, offset: u64) -> u8 {
        let dlab = self.lcr & lcr::DLAB != 0;
        match offset {
            DATA if dlab => self.divisor as u8,
            DATA => self.rx.pop_front().unwrap_or(0),
            IER if dlab => (self.divisor >> 8) as u8,
            IER => self.ier,
            IIR => {
                let which = self.interrupt();
                if which == iir::EMPTY {
                    self.empty = false;
                }
                which | if self.fcr & fcr::ENABLE != 0 { iir::FIFOS } else { 0 }
            }
            LCR => self.lcr,
            MCR => self.mcr,
            LSR => {
                let v = lsr::THRE | lsr::TEMT | if self.rx.is_empty() { 0 } else { lsr::DR } | if self.overrun { lsr::OE } else { 0 };
                self.overrun = false;
                v
            }
            MSR => {
                let v = self.modem() | self.modem_changed();
                self.modem_seen = self.modem();
                v
            }
            _ => self.scr,
        }
    }
    /// A store; the character to send, if it sends one.
    fn write(&mut self, offset: u64, value: u8) -> Option<u8> {
        let dlab = self.lcr & lcr::DLAB != 0;
        match offset {
            DATA if dlab => self.divisor = self.divisor & 0xff00 | u16::from(value),
            DATA => {
                self.empty = true;
                if self.mcr & mcr::LOOP == 0 {
                    return Some(value);
                }
                self.push(value);
            }
            IER if dlab => self.divisor = self.divisor & 0xff | u16::from(value) << 8,
            IER => {
                // Enabling the transmitter's interrupt while it is empty raises it.
                if value & ier::EMPTY != 0 && self.ier & ier::EMPTY == 0 {
                    self.empty = true;
                }
                self.ier = value & 0xf;
            }
            IIR => {
                let toggled = (self.fcr ^ value) & fcr::ENABLE != 0;
                if value & fcr::CLEAR_RX != 0 || toggled {
                    self.rx.clear();
                }
                if value & fcr::CLEAR_TX != 0 || toggled {
                    self.empty = true;
                }
                self.fcr = value & (fcr::ENABLE | fcr::TRIGGER);
            }
            LCR => self.lcr = value,
            MCR => self.mcr = value & 0x1f,
            LSR | MSR => (),
            _ => self.scr = value,
        }
        None
    }
}

impl Ns16550a {
    /// A UART with its interrupt output.
    pub fn new(name: &str, irq: Line) -> Ns16550a {
        Ns16550a { name: name.into(), irq, stream: OnceLock::new(), state: Mutex::new(State::new()) }
    }
    /// Where output goes; only the first call counts. Without it output is lost.
    pub fn connect(&self, host: Host, stream: StreamId) {
        let _ = self.stream.set((host, stream));
    }
    fn update(&self, s: &State) {
        self.irq.set(s.interrupt() != iir::NONE);
    }
}

impl Device for Ns16550a {
    fn name(&self) -> &str {
        &self.name
    }
    fn read(&self, offset: u64, size: u32) -> Option<u64> {
        if offset >= REGISTERS || size > 4 {
            return Some(0);
        }
        let mut s = lock(&self.state);
        let value = s.read(offset);
        self.update(&s);
        Some(value.into())
    }
    fn write(&self, offset: u64, size: u32, value: u64) -> bool {
        if offset >= REGISTERS || size > 4 {
            return true;
        }
        let send = {
            let mut s = lock(&self.state);
            let send = s.write(offset, value as u8);
            self.update(&s);
            send
        };
        if let (Some(c), Some((host, stream))) = (send, self.stream.get()) {
            host.stream_write(*stream, &[c]);
        }
        true
    }
    fn reset(&self) {
        let mut s = lock(&self.state);
        *s = State::new();
        self.update(&s);
    }
    fn receive(&self, data: &[u8]) -> usize {
        let mut s = lock(&self.state);
        if s.mcr & mcr::LOOP != 0 {
            return 0;
        }
        let n = data.len().min(s.depth().saturating_sub(s.rx.len()));
        data[..n].iter().for_each(|c| s.push(*c));
        self.update(&s);
        n
    }
    fn save(&self) -> Vec<u8> {
        let s = lock(&self.state);
        let mut w = Writer::new(1);
        w.bytes(&[s.ier, s.fcr, s.lcr, s.mcr, s.scr, s.modem_seen]);
        w.u32(s.divisor.into());
        w.bool(s.empty);
        w.bool(s.overrun);
        w.bytes(&s.rx.iter().copied().collect::<Vec<_>>());
        w.finish()
    }
    fn load(&self, saved: &[u8]) -> Result<(), String> {
        let parse = || {
            let mut r = Reader::new(saved, 1)?;
            let [ier, fcr, lcr, mcr, scr, modem_seen] = <[u8; 6]>::try_from(r.bytes()?).map_err(|_| "saved state has another number of registers")?;
            let divisor = r.u32()? as u16;
            let (empty, overrun) = (r.bool()?, r.bool()?);
            let rx: VecDeque<u8> = r.bytes()?.iter().copied().collect();
            r.finish()?;
            if rx.len() > FIFO_DEPTH {
                return Err("saved state has too many characters".to_owned());
            }
            Ok(State { ier: ier & 0xf, fcr: fcr & (fcr::ENABLE | fcr::TRIGGER), lcr, mcr: mcr & 0x1f, scr, divisor, empty, overrun, modem_seen, rx })
        };
        let loaded = parse();
        let mut s = lock(&self.state);
        let result = loaded.map(|l| *s = l).map_err(|e| format!("{}: {e}", self.name));
        if result.is_err() {
            *s = State::new();
        }
        self.update(&s);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock::MockHost;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn sends_receives_and_interrupts() {
        let (mock, host) = MockHost::new(1);
        let irq = Arc::new(AtomicBool::new(false));
        let seen = irq.clone();
        let uart = Arc::new(Ns16550a::new("uart", Line::new(move |l| seen.store(l, Ordering::Relaxed))));
        let id = host.map_device(0, 0x100, uart.clone(), false).unwrap();
        uart.connect(host, host.stream_open(id, "serial0").unwrap());
        let level = || irq.load(Ordering::Relaxed);
        let (r, w) = (|o| uart.read(o, 1).unwrap() as u8, |o, v: u8| assert!(uart.write(o, 1, v.into())));
        w(DATA, b'x');
        assert_eq!((mock.output("serial0").as_str(), r(LSR)), ("x", lsr::THRE | lsr::TEMT));
        w(LCR, lcr::DLAB);
        w(DATA, 0x34);
        w(IER, 0x12);
        assert_eq!((r(DATA), r(IER)), (0x34, 0x12));
        w(LCR, 3);
        w(IER, ier::EMPTY);
        assert!(level());
        assert_eq!(r(IIR), iir::EMPTY);
        assert!(!level(), "reading IIR takes the transmitter's interrupt back");
        assert_eq!(uart.receive(b"abc"), 1, "without FIFOs there is room for one");
        w(IIR, fcr::ENABLE | 1 << 6);
        w(IER, ier::RECEIVED);
        assert_eq!(uart.receive(b"abc"), 3);
        assert!(level());
        assert_eq!(r(IIR), iir::TIMEOUT | iir::FIFOS);
        assert_eq!(uart.receive(b"def"), 3);
        assert_eq!(r(IIR), iir::RECEIVED | iir::FIFOS);
        assert_eq!((0..6).map(|_| r(DATA)).collect::<Vec<_>>(), b"abcdef");
        assert!(!level() && r(LSR) & lsr::DR == 0);
        assert_eq!(uart.receive(&[0; 40]), 16);
        // Loopback: the modem outputs are the inputs, and nothing is sent.
        w(MCR, mcr::LOOP | mcr::RTS);
        assert_eq!(r(MSR) & 0xf0, msr::CTS);
        w(DATA, b'y');
        assert_eq!(mock.output("serial0"), "x");
        assert_eq!(r(LSR) & lsr::OE, lsr::OE);
    }
}
