//! What boards' options have in common.

use emu_plugins_api::OptionInfo;

/// The option whose name is nearest to a word.
pub fn nearest(name: &str, options: &[OptionInfo]) -> &'static str {
    options.iter().min_by_key(|o| distance(o.name, name)).map_or("", |o| o.name)
}

/// The number of edits between two words (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let best = (corner + usize::from(x != y)).min(row[j] + 1).min(row[j + 1] + 1);
            corner = std::mem::replace(&mut row[j + 1], best);
        }
    }
    row[b.len()]
}

/// Whether a switch is on; `None` for what is neither.
pub fn switch(value: &str) -> Option<bool> {
    match value {
        "on" | "yes" | "true" | "y" => Some(true),
        "off" | "no" | "false" | "n" => Some(false),
        _ => None,
    }
}
