//! What the boot tests share: Debian's installer images, a kernel's console with its times taken out, and what counts as a complaint in it.

use emu_test_kit::{Result, packages};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

/// The package that the images come from.
pub const PACKAGE: &str = "debian-installer-12-netboot-arm64";
/// How long a boot may take before the test gives up.
pub const LIMIT: Duration = Duration::from_secs(900);

/// On the kernel's command line: Debian's installer runs on the preferred console alone. Otherwise its `/sbin/reopen-console` starts a copy on
/// each, `tty1` too, and debconf's files have no lock: in one boot of a few hundred one copy leaves `questions.dat` empty to the other, which
/// ends (pairs of `debconf -o d-i` leave it so in QEMU too). What counts is the word `url`.
pub const INSTALLER_ON_ONE_CONSOLE: &str = "consoles=one,url";

/// Kernel and initrd of Debian 12's network installer.
pub fn installer() -> Result<(PathBuf, PathBuf)> {
    let dir = packages::debian("bookworm", "all", PACKAGE)?.join("usr/lib/debian-installer/images/12/arm64/text/debian-installer/arm64");
    Ok((dir.join("linux"), dir.join("initrd.gz")))
}

/// Console lines without the kernel's time stamps and carriage returns.
pub fn lines(console: &str) -> Vec<String> {
    console
        .lines()
        .map(|l| l.trim_end_matches('\r'))
        .map(|l| match (l.starts_with('['), l.find("] ")) {
            (true, Some(end)) => l[end + 2..].to_owned(),
            _ => l.to_owned(),
        })
        .collect()
}

/// The kernel's lines that complain, with the numbers that differ from run to run taken out.
pub fn complaints(console: &str) -> BTreeSet<String> {
    const WORDS: [&str; 18] = [
        "warn",
        "bug:",
        "error",
        "fail",
        "call trace",
        "unable",
        "unexpected",
        "invalid",
        "unsupported",
        "not supported",
        "oops",
        "panic",
        "stall",
        "cannot",
        "can't",
        "timeout",
        "deviating",
        "mismatch",
    ];
    let kernel: String = console.lines().filter(|l| l.starts_with('[')).map(|l| format!("{l}\n")).collect();
    lines(&kernel)
        .into_iter()
        .filter(|l| WORDS.iter().any(|w| l.to_lowercase().contains(w)))
        .map(|l| l.chars().map(|c| if c.is_ascii_digit() { '#' } else { c }).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_lose_their_times_and_numbers() {
        let text = "[    0.1] Warning: 12 things\r\n[    0.2] fine\r\nthe shell's error 3\n";
        assert_eq!(complaints(text), BTreeSet::from(["Warning: ## things".to_owned()]));
    }
}
