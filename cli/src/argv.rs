//! Makes the command line people type from habit into one that the parser knows: `-machine virt`, `--machine virt`, `-machine=virt` and
//! `-M virt` become `--machine=virt`. What is an option and what takes a value comes from the parser's own table, so a value that looks like
//! an option (`-append "-x"`) stays a value, and a word that is no option gets a suggestion.

use clap::{Arg, Command};
use emu_plugin::nearest;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

fn names(arg: &Arg) -> impl Iterator<Item = String> {
    let long = arg.get_long().map(str::to_owned);
    let aliases = arg.get_all_aliases().unwrap_or_default().into_iter().map(str::to_owned);
    let short = arg.get_short().map(String::from);
    long.into_iter().chain(aliases).chain(short)
}

fn find<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    command.get_arguments().find(|a| names(a).any(|n| n == name))
}

/// Options, and where the program begins that is to be run: the first word that is neither an option nor an option's value, or the one
/// behind "--".
pub type Split = (Vec<OsString>, Option<usize>);

/// Rewrites the arguments (without the program's name). The error is a sentence.
pub fn normalise(command: &Command, argv: impl IntoIterator<Item = OsString>) -> Result<Split, String> {
    let mut out = Vec::new();
    let mut argv = argv.into_iter().enumerate();
    while let Some((at, word)) = argv.next() {
        let bytes = word.as_bytes();
        if bytes == b"--" {
            return match argv.next() {
                Some((at, _)) => Ok((out, Some(at))),
                None => Err("'--' stands before a program, and there is none".to_owned()),
            };
        }
        let Some(option) = bytes.strip_prefix(b"--").or_else(|| bytes.strip_prefix(b"-")).filter(|o| !o.is_empty()) else {
            return Ok((out, Some(at)));
        };
        let (name, inline) = match option.iter().position(|b| *b == b'=') {
            Some(at) => (&option[..at], Some(OsStr::from_bytes(&option[at + 1..]))),
            None => (option, None),
        };
        let name = String::from_utf8_lossy(name).into_owned();
        let Some(arg) = find(command, &name) else {
            let all: Vec<String> = command.get_arguments().flat_map(names).collect();
            let hint = match nearest(&name, all.iter().map(String::as_str)) {
                Some(near) => format!("did you mean '-{near}'?"),
                None => "`emu -h` lists the options".to_owned(),
            };
            return Err(format!("there is no option '{}'; {hint}", word.display()));
        };
        let mut made = OsString::from(format!("--{}", arg.get_long().unwrap_or(&name)));
        if arg.get_action().takes_values() && arg.get_num_args().is_none_or(|n| n.takes_values()) {
            let value = match inline {
                Some(value) => value.to_owned(),
                None => argv.next().map(|(_, v)| v).ok_or_else(|| {
                    let value = arg.get_value_names().and_then(<[_]>::first).map_or("VALUE", |v| v.as_str());
                    format!("-{name} needs a value: -{name} {value}")
                })?,
            };
            made.push("=");
            made.push(value);
        } else if inline.is_some() {
            return Err(format!("-{name} takes no value"));
        }
        out.push(made);
    }
    Ok((out, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::command;

    fn run(line: &[&str]) -> Result<Vec<String>, String> {
        let (out, _) = normalise(&command(), line.iter().map(OsString::from))?;
        Ok(out.into_iter().map(|o| o.into_string().unwrap()).collect())
    }

    #[test]
    fn one_dash_two_dashes_and_letters() {
        let lines: [&[&str]; 6] =
            [&["-machine", "virt"], &["--machine", "virt"], &["-M", "virt"], &["--M", "virt"], &["-machine=virt"], &["--machine=virt"]];
        for line in lines {
            assert_eq!(run(line).unwrap(), ["--machine=virt"], "{line:?}");
        }
        assert_eq!(
            run(&["-m", "4G", "-d", "int", "-D", "f", "-h", "-nographic"]).unwrap(),
            ["--memory=4G", "--log=int", "--log-file=f", "--help", "--nographic"]
        );
    }

    #[test]
    fn values_are_untouched() {
        assert_eq!(run(&["-append", "-x --machine=a b", "-smp", "cpus=4"]).unwrap(), ["--append=-x --machine=a b", "--smp=cpus=4"]);
        assert_eq!(run(&["-append="]).unwrap(), ["--append="]);
    }

    #[test]
    fn mistakes_are_sentences() {
        let cases: [(&[&str], &str); 5] = [
            (&["-kernle", "x"], "there is no option '-kernle'; did you mean '-kernel'?"),
            (&["--frobnicate"], "`emu -h` lists the options"),
            (&["-m"], "-m needs a value: -m SIZE"),
            (&["-nographic=1"], "takes no value"),
            (&["--"], "'--' stands before a program"),
        ];
        for (line, want) in cases {
            let got = run(line).unwrap_err();
            assert!(got.contains(want), "{line:?}: {got}");
        }
    }

    #[test]
    fn a_program_and_what_is_its_own() {
        let split = |line: &[&str]| normalise(&command(), line.iter().map(OsString::from)).unwrap();
        assert_eq!(split(&["-L", "/root", "./prog", "-M", "x"]), (vec!["--sysroot=/root".into()], Some(2)));
        assert_eq!(split(&["--", "-prog"]), (vec![], Some(1)));
        assert_eq!(split(&["-M", "virt"]).1, None);
    }

    #[test]
    fn the_parser_takes_what_comes_out() {
        let (argv, _) =
            normalise(&command(), ["-M", "virt", "-append", "-x", "-expect", "a", "-send", "-b", "-no-reboot"].map(OsString::from)).unwrap();
        let m = command().no_binary_name(true).try_get_matches_from(argv).unwrap();
        assert_eq!(m.get_one::<OsString>("append").unwrap(), "-x");
        assert!(m.get_flag("no-reboot"));
        assert!(m.indices_of("expect").unwrap().next() < m.indices_of("send").unwrap().next());
    }
}
