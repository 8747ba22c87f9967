//! Values of flags: sizes, counts, names with options, clocks. Every mistake is a sentence that says what would be right.

use emu_exec::{Clock, StateHash};
use emu_plugin::nearest;

/// A name and `key=value` options behind it: the value of -M and -cpu.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Named {
    /// The name; empty when only options were given.
    pub name: String,
    /// The options in order.
    pub options: Vec<(String, String)>,
    /// `help` was among them.
    pub help: bool,
}

/// Parses `name,key=value,+on,-off,help`. A key alone is switched on. `key` names the option that may hold the name ("type").
pub fn named(flag: &str, key: &str, text: &str) -> Result<Named, String> {
    let mut out = Named::default();
    for (n, part) in text.split(',').enumerate() {
        if part.is_empty() {
            return Err(format!("{flag} {text}: there is nothing between two commas or at an end; write {flag} NAME,KEY=VALUE"));
        }
        if part == "help" || part == "?" {
            out.help = true;
        } else if let Some((k, v)) = part.split_once('=') {
            if k == key {
                out.name = v.to_owned();
            } else {
                out.options.push((k.to_owned(), v.to_owned()));
            }
        } else if n == 0 {
            out.name = part.to_owned();
        } else {
            let (k, v) = match part.as_bytes()[0] {
                b'+' => (&part[1..], "on"),
                b'-' => (&part[1..], "off"),
                _ => (part, "on"),
            };
            out.options.push((k.to_owned(), v.to_owned()));
        }
    }
    Ok(out)
}

/// Parses the value of -m, in bytes.
pub fn memory(text: &str) -> Result<u64, String> {
    let mut size = text;
    for (n, part) in text.split(',').enumerate() {
        match part.split_once('=') {
            None if n == 0 => size = part,
            Some(("size", v)) => size = v,
            Some((k @ ("slots" | "maxmem"), _)) => {
                return Err(format!("-m {text}: '{k}' is not implemented: memory cannot be plugged in; leave it out"));
            }
            _ => return Err(format!("-m {text}: '{part}' is not understood; write -m SIZE, such as 512, 2G or size=2G")),
        }
    }
    let wrong = || format!("-m {text}: '{size}' is no size; write a number of MiB, or one with K, M, G or T, such as 512, 2G");
    let digits = size.find(|c: char| !c.is_ascii_digit()).unwrap_or(size.len());
    let shift = match &size[digits..] {
        "" | "M" | "m" | "MiB" | "MB" => 20,
        "K" | "k" | "KiB" | "KB" => 10,
        "G" | "g" | "GiB" | "GB" => 30,
        "T" | "t" | "TiB" | "TB" => 40,
        _ => return Err(wrong()),
    };
    let number: u64 = size[..digits].parse().map_err(|_| wrong())?;
    match number.checked_mul(1 << shift) {
        Some(0) => Err(format!("-m {text}: a machine needs some memory; write a size such as 512 or 2G")),
        Some(bytes) => Ok(bytes),
        None => Err(format!("-m {text}: that is more than an address can name; write a size such as 512 or 2G")),
    }
}

/// Parses the value of -smp for a machine of at most `max` CPUs of each of so many targets.
pub fn cpus(text: &str, machine: &str, max: u32, targets: usize) -> Result<u32, String> {
    let number = |what: &str, v: &str| -> Result<u32, String> {
        v.parse().map_err(|_| format!("-smp {text}: '{v}' is no number of {what}; write -smp N with N from 1 to {max}"))
    };
    let mut count = None;
    let mut product: Option<u32> = None;
    for (n, part) in text.split(',').enumerate() {
        match part.split_once('=') {
            None if n == 0 => count = Some(number("CPUs", part)?),
            Some(("cpus", v)) => count = Some(number("CPUs", v)?),
            Some((k @ ("sockets" | "dies" | "clusters" | "cores" | "threads"), v)) => {
                product = Some(product.unwrap_or(1).saturating_mul(number(k, v)?));
            }
            Some(("maxcpus", v)) => _ = number("CPUs", v)?,
            _ => return Err(format!("-smp {text}: '{part}' is not understood; write -smp N or cpus=N,sockets=,cores=,threads=")),
        }
    }
    let count = match (count, product) {
        (Some(c), Some(p)) if c != p => {
            return Err(format!("-smp {text}: {p} CPUs by sockets, cores and threads are not {c}; leave one of them out"));
        }
        (Some(c), _) | (None, Some(c)) => c,
        (None, None) => 1,
    };
    match count {
        0 => Err(format!("-smp {text}: a machine needs at least one CPU")),
        c if c > max => {
            Err(format!("-smp {text}: the machine '{machine}' takes at most {max} CPUs{}", if targets > 1 { " of each target" } else { "" }))
        }
        c => Ok(c),
    }
}

/// Parses the value of -icount.
pub fn icount(text: &str) -> Result<Clock, String> {
    const SHIFT_MAX: u32 = 10;
    let (mut shift, mut seed) = (None, 0);
    for (n, part) in text.split(',').enumerate() {
        let (key, value) = match part.split_once('=') {
            Some(kv) => kv,
            None if n == 0 => ("shift", part),
            None => return Err(format!("-icount {text}: '{part}' is not understood; write -icount shift=N,seed=S")),
        };
        match key {
            "shift" if value == "auto" => {
                return Err(format!(
                    "-icount {text}: an automatic shift follows the host's speed and would not be deterministic; write shift=N with N from 0 to {SHIFT_MAX}"
                ));
            }
            "shift" => match value.parse() {
                Ok(s) if s <= SHIFT_MAX => shift = Some(s),
                _ => return Err(format!("-icount {text}: the shift '{value}' is not a number from 0 to {SHIFT_MAX}")),
            },
            "seed" => {
                let parsed = value.strip_prefix("0x").map_or_else(|| value.parse(), |hex| u64::from_str_radix(hex, 16));
                seed = parsed.map_err(|_| format!("-icount {text}: the seed '{value}' is no number"))?;
            }
            "align" | "sleep" if matches!(value, "on" | "off") => {}
            "rr" | "rrfile" | "rrsnapshot" => {
                return Err(format!("-icount {text}: recording is not implemented; a run with the same shift and seed repeats itself without it"));
            }
            _ => {
                let near = nearest(key, ["shift", "seed"]).unwrap_or("shift");
                return Err(format!("-icount {text}: there is no '{key}'; did you mean '{near}'?"));
            }
        }
    }
    match shift {
        Some(shift) => Ok(Clock::Icount { shift, seed }),
        None => Err(format!("-icount {text}: the shift is missing; write -icount shift=N,seed=S with N from 0 to {SHIFT_MAX}")),
    }
}

/// Parses the value of --state-hash.
pub fn state_hash(text: &str) -> Result<StateHash, String> {
    let wrong = |part: &str| format!("--state-hash {text}: '{part}' is not understood; write N[,from=A][,until=B][,dump][,ram]");
    let number = |part: &str, n: &str| n.parse::<u64>().map_err(|_| wrong(part));
    let mut parts = text.split(',');
    let every = parts.next().unwrap_or_default();
    let mut hash = StateHash { every: number(every, every)?, from: 0, until: u64::MAX, dump: false, ram: false };
    for part in parts {
        match part.split_once('=') {
            Some(("from", n)) => hash.from = number(part, n)?,
            Some(("until", n)) => hash.until = number(part, n)?,
            None if part == "dump" => hash.dump = true,
            None if part == "ram" => hash.ram = true,
            _ => return Err(wrong(part)),
        }
    }
    if hash.every == 0 { Err(wrong(every)) } else { Ok(hash) }
}

/// The value of -accel: true for the interpreter, false for generated code.
pub fn accel(text: &str) -> Result<bool, String> {
    let name = text.split(',').next().unwrap_or(text);
    match name {
        "tcg" => Ok(false),
        "interp" => Ok(true),
        "kvm" | "hvf" | "whpx" | "xen" | "nvmm" => {
            Err(format!("-accel {text}: '{name}' runs guests of the host's own architecture; emu translates: leave it out or write -accel tcg"))
        }
        _ => Err(format!("-accel {text}: there is no '{name}'; there are tcg and interp")),
    }
}

/// Parses an address range of -dfilter: `START..END`, `START+LEN` or `START-LEN`, END included.
pub fn range(text: &str) -> Result<(u64, u64), String> {
    let wrong = || format!("-dfilter: '{text}' is no address range; write START..END, START+LEN or START-LEN");
    let number = |t: &str| t.strip_prefix("0x").map_or_else(|| t.parse().ok(), |hex| u64::from_str_radix(hex, 16).ok()).ok_or_else(wrong);
    if let Some((a, b)) = text.split_once("..") {
        let (first, last) = (number(a)?, number(b)?);
        return if first <= last { Ok((first, last)) } else { Err(wrong()) };
    }
    if let Some((a, len)) = text.split_once('+') {
        let (first, len) = (number(a)?, number(len)?);
        return len.checked_sub(1).and_then(|l| first.checked_add(l)).map(|last| (first, last)).ok_or_else(wrong);
    }
    if let Some((a, len)) = text.split_once('-') {
        let (last, len) = (number(a)?, number(len)?);
        return len.checked_sub(1).and_then(|l| last.checked_sub(l)).map(|first| (first, last)).ok_or_else(wrong);
    }
    Err(wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, want) in [("512", 512 << 20), ("2G", 2 << 30), ("size=4096K", 4 << 20), ("1T", 1 << 40), ("3g", 3 << 30)] {
            assert_eq!(memory(text), Ok(want), "{text}");
        }
        for bad in ["0", "0G", "", "G", "-1", "1.5G", "17179869184G", "99999999999999999999", "1G,slots=2", "x=1"] {
            assert!(memory(bad).unwrap_err().starts_with(&format!("-m {bad}: ")), "{bad}");
        }
    }

    #[test]
    fn cpu_counts() {
        for (text, want) in [("4", 4), ("cpus=2", 2), ("4,sockets=1,cores=4", 4), ("cores=2,threads=2", 4), ("sockets=1", 1)] {
            assert_eq!(cpus(text, "m", 8, 1), Ok(want), "{text}");
        }
        for bad in ["0", "9", "9999", "x", "", "4,cores=2", "2,foo=1", "-1", "99999999999"] {
            assert!(cpus(bad, "m", 8, 1).unwrap_err().starts_with(&format!("-smp {bad}: ")), "{bad}");
        }
    }

    #[test]
    fn clocks() {
        for (text, want) in [("shift=3", (3, 0)), ("0,seed=0x10", (0, 16)), ("seed=7,shift=1,sleep=on", (1, 7))] {
            assert!(matches!(icount(text), Ok(Clock::Icount { shift, seed }) if (shift, seed) == want), "{text}");
        }
        for bad in ["auto", "shift=auto", "shift=11", "seed=1", "shift=1,seed=x", "shfit=1", "shift=1,rr=record", ""] {
            assert!(icount(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn state_hashes() {
        let want = StateHash { every: 10, from: 5, until: 99, dump: true, ram: false };
        assert_eq!(state_hash("10,from=5,until=99,dump"), Ok(want));
        for bad in ["", "0", "x", "1,from", "1,to=3", "1,dump=1"] {
            assert!(state_hash(bad).unwrap_err().contains("write N"), "{bad}");
        }
    }

    #[test]
    fn names_with_options() {
        let m = named("-M", "type", "virt,gic-version=3,+its,-acpi,secure,help").unwrap();
        let options: Vec<(&str, &str)> = m.options.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!((m.name.as_str(), m.help), ("virt", true));
        assert_eq!(options, [("gic-version", "3"), ("its", "on"), ("acpi", "off"), ("secure", "on")]);
        assert_eq!(named("-M", "type", "acpi=off,type=x").unwrap().name, "x");
        assert!(named("-M", "type", "virt,,a=b").is_err());
        assert!(named("-M", "type", "help").unwrap().help);
    }

    #[test]
    fn ranges() {
        assert_eq!(range("0x1000..0x1fff"), Ok((0x1000, 0x1fff)));
        assert_eq!(range("0x1000+0x1000"), Ok((0x1000, 0x1fff)));
        assert_eq!(range("0x1fff-0x1000"), Ok((0x1000, 0x1fff)));
        for bad in ["", "5", "2..1", "1+0", "x..y", "1-5", "0xffffffffffffffff+2"] {
            assert!(range(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn accelerators() {
        assert_eq!((accel("tcg,thread=multi"), accel("interp")), (Ok(false), Ok(true)));
        assert!(accel("kvm").unwrap_err().contains("emu translates"));
        assert!(accel("fast").is_err());
    }
}
