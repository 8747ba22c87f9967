//! Makes the machine that the command line asks for, runs it, and says how it ended.

use crate::choose::{Choice, choose, implied_target};
use crate::flags::{FLAGS, Flag, Kind};
use crate::kept;
use crate::lists::{List, Only, list, machine_help};
use crate::logging::{Logging, help as log_help};
use crate::user::{self, Asked, MACHINE, Program};
use crate::values;
use clap::ArgMatches;
use emu_debug::{Address, Listener, Server};
use emu_exec::{Clock, Exit, Machine, MachineSpec};
use emu_host::{Guest, Script, SemihostingConsole, Step, StreamSpec, Streams, TimeLimit, parse_duration, signals, terminal, unescape};
use emu_plugin::{Catalogue, Discovery};
use emu_semihosting::{Config as SemihostingConfig, Semihosting};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What stops a command before a machine runs: sentences, one a mistake.
pub type Mistakes = Vec<String>;

fn one(sentence: impl Into<String>) -> Mistakes {
    vec![sentence.into()]
}

/// A warning about the command line: for the terminal, wherever the log goes.
fn warn(sentence: &str) {
    eprintln!("warning: {sentence}");
}

/// The matches, with the questions that this program asks of them.
struct Args(ArgMatches);

impl Args {
    fn raw(&self, name: &str) -> impl Iterator<Item = &OsString> {
        self.0.get_many(name).into_iter().flatten()
    }
    /// All values as text.
    fn all(&self, name: &str) -> Result<Vec<String>, Mistakes> {
        self.raw(name).map(|v| v.to_str().map(str::to_owned).ok_or_else(|| one(format!("-{name} {}: the value is not UTF-8", v.display())))).collect()
    }
    /// The value that counts: the last.
    fn last(&self, name: &str) -> Result<Option<String>, Mistakes> {
        Ok(self.all(name)?.pop())
    }
    fn on(&self, name: &str) -> bool {
        self.0.get_flag(name)
    }
    fn given(&self, flag: &Flag) -> bool {
        if flag.value.is_empty() { self.on(flag.name) } else { self.raw(flag.name).next().is_some() }
    }
    /// --expect and --send in the order of the command line.
    fn script(&self) -> Result<Option<Script>, Mistakes> {
        let mut steps = Vec::new();
        for (name, make) in [("expect", Step::Expect as fn(Vec<u8>) -> Step), ("send", Step::Send)] {
            let places = self.0.indices_of(name).into_iter().flatten();
            for (place, text) in places.zip(self.all(name)?) {
                let bytes = unescape(&text).map_err(|e| one(format!("--{name}: {e}")))?;
                if bytes.is_empty() {
                    return Err(one(format!("--{name} needs a text that is not empty")));
                }
                steps.push((place, make(bytes)));
            }
        }
        steps.sort_by_key(|(place, _)| *place);
        let steps: Vec<Step> = steps.into_iter().map(|(_, s)| s).collect();
        Ok((!steps.is_empty()).then(|| Script::new(steps)))
    }
}

/// Looks at the flags that emu only knows by name.
fn foreign(args: &Args) -> Result<(), Mistakes> {
    let mut mistakes = Vec::new();
    for flag in FLAGS.iter().filter(|f| args.given(f)) {
        let shown = flag.aliases.first().unwrap_or(&flag.name);
        match flag.kind {
            Kind::Works | Kind::Silent => {}
            Kind::NoEffect => warn(&format!("-{shown} has no effect")),
            Kind::OnlyNone => {
                if let Some(value) = args.all(flag.name)?.iter().find(|v| *v != "none") {
                    mistakes.push(format!("-{shown} {value}: only 'none' is implemented"));
                }
            }
            Kind::Missing(why) => mistakes.push(format!("-{shown}: {why}")),
        }
    }
    if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
}

struct Console(Arc<Streams>);

impl emu_exec::Streams for Console {
    fn open(&self, name: &str) -> bool {
        self.0.has(name)
    }
    fn write(&self, name: &str, data: &[u8]) {
        self.0.write(name, data);
    }
}

struct Running(Arc<Machine>);

impl Guest for Running {
    fn input(&self, stream: &str, data: &[u8]) {
        self.0.input(stream, data);
    }
    fn pending(&self, stream: &str) -> usize {
        self.0.input_pending(stream)
    }
    fn quit(&self, code: i32) {
        self.0.quit(code);
    }
    fn take(&self, stream: &str) -> Vec<u8> {
        self.0.take_input(stream)
    }
}

/// Does what the matches say. The exit code, or what is wrong with the command.
pub fn run(matches: ArgMatches, program: &str, guest: Option<Program>) -> Result<i32, Mistakes> {
    let args = Args(matches);
    let mut logging = Logging::default();
    for text in args.all("log")? {
        if text.split(',').any(|t| t == "help" || t == "?") {
            print!("{}", log_help());
            return Ok(0);
        }
        logging.add(&text).map_err(one)?;
    }
    for text in args.all("dfilter")? {
        for range in text.split(',') {
            logging.trace.filter.push(values::range(range).map_err(one)?);
        }
    }
    if let Some(text) = args.last("state-hash")? {
        let options = values::state_hash(&text).map_err(one)?;
        if args.raw("icount").next().is_none() {
            return Err(one("--state-hash: only with -icount does a run repeat itself; add -icount shift=N,seed=S"));
        }
        logging.trace.state_hash = Some(options);
    }
    logging.install(args.raw("log-file").last().map(PathBuf::from).as_deref()).map_err(one)?;
    logging.warnings.iter().for_each(|w| warn(w));
    foreign(&args)?;

    let explicit: Vec<PathBuf> = args.raw("plugin-path").flat_map(std::env::split_paths).filter(|p| !p.as_os_str().is_empty()).collect();
    let prefix = args.last("sysroot")?;
    let guest_target = guest.as_ref().and_then(|g| g.target(prefix.as_deref()));
    // A program's start is short: it does not wait for what it has no use for.
    let all = args.last("target")?.is_some() || ["list-targets", "list-machines", "list-cpus", "list-devices"].iter().any(|list| args.on(list));
    let names = guest_target.filter(|_| !all).map(|target| [MACHINE, target]);
    let wanted: &[&str] = names.as_ref().map_or(&[], |n| n);
    let discovery = Discovery { explicit: &explicit, services: emu_exec::services(), log_level: log::max_level(), wanted };
    let catalogue = Catalogue::discover(&discovery)?;
    catalogue.warnings().iter().for_each(|w| warn(w));

    let mut machines = args.all("machine")?;
    if let Some(guest) = &guest {
        if machines.iter().any(|m| m != MACHINE) {
            return Err(one(format!(
                "'{}' belongs to no option; an image to boot is given with -kernel FILE, and a program of the guest runs without -M",
                guest.word.display()
            )));
        }
        machines = vec![MACHINE.to_owned()];
    }
    let (asked, cpu) = (args.last("target")?, args.last("cpu")?);
    let implied = guest_target.or(implied_target(program));
    if print_lists(&args, &catalogue, &machines, cpu.as_deref(), asked.as_deref().or(implied))? {
        return Ok(0);
    }
    let choice = choose(&catalogue, &machines, cpu.as_deref(), asked.as_deref(), implied).map_err(one)?;
    logging.trace.stats = args.on("stats");
    let mut spec = spec(&args, choice, logging.trace)?;
    if let Some(guest) = &guest {
        let folder = kept::folder(args.last("translations")?, guest.by_kernel.is_some(), args.on("lenient"))?;
        spec.images = user::images(guest, &Asked { all: &|name| args.all(name), on: &|name| args.on(name) }, folder.as_ref().map(|f| &*f.path))?;
        let file = folder.and_then(|folder| Some((folder, guest.file(prefix.as_deref())?.0)));
        let kept = file.and_then(|(folder, file)| kept::open(&folder, &file, plugins(&catalogue), cpu.as_deref()));
        spec.images.extend(kept.iter().map(|k| ("layout".to_owned(), k.layout.to_string())));
        // What cannot be started is said before anybody waits.
        let there = std::path::Path::new(&guest.word).is_file();
        let listener = if there { debugger(&args, &spec, Address::parse_short)? } else { None };
        let stream = listener.map(|(l, _)| user::debugger(l)).transpose().map_err(one)?;
        spec.images.extend(stream.iter().map(|s| ("debugger".to_owned(), s.descriptor().to_string())));
        return user::run(&spec, kept, stream.map(|s| (s, guest))).map_err(one);
    }
    // Whoever names nothing to start sees the board's own words, and nothing is kept of that.
    let boots = spec.images.iter().any(|(image, _)| image == "kernel" || image == "bios");
    let folder = if boots { kept::folder(args.last("translations")?, false, args.on("lenient"))? } else { None };
    let kept = folder.and_then(|folder| kept::open_machine(&folder, &spec, plugins(&catalogue)));
    let limit = args.last("timeout")?.map(|t| parse_duration(&t).map_err(|e| one(format!("--timeout: {e}")))).transpose()?;
    let listener = debugger(&args, &spec, Address::parse)?;
    let semihosting = semihosting(&args, &spec)?;
    signals::watch();
    let mut streams = Streams::open(&serial_lines(&args)?, args.script()?).map_err(one)?;
    if let Some(config) = &semihosting {
        streams.add_semihosting(config.stream.as_deref()).map_err(one)?;
    }
    let streams = Arc::new(streams);
    let machine = Machine::create(&spec, Arc::new(Console(Arc::clone(&streams)))).map_err(one)?;
    if let Some(kept) = kept {
        machine.keep_code(kept);
    }
    if let Some(config) = semihosting {
        let console = SemihostingConsole::new(Arc::clone(&streams), config.stream.as_deref());
        machine.allow_semihosting(Semihosting::new(config, Box::new(console)));
    }
    if args.on("freeze") {
        machine.debug_start_stopped();
    }
    let server = listener.map(|l| attend_debuggers(l, &machine)).transpose().map_err(one)?;
    Ok(watch(&machine, &streams, limit, args.on("stats"), server))
}

/// The files of the plugins that were opened.
fn plugins(catalogue: &Catalogue) -> impl Iterator<Item = &Path> {
    catalogue.plugins().iter().map(|p| &*p.path)
}

/// Listens where -gdb or -s says, for a debugger that sees the CPUs of one of the machine's targets, by its place among them.
fn debugger(args: &Args, spec: &MachineSpec<'_>, parse: fn(&str) -> Result<Address, String>) -> Result<Option<(Listener, usize)>, Mistakes> {
    let text = match args.last("gdb")? {
        None if args.on("gdb-default") => Some("tcp::1234".to_owned()),
        text => text.filter(|t| t != "none"),
    };
    let Some(text) = text else {
        return if args.on("freeze") { Err(one("-S: only a debugger could start the CPUs; add -s or -gdb")) } else { Ok(None) };
    };
    let (wanted, rest): (Vec<&str>, Vec<&str>) = text.split(',').partition(|part| part.starts_with("target="));
    let place = rest.join(",");
    let names = || spec.clusters.iter().map(|c| c.target.name.as_str());
    let all = || names().collect::<Vec<_>>().join(", ");
    let cluster = match wanted.last().map(|w| &w["target=".len()..]) {
        None if spec.clusters.len() > 1 => {
            return Err(one(format!(
                "a debugger sees the CPUs of one target, and the machine '{}' has those of {}; write -gdb {place},target=NAME",
                spec.machine.name,
                all()
            )));
        }
        None => 0,
        Some(name) => names()
            .position(|n| n == name)
            .ok_or_else(|| one(format!("-gdb {text}: the machine has no CPUs of the target '{name}'; it has those of: {}", all())))?,
    };
    let address = parse(&place).map_err(one)?;
    Listener::bind(&address).map(|l| Some((l, cluster))).map_err(one)
}

fn attend_debuggers((listener, cluster): (Listener, usize), machine: &Arc<Machine>) -> Result<Server, String> {
    machine.debug_choose(cluster);
    let place = listener.shown();
    let server = Server::start(listener, machine)?;
    eprintln!("gdb: waiting for a debugger: target remote {place}");
    Ok(server)
}

fn print_lists(args: &Args, catalogue: &Catalogue, machines: &[String], cpu: Option<&str>, target: Option<&str>) -> Result<bool, Mistakes> {
    let machine = machines.last().map(|m| values::named("-M", "type", m)).transpose().map_err(one)?.unwrap_or_default();
    let json = args.on("json");
    let name = (!machine.name.is_empty()).then_some(machine.name.as_str());
    let asked: Vec<List> = List::FLAGS.iter().filter(|(flag, _)| args.on(flag)).map(|(_, l)| *l).collect();
    let cpu_help = cpu.is_some_and(|c| c.split(',').any(|p| p == "help" || p == "?"));
    if asked.is_empty() && !machine.help && !cpu_help {
        return if json { Err(one("--json belongs to a list, such as --list-machines")) } else { Ok(false) };
    }
    // A list narrowed to what does not exist would be empty without a reason.
    target.map(|t| catalogue.targets_of(t)).transpose().map_err(one)?;
    let exists = name.is_some_and(|n| catalogue.machines().any(|(m, _)| m.name == n));
    // A list may show several machines of one name.
    let entry = match name {
        Some(_) if exists && !asked.is_empty() => None,
        name => name.map(|n| catalogue.machine(n, target)).transpose().map_err(one)?,
    };
    let only = Only { target, machine: name };
    for which in &asked {
        print!("{}", list(catalogue, *which, only, json));
    }
    if !asked.is_empty() {
        return Ok(true);
    }
    match (machine.help, entry) {
        (true, Some(entry)) => print!("{}", machine_help(entry)),
        (true, None) => print!("{}", list(catalogue, List::Machines, only, json)),
        // -cpu help: of the targets that the machine takes.
        (false, entry) => match (target, entry) {
            (None, Some(entry)) => {
                for t in entry.targets.iter().flat_map(|t| t.split('+')).filter(|t| catalogue.targets().any(|(e, _)| e.name == **t)) {
                    print!("{}", list(catalogue, List::Cpus, Only { target: Some(t), machine: None }, json));
                }
            }
            _ => print!("{}", list(catalogue, List::Cpus, Only { target, machine: None }, json)),
        },
    }
    Ok(true)
}

fn spec<'a>(args: &Args, choice: Choice<'a>, log: emu_exec::TraceOptions) -> Result<MachineSpec<'a>, Mistakes> {
    let machine = choice.machine;
    let cpus = args.last("smp")?.map_or(Ok(1), |t| values::cpus(&t, &machine.name, machine.max_cpus, choice.clusters.len())).map_err(one)?;
    let ram_bytes = args.last("memory")?.map_or(Ok(machine.default_ram), |t| values::memory(&t)).map_err(one)?;
    let clock = args.last("icount")?.map_or(Ok(Clock::Host), |t| values::icount(&t)).map_err(one)?;
    let interpreter = args.last("accel")?.map_or(Ok(false), |t| values::accel(&t)).map_err(one)?;
    let mut images = Vec::new();
    for name in ["kernel", "initrd", "append", "dtb", "bios"] {
        images.extend(args.last(name)?.map(|value| (name.to_owned(), value)));
    }
    let given = |name: &str| images.iter().any(|(n, _)| n == name);
    for name in ["initrd", "append"] {
        if given(name) && !given("kernel") && !given("bios") {
            return Err(one(format!("-{name} belongs to a kernel; add -kernel FILE")));
        }
    }
    Ok(MachineSpec {
        machine,
        clusters: choice.clusters,
        cpus,
        ram_bytes,
        machine_options: choice.machine_options,
        images,
        clock,
        log,
        no_reboot: args.on("no-reboot"),
        interpreter,
    })
}

/// -semihosting and all of -semihosting-config, as if they were one. Without arguments the guest's command line is the kernel's name and -append.
fn semihosting(args: &Args, spec: &MachineSpec<'_>) -> Result<Option<SemihostingConfig>, Mistakes> {
    let mut config = args.on("semihosting").then(SemihostingConfig::default);
    let words = args.all("semihosting-config")?;
    if !words.is_empty() {
        config = SemihostingConfig::parse(&words.join(",")).map_err(one)?;
    }
    if let Some(config) = config.as_mut().filter(|c| c.arguments.is_empty()) {
        let image = |name: &str| spec.images.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        config.arguments.extend(image("kernel").or(image("bios")).map(str::to_owned));
        config.arguments.extend(image("append").unwrap_or_default().split_whitespace().map(str::to_owned));
    }
    Ok(config)
}

fn serial_lines(args: &Args) -> Result<Vec<StreamSpec>, Mistakes> {
    let mut lines = Vec::new();
    for text in args.all("serial")? {
        lines.push(StreamSpec::parse(&text).map_err(one)?);
    }
    if lines.is_empty() {
        lines.push(StreamSpec::Stdio { mux: true });
    }
    Ok(lines)
}

/// Runs the machine and says how it ended; the exit code.
fn watch(machine: &Arc<Machine>, streams: &Arc<Streams>, limit: Option<Duration>, stats: bool, server: Option<Server>) -> i32 {
    let guest = Arc::new(Running(Arc::clone(machine)));
    streams.attach(guest.clone());
    signals::attach(guest.clone());
    let timer = limit.map(|l| (TimeLimit::start(l, guest), l));
    let exit = machine.run();
    terminal::restore();
    if stats {
        eprint!("{}", machine.statistics());
    }
    let (code, sentence) = ending(&exit, streams, timer.filter(|(t, _)| t.reached()).map(|(_, l)| l));
    if let Some(sentence) = sentence {
        let last = streams.last_line().map(|l| format!("; the last line on the console was: {l}")).unwrap_or_default();
        eprintln!("error: {sentence}{last}");
    }
    if let Some(server) = server {
        server.ended(code as u8);
    }
    signals::end();
    code
}

/// Exit code and, where something went wrong, the sentence.
fn ending(exit: &Exit, streams: &Streams, timed_out: Option<Duration>) -> (i32, Option<String>) {
    let waiting = streams.waits_for();
    let quit_by_user = matches!(exit, Exit::Quit(_)) && timed_out.is_none();
    if let (Some(limit), Exit::Quit(code)) = (timed_out, exit)
        && *code != 0
    {
        let waited = waiting.map(|w| format!(" while waiting for {w:?}")).unwrap_or_default();
        return (*code, Some(format!("the time limit of {limit:?} has passed{waited}")));
    }
    if let Exit::Crash(why) = exit {
        return (1, Some(format!("the machine stopped: {why}")));
    }
    if let Some(text) = waiting.filter(|_| !quit_by_user) {
        return (1, Some(format!("the guest ended before {text:?} appeared")));
    }
    match exit {
        Exit::PowerOff(code) => ((*code & 0xff) as i32, None),
        Exit::Quit(code) => (*code, None),
        Exit::Reset | Exit::Crash(_) => (0, None),
    }
}
