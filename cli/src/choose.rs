//! Which machine, target and CPU model a run gets.

use crate::values::{Named, named};
use emu_plugin::{Catalogue, nearest};
use emu_plugins_api::{MachineEntry, TargetEntry};

/// The choice.
pub struct Choice<'a> {
    /// The machine.
    pub machine: &'a MachineEntry,
    /// Its options.
    pub machine_options: Vec<(String, String)>,
    /// The target.
    pub target: &'a TargetEntry,
    /// The CPU model.
    pub cpu: String,
    /// Its options.
    pub cpu_options: Vec<(String, String)>,
}

/// The target that the program's name implies: `qemu-system-NAME` and `emu-system-NAME`, as a link to emu may be called.
pub fn implied_target(program: &str) -> Option<&str> {
    let name = program.rsplit('/').next().unwrap_or(program);
    name.strip_prefix("qemu-system-").or_else(|| name.strip_prefix("emu-system-")).filter(|n| !n.is_empty())
}

fn names<'a>(all: impl Iterator<Item = &'a str>) -> String {
    all.collect::<Vec<_>>().join(", ")
}

/// The machine's target: the one asked for, or the first of the machine's that there is.
fn target_of<'a>(catalogue: &'a Catalogue, machine: &MachineEntry, asked: Option<&str>) -> Result<&'a TargetEntry, String> {
    let takes = || machine.targets.iter().map(|t| t.as_str());
    if let Some(name) = asked {
        let target = catalogue.target(name)?;
        return if takes().any(|t| t == name) {
            Ok(target)
        } else {
            Err(format!("the machine '{}' takes no CPU of the target '{name}'; it takes: {}", machine.name, names(takes())))
        };
    }
    match takes().find_map(|t| catalogue.targets().find(|(e, _)| e.name == t)) {
        Some((target, _)) => Ok(target),
        // The first one's absence is what to tell.
        None => catalogue.target(takes().next().unwrap_or("")),
    }
}

/// Chooses. `asked` is the value of --target; `implied` what the program's name says.
pub fn choose<'a>(
    catalogue: &'a Catalogue,
    machines: &[String],
    cpu: Option<&str>,
    asked: Option<&str>,
    implied: Option<&str>,
) -> Result<Choice<'a>, String> {
    let mut machine = Named::default();
    for text in machines {
        let more = named("-M", "type", text)?;
        if !more.name.is_empty() {
            machine.name = more.name;
        }
        machine.options.extend(more.options);
    }
    let target_name = asked.or(implied);
    if machine.name.is_empty() {
        // A target that does not exist is the nearer mistake.
        target_name.map(|t| catalogue.target(t)).transpose()?;
        let fits = |m: &MachineEntry| target_name.is_none_or(|t| m.targets.iter().any(|x| x == t));
        let mut there: Vec<&str> = catalogue.machines().filter(|(m, _)| fits(m)).map(|(m, _)| m.name.as_str()).collect();
        there.sort_unstable();
        there.dedup();
        return Err(match there.as_slice() {
            [] => match catalogue.machine("", None) {
                Err(_) if catalogue.machines().next().is_some() => {
                    format!("no machine was given, and none of those there are takes the target '{}'", target_name.unwrap_or(""))
                }
                Err(e) => e.replacen("no plugin offers the machine ''", "no machine was given", 1),
                Ok(_) => "no machine was given".to_owned(),
            },
            some => format!("no machine was given; write -M NAME (there are: {})", some.join(", ")),
        });
    }
    // Where machines share the name, a target that does not exist is the nearer mistake, as above.
    let entry = match catalogue.machine(&machine.name, target_name) {
        Err(e) => return Err(target_name.map(|t| catalogue.target(t)).transpose().err().unwrap_or(e)),
        Ok(entry) => entry,
    };
    let target = target_of(catalogue, entry, target_name)?;
    let known = || entry.options.iter().map(|o| o.name.as_str());
    if let Some((key, _)) = machine.options.iter().find(|(k, _)| !known().any(|n| n == k)) {
        let hint = match nearest(key, known()) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("`-M {},help` lists its options", entry.name),
        };
        return Err(format!("the machine '{}' has no option '{key}'; {hint}", entry.name));
    }
    let mut model = match cpu {
        Some(text) => named("-cpu", "", text)?,
        None => Named::default(),
    };
    let models = || target.models.iter().map(|m| m.0.as_str());
    if model.name.is_empty() {
        // The machine's, for each target that has it: the first one must.
        let first_target = entry.targets.first().is_some_and(|t| *t == target.name);
        model.name = match entry.default_cpu.as_str() {
            default if !default.is_empty() && (first_target || models().any(|m| m == default)) => default.to_owned(),
            _ => models().next().unwrap_or("").to_owned(),
        };
    }
    if !models().any(|m| m == model.name) {
        if model.name == "host" {
            return Err("-cpu host: emu translates and does not use the host's CPU; -cpu max has every feature".to_owned());
        }
        let near = nearest(&model.name, models()).map(|n| format!("; did you mean '{n}'?")).unwrap_or_default();
        return Err(format!("the target '{}' has no CPU model '{}'{near} (there are: {})", target.name, model.name, names(models())));
    }
    Ok(Choice { machine: entry, machine_options: machine.options, target, cpu: model.name, cpu_options: model.options })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_names() {
        assert_eq!(implied_target("/usr/bin/qemu-system-sparc"), Some("sparc"));
        assert_eq!(implied_target("emu-system-x"), Some("x"));
        for other in ["emu", "./emu", "qemu-system-"] {
            assert_eq!(implied_target(other), None, "{other}");
        }
    }
}
