//! The `emu` command: flags in, a machine run, an exit code out.

mod argv;
mod choose;
mod flags;
mod inherited;
mod lists;
mod logging;
mod run;
mod user;
mod values;

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
    die(&format!("the plugin {plugin}"), message);
}

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|info| die("emu", &info.to_string())));
    emu_plugins_api::set_panic_reporter(plugin_panicked);
    let mut argv = std::env::args_os();
    let program = argv.next().unwrap_or_default().to_string_lossy().into_owned();
    let argv: Vec<OsString> = argv.collect();
    if argv.is_empty() && choose::implied_target(&program).is_none() {
        eprint!("{SHORT_USAGE}");
        return ExitCode::from(USAGE);
    }
    match command(argv, &program) {
        Ok(code) => ExitCode::from(code as u8),
        Err(mistakes) => {
            terminal::restore();
            mistakes.iter().for_each(|m| eprintln!("error: {m}"));
            ExitCode::from(USAGE)
        }
    }
}

fn command(argv: Vec<OsString>, program: &str) -> Result<i32, run::Mistakes> {
    let command = flags::command();
    let words = argv.clone();
    let (argv, guest) = argv::normalise(&command, argv).map_err(|e| vec![e])?;
    match command.no_binary_name(true).try_get_matches_from(argv) {
        Ok(matches) => run::run(matches, program, guest.map(|at| user::Program { word: words[at].clone(), at: at + 1 })),
        Err(e) if !e.use_stderr() => {
            // Help or version.
            let _ = e.print();
            Ok(0)
        }
        Err(e) => Err(vec![e.to_string().trim_start_matches("error: ").trim_end().to_owned()]),
    }
}
