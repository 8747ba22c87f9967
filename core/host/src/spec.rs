//! What `-serial` says a stream leads to.

use std::path::PathBuf;

/// Where a stream leads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StreamSpec {
    /// Standard input and output; the flag says whether Ctrl-C and the like go to the guest rather than to emu.
    Stdio {
        /// `mon:stdio`.
        mux: bool,
    },
    /// Output is appended to a new file; there is no input.
    File(PathBuf),
    /// Output is dropped; there is no input.
    Null,
    /// A new pseudo-terminal, whose name is printed.
    Pty,
}

impl StreamSpec {
    /// Parses the value of `-serial`.
    pub fn parse(text: &str) -> Result<StreamSpec, String> {
        match text {
            "stdio" | "chardev:stdio" => return Ok(StreamSpec::Stdio { mux: false }),
            "mon:stdio" => return Ok(StreamSpec::Stdio { mux: true }),
            "null" | "none" => return Ok(StreamSpec::Null),
            "pty" => return Ok(StreamSpec::Pty),
            "file:" => return Err("-serial file: needs a path, as in file:console.log".to_owned()),
            _ => {}
        }
        if let Some(path) = text.strip_prefix("file:") {
            return Ok(StreamSpec::File(path.into()));
        }
        let kind = text.split(':').next().unwrap_or(text);
        if matches!(kind, "tcp" | "unix" | "telnet" | "udp" | "pipe" | "chardev" | "vc" | "mon") {
            return Err(format!("-serial {text}: '{kind}' streams are not implemented; there are stdio, mon:stdio, file:PATH, pty and null"));
        }
        Err(format!("-serial {text}: there is no such stream; there are stdio, mon:stdio, file:PATH, pty and null"))
    }

    /// True for standard input and output.
    pub fn is_stdio(&self) -> bool {
        matches!(self, StreamSpec::Stdio { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams() {
        assert_eq!(StreamSpec::parse("mon:stdio"), Ok(StreamSpec::Stdio { mux: true }));
        assert_eq!(StreamSpec::parse("stdio"), Ok(StreamSpec::Stdio { mux: false }));
        assert_eq!(StreamSpec::parse("file:a:b"), Ok(StreamSpec::File("a:b".into())));
        assert_eq!(StreamSpec::parse("none"), Ok(StreamSpec::Null));
        assert!(StreamSpec::parse("tcp::1234,server").unwrap_err().contains("not implemented"));
        assert!(StreamSpec::parse("sdtio").unwrap_err().contains("no such stream"));
        assert!(StreamSpec::parse("file:").unwrap_err().contains("needs a path"));
    }
}
