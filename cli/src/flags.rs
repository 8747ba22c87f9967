//! The flags, one row each: names, value, section, help, and what becomes of those that emu only knows by name. The parser, the help text
//! and the suggestions come from this table.

use clap::{Arg, ArgAction, Command};

/// What emu does with a flag.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Heeds it.
    Works,
    /// Takes it without a word: it asks for what emu does anyway.
    Silent,
    /// Takes it and warns that it changes nothing.
    NoEffect,
    /// Takes the value "none" only, which is what there is.
    OnlyNone,
    /// Refuses it with this sentence.
    Missing(&'static str),
}
use Kind::{Missing, NoEffect, OnlyNone, Silent, Works};

/// A row.
#[derive(Debug)]
pub struct Flag {
    /// The full name, by which the rest of the program asks for it.
    pub name: &'static str,
    /// Other names. One of a single letter is shown in the help.
    pub aliases: &'static [&'static str],
    /// Name of the value; empty for a switch.
    pub value: &'static str,
    /// Section of the help; flags without help are not shown.
    pub section: &'static str,
    /// One line.
    pub help: &'static str,
    /// What emu does with it.
    pub kind: Kind,
}

const fn row(
    name: &'static str,
    aliases: &'static [&'static str],
    value: &'static str,
    section: &'static str,
    help: &'static str,
    kind: Kind,
) -> Flag {
    Flag { name, aliases, value, section, help, kind }
}
const fn quiet(name: &'static str, value: &'static str, kind: Kind) -> Flag {
    row(name, &[], value, "", "", kind)
}

const MACHINE: &str = "Machine";
const BOOT: &str = "What to start";
const USER: &str = "Programs";
const CONSOLE: &str = "Console and scripts";
const RUN: &str = "Execution";
const LOOK: &str = "Looking inside";
const LISTS: &str = "Lists, plugins, help";

const NO_DISKS: &str = "disks are not implemented yet; a root file system can be given as -initrd";
const NO_NETWORK: &str = "networks are not implemented yet; -nic none says that there is none";
const NO_MONITOR: &str = "the monitor is not implemented yet";

/// All flags.
#[rustfmt::skip]
pub static FLAGS: &[Flag] = &[
    row("machine", &["M"], "NAME[,KEY=VALUE...]", MACHINE, "Machine and its options; 'help' lists machines, NAME,help its options", Works),
    row("target", &[], "NAME", MACHINE, "Guest architecture, where the machine takes several; NAME+NAME where it has CPUs of both", Works),
    row("cpu", &[], "MODEL[,KEY=VALUE...]", MACHINE, "CPU model and its options (MODEL+MODEL for two targets); 'help' lists models", Works),
    row("smp", &[], "N", MACHINE, "Number of CPUs, of each target if there are several (also cpus=N)", Works),
    row("memory", &["m"], "SIZE", MACHINE, "RAM: a number of MiB, or one with K, M, G or T (also size=SIZE)", Works),
    row("kernel", &[], "FILE", BOOT, "Kernel", Works),
    row("initrd", &[], "FILE", BOOT, "Initial RAM disk", Works),
    row("append", &[], "TEXT", BOOT, "Kernel command line", Works),
    row("dtb", &[], "FILE", BOOT, "Device tree, instead of the generated one", Works),
    row("bios", &[], "FILE", BOOT, "Firmware", Works),
    row("sysroot", &["L"], "DIR", USER, "Look for the program's files here first (EMU_LD_PREFIX)", Works),
    row("set-env", &["E"], "NAME=VALUE", USER, "Set a variable of its environment (EMU_SET_ENV: NAME=VALUE,...)", Works),
    row("unset-env", &["U"], "NAME", USER, "Take one out (EMU_UNSET_ENV)", Works),
    row("argv0", &["0"], "NAME", USER, "Its argument 0", Works),
    row("strace", &[], "", USER, "Show its system calls (EMU_STRACE)", Works),
    row("uname", &[], "RELEASE", USER, "The release of Linux that it is told", Works),
    row("translations", &[], "DIR|off", RUN, "Where generated code of programs and machines is kept for their next runs (EMU_TRANSLATIONS); otherwise ~/.cache/emu, or nowhere when the kernel starts emu", Works),
    row("nographic", &[], "", CONSOLE, "The first serial line is on the terminal (which it is anyway)", Works),
    row("serial", &[], "STREAM", CONSOLE, "Where the next serial line leads: stdio, mon:stdio, file:PATH, pty, null", Works),
    row("expect", &[], "TEXT", CONSOLE, "Wait until the console shows TEXT; after the last one end with code 0. Repeatable, in order with --send; \\n \\r \\t \\xHH", Works),
    row("send", &[], "TEXT", CONSOLE, "Then type TEXT", Works),
    row("timeout", &[], "DURATION", CONSOLE, "End with code 124 after 60, 90s, 5m ...", Works),
    row("accel", &[], "tcg|interp", RUN, "How guest code is run: generated host code, or the interpreter", Works),
    row("icount", &[], "shift=N[,seed=S]", RUN, "Deterministic execution: an instruction takes 2^N ns; seed for everything random", Works),
    row("semihosting", &[], "", RUN, "Let the guest use host files, console, time and commands (semihosting)", Works),
    row("semihosting-config", &[], "KEY=VALUE[,...]", RUN, "The same with enable=on|off, target=native, userspace=on|off, chardev=serialN, arg=TEXT (repeatable)", Works),
    row("no-reboot", &[], "", RUN, "End when the guest resets the machine", Works),
    row("log", &["d"], "ITEM[,ITEM...]", LOOK, "Log these; 'help' lists them", Works),
    row("log-file", &["D"], "FILE", LOOK, "Where the log goes, instead of standard error", Works),
    row("dfilter", &[], "RANGE[,RANGE...]", LOOK, "Log code in these address ranges only: START..END, START+LEN, START-LEN", Works),
    row("gdb", &["g"], "tcp:[HOST]:PORT|unix:PATH", LOOK, "Let gdb connect there ('target remote'); without HOST from this computer only. Of several targets it sees one: ,target=NAME. A program waits for gdb, also at just PORT or PATH", Works),
    row("gdb-default", &["s"], "", LOOK, "The same as -gdb tcp::1234", Works),
    row("freeze", &["S"], "", LOOK, "Start stopped: gdb lets the CPUs run", Works),
    row("stats", &[], "", LOOK, "Print statistics at the end", Works),
    row("state-hash", &[], "N[,from=A][,until=B][,dump][,ram]", LOOK, "Under -icount: log a hash of all CPUs' state every N instructions, and of RAM at the end; until=B ends the run", Works),
    row("list-targets", &[], "", LISTS, "List guest architectures", Works),
    row("list-machines", &[], "", LISTS, "List machines", Works),
    row("list-cpus", &[], "", LISTS, "List CPU models", Works),
    row("list-devices", &[], "", LISTS, "List device models", Works),
    row("json", &[], "", LISTS, "Lists as JSON", Works),
    row("plugin-path", &[], "PATH[:PATH...]", LISTS, "Files and folders with plugins, before the usual places", Works),

    // Words for another emu: what names no directory (any more) is no mistake.
    quiet("lenient", "", Silent),
    quiet("nodefaults", "", Silent),
    quiet("no-user-config", "", Silent),
    quiet("name", "TEXT", Silent),
    quiet("no-shutdown", "", NoEffect),
    quiet("rtc", "base=utc", Silent),
    quiet("boot", "ORDER", NoEffect),
    quiet("uuid", "UUID", NoEffect),
    quiet("sandbox", "on|off", NoEffect),
    quiet("overcommit", "KEY=VALUE", NoEffect),
    quiet("display", "none", OnlyNone),
    quiet("monitor", "none", OnlyNone),
    quiet("parallel", "none", OnlyNone),
    quiet("vga", "none", OnlyNone),
    quiet("net", "none", OnlyNone),
    quiet("nic", "none", OnlyNone),
    quiet("enable-kvm", "", Missing("there is no hardware virtualisation: emu translates; leave it out")),
    quiet("drive", "KEY=VALUE", Missing(NO_DISKS)),
    quiet("blockdev", "KEY=VALUE", Missing(NO_DISKS)),
    quiet("hda", "FILE", Missing(NO_DISKS)),
    quiet("hdb", "FILE", Missing(NO_DISKS)),
    quiet("cdrom", "FILE", Missing(NO_DISKS)),
    quiet("sd", "FILE", Missing(NO_DISKS)),
    quiet("snapshot", "", Missing(NO_DISKS)),
    quiet("pflash", "FILE", Missing("flash images are not implemented yet; -bios FILE starts firmware")),
    quiet("device", "NAME", Missing("devices cannot be added yet; --list-devices shows what the machines have")),
    quiet("object", "NAME", Missing("objects are not implemented yet")),
    quiet("chardev", "NAME", Missing("character devices are not implemented; -serial takes stdio, mon:stdio, file:PATH, pty and null")),
    quiet("netdev", "NAME", Missing(NO_NETWORK)),
    quiet("virtfs", "NAME", Missing("shared folders are not implemented yet; files can be given as -initrd")),
    quiet("qmp", "STREAM", Missing(NO_MONITOR)),
    quiet("plugin", "file=FILE", Missing("instrumentation plugins are not implemented yet; targets and machines are found with --plugin-path")),
    quiet("trace", "NAME", Missing("named trace points are not implemented; -d help lists what can be logged")),
    quiet("loadvm", "NAME", Missing("saved machines are not implemented yet")),
    quiet("fw_cfg", "NAME", Missing("firmware configuration items cannot be added yet")),
    quiet("daemonize", "", Missing("emu does not run in the background by itself; append & in a shell")),
    quiet("pidfile", "FILE", Missing("process id files are not implemented")),
];

/// The parser.
pub fn command() -> Command {
    let mut command = Command::new("emu")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Emulates whole machines; guest architectures and boards are plugins.")
        .override_usage("emu -M MACHINE [-kernel FILE] [OPTION...]\n       emu [OPTION...] PROGRAM [ARGUMENT...]")
        .after_help(AFTER_HELP)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .arg(Arg::new("help").long("help").short('h').action(ArgAction::Help).help("This text").help_heading(LISTS))
        .arg(Arg::new("version").long("version").short('V').action(ArgAction::Version).help("The version").help_heading(LISTS));
    for flag in FLAGS {
        let mut arg = Arg::new(flag.name).long(flag.name).help(flag.help).hide(flag.help.is_empty());
        for alias in flag.aliases {
            let mut letters = alias.chars();
            arg = match (letters.next(), letters.next()) {
                (Some(letter), None) => arg.short(letter),
                _ => arg.alias(*alias),
            };
        }
        arg = if flag.value.is_empty() {
            arg.action(ArgAction::SetTrue).overrides_with(flag.name)
        } else {
            arg.action(ArgAction::Append).value_name(flag.value).value_parser(clap::value_parser!(std::ffi::OsString))
        };
        if !flag.section.is_empty() {
            arg = arg.help_heading(flag.section);
        }
        command = command.arg(arg);
    }
    command
}

const AFTER_HELP: &str = "\
Every flag may be written with one dash or two; names and values are those known from QEMU.

Exit codes:
  what the guest says when it powers off (0), or the program's own
  1    the guest crashed, or ended before --expect was satisfied
  2    something is wrong with the command line or a file
  124  --timeout
  125  emu or a plugin panicked
  126  the program cannot be executed
  127  the program does not exist

Environment:
  EMU_PLUGIN_PATH    like --plugin-path
  EMU_LOG, RUST_LOG  log filter, such as debug
  EMU_LD_PREFIX, EMU_SET_ENV, EMU_UNSET_ENV, EMU_CPU, EMU_STRACE
                     for programs: like -L, -E, -U, -cpu, -strace; without them QEMU_LD_PREFIX and so on

Called qemu-aarch64 or qemu-riscv64, with or without -static behind it, emu has that program's options. `emu binfmt -h`: the kernel starts programs with emu.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_makes_a_parser() {
        command().debug_assert();
        for f in FLAGS {
            assert_eq!(f.section.is_empty(), f.help.is_empty(), "{}", f.name);
            assert!(f.kind != Works || !f.help.is_empty(), "{} works but has no help", f.name);
        }
    }
}
