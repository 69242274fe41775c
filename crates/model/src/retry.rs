//! How long to wait before the next attempt.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How the delay grows with the attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackoffKind {
    /// The same delay each time.
    Fixed,
    /// `seconds × attempt`.
    Linear,
    /// `seconds × 2^(attempt−1)`.
    #[default]
    Exponential,
}

/// The wait between attempts, drawn with full jitter: uniformly between zero and the delay of the kind.
///
/// Source: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct Backoff {
    /// How the delay grows.
    pub kind: BackoffKind,
    /// The first delay in seconds, 0 to 31,536,000 (a year).
    pub seconds: f64,
    /// The longest delay in seconds, same range.
    pub max_seconds: f64,
}

/// A backoff as users write it, parts of which they leave out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    kind: BackoffKind,
    #[serde(default = "Backoff::default_seconds")]
    seconds: f64,
    max_seconds: Option<f64>,
}

impl From<Written> for Backoff {
    fn from(Written { kind, seconds, max_seconds }: Written) -> Self {
        // A first delay above the usual longest is meant.
        let max_seconds = max_seconds.unwrap_or_else(|| Self::default_max_seconds().max(seconds));
        Self { kind, seconds, max_seconds }
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            kind: BackoffKind::default(),
            seconds: Self::default_seconds(),
            max_seconds: Self::default_max_seconds(),
        }
    }
}

impl Backoff {
    /// The longest delay anyone may ask for, in seconds.
    pub const LIMIT_SECONDS: f64 = 31_536_000.0;

    fn default_seconds() -> f64 {
        2.0
    }

    fn default_max_seconds() -> f64 {
        600.0
    }

    /// The delay before jitter, after `attempt` (1 for the first) has failed.
    pub fn ceiling(&self, attempt: u32) -> Duration {
        let attempt = attempt.max(1);
        let grown = match self.kind {
            BackoffKind::Fixed => self.seconds,
            BackoffKind::Linear => self.seconds * f64::from(attempt),
            BackoffKind::Exponential => self.seconds * 2f64.powi(attempt.min(64) as i32 - 1),
        };
        let seconds = grown.min(self.max_seconds).clamp(0.0, Self::LIMIT_SECONDS);
        Duration::try_from_secs_f64(seconds).unwrap_or_default()
    }

    /// The delay after `attempt` has failed; `random` is uniform in 0..1 and comes from the caller.
    pub fn delay(&self, attempt: u32, random: f64) -> Duration {
        self.ceiling(attempt).mul_f64(random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_by_kind_up_to_the_maximum() {
        let backoff = |kind| Backoff { kind, seconds: 2.0, max_seconds: 30.0 };
        let seconds = |kind, attempt| backoff(kind).ceiling(attempt).as_secs();
        assert_eq!([1, 2, 3, 9].map(|a| seconds(BackoffKind::Fixed, a)), [2, 2, 2, 2]);
        assert_eq!([1, 2, 3, 99].map(|a| seconds(BackoffKind::Linear, a)), [2, 4, 6, 30]);
        assert_eq!([1, 2, 3, 9].map(|a| seconds(BackoffKind::Exponential, a)), [2, 4, 8, 30]);
    }

    #[test]
    fn survives_absurd_numbers() {
        let wild = Backoff { kind: BackoffKind::Exponential, seconds: f64::MAX, max_seconds: f64::INFINITY };
        assert_eq!(wild.ceiling(u32::MAX), Duration::from_secs_f64(Backoff::LIMIT_SECONDS));
        let nan = Backoff { kind: BackoffKind::Fixed, seconds: f64::NAN, max_seconds: 1.0 };
        assert!(nan.delay(1, 0.5) <= Duration::from_secs(1));
    }

    #[test]
    fn jitter_is_full() {
        let backoff = Backoff { kind: BackoffKind::Fixed, seconds: 10.0, max_seconds: 10.0 };
        assert_eq!(backoff.delay(1, 0.0), Duration::ZERO);
        assert_eq!(backoff.delay(1, 0.5), Duration::from_secs(5));
        assert_eq!(backoff.delay(1, 7.0), Duration::from_secs(10));
    }
}
