//! The lists: targets, machines and their options, CPU models, devices; as text or as JSON.

use emu_plugin::Catalogue;
use emu_plugins_api::{MachineEntry, TargetEntry};
use serde_json::{Value, json};

/// A list that can be asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum List {
    /// Guest architectures.
    Targets,
    /// Machines.
    Machines,
    /// CPU models.
    Cpus,
    /// Device models.
    Devices,
}

impl List {
    /// Flags and lists.
    pub const FLAGS: [(&'static str, List); 4] =
        [("list-targets", List::Targets), ("list-machines", List::Machines), ("list-cpus", List::Cpus), ("list-devices", List::Devices)];
}

/// What the list is narrowed to.
#[derive(Clone, Copy, Default)]
pub struct Only<'a> {
    /// This target.
    pub target: Option<&'a str>,
    /// This machine.
    pub machine: Option<&'a str>,
}

impl Only<'_> {
    fn target(&self, t: &TargetEntry) -> bool {
        self.target.is_none_or(|names| names.split('+').any(|name| t.name == name))
    }
    fn machine(&self, m: &MachineEntry) -> bool {
        self.machine.is_none_or(|name| m.name == name)
            && self.target.is_none_or(|name| m.targets.iter().any(|t| t == name || t.split('+').any(|part| part == name)))
    }
}

/// Prints rows of columns, all but the last padded.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| rows.iter().filter_map(|r| r.get(c)).map(|s| s.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let line: Vec<String> = row.iter().enumerate().map(|(c, s)| format!("{s:<w$}", w = widths[c])).collect();
        out += line.join("  ").trim_end();
        out.push('\n');
    }
    out
}

/// A list as text, or as a JSON array.
pub fn list(catalogue: &Catalogue, which: List, only: Only<'_>, as_json: bool) -> String {
    let (rows, values): (Vec<Vec<String>>, Vec<Value>) = match which {
        List::Targets => catalogue
            .targets()
            .filter(|(t, _)| only.target(t))
            .map(|(t, file)| {
                let models: Vec<&str> = t.models.iter().map(|m| m.0.as_str()).collect();
                let value = json!({ "name": t.name.as_str(), "description": t.description.as_str(), "models": models, "plugin": file.to_string_lossy() });
                (vec![t.name.to_string(), t.description.to_string()], value)
            })
            .unzip(),
        List::Machines => catalogue
            .machines()
            .filter(|(m, _)| only.machine(m))
            .map(|(m, file)| {
                let targets: Vec<&str> = m.targets.iter().map(|t| t.as_str()).collect();
                let options: Vec<Value> = m
                    .options
                    .iter()
                    .map(|o| json!({ "name": o.name.as_str(), "values": o.values.as_str(), "default": o.default.as_str(), "description": o.description.as_str() }))
                    .collect();
                let value = json!({
                    "name": m.name.as_str(), "description": m.description.as_str(), "targets": targets, "default_cpu": m.default_cpu.as_str(),
                    "max_cpus": m.max_cpus, "default_ram": m.default_ram, "options": options, "plugin": file.to_string_lossy(),
                });
                // "a+b" is one choice: CPUs of both.
                let together = if targets.iter().any(|t| t.contains('+')) { ", CPUs of each" } else { "" };
                (vec![m.name.to_string(), format!("{} (target {}{together})", m.description, targets.join(", "))], value)
            })
            .unzip(),
        List::Cpus => catalogue
            .targets()
            .filter(|(t, _)| only.target(t))
            .flat_map(|(t, _)| {
                t.models.iter().enumerate().map(|(n, m)| {
                    let value = json!({ "target": t.name.as_str(), "name": m.0.as_str(), "description": m.1.as_str(), "default": n == 0 });
                    (vec![t.name.to_string(), m.0.to_string(), m.1.to_string()], value)
                })
            })
            .unzip(),
        List::Devices => catalogue
            .machines()
            .filter(|(m, _)| only.machine(m))
            .flat_map(|(m, _)| {
                m.devices.iter().map(|d| {
                    let value = json!({ "machine": m.name.as_str(), "name": d.0.as_str(), "description": d.1.as_str() });
                    (vec![m.name.to_string(), d.0.to_string(), d.1.to_string()], value)
                })
            })
            .unzip(),
    };
    if as_json {
        return format!("{:#}\n", Value::Array(values));
    }
    if rows.is_empty() {
        return "none (no plugin that offers one was found; `cargo build --release` builds those of this tree)\n".to_owned();
    }
    table(&rows)
}

/// The options of a machine, as `-M NAME,help` shows them.
pub fn machine_help(m: &MachineEntry) -> String {
    let each = if m.targets.iter().any(|t| t.contains('+')) { " of each target" } else { "" };
    let cpus = if m.max_cpus == 1 { "CPU" } else { "CPUs" };
    let mut out =
        format!("{}: {}; at most {} {cpus}{each}, {} MiB unless -m says otherwise\n", m.name, m.description, m.max_cpus, m.default_ram >> 20);
    let rows: Vec<Vec<String>> =
        m.options.iter().map(|o| vec![format!("  {}={}", o.name, o.values), format!("[{}]", o.default), o.description.to_string()]).collect();
    out += &if rows.is_empty() { "  no options\n".to_owned() } else { table(&rows) };
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns() {
        let rows = [vec!["a".to_owned(), "one".to_owned()], vec!["long".to_owned(), "two".to_owned()]];
        assert_eq!(table(&rows), "a     one\nlong  two\n");
    }
}
