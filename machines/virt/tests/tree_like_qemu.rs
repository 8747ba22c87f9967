//! The device tree against the one that QEMU's board of the same name writes: each node that both have says the same.

use emu_machine_devices::mock::{MockHost, config};
use emu_machine_firmware::fdt::{Fdt, Node};
use emu_machine_virt::Virt;
use emu_plugins_api::Board;
use emu_test_kit::{process, qemu};
use std::collections::BTreeMap;
use std::time::Duration;

/// Every node by its path.
fn flatten<'a>(node: &'a Node, path: &str, out: &mut BTreeMap<String, &'a Node>) {
    for child in &node.children {
        let path = format!("{path}/{}", child.name);
        flatten(child, &path, out);
        out.insert(path, child);
    }
}

/// Properties whose values refer to handles, which number nodes as each maker likes, or differ by design.
fn comparable(name: &str) -> bool {
    !["phandle", "clocks", "interrupt-parent", "gpios", "cpu", "kaslr-seed", "rng-seed"].contains(&name)
}

/// What this board does not have yet: PCI Express; and the platform bus, which is for devices added on the command line of QEMU.
const MISSING: &[&str] = &["/pcie@10000000", "/platform-bus@c000000"];

#[test]
fn nodes_agree() {
    let qemu = qemu::system_aarch64().expect("QEMU is needed as an oracle");
    for cpus in [1u32, 2, 8] {
        let path = |who: &str| std::env::temp_dir().join(format!("emu-tree-{}-{cpus}-{who}.dtb", std::process::id()));
        let (ours, theirs) = (path("ours"), path("theirs"));
        let mut command = qemu.command();
        command.args(["-M", &format!("virt,gic-version=3,its=off,dumpdtb={}", theirs.display()), "-cpu", "cortex-a72", "-m", "512"]);
        command.args(["-smp", &cpus.to_string(), "-nographic", "-net", "none"]);
        process::run(&mut command, Duration::from_secs(30)).unwrap();
        let (_, host) = MockHost::new(cpus);
        let options = [("dumpdtb", ours.to_str().unwrap())];
        let properties = [("fdt-compatible", "arm,cortex-a72"), ("pmu", "on")];
        Virt::create(&config(cpus, 512 << 20, &options, &[], &properties), host).unwrap_or_else(|e| panic!("{e}"));
        let read = |path| Fdt::parse(&std::fs::read(path).unwrap()).unwrap();
        let (ours_tree, theirs_tree) = (read(&ours), read(&theirs));
        let (mut a, mut b) = (BTreeMap::new(), BTreeMap::new());
        flatten(&ours_tree.root, "", &mut a);
        flatten(&theirs_tree.root, "", &mut b);
        a.insert("/".into(), &ours_tree.root);
        b.insert("/".into(), &theirs_tree.root);
        b.retain(|path, _| !MISSING.contains(&path.as_str()));
        assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>(), "nodes with {cpus} CPUs");
        let mut compared = 0;
        for (path, node) in &a {
            let names = |n: &Node| n.props.iter().map(|p| p.0.clone()).collect::<std::collections::BTreeSet<_>>();
            let (mut mine, theirs) = (names(node), names(b[path]));
            // Handles that nothing refers to may be left out.
            mine.retain(|n| n != "phandle" || theirs.contains(n));
            let theirs: std::collections::BTreeSet<_> = theirs.into_iter().filter(|n| n != "phandle" || mine.contains(n)).collect();
            assert_eq!(mine, theirs, "{path}");
            for (name, value) in node.props.iter().filter(|p| comparable(&p.0)) {
                assert_eq!(Some(&value[..]), b[path].get(name), "{path} {name}");
                compared += 1;
            }
        }
        assert!(compared > 170, "{compared}");
        println!("{cpus} CPUs: {} nodes, {compared} properties agree", a.len());
        for path in [ours, theirs] {
            std::fs::remove_file(path).unwrap();
        }
    }
}
