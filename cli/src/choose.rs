//! Which machine, target and CPU model a run gets.

use crate::values::{Named, named};
use emu_exec::ClusterSpec;
use emu_plugin::{Catalogue, nearest};
use emu_plugins_api::{MachineEntry, TargetEntry};

/// The choice.
pub struct Choice<'a> {
    /// The machine.
    pub machine: &'a MachineEntry,
    /// Its options.
    pub machine_options: Vec<(String, String)>,
    /// The targets of its CPUs, with the models.
    pub clusters: Vec<ClusterSpec<'a>>,
}

/// The target that the program's name implies: `qemu-system-NAME` and `emu-system-NAME`, as a link to emu may be called.
pub fn implied_target(program: &str) -> Option<&str> {
    let name = program.rsplit('/').next().unwrap_or(program);
    name.strip_prefix("qemu-system-").or_else(|| name.strip_prefix("emu-system-")).filter(|n| !n.is_empty())
}

fn names<'a>(all: impl Iterator<Item = &'a str>) -> String {
    all.collect::<Vec<_>>().join(", ")
}

/// The machine's targets, all at the same time where there are several: those asked for, or the first of the machine's choices that there is.
/// A program's name may stand for one of several.
fn targets_of<'a>(
    catalogue: &'a Catalogue,
    machine: &MachineEntry,
    asked: Option<&str>,
    implied: Option<&str>,
) -> Result<Vec<&'a TargetEntry>, String> {
    let takes = || machine.targets.iter().map(|t| t.as_str());
    if let Some(name) = asked.or(implied) {
        let targets = catalogue.targets_of(name)?;
        let has = |t: &str| t.split('+').any(|part| part == name);
        return match takes().find(|t| has(t)) {
            _ if takes().any(|t| t == name) => Ok(targets),
            Some(together) if asked.is_none() => catalogue.targets_of(together),
            Some(together) => {
                Err(format!("the machine '{}' has CPUs of '{together}' at the same time; write --target {together}, or leave it out", machine.name))
            }
            None => Err(format!("the machine '{}' takes no CPU of the target '{name}'; it takes: {}", machine.name, names(takes()))),
        };
    }
    match takes().find_map(|t| catalogue.targets_of(t).ok()) {
        Some(targets) => Ok(targets),
        // The first one's absence is what to tell.
        None => catalogue.targets_of(takes().next().unwrap_or("")),
    }
}

/// What -cpu says of each of a machine's targets: "x,key=value+y". A plus sign behind a comma switches an option on.
fn models<'t>(text: &'t str, machine: &MachineEntry, targets: &[&TargetEntry]) -> Result<Vec<&'t str>, String> {
    if targets.len() == 1 {
        return Ok(vec![text]);
    }
    let mut parts = Vec::new();
    let mut from = 0;
    for (at, _) in text.match_indices('+').filter(|(at, _)| !text[..*at].ends_with(',')) {
        parts.push(&text[from..at]);
        from = at + 1;
    }
    parts.push(&text[from..]);
    if parts.len() == targets.len() {
        return Ok(parts);
    }
    let first = |t: &&TargetEntry| t.models.first().map_or("", |m| m.0.as_str()).to_owned();
    let example = targets.iter().map(first).collect::<Vec<_>>().join("+");
    let all = targets.iter().map(|t| t.name.as_str()).collect::<Vec<_>>().join(", then of ");
    Err(format!("-cpu {text}: the machine '{}' needs a model for each of its targets, first of {all}; write -cpu {example}", machine.name))
}

/// The CPUs of one of the machine's targets: the model that `text` names, or else `default`.
fn cluster<'a>(target: &'a TargetEntry, text: Option<&str>, default: &str) -> Result<ClusterSpec<'a>, String> {
    let mut model = match text {
        Some(text) => named("-cpu", "", text)?,
        None => Named::default(),
    };
    let models = || target.models.iter().map(|m| m.0.as_str());
    if model.name.is_empty() {
        model.name = if default.is_empty() { models().next().unwrap_or("") } else { default }.to_owned();
    }
    if !models().any(|m| m == model.name) {
        if model.name == "host" {
            return Err("-cpu host: emu translates and does not use the host's CPU; -cpu max has every feature".to_owned());
        }
        let near = nearest(&model.name, models()).map(|n| format!("; did you mean '{n}'?")).unwrap_or_default();
        return Err(format!("the target '{}' has no CPU model '{}'{near} (there are: {})", target.name, model.name, names(models())));
    }
    Ok(ClusterSpec { target, cpu: model.name, cpu_options: model.options })
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
        target_name.map(|t| catalogue.targets_of(t)).transpose()?;
        // What only the program's name says may be one of several targets.
        let takes = |x: &str, t: &str| x == t || asked.is_none() && x.split('+').any(|part| part == t);
        let fits = |m: &MachineEntry| target_name.is_none_or(|t| m.targets.iter().any(|x| takes(x, t)));
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
        Err(e) => return Err(target_name.map(|t| catalogue.targets_of(t)).transpose().err().unwrap_or(e)),
        Ok(entry) => entry,
    };
    let targets = targets_of(catalogue, entry, asked, implied)?;
    let known = || entry.options.iter().map(|o| o.name.as_str());
    if let Some((key, _)) = machine.options.iter().find(|(k, _)| !known().any(|n| n == k)) {
        let hint = match nearest(key, known()) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("`-M {},help` lists its options", entry.name),
        };
        return Err(format!("the machine '{}' has no option '{key}'; {hint}", entry.name));
    }
    let texts = cpu.map(|text| models(text, entry, &targets)).transpose()?;
    // The machine's, for each choice of targets that has it: the first one must.
    let first_choice = entry.targets.first().is_some_and(|t| t.split('+').eq(targets.iter().map(|t| t.name.as_str())));
    let defaults: Vec<&str> = entry.default_cpu.split('+').collect();
    let mut clusters = Vec::new();
    for (n, target) in targets.into_iter().enumerate() {
        let has = |model: &&str| target.models.iter().any(|m| m.0 == **model);
        let default = defaults.get(n).copied().filter(|d| first_choice || has(d)).unwrap_or("");
        clusters.push(cluster(target, texts.as_ref().map(|t| t[n]), default)?);
    }
    Ok(Choice { machine: entry, machine_options: machine.options, clusters })
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
