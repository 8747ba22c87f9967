//! `cargo xtask dist`: what users get. A folder that runs from wherever it is unpacked, the same as a tarball and as a Debian package, and
//! in each the static binary that runs programs without plugins.
//!
//! | there | what |
//! |---|---|
//! | `bin/emu` | emu; finds its plugins from where it lies |
//! | `bin/emu-aarch64-static` | the static one, for binfmt_misc and chroots; `bin/emu-riscv64-static` is a link to it |
//! | `lib/emu/plugins/` | the plugins |
//! | `lib/emu/as-qemu/` | links with the names of QEMU's programs, for whoever puts this folder into PATH |
//! | `share/doc/emu/` | README and licences |

use crate::{cargo, part, root};
use std::path::{Path, PathBuf};
use std::process::Command;

const HOST: &str = "x86_64-unknown-linux-gnu";

/// Where cargo builds: this program is in `<there>/<profile>/`.
fn target_dir() -> Result<PathBuf, String> {
    let exe = std::env::current_exe().map_err(|e| e.to_string())?;
    exe.ancestors().nth(2).map(Path::to_path_buf).ok_or_else(|| "xtask does not lie in a build folder".into())
}

fn run(command: &mut Command) -> Result<(), String> {
    let shown = command.get_program().display().to_string();
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{shown} ended with {status}")),
        Err(e) => Err(format!("{shown} does not start: {e}")),
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let folder = to.parent().unwrap_or(to);
    std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    std::fs::copy(from, to).map(|_| ()).map_err(|e| format!("{} to {}: {e}", from.display(), to.display()))
}

/// Builds emu, the plugins and the static binary; where they are.
fn build() -> Result<(PathBuf, PathBuf), String> {
    let target = target_dir()?;
    if !part("build", cargo().args(["build", "--release"])).passed {
        return Err("the build failed".into());
    }
    let mut linked = cargo();
    linked.args(["build", "--release", "--target", HOST, "-p", "emu", "--no-default-features", "--features", "static-targets"]);
    if !part("static build", linked.env("RUSTFLAGS", "-C target-feature=+crt-static")).passed {
        return Err("the static build failed".into());
    }
    Ok((target.join("release"), target.join(HOST).join("release/emu")))
}

/// Puts everything below a folder as it is to be installed.
fn stage(built: &Path, linked: &Path, to: &Path) -> Result<(), String> {
    copy(&built.join("emu"), &to.join("bin/emu"))?;
    copy(linked, &to.join("bin/emu-aarch64-static"))?;
    let entries = std::fs::read_dir(built).map_err(|e| format!("{}: {e}", built.display()))?;
    let mut plugins = 0;
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("libemu_") && name.ends_with("_plugin.so") {
            copy(&entry.path(), &to.join("lib/emu/plugins").join(&name))?;
            plugins += 1;
        }
    }
    if plugins < 3 {
        return Err(format!("{} holds {plugins} plugins only", built.display()));
    }
    for name in ["README.md", "LICENSE-APACHE", "LICENSE-MIT"] {
        copy(&root().join(name), &to.join("share/doc/emu").join(name))?;
    }
    let links = to.join("lib/emu/as-qemu");
    std::fs::create_dir_all(&links).map_err(|e| format!("{}: {e}", links.display()))?;
    let link = |from: &str, to: &Path| std::os::unix::fs::symlink(from, to).map_err(|e| format!("{}: {e}", to.display()));
    link("emu-aarch64-static", &to.join("bin/emu-riscv64-static"))?;
    for target in ["aarch64", "riscv64"] {
        for name in [format!("qemu-{target}"), format!("qemu-{target}-static")] {
            link(&format!("../../../bin/emu-{target}-static"), &links.join(name))?;
        }
        link("../../../bin/emu", &links.join(format!("qemu-system-{target}")))?;
    }
    Ok(())
}

/// Makes all; the folder that holds them.
fn make() -> Result<PathBuf, String> {
    let (built, linked) = build()?;
    let out = target_dir()?.join("dist");
    let _ = std::fs::remove_dir_all(&out);
    let version = env!("CARGO_PKG_VERSION");
    let name = format!("emu-{version}-x86_64-linux");
    let folder = out.join(&name);
    stage(&built, &linked, &folder)?;
    copy(&linked, &out.join("emu-aarch64-static"))?;
    let tarball = out.join(format!("{name}.tar.gz"));
    run(Command::new("tar").args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "-czf"]).arg(&tarball).arg("-C").arg(&out).arg(&name))?;

    let package = out.join("deb");
    stage(&built, &linked, &package.join("usr"))?;
    let control = format!(
        "Package: emu\nVersion: {version}\nArchitecture: amd64\nMaintainer: the emu developers <emu@localhost>\nSection: otherosfs\nPriority: optional\n\
         Depends: libc6, libgcc-s1\nDescription: Emulator of Arm systems and of programs for Arm Linux\n \
         Runs whole machines (emu -M virt) and programs of Linux (emu PROGRAM);\n emu binfmt install has the kernel start such programs by themselves.\n"
    );
    std::fs::create_dir_all(package.join("DEBIAN")).map_err(|e| e.to_string())?;
    std::fs::write(package.join("DEBIAN/control"), control).map_err(|e| e.to_string())?;
    let deb = out.join(format!("emu_{version}_amd64.deb"));
    run(Command::new("dpkg-deb").args(["--root-owner-group", "--build"]).arg(&package).arg(&deb))?;
    let _ = std::fs::remove_dir_all(&package);
    for file in [&tarball, &deb, &out.join("emu-aarch64-static")] {
        let len = std::fs::metadata(file).map_or(0, |m| m.len());
        println!("{} ({:.1} MB)", file.display(), len as f64 / 1e6);
    }
    Ok(out)
}

/// Makes all, and has the tests install and run it: these, which are ignored otherwise.
pub fn dist(tests_of_it: &[&str]) -> bool {
    let out = match make() {
        Ok(out) => out,
        Err(e) => {
            eprintln!("error: {e}");
            return false;
        }
    };
    let mut tests = cargo();
    tests.args(["test", "--release", "-p", "emu-test-user"]).env("EMU_DIST", out);
    for name in tests_of_it {
        tests.args(["--test", name]);
    }
    tests.args(["--", "--ignored", "--nocapture"]);
    part("what is to be installed", tests.env_remove("EMU_PLUGIN_PATH").env_remove("EMU_BIN")).passed
}
