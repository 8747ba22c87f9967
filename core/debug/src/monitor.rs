//! gdb's `monitor` commands.

use emu_exec::{CpuStatus, Machine};
use std::fmt::Write;

/// What a command wants besides its text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    /// Nothing.
    Nothing,
    /// The run ends.
    Quit,
}

/// A command: its name, what it does, and how.
struct Command {
    name: &'static str,
    help: &'static str,
    run: fn(&Machine, &mut String) -> Wish,
}

const COMMANDS: &[Command] = &[
    Command { name: "help", help: "this list", run: help },
    Command { name: "quit", help: "end emu", run: |_, _| Wish::Quit },
    Command { name: "reset", help: "reset the machine, which stays stopped (`maintenance flush register-cache` afterwards)", run: reset },
    Command { name: "info cpus", help: "what the CPUs are doing", run: info_cpus },
    Command { name: "info mtree", help: "what lies where in physical memory", run: info_mtree },
    Command { name: "info stats", help: "counters", run: |m, out| say(out, &m.statistics()) },
];

fn say(out: &mut String, text: &str) -> Wish {
    out.push_str(text);
    Wish::Nothing
}

fn help(_: &Machine, out: &mut String) -> Wish {
    for c in COMMANDS {
        let _ = writeln!(out, "{:<12} {}", c.name, c.help);
    }
    Wish::Nothing
}

fn reset(machine: &Machine, out: &mut String) -> Wish {
    say(out, if machine.debug_reset() { "the machine has been reset\n" } else { "the machine ends instead of being reset\n" })
}

/// What a CPU is doing, in a word or two.
pub fn status(machine: &Machine, cpu: u32) -> &'static str {
    match machine.debug_status(cpu) {
        Some(CpuStatus::Runs) => "running",
        Some(CpuStatus::Waits) => "waits for an interrupt",
        Some(CpuStatus::Off) => "off",
        None => "not stopped",
    }
}

fn info_cpus(machine: &Machine, out: &mut String) -> Wish {
    for cpu in 0..machine.cpus.len() as u32 {
        let seen = machine.debug_cpus().any(|c| c == cpu);
        let thread = if seen { format!("thread {}", cpu + 1) } else { "of another target".to_owned() };
        let _ = writeln!(out, "CPU {cpu} ({thread}): {}", status(machine, cpu));
    }
    Wish::Nothing
}

fn info_mtree(machine: &Machine, out: &mut String) -> Wish {
    for w in machine.space.windows() {
        let kind = match (&w.ram, w.device.is_some(), w.read_only) {
            (Some(_), false, true) => "ROM",
            (Some(_), false, false) => "RAM",
            (Some(_), true, _) => "device with memory",
            (None, _, _) => "device",
        };
        let _ = writeln!(out, "{:016x}-{:016x} {kind} {}", w.base, w.base + (w.size - 1), w.name);
    }
    Wish::Nothing
}

/// Runs a command; a beginning of its name that fits no other is enough.
pub fn run(machine: &Machine, line: &str, out: &mut String) -> Wish {
    let words = line.split_whitespace().collect::<Vec<_>>().join(" ");
    match find(&words) {
        Ok(c) => (c.run)(machine, out),
        Err(sentence) => say(out, &sentence),
    }
}

fn find(words: &str) -> Result<&'static Command, String> {
    let fits: Vec<&Command> = COMMANDS.iter().filter(|c| !words.is_empty() && c.name.starts_with(words)).collect();
    match fits[..] {
        [one] => Ok(one),
        [] => Err(format!("there is no command '{words}'; `monitor help` lists them\n")),
        _ => Err(format!("'{words}' may be {}\n", fits.iter().map(|c| c.name).collect::<Vec<_>>().join(" or "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_be_shortened() {
        let name = |words| find(words).map(|c| c.name);
        assert_eq!(name("help"), Ok("help"));
        assert_eq!(name("q"), Ok("quit"));
        assert_eq!(name("info m"), Ok("info mtree"));
        assert!(name("info").unwrap_err().contains("info cpus or info mtree"));
        assert!(name("frobnicate").unwrap_err().contains("no command 'frobnicate'"));
        assert!(name("").is_err());
    }
}
