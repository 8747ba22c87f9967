//! PL011 UART. Output goes to a host stream at once, so the transmit FIFO is always empty and the baud rate means nothing; input waits in the
//! receive FIFO, and what has no room stays with the host.
//!
//! IMPLEMENTATION choices where software depends on more than the manual: data is sent and received whether or not UARTCR.UARTEN is set
//! (firmware is careless about it); the receive timeout comes at once, for there is no bit clock; characters in the FIFO survive a change
//! of UARTLCR_H.FEN.

pub mod spec;
#[cfg(test)]
mod tests;

use crate::{Line, lock, primecell};
use emu_plugins_api::{Device, Host, Reader, StreamId, Writer};
use spec::*;
use std::collections::VecDeque;
use std::sync::{Mutex, OnceLock};

/// The UART.
pub struct Pl011 {
    name: String,
    irq: Line,
    stream: OnceLock<(Host, StreamId)>,
    state: Mutex<State>,
}

struct State {
    lcr_h: u32,
    cr: u32,
    ifls: u32,
    imsc: u32,
    ris: u32,
    ilpr: u32,
    ibrd: u32,
    fbrd: u32,
    dmacr: u32,
    rsr: u32,
    /// Modem inputs as UARTFR shows them, for their change interrupts.
    modem: u32,
    /// Received characters with their error bits.
    rx: VecDeque<u16>,
    /// A character was lost since the last one that went into the FIFO.
    overrun: bool,
}

impl State {
    fn new() -> State {
        State {
            lcr_h: 0,
            cr: cr::RESET,
            ifls: IFLS_RESET,
            imsc: 0,
            ris: 0,
            ilpr: 0,
            ibrd: 0,
            fbrd: 0,
            dmacr: 0,
            rsr: 0,
            modem: 0,
            rx: VecDeque::with_capacity(FIFO_DEPTH),
            overrun: false,
        }
    }
    fn depth(&self) -> usize {
        if self.lcr_h & lcr_h::FEN != 0 { FIFO_DEPTH } else { 1 }
    }
    /// Fill level at which the receive interrupt comes (UARTIFLS.RXIFLSEL; reserved values count as seven eighths).
    fn rx_trigger(&self) -> usize {
        if self.lcr_h & lcr_h::FEN == 0 {
            return 1;
        }
        [4, 8, 16, 24, 28].get((self.ifls >> 3 & 7) as usize).copied().unwrap_or(28)
    }
    fn flags(&self) -> u32 {
        let mut f = fr::TXFE | self.modem;
        if self.rx.is_empty() {
            f |= fr::RXFE;
        }
        if self.rx.len() >= self.depth() {
            f |= fr::RXFF;
        }
        f
    }
    /// Puts a character into the receive FIFO; one too many is lost (section 2.8.1, overrun).
    fn push(&mut self, c: u8) {
        if self.rx.len() >= self.depth() {
            self.overrun = true;
            self.ris |= int::OE;
            return;
        }
        self.rx.push_back(u16::from(c) | if std::mem::take(&mut self.overrun) { dr::OE } else { 0 });
        self.ris |= int::RT;
        if self.rx.len() >= self.rx_trigger() {
            self.ris |= int::RX;
        }
    }
    fn pop(&mut self) -> u32 {
        let Some(c) = self.rx.pop_front() else { return 0 };
        self.rsr = u32::from(c >> 8) & 0xf;
        if self.rx.len() < self.rx_trigger() {
            self.ris &= !int::RX;
        }
        if self.rx.is_empty() {
            self.ris &= !int::RT
        } else {
            self.ris |= int::RT
        }
        u32::from(c)
    }
    /// In loopback the modem outputs are the inputs (UARTCR.LBE); without, nobody drives them.
    fn update_modem(&mut self) {
        let mut now = 0;
        if self.cr & cr::LBE != 0 {
            for (out, input) in [(cr::RTS, fr::CTS), (cr::DTR, fr::DSR), (cr::OUT1, fr::DCD), (cr::OUT2, fr::RI)] {
                if self.cr & out != 0 {
                    now |= input;
                }
            }
        }
        for (input, interrupt) in [(fr::RI, int::RIM), (fr::CTS, int::CTSM), (fr::DCD, int::DCDM), (fr::DSR, int::DSRM)] {
            if (now ^ self.modem) & input != 0 {
                self.ris |= interrupt;
            }
        }
        self.modem = now;
    }
    fn read(&mut self, offset: u64) -> u32 {
        match offset {
            UARTDR => self.pop(),
            UARTRSR => self.rsr,
            UARTFR => self.flags(),
            UARTILPR => self.ilpr,
            UARTIBRD => self.ibrd,
            UARTFBRD => self.fbrd,
            UARTLCR_H => self.lcr_h,
            UARTCR => self.cr,
            UARTIFLS => self.ifls,
            UARTIMSC => self.imsc,
            UARTRIS => self.ris,
            UARTMIS => self.ris & self.imsc,
            UARTDMACR => self.dmacr,
            _ => primecell::id(offset, PERIPH_ID).unwrap_or(0),
        }
    }
    /// A store; the character to send, if it sends one.
    fn write(&mut self, offset: u64, value: u32) -> Option<u8> {
        match offset {
            UARTDR => {
                if self.cr & cr::LBE != 0 {
                    self.push(value as u8);
                }
                // The FIFO empties at once, through its trigger level.
                self.ris |= int::TX;
                return (self.cr & (cr::LBE | cr::TXE) == cr::TXE).then_some(value as u8);
            }
            UARTRSR => self.rsr = 0,
            UARTILPR => self.ilpr = value & 0xff,
            UARTIBRD => self.ibrd = value & 0xffff,
            UARTFBRD => self.fbrd = value & 0x3f,
            UARTLCR_H => self.lcr_h = value & 0xff,
            UARTCR => {
                self.cr = value & cr::MASK;
                self.update_modem();
            }
            UARTIFLS => self.ifls = value & 0x3f,
            UARTIMSC => self.imsc = value & int::MASK,
            UARTICR => self.ris &= !value,
            UARTDMACR => self.dmacr = value & 7,
            _ => (),
        }
        None
    }
}

impl Pl011 {
    /// A UART with its combined interrupt output, UARTINTR.
    pub fn new(name: &str, irq: Line) -> Pl011 {
        Pl011 { name: name.into(), irq, stream: OnceLock::new(), state: Mutex::new(State::new()) }
    }
    /// Where output goes; only the first call counts. Without it output is lost.
    pub fn connect(&self, host: Host, stream: StreamId) {
        let _ = self.stream.set((host, stream));
    }
    fn update(&self, s: &State) {
        self.irq.set(s.ris & s.imsc != 0);
    }
}

impl Device for Pl011 {
    fn name(&self) -> &str {
        &self.name
    }
    fn read(&self, offset: u64, size: u32) -> Option<u64> {
        let Some((at, shift)) = primecell::word(offset, size) else { return Some(0) };
        let mut s = lock(&self.state);
        let word = s.read(at);
        self.update(&s);
        Some(primecell::cut(word, shift, size))
    }
    fn write(&self, offset: u64, size: u32, value: u64) -> bool {
        if size > 4 || offset & 3 != 0 {
            return true;
        }
        let send = {
            let mut s = lock(&self.state);
            let send = s.write(offset, value as u32);
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
        if s.cr & (cr::RXE | cr::LBE) != cr::RXE {
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
        w.u32s(&[s.lcr_h, s.cr, s.ifls, s.imsc, s.ris, s.ilpr, s.ibrd, s.fbrd, s.dmacr, s.rsr, s.modem]);
        w.u32s(&s.rx.iter().map(|c| u32::from(*c)).collect::<Vec<_>>());
        w.bool(s.overrun);
        w.finish()
    }
    fn load(&self, saved: &[u8]) -> Result<(), String> {
        let parse = || {
            let mut r = Reader::new(saved, 1)?;
            let [lcr_h, cr, ifls, imsc, ris, ilpr, ibrd, fbrd, dmacr, rsr, modem] =
                <[u32; 11]>::try_from(r.u32s()?).map_err(|_| "saved state has another number of registers")?;
            let rx: VecDeque<u16> = r.u32s()?.into_iter().map(|c| c as u16).collect();
            let overrun = r.bool()?;
            r.finish()?;
            if rx.len() > FIFO_DEPTH {
                return Err("saved state has too many characters".to_owned());
            }
            Ok(State { lcr_h, cr, ifls, imsc, ris, ilpr, ibrd, fbrd, dmacr, rsr, modem, rx, overrun })
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
