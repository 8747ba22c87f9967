//! Suggests what a mistyped word may have meant.

/// The candidate nearest to `word`, if it is near enough to be worth a mention.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|c| (distance(&word, &c.to_lowercase(), limit), c))
        .filter(|(d, _)| *d <= limit)
        .min_by_key(|(d, _)| *d)
        .map(|(_, c)| c)
}

/// Edit distance with transpositions of neighbours (optimal string alignment). An abbreviation of a candidate counts as near.
fn distance(word: &str, candidate: &str, limit: usize) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (word.chars().collect(), candidate.chars().collect());
    if a.len() >= 3 && candidate.starts_with(word) {
        return limit.min(1);
    }
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = change.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_only_what_is_near() {
        let flags = ["kernel", "initrd", "machine", "no-reboot", "smp"];
        let cases = [
            ("kernle", Some("kernel")),
            ("kern", Some("kernel")),
            ("Machine", Some("machine")),
            ("noreboot", Some("no-reboot")),
            ("spm", Some("smp")),
            ("frobnicate", None),
            ("", None),
        ];
        for (word, want) in cases {
            assert_eq!(nearest(word, flags), want, "{word}");
        }
    }
}
