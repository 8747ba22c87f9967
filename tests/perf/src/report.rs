//! The results as a table, as JSON and as a bar plot.

use crate::bench::{Boot, Row, Scaling};
use crate::statistics::{geometric_mean, median};
use crate::user::REAL;
use serde_json::{Value, json};
use std::fmt::Write;

/// What a run was, beside its rows.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// QEMU's version.
    pub qemu: String,
    /// Rounds a guest.
    pub rounds: usize,
    /// The part of a full run's repeats.
    pub scale: f64,
}

/// Today, as ISO 8601 has it, and the host's CPU.
fn date_and_host() -> (String, String) {
    let date = std::process::Command::new("date").args(["-u", "+%F"]).output().map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned());
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|l| l.strip_prefix("model name")).map(|l| l.trim_start_matches([' ', '\t', ':']).to_owned());
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    (date.unwrap_or_default(), format!("{}, {count} CPUs", model.unwrap_or_else(|| "unknown".into())))
}

/// The heading of the table.
pub fn heading() -> String {
    format!("{:<9} {:<11} {:<44} {:>9} {:>9} {:>8} {:>7} {:>7}", "name", "cpu", "class", "QEMU s", "emu s", "ratio", "spread", "native")
}

/// A row of the table.
pub fn line(row: &Row) -> String {
    let (qemu, emu) = (median(&row.qemu_s), median(&row.emu_s));
    let spread = 100.0 * row.spread();
    let native = row.native_ratio().map_or_else(String::new, |r| format!("{r:.2}"));
    format!("{:<9} {:<11} {:<44} {qemu:>9.3} {emu:>9.3} {:>8.3} {spread:>6.0}% {native:>7}", row.name, row.cpu, row.class, row.ratio())
}

/// The geometric means of the ratios by CPU model, of the kernels alone: a boot is no kernel.
pub fn means(rows: &[Row]) -> Vec<(String, usize, f64)> {
    let mut cpus: Vec<&str> = rows.iter().map(|r| r.cpu.as_str()).collect();
    cpus.dedup();
    cpus.sort_unstable();
    cpus.dedup();
    cpus.into_iter()
        .map(|cpu| {
            let ratios: Vec<f64> = rows
                .iter()
                .filter(|r| r.cpu == cpu && Boot::ALL.iter().all(|b| b.name() != r.name) && REAL.iter().all(|p| p.name != r.name))
                .map(Row::ratio)
                .collect();
            (cpu.to_owned(), ratios.len(), geometric_mean(&ratios))
        })
        .filter(|m| m.1 > 0)
        .collect()
}

/// The sentence about two threads or CPUs.
pub fn scaling(s: &Scaling) -> String {
    scaling_text(s.kernel, &s.cpu, [s.qemu, s.emu, s.native])
}

fn scaling_text(kernel: &str, cpu: &str, [qemu, emu, native]: [f64; 3]) -> String {
    format!(
        "two at {kernel} on {cpu} do the work of one: QEMU {qemu:.2} times, emu {emu:.2} times, the host itself {native:.2} times (wall time); \
         emu's of the host's: {:.2}",
        emu / native
    )
}

/// Everything that was measured.
pub fn to_json(conditions: &Conditions, rows: &[Row], scalings: &[Scaling]) -> Value {
    let row = |r: &Row| {
        json!({
            "name": r.name, "class": r.class, "cpu": r.cpu, "qemu_s": r.qemu_s, "emu_s": r.emu_s, "native_s": r.native_s,
            "ratio": r.ratio(), "spread": r.spread(), "checksum": r.checksum,
        })
    };
    let two = |s: &Scaling| json!({ "kernel": s.kernel, "cpu": s.cpu, "qemu": s.qemu, "emu": s.emu, "native": s.native });
    let mean = |(cpu, kernels, mean): &(String, usize, f64)| json!({ "cpu": cpu, "kernels": kernels, "ratio": mean });
    let (date, host) = date_and_host();
    json!({
        "date": date, "host": host, "qemu": conditions.qemu, "rounds": conditions.rounds, "scale": conditions.scale,
        "rows": rows.iter().map(row).collect::<Vec<_>>(),
        "scaling": scalings.iter().map(two).collect::<Vec<_>>(),
        "geometric_means": means(rows).iter().map(mean).collect::<Vec<_>>(),
    })
}

/// A table for a README of what several runs wrote as JSON: a line a guest, a column a CPU model, the geometric means below.
pub fn to_markdown(runs: &[Value]) -> String {
    let text = |v: &Value, key: &str| v[key].as_str().unwrap_or_default().to_owned();
    let list = |v: &Value, key: &str| v[key].as_array().cloned().unwrap_or_default();
    let (mut guests, mut cpus): (Vec<(String, String)>, Vec<String>) = (Vec::new(), Vec::new());
    let rows: Vec<Value> = runs.iter().flat_map(|r| list(r, "rows")).collect();
    for row in &rows {
        let guest = (text(row, "name"), text(row, "class"));
        if !guests.iter().any(|g| g.0 == guest.0) {
            guests.push(guest);
        }
        if !cpus.contains(&text(row, "cpu")) {
            cpus.push(text(row, "cpu"));
        }
    }
    let mut s = String::new();
    for run in runs {
        let _ = writeln!(
            s,
            "{}, {}; {}; {} rounds at {} of the work.",
            text(run, "date"),
            text(run, "host"),
            text(run, "qemu"),
            run["rounds"],
            run["scale"]
        );
    }
    let _ = writeln!(s, "\n| guest | class | {} |\n|---|---|{}", cpus.join(" | "), "---:|".repeat(cpus.len()));
    for (name, class) in &guests {
        let cells = cpus.iter().map(|cpu| {
            let row = rows.iter().find(|r| text(r, "name") == *name && text(r, "cpu") == *cpu);
            row.and_then(|r| r["ratio"].as_f64()).map_or_else(String::new, |ratio| format!("{ratio:.2}"))
        });
        let _ = writeln!(s, "| {name} | {class} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    let means: Vec<Value> = runs.iter().flat_map(|r| list(r, "geometric_means")).collect();
    let cells = cpus.iter().map(|cpu| {
        let mean = means.iter().find(|m| text(m, "cpu") == *cpu);
        mean.and_then(|m| m["ratio"].as_f64()).map_or_else(String::new, |ratio| format!("**{ratio:.2}**"))
    });
    let _ = writeln!(s, "| | **geometric mean of the kernels** | {} |", cells.collect::<Vec<_>>().join(" | "));
    for two in runs.iter().flat_map(|r| list(r, "scaling")) {
        let found = ["qemu", "emu", "native"].map(|of| two[of].as_f64().unwrap_or(f64::NAN));
        let (kernel, cpu) = (text(&two, "kernel"), text(&two, "cpu"));
        let _ = writeln!(s, "\n{}", scaling_text(&kernel, &cpu, found));
    }
    s
}

const BAR: f64 = 14.0;
const LEFT: f64 = 110.0;
const WIDTH: f64 = 640.0;
const TOP: f64 = 64.0;
const COLOURS: [&str; 4] = ["#2a6f97", "#e09f3e", "#6a994e", "#9e2a2b"];

/// Bars of the ratios, a group a guest and a bar a CPU model, on a logarithmic scale; the line at 1 is where both are equally fast.
pub fn to_svg(conditions: &Conditions, rows: &[Row]) -> String {
    let (mut names, mut cpus): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for row in rows {
        for (list, item) in [(&mut names, row.name.as_str()), (&mut cpus, row.cpu.as_str())] {
            if !list.contains(&item) {
                list.push(item);
            }
        }
    }
    let ratios: Vec<f64> = rows.iter().map(Row::ratio).filter(|r| r.is_finite() && *r > 0.0).collect();
    let low = ratios.iter().fold(0.5f64, |l, &r| l.min(r)).log10().floor();
    let high = ratios.iter().fold(2.0f64, |h, &r| h.max(r)).log10().ceil();
    let x = |ratio: f64| LEFT + WIDTH * (ratio.log10() - low) / (high - low);
    let group = BAR * cpus.len() as f64 + 6.0;
    let bottom = TOP + group * names.len() as f64;
    let (w, h) = (LEFT + WIDTH + 80.0, bottom + 40.0);
    let mut s = String::new();
    let _ = writeln!(s, r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" font-family="sans-serif" font-size="11">"#);
    let _ = writeln!(s, r##"<rect width="{w}" height="{h}" fill="#ffffff"/>"##);
    let title = format!("QEMU's CPU time over emu's (right of 1: emu is faster); {}; {} rounds", conditions.qemu, conditions.rounds);
    let _ = writeln!(s, r#"<text x="10" y="20" font-size="13">{}</text>"#, escape(&title));
    for (n, cpu) in cpus.iter().enumerate() {
        let (at, colour) = (LEFT + 120.0 * n as f64, COLOURS[n % COLOURS.len()]);
        let _ = writeln!(s, r#"<rect x="{at}" y="32" width="10" height="10" fill="{colour}"/>"#);
        let _ = writeln!(s, r#"<text x="{}" y="41">{}</text>"#, at + 14.0, escape(cpu));
    }
    for decade in low as i32..=high as i32 {
        let at = x(10f64.powi(decade));
        let stroke = if decade == 0 { "#000000" } else { "#cccccc" };
        let _ = writeln!(s, r#"<line x1="{at:.1}" y1="{TOP}" x2="{at:.1}" y2="{bottom}" stroke="{stroke}"/>"#);
        let _ = writeln!(s, r#"<text x="{at:.1}" y="{}" text-anchor="middle">{}</text>"#, bottom + 16.0, 10f64.powi(decade));
    }
    for (g, name) in names.iter().enumerate() {
        let y = TOP + group * g as f64 + 3.0;
        let _ = writeln!(s, r#"<text x="{}" y="{:.1}" text-anchor="end">{}</text>"#, LEFT - 8.0, y + group / 2.0, escape(name));
        for (n, cpu) in cpus.iter().enumerate() {
            let Some(row) = rows.iter().find(|r| r.name == *name && r.cpu == *cpu) else { continue };
            let (ratio, top) = (row.ratio(), y + BAR * n as f64);
            if !ratio.is_finite() || ratio <= 0.0 {
                continue;
            }
            let (from, to) = (x(1.0).min(x(ratio)), x(1.0).max(x(ratio)));
            let colour = COLOURS[n % COLOURS.len()];
            let _ = writeln!(s, r#"<rect x="{from:.1}" y="{top:.1}" width="{:.1}" height="{}" fill="{colour}"/>"#, to - from, BAR - 2.0);
            let _ = writeln!(s, r#"<text x="{:.1}" y="{:.1}" font-size="10">{ratio:.2}</text>"#, to + 4.0, top + BAR - 4.0);
        }
    }
    s.push_str("</svg>\n");
    s
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        let row = |name: &str, cpu: &str, qemu_s: [f64; 3], emu_s: [f64; 3]| Row {
            name: name.into(),
            class: "a & b".into(),
            cpu: cpu.into(),
            qemu_s: qemu_s.to_vec(),
            emu_s: emu_s.to_vec(),
            native_s: Vec::new(),
            checksum: "1".into(),
        };
        vec![
            row("boot", "max", [4.0; 3], [1.0; 3]),
            row("one", "max", [2.0, 2.0, 4.0], [1.0, 2.0, 2.0]),
            row("two", "max", [1.0; 3], [2.0; 3]),
            row("one", "b<c", [1.0; 3], [10.0; 3]),
        ]
    }

    #[test]
    fn ratios_are_medians_of_rounds_and_boots_no_kernels() {
        let rows = rows();
        assert_eq!((rows[1].ratio(), rows[1].spread()), (2.0, 0.5));
        let means = means(&rows);
        assert_eq!(means.iter().map(|m| (m.0.as_str(), m.1)).collect::<Vec<_>>(), [("b<c", 1), ("max", 2)]);
        assert!((means[1].2 - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_table_the_json_and_the_plot_have_all_rows() {
        let (rows, conditions) = (rows(), Conditions { qemu: "Q".into(), rounds: 3, scale: 1.0 });
        assert!(rows.iter().all(|r| line(r).len() == heading().len()), "columns are aligned");
        let two = Scaling { kernel: "fib", cpu: "max".into(), qemu: 1.0, emu: 1.5, native: 2.0 };
        assert!(scaling(&two).contains("QEMU 1.00 times, emu 1.50 times, the host itself 2.00 times") && scaling(&two).ends_with(" 0.75"));
        let json = to_json(&conditions, &rows, &[two]);
        assert_eq!(json["scaling"][0]["emu"], 1.5);
        assert_eq!(json["rows"].as_array().unwrap().len(), 4);
        assert_eq!(json["rows"][1]["ratio"], 2.0);
        let svg = to_svg(&conditions, &rows);
        // A background, two in the legend, four bars.
        assert_eq!(svg.matches("<rect").count(), 7);
        assert!(svg.contains("b&lt;c") && !svg.contains("NaN"));
        let table = to_markdown(&[json]);
        assert!(table.contains("| guest | class | max | b<c |") && table.contains("| one | a & b | 2.00 | 0.10 |"), "{table}");
        assert!(table.contains("two at fib on max"), "{table}");
        assert!(table.contains("| boot | a & b | 4.00 |  |") && table.contains("kernels** | **1.00** | **0.10** |"), "{table}");
    }
}
