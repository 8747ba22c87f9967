//! A Debian arm64 root made by mmdebstrap with binfmt_misc and emu, and apt-get in it. `cargo xtask soak` runs it with `EMU_DIST`, what
//! `cargo xtask dist` made: it downloads 50 MB and takes minutes. It needs root, mmdebstrap, a network, and a kernel with a binfmt_misc for each user namespace (6.7
//! and later), so that the host's own is left alone.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const SCRIPT: &str = r#"
read go
set -e
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DEBIAN_FRONTEND=noninteractive
mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
$DIST/bin/emu binfmt install
$DIST/bin/emu binfmt status
mmdebstrap --quiet --mode=root --arch=arm64 --variant=apt --skip=check/qemu bookworm $ROOT $MIRROR
echo made by mmdebstrap
mount -t proc proc $ROOT/proc
mount --rbind /dev $ROOT/dev
cp /etc/resolv.conf $ROOT/etc/resolv.conf || true
chroot $ROOT apt-get -q update
chroot $ROOT apt-get -qq install -y hello
echo "in the root: $(chroot $ROOT hello) $(chroot $ROOT dpkg --print-architecture)"
chroot $ROOT dpkg --verify hello
chroot $ROOT sleep 3 &
sleep 1
for p in /proc/[0-9]*; do grep -qaz '^sleep$' $p/cmdline && echo "by binfmt: $(readlink $p/exe)"; done || true
wait
$DIST/bin/emu binfmt remove
umount /proc/sys/fs/binfmt_misc
cp $DIST/bin/emu-aarch64-static $ROOT/emu
chroot $ROOT /emu /bin/sh -c 'for i in 1 2 3; do (sleep 3; true) & done; sleep 1; for p in /proc/[0-9]*; do case "$(tr "\0" " " < $p/cmdline)" in "emu "*sleep*|"/emu "*sleep*) echo "without binfmt: $(readlink $p/exe)";; esac; done; wait'
chroot $ROOT /emu /usr/bin/apt-get -qq remove -y hello
test ! -e $ROOT/usr/bin/hello
echo everything done
"#;

/// Runs the script in namespaces of its own, all ids mapped.
fn in_namespaces(dist: &Path, root: &Path, mirror: &str) -> std::process::Output {
    let mut child = Command::new("unshare")
        .args(["--user", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", SCRIPT])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("DIST", dist)
        .env("ROOT", root)
        .env("MIRROR", mirror)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let own = std::fs::read_link("/proc/self/ns/user").unwrap();
    let theirs = format!("/proc/{}", child.id());
    let begun = Instant::now();
    while std::fs::read_link(format!("{theirs}/ns/user")).is_ok_and(|n| n == own) {
        assert!(begun.elapsed() < Duration::from_secs(20), "unshare makes no user namespace");
        std::thread::sleep(Duration::from_millis(20));
    }
    for map in ["uid_map", "gid_map"] {
        std::fs::write(format!("{theirs}/{map}"), "0 0 65536").unwrap_or_else(|e| panic!("{map}: {e}; run this as root"));
    }
    use std::io::Write;
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    child.wait_with_output().unwrap()
}

#[test]
#[ignore = "minutes, a network and root: cargo xtask soak runs it"]
fn mmdebstrap_and_apt_get() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    if !status.lines().any(|l| l.starts_with("Uid:\t0\t")) {
        println!("not root: left out");
        return;
    }
    if !Path::new("/usr/bin/mmdebstrap").is_file() {
        println!("no mmdebstrap on this host (Debian's package of that name): left out");
        return;
    }
    let folder = PathBuf::from(std::env::var_os("EMU_DIST").expect("EMU_DIST: cargo xtask soak sets it"));
    let entries = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path());
    let dist = entries.into_iter().find(|p| p.join("bin/emu").is_file()).expect("cargo xtask dist made a folder");
    let root = std::env::temp_dir().join(format!("emu-test-chroot-{}", std::process::id()));
    let mirror = std::env::var("EMU_TEST_MIRROR").unwrap_or_else(|_| "http://deb.debian.org/debian".into());
    let begun = Instant::now();
    let out = in_namespaces(&dist, &root, &mirror);
    let text = String::from_utf8_lossy(&out.stdout);
    println!("{text}\n{}\n{:.0} s", String::from_utf8_lossy(&out.stderr), begun.elapsed().as_secs_f64());
    let _ = std::fs::remove_dir_all(&root);
    assert!(out.status.success(), "{}", out.status);
    for want in ["made by mmdebstrap", "in the root: Hello, world! arm64", "everything done"] {
        assert!(text.contains(want), "no {want:?}");
    }
    let executables = |start: &str| text.lines().filter_map(|l| l.strip_prefix(start)).map(str::to_owned).collect::<Vec<_>>();
    let (first, second) = (executables("by binfmt: "), executables("without binfmt: "));
    assert!(!first.is_empty() && first.iter().all(|e| e.ends_with("emu-aarch64-static")), "{first:?}");
    assert!(second.len() >= 3 && second.iter().all(|e| e == "/emu" || e.ends_with("/emu")), "{second:?}");
}
