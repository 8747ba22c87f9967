//! The `emu` command: flags in, a machine run, an exit code out.

mod argv;
mod binfmt;
mod choose;
mod flags;
mod inherited;
mod kept;
mod lists;
mod logging;
mod qemu_user;
mod run;
mod user;
mod values;

#[cfg(feature = "static-targets")]
use {emu_machine_linux_user as _, emu_target_aarch64_v9 as _, emu_target_riscv64 as _};

use emu_host::terminal;
use std::ffi::OsString;
use std::process::ExitCode;

/// Something is wrong with the command line or a file that it names.
const USAGE: u8 = 2;
/// emu or a plugin panicked.
const INTERNAL: i32 = 125;

const SHORT_USAGE: &str = "\
usage: emu -M MACHINE [-kernel FILE] [OPTION...]
       emu [OPTION...] PROGRAM [ARGUMENT...]
       emu binfmt install | status | remove [TARGET...]
       emu --list-machines | --list-targets | --list-cpus | --list-devices [--json]
       emu -h
";

/// Ends the process because of a bug. The machine's threads may hold any lock, so nothing is tidied up but the terminal.
fn die(who: &str, message: &str) -> ! {
    terminal::restore();
    eprintln!("error: {who} panicked: {}", message.trim_end());
    std::process::exit(INTERNAL);
}

fn plugin_panicked(plugin: &str, message: &str) {
    #[cfg(feature = "plugins")]
    if emu_plugin::loading() {
        // A wrong file: nothing of the machine exists yet.
        let message: Vec<&str> = message.split_whitespace().collect();
        eprintln!(
            "error: the plugin {plugin} panicked while it was loaded: {}; the plugin is broken, remove it from the plugin path",
            message.join(" ")
        );
        std::process::exit(i32::from(USAGE));
    }
    die(&format!("the plugin {plugin}"), message);
}

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|info| die("emu", &info.to_string())));
    emu_plugins_api::set_panic_reporter(plugin_panicked);
    let mut argv = std::env::args_os();
    let program = argv.next().unwrap_or_default().to_string_lossy().into_owned();
    let argv: Vec<OsString> = argv.collect();
    let is_user = qemu_user::guest_of(&program).is_some();
    if argv.is_empty() && choose::implied_target(&program).is_none() && !is_user {
        eprint!("{SHORT_USAGE}");
        return ExitCode::from(USAGE);
    }
    match command(argv, &program) {
        Ok(code) => ExitCode::from(code as u8),
        Err(mistakes) => {
            terminal::restore();
            mistakes.iter().for_each(|m| eprintln!("error: {m}"));
            ExitCode::from(if is_user { 1 } else { USAGE })
        }
    }
}

fn command(argv: Vec<OsString>, program: &str) -> Result<i32, run::Mistakes> {
    let command = flags::command();
    let words = argv.clone();
    let (argv, guest) = if emu_host::for_another_program() && words.len() >= 2 {
        // The kernel's words: the program's path, its argument 0.
        let mut argv = vec!["--lenient".into()];
        user::variable_words(user::VARIABLES, &mut argv);
        (argv, Some(user::Program { word: words[0].clone(), at: 2, by_kernel: Some(1), named: None }))
    } else if qemu_user::guest_of(program).is_some() {
        match qemu_user::parse(&argv).map_err(|e| vec![e])? {
            qemu_user::Asked::Program(argv, at) => {
                (argv, Some(user::Program { word: words[at].clone(), at: at + 1, by_kernel: None, named: qemu_user::guest_of(program) }))
            }
            qemu_user::Asked::Help => {
                print!("{}", qemu_user::help(program));
                return Ok(0);
            }
            qemu_user::Asked::Version => {
                let name = program.rsplit('/').next().unwrap_or(program).trim_end_matches("-static");
                println!("{name} version {} (emu {}, with that version's options)", qemu_user::VERSION, env!("CARGO_PKG_VERSION"));
                return Ok(0);
            }
        }
    } else if argv.first().is_some_and(|w| w == "binfmt") {
        let words: Vec<String> = argv[1..].iter().map(|w| w.to_string_lossy().into_owned()).collect();
        return binfmt::run(&words).map_err(|e| vec![e]);
    } else if program.rsplit('/').next().is_some_and(|p| p.starts_with("qemu-system-")) && argv.iter().any(|w| w == "-version" || w == "--version") {
        println!("QEMU emulator version {} (emu {}, with that version's options)", qemu_user::VERSION, env!("CARGO_PKG_VERSION"));
        return Ok(0);
    } else {
        let (mut argv, at) = argv::normalise(&command, argv).map_err(|e| vec![e])?;
        let mut first = Vec::new();
        user::variable_words(if at.is_some() { user::VARIABLES } else { user::MACHINE_VARIABLES }, &mut first);
        argv.splice(..0, first);
        (argv, at.map(|at| user::Program { word: words[at].clone(), at: at + 1, by_kernel: None, named: None }))
    };
    match command.no_binary_name(true).try_get_matches_from(argv) {
        Ok(matches) => run::run(matches, program, guest),
        Err(e) if !e.use_stderr() => {
            // Help or version.
            let _ = e.print();
            Ok(0)
        }
        Err(e) => Err(vec![e.to_string().trim_start_matches("error: ").trim_end().to_owned()]),
    }
}
