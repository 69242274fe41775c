//! Medians and percentiles.

/// The middle value; the mean of the two middle ones if there is no single one, 0 of nothing.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.get(sorted.len().saturating_sub(1) / 2), sorted.get(sorted.len() / 2)) {
        (Some(low), Some(high)) => f64::midpoint(*low, *high),
        _ => 0.0,
    }
}

/// Durations in nanoseconds, sorted, for percentiles in milliseconds.
pub(crate) struct Latencies(Vec<u64>);

impl Latencies {
    pub(crate) fn new(mut nanos: Vec<u64>) -> Self {
        nanos.sort_unstable();
        Self(nanos)
    }

    /// The value below which the share `q` of all lies, by nearest rank; 0 of nothing.
    pub(crate) fn ms(&self, q: f64) -> f64 {
        let rank = ((self.0.len() as f64) * q).ceil() as usize;
        let nanos = self.0.get(rank.saturating_sub(1).min(self.0.len().saturating_sub(1)));
        nanos.copied().unwrap_or_default() as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < f64::EPSILON);
        assert!(median(&[]).abs() < f64::EPSILON);
    }

    #[test]
    fn percentiles_by_nearest_rank() {
        let latencies = Latencies::new((1..=100).rev().map(|ms| ms * 1_000_000).collect());
        for (q, ms) in [(0.0, 1.0), (0.5, 50.0), (0.99, 99.0), (1.0, 100.0)] {
            assert!((latencies.ms(q) - ms).abs() < 1e-9, "{q}");
        }
        assert!(Latencies::new(Vec::new()).ms(0.5).abs() < f64::EPSILON);
    }
}
