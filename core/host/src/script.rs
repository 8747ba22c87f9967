//! Scripts on the console: texts to wait for and texts to type, in the order of the command line.

/// A step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Wait until this appears in the output, behind what earlier steps waited for.
    Expect(Vec<u8>),
    /// Type this.
    Send(Vec<u8>),
}

/// What a script wants done, and after how many bytes of the output just shown to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wish {
    /// Type this.
    Send(Vec<u8>),
    /// Its last text has appeared, at this offset: end the run.
    Finished(usize),
}

/// A script and how far it has come.
#[derive(Clone, Debug, Default)]
pub struct Script {
    steps: Vec<Step>,
    at: usize,
    tail: Vec<u8>,
}

impl Script {
    /// A script at its beginning.
    pub fn new(steps: Vec<Step>) -> Script {
        Script { steps, at: 0, tail: Vec::new() }
    }
    /// The text that is waited for, if any.
    pub fn waits_for(&self) -> Option<String> {
        self.steps[self.at.min(self.steps.len())..].iter().find_map(|s| match s {
            Step::Expect(text) => Some(String::from_utf8_lossy(text).into_owned()),
            Step::Send(_) => None,
        })
    }
    /// True while there is something to type.
    pub fn will_type(&self) -> bool {
        self.steps[self.at.min(self.steps.len())..].iter().any(|s| matches!(s, Step::Send(_)))
    }
    /// True if it has run and its last step was a text to wait for.
    pub fn finished(&self) -> bool {
        self.at == self.steps.len() && matches!(self.steps.last(), Some(Step::Expect(_)))
    }
    /// What there is to type before any output.
    pub fn start(&mut self) -> Vec<Wish> {
        let mut wishes = Vec::new();
        self.type_pending(&mut wishes);
        wishes
    }
    fn type_pending(&mut self, wishes: &mut Vec<Wish>) {
        while let Some(Step::Send(text)) = self.steps.get(self.at) {
            wishes.push(Wish::Send(text.clone()));
            self.at += 1;
        }
    }
    /// Looks at more output. Carriage returns are passed over unless the text has some, so that "\n" stands for what guests end lines with.
    pub fn output(&mut self, data: &[u8]) -> Vec<Wish> {
        let mut wishes = Vec::new();
        for (i, &byte) in data.iter().enumerate() {
            let Some(Step::Expect(text)) = self.steps.get(self.at) else { break };
            if byte == b'\r' && !text.contains(&b'\r') {
                continue;
            }
            self.tail.push(byte);
            if self.tail.ends_with(text) {
                self.tail.clear();
                self.at += 1;
                self.type_pending(&mut wishes);
                if self.finished() {
                    wishes.push(Wish::Finished(i + 1));
                    break;
                }
            } else if self.tail.len() > 2 * text.len() + 256 {
                self.tail.drain(..self.tail.len() - text.len());
            }
        }
        wishes
    }
}

/// Resolves `\n \r \t \e \0 \\ \xHH` in a text of the command line.
pub fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        match chars.next() {
            Some('n') => out.push(b'\n'),
            Some('r') => out.push(b'\r'),
            Some('t') => out.push(b'\t'),
            Some('e') => out.push(0x1b),
            Some('0') => out.push(0),
            Some('\\') => out.push(b'\\'),
            Some('x') => {
                let digits: String = chars.by_ref().take(2).collect();
                match u8::from_str_radix(&digits, 16) {
                    Ok(byte) if digits.len() == 2 && !digits.starts_with('+') => out.push(byte),
                    _ => return Err(format!("'\\x{digits}' in {text:?} is no byte: two hexadecimal digits are needed, as in \\x1b")),
                }
            }
            Some(other) => return Err(format!("'\\{other}' in {text:?} is no escape: there are \\n \\r \\t \\e \\0 \\\\ and \\xHH")),
            None => return Err(format!("{text:?} ends in a lone backslash; write \\\\ for one")),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expect(t: &str) -> Step {
        Step::Expect(t.into())
    }
    fn send(t: &str) -> Step {
        Step::Send(t.into())
    }

    #[test]
    fn steps_in_order_at_the_byte() {
        let mut s = Script::new(vec![send("0"), expect("# "), send("ls\n"), send("x"), expect("ok\n")]);
        assert_eq!(s.start(), [Wish::Send(b"0".into())]);
        assert_eq!(s.waits_for().as_deref(), Some("# "));
        assert_eq!(s.output(b"ok\n#"), []);
        assert_eq!(s.output(b" ok"), [Wish::Send(b"ls\n".into()), Wish::Send(b"x".into())]);
        assert!(!s.finished());
        assert_eq!(s.output(b"\r\nmore"), [Wish::Finished(2)]);
        assert!(s.finished() && s.waits_for().is_none());
        assert_eq!(s.output(b"ok\n"), []);
    }

    #[test]
    fn a_script_that_ends_by_typing_does_not_end_the_run() {
        let mut s = Script::new(vec![expect("a"), send("b")]);
        assert_eq!(s.start(), []);
        assert_eq!(s.output(b"xxa"), [Wish::Send(b"b".into())]);
        assert!(!s.finished() && s.waits_for().is_none());
    }

    #[test]
    fn overlapping_prefixes_and_long_output() {
        let mut s = Script::new(vec![expect("aab")]);
        assert_eq!(s.output(b"aaab"), [Wish::Finished(4)]);
        let mut s = Script::new(vec![expect("needle")]);
        assert_eq!(s.output(&[b'n'; 5000]), []);
        assert_eq!(s.output(b"eedle"), [Wish::Finished(5)]);
        assert!(s.tail.len() < 1000);
    }

    #[test]
    fn escapes() {
        assert_eq!(unescape("a\\n\\x1b\\\\é").unwrap(), b"a\n\x1b\\\xc3\xa9");
        for bad in ["\\q", "\\x1", "\\x+1", "end\\"] {
            assert!(unescape(bad).is_err(), "{bad}");
        }
    }
}
