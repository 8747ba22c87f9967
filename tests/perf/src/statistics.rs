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

/// How many times the work of one two do in the same time. `run` has so many of them do it, each all of it. Wall time, so the host must have two
/// idle CPUs; the best of `rounds`. Fails when a run does.
pub fn scaling(rounds: usize, run: impl Fn(usize) -> Result<()>) -> Result<f64> {
    let mut best = [f64::INFINITY; 2];
    for _ in 0..rounds {
        for (best, at_work) in best.iter_mut().zip(1..) {
            let start = Instant::now();
            run(at_work)?;
            *best = best.min(start.elapsed().as_secs_f64());
        }
    }
    Ok(2.0 * best[0] / best[1])
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
}
