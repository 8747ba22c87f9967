//! The classes that guests are examples of, and how many times as fast as QEMU each is to be.

use crate::bench::{Boot, Row};
use crate::programs::Guest;
use crate::statistics::geometric_mean;
use crate::user::REAL;

/// A kind of work.
#[derive(Clone, Copy, Debug)]
pub struct Class {
    /// What it is.
    pub name: &'static str,
    /// QEMU's time over ours that is aimed at, in user mode and in system mode; none where the class does not exist.
    pub aims: [Option<f64>; 2],
    /// Names of its guests; `c.` stands before a kernel's in C.
    pub members: &'static [&'static str],
}

macro_rules! classes {
    ($($name:literal $user:expr, $system:expr, $($member:literal)*;)*) => {
        /// All of them, but for real programs and boots, whose members are listed elsewhere.
        const KERNELS: &[Class] = &[$(Class { name: $name, aims: [$user, $system], members: &[$($member),*] },)*];
    };
}

classes! {
    "integer, branches, hashing, sort" Some(1.7), Some(1.7), "sieve" "hash" "sort" "bignum";
    "loads and stores in L1, pointers" Some(1.8), Some(1.6), "records" "chase";
    "bulk copy, memset, strings" Some(3.0), Some(3.0), "copy" "string";
    "calls and returns" Some(6.0), Some(6.0), "fib" "pacfib";
    "indirect calls, interpreters" Some(4.0), Some(4.0), "icall" "switch" "goto";
    "scalar FP" Some(5.0), Some(5.0), "mandel" "fpmix";
    "NEON integer" Some(3.0), Some(3.0), "neonint";
    "NEON FP" Some(8.0), Some(8.0), "matmul" "vecfp";
    "AES, SHA, CRC, PMULL" Some(4.0), Some(4.0), "aes" "sha" "crc";
    "atomics" Some(1.0), Some(1.2), "lse" "atomics";
    "LL/SC" Some(1.0), Some(1.0), "llsc";
    "acquire, release, barriers" Some(4.0), Some(4.0), "acqrel";
    "system calls, system registers" Some(1.3), Some(8.0), "svc" "sysreg" "syscall";
    "TLB" None, Some(6.0), "tlb" "asid";
    "page faults, forks" Some(1.2), Some(5.0), "fault" "forks";
    "self-modifying code" Some(5.0), Some(5.0), "smc";
    "translation of fresh code" Some(3.0), Some(3.0), "fresh";
    "start of a program" Some(2.0), None, "start";
}

/// A guest that vectors are made for where the CPU model has some, and the class that it belongs to where it has none: RV64GC.
const WITHOUT_VECTORS: (&str, &str) = ("matmul", "scalar FP");

/// Whether a row is a guest of a class.
fn belongs(row: &Row, class: &Class) -> bool {
    let name = row.name.trim_start_matches("c.");
    let without = name == WITHOUT_VECTORS.0 && Guest::Riscv64.has_row(&row.cpu);
    if without { class.name == WITHOUT_VECTORS.1 } else { class.members.contains(&name) }
}

/// A class as a run found it.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its name.
    pub name: &'static str,
    /// What is aimed at.
    pub aim: f64,
    /// Ratios of the guests that count.
    pub scored: Vec<(String, f64)>,
    /// Those of guests in which the host's own code is not 1.25 times as fast as what is aimed at, so that nobody could reach it.
    pub reported: Vec<(String, f64)>,
}

impl Found {
    /// The geometric mean of those that count.
    pub fn mean(&self) -> Option<f64> {
        let ratios: Vec<f64> = self.scored.iter().map(|s| s.1).collect();
        (!ratios.is_empty()).then(|| geometric_mean(&ratios))
    }
}

/// The classes of one CPU's rows; `user`: they are of programs.
pub fn classes(rows: &[&Row], user: bool) -> Vec<Found> {
    let mut found = Vec::new();
    let mut class = |name, aim: f64, belongs: &dyn Fn(&Row) -> bool| {
        let (mut scored, mut reported) = (Vec::new(), Vec::new());
        for row in rows.iter().filter(|r| belongs(r)) {
            let out_of_reach = row.native_ratio().is_some_and(|n| n < 1.25 * aim);
            if out_of_reach { &mut reported } else { &mut scored }.push((row.name.clone(), row.ratio()));
        }
        if !scored.is_empty() || !reported.is_empty() {
            found.push(Found { name, aim, scored, reported });
        }
    };
    for c in KERNELS {
        if let Some(aim) = c.aims[usize::from(!user)] {
            class(c.name, aim, &|r| belongs(r, c));
        }
    }
    class("real programs", 2.5, &|r| !["start", "forks"].contains(&r.name.as_str()) && REAL.iter().any(|p| p.name == r.name));
    // The installer is a boot too, but the aim is for a kernel and its shell.
    class("boots to a shell", 2.5, &|r| [Boot::Shell, Boot::ShellOnFour].iter().any(|b| b.name() == r.name));
    found
}

/// Those as a table, and the geometric mean of the classes.
pub fn table(found: &[Found]) -> String {
    let list = |rows: &[(String, f64)]| rows.iter().map(|(name, ratio)| format!("{name} {ratio:.2}")).collect::<Vec<_>>().join(", ");
    let mut text = format!("{:<34} {:>4} {:>6}\n", "class", "aim", "mean");
    for f in found {
        let mean = f.mean().map_or_else(|| "-".into(), |m| format!("{m:.2}"));
        let reported = if f.reported.is_empty() { String::new() } else { format!("  (out of the host's reach: {})", list(&f.reported)) };
        text += &format!("{:<34} {:>4} {mean:>6}  {}{reported}\n", f.name, f.aim, list(&f.scored));
    }
    let means: Vec<f64> = found.iter().filter_map(Found::mean).collect();
    if !means.is_empty() {
        text += &format!("geometric mean of {} classes: {:.3}\n", means.len(), geometric_mean(&means));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels;

    fn row(name: &str, ratio: f64, native: Option<f64>) -> Row {
        Row {
            name: name.into(),
            class: String::new(),
            cpu: "max".into(),
            qemu_s: vec![ratio],
            emu_s: vec![1.0],
            native_s: native.map(|n| ratio / n).into_iter().collect(),
            checksum: String::new(),
        }
    }

    #[test]
    fn each_guest_has_one_class() {
        let all = kernels::ALL.iter().map(|k| k.name).chain(crate::programs::ALL.iter().map(|p| p.name.trim_start_matches("c.")));
        for name in all.filter(|n| *n != "mmio") {
            assert_eq!(KERNELS.iter().filter(|c| c.members.contains(&name)).count(), 1, "{name}");
        }
    }

    #[test]
    fn what_has_no_vectors_is_scalar() {
        for (cpu, class) in [("user", "NEON FP"), ("max", "NEON FP"), ("user riscv", "scalar FP"), ("rv64", "scalar FP")] {
            let row = Row { cpu: cpu.into(), ..row("c.matmul", 4.0, None) };
            assert_eq!(classes(&[&row], true).iter().map(|f| f.name).collect::<Vec<_>>(), [class], "{cpu}");
        }
    }

    #[test]
    fn what_nobody_could_reach_does_not_count() {
        let rows = [row("mandel", 8.0, None), row("c.mandel", 2.0, Some(8.0)), row("c.fpmix", 1.5, Some(4.0)), row("start", 1.0, None)];
        let found = classes(&rows.iter().collect::<Vec<_>>(), true);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].name, found[0].mean()), ("scalar FP", Some(4.0)));
        assert_eq!(found[0].reported, [("c.fpmix".into(), 1.5)]);
        let text = table(&found);
        assert!(text.contains("mandel 8.00, c.mandel 2.00  (out of the host's reach: c.fpmix 1.50)") && text.ends_with("classes: 2.000\n"), "{text}");
    }
}
