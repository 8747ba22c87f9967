//! Medians, spreads and means; and how work scales.

use emu_test_kit::Result;
use std::time::Instant;

/// The median; of an even number of values the mean of the two in the middle. NaN of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}

/// The distance between the largest and the smallest value, as a part of the median.
pub fn spread(values: &[f64]) -> f64 {
    let (low, high) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
    if values.is_empty() { f64::NAN } else { (high - low) / median(values) }
}

/// What does its work for so many threads or CPUs, each all of it; an error if that fails.
pub type Work<'a> = &'a dyn Fn(usize) -> Result<()>;

/// How many times the work of one two do in the same time, for each of `works`: the median of `rounds`. Wall time, so the host must have two idle
/// CPUs. All of them take turns in each round, and one and two follow each other, so that a host which is slower for a while is so for all.
pub fn scaling<const N: usize>(rounds: usize, works: [Work<'_>; N]) -> Result<[f64; N]> {
    let mut found = [const { Vec::new() }; N];
    for _ in 0..rounds {
        for (found, work) in found.iter_mut().zip(works) {
            let mut seconds = [0.0; 2];
            for (seconds, at_work) in seconds.iter_mut().zip(1..) {
                let start = Instant::now();
                work(at_work)?;
                *seconds = start.elapsed().as_secs_f64();
            }
            found.push(2.0 * seconds[0] / seconds[1]);
        }
    }
    Ok(found.map(|ratios: Vec<f64>| median(&ratios)))
}

/// The geometric mean; NaN of none.
pub fn geometric_mean(values: &[f64]) -> f64 {
    (values.iter().map(|v| v.ln()).sum::<f64>() / values.len() as f64).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_small_lists() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(spread(&[2.0, 1.0, 3.0]), 1.0);
        assert_eq!(spread(&[2.0]), 0.0);
        assert!((geometric_mean(&[1.0, 4.0]) - 2.0).abs() < 1e-12);
        assert!(median(&[]).is_nan() && spread(&[]).is_nan() && geometric_mean(&[]).is_nan());
    }
    #[test]
    fn scaling_is_of_each_work() {
        let sleep = |ms| {
            std::thread::sleep(std::time::Duration::from_millis(ms));
            Ok(())
        };
        let [alike, twice] = scaling(3, [&|_| sleep(40), &|n| sleep(40 * n as u64)]).unwrap();
        // 2 and 1, but the host may be busy.
        assert!(alike > 1.2 * twice && twice > 0.2, "{alike} {twice}");
        assert!(scaling(1, [&|n| if n == 2 { Err(emu_test_kit::Error("no".into())) } else { Ok(()) }]).is_err());
    }
}
