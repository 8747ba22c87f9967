//! What -d can log, one row each, and the logger that writes it.

use emu_exec::TraceOptions;
use emu_plugin::nearest;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// How an item is switched on.
enum Switch {
    /// A trace of the execution core.
    Trace(fn(&mut TraceOptions)),
    /// Log records with this target.
    Target(&'static str),
    /// Known from QEMU; there is nothing of the kind.
    Nothing,
}

/// A row.
struct Item {
    name: &'static str,
    help: &'static str,
    switch: Switch,
}

/// All items.
static ITEMS: &[Item] = &[
    Item { name: "in_asm", help: "guest code of each block when it is translated", switch: Switch::Trace(|t| t.in_asm = true) },
    Item { name: "op", help: "IR of each block when it is translated", switch: Switch::Trace(|t| t.op = true) },
    Item { name: "int", help: "interrupts and exceptions", switch: Switch::Trace(|t| t.int = true) },
    Item { name: "exec", help: "each block when it is executed", switch: Switch::Trace(|t| t.exec = true) },
    Item { name: "cpu", help: "CPU registers before each block", switch: Switch::Trace(|t| t.cpu = true) },
    Item { name: "fpu", help: "vector registers before each block", switch: Switch::Trace(|t| t.fpu = true) },
    Item {
        name: "mmu",
        help: "page walks: address, privilege view, what came of it (-dfilter: of the address looked up)",
        switch: Switch::Trace(|t| t.mmu = true),
    },
    Item {
        name: "guest_errors",
        help: "what the guest does wrong, such as accesses that a device does not allow",
        switch: Switch::Target("guest_error"),
    },
    Item { name: "unimp", help: "what the guest uses and emu does not implement", switch: Switch::Target("unimplemented") },
    Item { name: "page", help: "nothing: page tables of user mode, which there is not", switch: Switch::Nothing },
    Item { name: "nochain", help: "no jumps from region to region: each goes through the dispatcher", switch: Switch::Trace(|t| t.unlinked = true) },
    Item { name: "out_asm", help: "generated host code of each region", switch: Switch::Trace(|t| t.out_asm = true) },
    Item { name: "op_opt", help: "IR of each region after the optimiser", switch: Switch::Trace(|t| t.op_opt = true) },
];

/// The text of `-d help`.
pub fn help() -> String {
    let mut out = String::from("What -d logs (several with commas between):\n");
    for item in ITEMS {
        out += &format!("  {:<14}{}\n", item.name, item.help);
    }
    out
}

/// Where the log goes.
enum Output {
    Errors,
    File(Mutex<File>),
}

impl Output {
    fn write(&self, text: &[u8]) {
        // A log that cannot be written has nowhere to say so.
        let _ = match self {
            Output::Errors => std::io::stderr().write_all(text),
            Output::File(file) => file.lock().unwrap_or_else(PoisonError::into_inner).write_all(text),
        };
    }
}

/// The output, for the logger.
struct Shared(Arc<Output>);

impl Write for Shared {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.write(text);
        Ok(text.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is to be logged.
#[derive(Default)]
pub struct Logging {
    /// Traces of the execution core.
    pub trace: TraceOptions,
    targets: Vec<&'static str>,
    /// What was asked for and does not exist.
    pub warnings: Vec<String>,
}

impl Logging {
    /// Takes in one value of -d.
    pub fn add(&mut self, text: &str) -> Result<(), String> {
        for name in text.split(',') {
            let Some(item) = ITEMS.iter().find(|i| i.name == name) else {
                let hint =
                    nearest(name, ITEMS.iter().map(|i| i.name)).map_or("`-d help` lists the items".to_owned(), |n| format!("did you mean '{n}'?"));
                return Err(format!("-d {text}: there is no item '{name}'; {hint}"));
            };
            match item.switch {
                Switch::Trace(set) => set(&mut self.trace),
                Switch::Target(target) => self.targets.push(target),
                Switch::Nothing => self.warnings.push(format!("-d {name} logs {}", item.help)),
            }
        }
        Ok(())
    }

    /// Installs the logger: warnings and errors, what -d asks for, and what EMU_LOG (or RUST_LOG) says. Traces go the same way.
    pub fn install(&mut self, file: Option<&Path>) -> Result<(), String> {
        let filter = ["EMU_LOG", "RUST_LOG"].iter().find_map(|v| std::env::var(v).ok().filter(|f| !f.is_empty()));
        let mut builder = env_logger::Builder::new();
        builder.parse_filters("warn,guest_error=off,unimplemented=off");
        if let Some(filter) = &filter {
            builder.parse_filters(filter);
        }
        for target in &self.targets {
            builder.filter_module(target, log::LevelFilter::Trace);
        }
        let verbose = filter.is_some();
        builder.format(move |out, record| match record.target() {
            t @ ("guest_error" | "unimplemented") => writeln!(out, "{t}: {}", record.args()),
            t if verbose => writeln!(out, "{}: {t}: {}", record.level().as_str().to_lowercase(), record.args()),
            _ => writeln!(out, "{}: {}", record.level().as_str().to_lowercase().replace("warn", "warning"), record.args()),
        });
        let output = Arc::new(match file {
            Some(path) => Output::File(Mutex::new(File::create(path).map_err(|e| format!("-D {}: {e}", path.display()))?)),
            None => Output::Errors,
        });
        if file.is_some() {
            builder.target(env_logger::Target::Pipe(Box::new(Shared(Arc::clone(&output)))));
        }
        self.trace.sink = Some(Arc::new(move |text: &str| output.write(text.as_bytes())));
        builder.try_init().map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items() {
        let mut l = Logging::default();
        l.add("in_asm,int,guest_errors,nochain,cpu,mmu").unwrap();
        assert!(l.trace.in_asm && l.trace.int && l.trace.cpu && l.trace.mmu && !l.trace.exec && !l.trace.fpu);
        assert_eq!(l.targets, ["guest_error"]);
        assert!(l.warnings.is_empty(), "{:?}", l.warnings);
        let e = l.add("guest_error").unwrap_err();
        assert!(e.contains("did you mean 'guest_errors'?"), "{e}");
        assert!(l.add("zzz").unwrap_err().contains("-d help"));
        assert!(ITEMS.iter().all(|i| help().contains(i.name)));
    }
}
