//! The command line of `qemu-aarch64` and its relatives, for a link to emu of such a name: rows that say what each option is here. They are
//! looked for before the program only, take their value from the next word, and have environment variables, as that program's have.

use crate::user::{VARIABLES, variable_words};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The version whose options these are; scripts ask for it.
pub const VERSION: &str = "10.0.0";

/// What an option is here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Is {
    /// This flag of emu's, with a value if its last field says so.
    Flag(&'static str),
    /// The same; a value is a list, separated by commas.
    List(&'static str),
    /// Something that emu arranges by itself: the value is taken and left.
    Nothing,
    /// Refused with a reason.
    Missing(&'static str),
    Help,
    Version,
}

/// Names, whether there is a value, what it is.
#[rustfmt::skip]
const OPTIONS: &[(&str, bool, Is)] = &[
    ("h", false, Is::Help),
    ("help", false, Is::Help),
    ("version", false, Is::Version),
    ("L", true, Is::Flag("sysroot")),
    ("cpu", true, Is::Flag("cpu")),
    ("E", true, Is::List("set-env")),
    ("U", true, Is::List("unset-env")),
    ("0", true, Is::Flag("argv0")),
    ("r", true, Is::Flag("uname")),
    ("d", true, Is::Flag("log")),
    ("D", true, Is::Flag("log-file")),
    ("dfilter", true, Is::Flag("dfilter")),
    ("strace", false, Is::Flag("strace")),
    ("g", true, Is::Flag("gdb")),
    ("s", true, Is::Nothing),
    ("B", true, Is::Nothing),
    ("R", true, Is::Nothing),
    ("t", true, Is::Nothing),
    ("p", true, Is::Nothing),
    ("one-insn-per-tb", false, Is::Nothing),
    ("singlestep", false, Is::Nothing),
    ("tb-size", true, Is::Nothing),
    ("seed", true, Is::Nothing),
    ("perfmap", false, Is::Nothing),
    ("jitdump", false, Is::Nothing),
    ("trace", true, Is::Missing("named trace points are not implemented; -d help lists what can be logged")),
    ("plugin", true, Is::Missing("instrumentation plugins are not implemented yet")),
];

/// The guest that a program's name stands for: `qemu-NAME` and `emu-NAME`, also with `-static` at the end.
pub fn guest_of(program: &str) -> Option<&'static str> {
    let name = program.rsplit('/').next().unwrap_or(program);
    let name = name.strip_prefix("qemu-").or_else(|| name.strip_prefix("emu-"))?;
    let name = name.strip_suffix("-static").unwrap_or(name);
    crate::user::TARGETS.iter().map(|t| t.1).find(|t| *t == name)
}

/// What the command line asks for.
#[derive(PartialEq, Eq, Debug)]
pub enum Asked {
    /// A program: options in emu's own form, and the number of its word.
    Program(Vec<OsString>, usize),
    Help,
    Version,
}

fn add(out: &mut Vec<OsString>, is: Is, value: &OsStr) {
    let made = |name: &str, value: &[u8]| OsString::from_vec([b"--", name.as_bytes(), b"=", value].concat());
    match is {
        Is::Flag("strace") => out.push("--strace".into()),
        Is::Flag(name) => out.push(made(name, value.as_bytes())),
        Is::List(name) => out.extend(value.as_bytes().split(|b| *b == b',').filter(|v| !v.is_empty()).map(|v| made(name, v))),
        _ => {}
    }
}

/// Reads it (without the program's name). The error is a sentence.
pub fn parse(argv: &[OsString]) -> Result<Asked, String> {
    let mut out = Vec::new();
    // What is not there is no mistake for a link of this name: the variable or the option may have been meant for another root.
    out.push("--lenient".into());
    variable_words(VARIABLES, &mut out);
    let mut at = 0;
    while let Some(word) = argv.get(at) {
        let Some(option) = word.as_bytes().strip_prefix(b"-") else { break };
        at += 1;
        let option = option.strip_prefix(b"-").unwrap_or(option);
        if option.is_empty() {
            break;
        }
        let name = String::from_utf8_lossy(option);
        let Some((_, takes_value, is)) = OPTIONS.iter().find(|(n, ..)| *n == name) else {
            return Err(format!("unknown option '{name}'"));
        };
        let value = if *takes_value {
            at += 1;
            argv.get(at - 1).ok_or_else(|| format!("missing argument for option '{name}'"))?.as_os_str()
        } else {
            OsStr::new("")
        };
        match is {
            Is::Help => return Ok(Asked::Help),
            Is::Version => return Ok(Asked::Version),
            Is::Missing(why) => return Err(format!("-{name}: {why}")),
            is => add(&mut out, *is, value),
        }
    }
    if at >= argv.len() {
        return Err("no user program specified".into());
    }
    Ok(Asked::Program(out, at))
}

/// The help, from the rows.
pub fn help(program: &str) -> String {
    let mut text = format!("usage: {program} [options] program [arguments...]\nAs emu runs it (emu -h); options before the program:\n");
    for (name, takes_value, is) in OPTIONS {
        let note = match is {
            Is::Flag(flag) | Is::List(flag) if flag == name => String::new(),
            Is::Flag(flag) | Is::List(flag) => format!("emu's --{flag}"),
            Is::Nothing => "taken, changes nothing".into(),
            Is::Missing(why) => (*why).into(),
            Is::Help => "this text".into(),
            Is::Version => "the version".into(),
        };
        text += &format!("  -{:<18} {note}\n", format!("{name}{}", if *takes_value { " VALUE" } else { "" }));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &[&str]) -> Result<(Vec<String>, usize), String> {
        let argv: Vec<OsString> = line.iter().map(OsString::from).collect();
        match parse(&argv)? {
            Asked::Program(out, at) => Ok((out.into_iter().skip(1).map(|o| o.into_string().unwrap()).collect(), at)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn names() {
        for (name, want) in [("/usr/bin/qemu-aarch64-static", Some("aarch64")), ("qemu-aarch64", Some("aarch64")), ("emu-riscv64", Some("riscv64"))] {
            assert_eq!(guest_of(name), want);
        }
        for name in ["emu", "qemu-system-aarch64", "qemu-img", "emu-static"] {
            assert_eq!(guest_of(name), None, "{name}");
        }
    }

    #[test]
    fn options() {
        let (out, at) =
            words(&["-L", "/r", "-E", "A=1,B=2", "--cpu", "max", "-U", "X", "-s", "8192", "-0", "-sh", "-strace", "--", "-prog", "-L"]).unwrap();
        assert_eq!(out, ["--sysroot=/r", "--set-env=A=1", "--set-env=B=2", "--cpu=max", "--unset-env=X", "--argv0=-sh", "--strace"]);
        assert_eq!(at, 14);
        assert_eq!(words(&["-foo", "x"]).unwrap_err(), "unknown option 'foo'");
        assert_eq!(words(&["-L"]).unwrap_err(), "missing argument for option 'L'");
        assert_eq!(words(&["-strace"]).unwrap_err(), "no user program specified");
        assert_eq!(parse(&["-version".into(), "x".into()]), Ok(Asked::Version));
    }
}
