//! The token bucket of a rate limit.

use std::time::Duration;

use crate::Timestamp;

/// A token bucket: it holds `count` tokens, refills in `per_us`, and is described by the instant at which it is full again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Tokens in the full bucket, at least 1.
    pub count: u32,
    /// Microseconds in which an empty bucket fills.
    pub per_us: u64,
    /// When it is full again; in the past if it is full.
    pub full_at: Timestamp,
}

impl Bucket {
    /// Microseconds for one token.
    fn token_us(&self) -> u64 {
        (self.per_us / u64::from(self.count.max(1))).max(1)
    }

    /// Microseconds for all of them.
    fn size_us(&self) -> u64 {
        self.token_us().saturating_mul(u64::from(self.count))
    }

    /// Microseconds until it is full. It never lacks more than it holds, also when the clock was set back.
    fn missing_us(&self, now: Timestamp) -> u64 {
        let missing = self.full_at.as_micros().saturating_sub(now.as_micros());
        u64::try_from(missing).unwrap_or(0).min(self.size_us())
    }

    /// Whole tokens in it.
    pub fn tokens(&self, now: Timestamp) -> u32 {
        (self.size_us().saturating_sub(self.missing_us(now)) / self.token_us()).min(u64::from(self.count))
            as u32
    }

    /// The bucket without so many tokens.
    pub fn take(self, tokens: u32, now: Timestamp) -> Self {
        let taken = self.token_us().saturating_mul(u64::from(tokens));
        let missing = self.missing_us(now).saturating_add(taken);
        Self { full_at: now.plus(Duration::from_micros(missing)), ..self }
    }

    /// When it has at least one token.
    pub fn next_at(&self, now: Timestamp) -> Timestamp {
        let wait = (self.missing_us(now) + self.token_us()).saturating_sub(self.size_us());
        now.plus(Duration::from_micros(wait))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(us: u64) -> Timestamp {
        Timestamp::MIN.plus(Duration::from_micros(us))
    }

    #[test]
    fn a_full_bucket_gives_all_at_once_and_then_one_after_the_other() {
        let bucket = Bucket { count: 2, per_us: 1_000_000, full_at: Timestamp::MIN };
        let now = at(5_000_000);
        assert_eq!(bucket.tokens(now), 2);
        let empty = bucket.take(2, now);
        assert_eq!((empty.tokens(now), empty.next_at(now)), (0, at(5_500_000)));
        assert_eq!(empty.tokens(at(5_499_999)), 0);
        assert_eq!(empty.tokens(at(5_500_000)), 1);
        assert_eq!(empty.tokens(at(9_000_000)), 2);
    }

    #[test]
    fn a_clock_that_is_set_back_leaves_an_empty_bucket_at_worst() {
        let bucket = Bucket { count: 2, per_us: 1_000_000, full_at: at(3_600_000_000) };
        let now = at(1_000_000);
        assert_eq!((bucket.tokens(now), bucket.next_at(now)), (0, at(1_500_000)));
        let refilled = bucket.take(0, now);
        assert_eq!(refilled.take(1, at(1_500_000)).next_at(at(1_500_000)), at(2_000_000));
    }

    proptest! {
        #[test]
        fn no_window_sees_more_than_its_share(
            count in 1u32..50,
            per_us in 1u64..5_000_000,
            waits in prop::collection::vec(0u64..300_000, 1..200),
        ) {
            let mut bucket = Bucket { count, per_us, full_at: Timestamp::MIN };
            let (mut now, mut starts) = (1_u64, Vec::new());
            for wait in waits {
                now += wait;
                let tokens = bucket.tokens(at(now));
                bucket = bucket.take(tokens, at(now));
                starts.extend(std::iter::repeat_n(now, tokens as usize));
                prop_assert_eq!(bucket.tokens(at(now)), 0);
                let next = bucket.next_at(at(now));
                prop_assert!(bucket.tokens(next) >= 1, "there is one when it says so");
            }
            // A window holds what the bucket held at its start, and what came in meanwhile.
            let window = u64::from(count) * (per_us / u64::from(count)).max(1);
            for (first, start) in starts.iter().enumerate() {
                let within = starts[first..].iter().take_while(|at| *at - start < window).count();
                prop_assert!(within as u64 <= 2 * u64::from(count));
            }
        }
    }
}
