//! The escape key on a console: Ctrl-A and a letter.

/// What the keys typed amount to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Key {
    /// Input for the guest.
    Data(Vec<u8>),
    /// Ctrl-A x.
    Quit,
    /// Ctrl-A h or ?.
    Help,
    /// Ctrl-A c.
    Monitor,
}

const CTRL_A: u8 = 1;

/// The state of the escape key; it may be split over two reads.
#[derive(Default)]
pub struct Escape {
    pending: bool,
}

/// What Ctrl-A h prints.
pub const HELP: &str =
    "\r\nCtrl-A h  this help\r\nCtrl-A x  quit emu\r\nCtrl-A c  monitor (there is none yet)\r\nCtrl-A Ctrl-A  send Ctrl-A to the guest\r\n";

impl Escape {
    /// Splits what was read into input and commands. A letter that is no command is dropped with its Ctrl-A.
    pub fn keys(&mut self, read: &[u8]) -> Vec<Key> {
        let mut out: Vec<Key> = Vec::new();
        let mut data = Vec::new();
        for &byte in read {
            if !self.pending {
                if byte == CTRL_A {
                    self.pending = true;
                } else {
                    data.push(byte);
                }
                continue;
            }
            self.pending = false;
            let key = match byte {
                CTRL_A => {
                    data.push(CTRL_A);
                    continue;
                }
                b'x' => Key::Quit,
                b'h' | b'?' => Key::Help,
                b'c' => Key::Monitor,
                _ => continue,
            };
            if !data.is_empty() {
                out.push(Key::Data(std::mem::take(&mut data)));
            }
            out.push(key);
        }
        if !data.is_empty() {
            out.push(Key::Data(data));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        let mut e = Escape::default();
        assert_eq!(e.keys(b"ab\x01hc\x01"), [Key::Data(b"ab".into()), Key::Help, Key::Data(b"c".into())]);
        assert_eq!(e.keys(b"\x01\x01zq"), [Key::Data(b"\x01q".into())]);
        assert_eq!(e.keys(b"\x01c\x01x"), [Key::Monitor, Key::Quit]);
    }
}
