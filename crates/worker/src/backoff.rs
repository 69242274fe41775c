//! How long to wait before a call is tried again.

use std::time::Duration;

/// Exponential backoff with jitter: half to all of a span that doubles with each failure, from `first` up to `longest`.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    /// The wait after another failure.
    pub(crate) fn next(&mut self) -> Duration {
        let factor = 1_u32 << self.failures.min(20);
        self.failures = self.failures.saturating_add(1);
        self.first.saturating_mul(factor).min(self.longest).mul_f64(rand::random_range(0.5..=1.0))
    }

    /// A call succeeded: start over.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_within_its_bounds_and_starts_over() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
        for _ in 0..200 {
            let wait = backoff.next();
            assert!(wait >= Duration::from_millis(50) && wait <= Duration::from_secs(10), "{wait:?}");
        }
        assert!(backoff.next() >= Duration::from_secs(5));
        backoff.reset();
        assert!(backoff.next() <= Duration::from_millis(100));
    }
}
