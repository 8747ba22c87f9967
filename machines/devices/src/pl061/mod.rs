//! PL061 GPIO: eight pins. Inputs come from the board by [`Pl061::set_input`], outputs leave by lines.

pub mod spec;

use crate::{Line, lock, primecell};
use emu_plugins_api::{Device, Reader, Writer};
use spec::*;
use std::sync::Mutex;

/// The GPIO.
pub struct Pl061 {
    name: String,
    irq: Line,
    pins: [Line; PINS],
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What software drives on output pins.
    data: u8,
    /// What the board drives on input pins.
    input: u8,
    dir: u8,
    is: u8,
    ibe: u8,
    iev: u8,
    ie: u8,
    /// Edges seen.
    edges: u8,
    afsel: u8,
    /// Pin levels at the last look, for edges.
    level: u8,
}

impl State {
    fn pins(&self) -> u8 {
        self.data & self.dir | self.input & !self.dir
    }
    /// Section 2.3.1, figure 2-3: GPIOIS picks level or edge, GPIOIBE both edges, GPIOIEV which.
    fn ris(&self) -> u8 {
        let level = !(self.level ^ self.iev);
        self.edges & !self.is | level & self.is
    }
    fn look(&mut self) {
        let now = self.pins();
        let changed = now ^ self.level;
        // Output pins raise no interrupts.
        self.edges |= changed & !self.dir & !self.is & (self.ibe | !(now ^ self.iev));
        self.level = now;
    }
}

impl Pl061 {
    /// A GPIO with its interrupt output GPIOINTR and its pins' outputs.
    pub fn new(name: &str, irq: Line, pins: [Line; PINS]) -> Pl061 {
        Pl061 { name: name.into(), irq, pins, state: Mutex::default() }
    }
    /// Drives a pin from outside.
    pub fn set_input(&self, pin: usize, level: bool) {
        let mut s = lock(&self.state);
        let bit = 1 << (pin % PINS);
        s.input = if level { s.input | bit } else { s.input & !bit };
        self.update(&mut s);
    }
    fn update(&self, s: &mut State) {
        s.look();
        self.irq.set(s.ris() & s.ie != 0);
        for (i, pin) in self.pins.iter().enumerate() {
            pin.set(s.data & s.dir & 1 << i != 0);
        }
    }
}

impl Device for Pl061 {
    fn name(&self) -> &str {
        &self.name
    }
    fn read(&self, offset: u64, size: u32) -> Option<u64> {
        let Some((at, shift)) = primecell::word(offset, size) else { return Some(0) };
        let s = lock(&self.state);
        let word = match at {
            GPIODATA..=GPIODATA_LAST => u32::from(s.pins() & (at >> 2) as u8),
            GPIODIR => s.dir.into(),
            GPIOIS => s.is.into(),
            GPIOIBE => s.ibe.into(),
            GPIOIEV => s.iev.into(),
            GPIOIE => s.ie.into(),
            GPIORIS => s.ris().into(),
            GPIOMIS => (s.ris() & s.ie).into(),
            GPIOAFSEL => s.afsel.into(),
            _ => primecell::id(at, PERIPH_ID).unwrap_or(0),
        };
        Some(primecell::cut(word, shift, size))
    }
    fn write(&self, offset: u64, size: u32, value: u64) -> bool {
        if size > 4 || offset & 3 != 0 {
            return true;
        }
        let mut s = lock(&self.state);
        let value = value as u8;
        match offset {
            GPIODATA..=GPIODATA_LAST => {
                let mask = (offset >> 2) as u8 & s.dir;
                s.data = s.data & !mask | value & mask;
            }
            GPIODIR => s.dir = value,
            GPIOIS => s.is = value,
            GPIOIBE => s.ibe = value,
            GPIOIEV => s.iev = value,
            GPIOIE => s.ie = value,
            GPIOIC => s.edges &= !value,
            GPIOAFSEL => s.afsel = value,
            _ => (),
        }
        self.update(&mut s);
        true
    }
    fn reset(&self) {
        let mut s = lock(&self.state);
        *s = State { input: s.input, level: s.input, ..State::default() };
        self.update(&mut s);
    }
    fn save(&self) -> Vec<u8> {
        let s = lock(&self.state);
        let mut w = Writer::new(1);
        [s.data, s.input, s.dir, s.is, s.ibe, s.iev, s.ie, s.edges, s.afsel, s.level].iter().for_each(|v| w.u8(*v));
        w.finish()
    }
    fn load(&self, saved: &[u8]) -> Result<(), String> {
        let parse = || {
            let mut r = Reader::new(saved, 1)?;
            let s = State {
                data: r.u8()?,
                input: r.u8()?,
                dir: r.u8()?,
                is: r.u8()?,
                ibe: r.u8()?,
                iev: r.u8()?,
                ie: r.u8()?,
                edges: r.u8()?,
                afsel: r.u8()?,
                level: r.u8()?,
            };
            r.finish()?;
            Ok::<_, String>(s)
        };
        let loaded = parse();
        let mut s = lock(&self.state);
        let result = loaded.map(|l| *s = l).map_err(|e| format!("{}: {e}", self.name));
        if result.is_err() {
            *s = State::default();
        }
        self.update(&mut s);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn pins_edges_and_levels() {
        let irq = Arc::new(AtomicBool::new(false));
        let out = Arc::new(AtomicBool::new(false));
        let (i, o) = (irq.clone(), out.clone());
        let mut pins: [Line; PINS] = Default::default();
        pins[1] = Line::new(move |l| o.store(l, Ordering::Relaxed));
        let g = Pl061::new("gpio", Line::new(move |l| i.store(l, Ordering::Relaxed)), pins);
        let r = |at| g.read(at, 4).unwrap();
        let w = |at, v| assert!(g.write(at, 4, v));
        let irq = || irq.load(Ordering::Relaxed);
        assert_eq!((r(0xfe0), r(0xfe4)), (0x61, 0x10));
        // Outputs change only through the mask in the address, and only where GPIODIR says output.
        w(GPIODIR, 0x03);
        w(GPIODATA + (0x02 << 2), 0xff);
        assert_eq!(r(GPIODATA_LAST), 0x02);
        assert!(out.load(Ordering::Relaxed));
        // A rising edge, as Linux' gpio-keys asks for on both edges.
        w(GPIOIBE, 1 << 3);
        w(GPIOIE, 1 << 3);
        g.set_input(3, true);
        assert!(irq());
        assert_eq!((r(GPIORIS), r(GPIOMIS), r(GPIODATA + (8 << 2))), (8, 8, 8));
        w(GPIOIC, 8);
        assert!(!irq());
        g.set_input(3, false);
        assert!(irq(), "falling edge too");
        w(GPIOIC, 8);
        // Single edges.
        w(GPIOIBE, 0);
        w(GPIOIEV, 1 << 3);
        g.set_input(3, true);
        assert!(irq());
        w(GPIOIC, 8);
        g.set_input(3, false);
        assert!(!irq());
        // Levels do not clear.
        w(GPIOIS, 1 << 3);
        g.set_input(3, true);
        w(GPIOIC, 8);
        assert!(irq());
        g.set_input(3, false);
        assert!(!irq());
    }
}
