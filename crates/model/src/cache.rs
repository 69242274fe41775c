//! Whether a task may answer a call that equals the one it was made for.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{State, Timestamp};

/// How the cache answered a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheOutcome {
    /// With a result that was there.
    Hit,
    /// With a task that works on the same call already.
    Joined,
    /// It did not: the call made a task.
    Miss,
}

impl CacheOutcome {
    /// Every outcome.
    pub const ALL: [Self; 3] = [Self::Hit, Self::Joined, Self::Miss];

    /// The name on the wire and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Joined => "joined",
            Self::Miss => "miss",
        }
    }
}

/// A task that was made for the same call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cached {
    /// How and when it ended; nothing while it lives.
    pub end: Option<(State, Timestamp)>,
    /// It runs, and a user asked it to stop.
    pub is_cancelling: bool,
    /// It was deleted.
    pub is_deleted: bool,
    /// When a call was answered with it last, or made it.
    pub refreshed_at: Timestamp,
    /// How long it answers from then on, or from its end if that came later.
    pub ttl: Duration,
}

impl Cached {
    /// How it answers a call at `now`. Only a success is ever served, and nobody joins what is about to stop.
    pub fn answer(&self, now: Timestamp) -> CacheOutcome {
        match self.end {
            _ if self.is_deleted => CacheOutcome::Miss,
            None if self.is_cancelling => CacheOutcome::Miss,
            None => CacheOutcome::Joined,
            Some((State::Succeeded, at)) if self.refreshed_at.max(at).plus(self.ttl) > now => {
                CacheOutcome::Hit
            }
            Some(_) => CacheOutcome::Miss,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::MIN.plus(Duration::from_secs(seconds))
    }

    fn cached(end: Option<(State, u64)>) -> Cached {
        Cached {
            end: end.map(|(state, seconds)| (state, at(seconds))),
            is_cancelling: false,
            is_deleted: false,
            refreshed_at: at(10),
            ttl: Duration::from_secs(5),
        }
    }

    #[test]
    fn a_success_answers_for_its_time() {
        for (finished, now, outcome) in [
            (3, 14, CacheOutcome::Hit),
            (3, 15, CacheOutcome::Miss),
            // A task that took longer than its time to live answers from its end on.
            (20, 24, CacheOutcome::Hit),
            (20, 25, CacheOutcome::Miss),
        ] {
            assert_eq!(
                cached(Some((State::Succeeded, finished))).answer(at(now)),
                outcome,
                "{finished} {now}"
            );
        }
    }

    #[test]
    fn what_lives_is_joined_whatever_the_time() {
        assert_eq!(cached(None).answer(at(9_999)), CacheOutcome::Joined);
        let stopping = Cached { is_cancelling: true, ..cached(None) };
        assert_eq!(stopping.answer(at(11)), CacheOutcome::Miss);
    }

    #[test]
    fn nothing_else_is_served() {
        for state in [State::Failed, State::Revoked] {
            assert_eq!(cached(Some((state, 10))).answer(at(11)), CacheOutcome::Miss);
        }
        for end in [None, Some((State::Succeeded, 10))] {
            let deleted = Cached { is_deleted: true, ..cached(end) };
            assert_eq!(deleted.answer(at(11)), CacheOutcome::Miss);
        }
    }
}
