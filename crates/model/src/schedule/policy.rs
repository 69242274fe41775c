//! What becomes of a tick: whether its task is made, and when it runs.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use crate::{ScheduleId, Timestamp};

macro_rules! words {
    ($(#[doc = $about:literal])+ $type:ident $rule:literal { $($(#[doc = $doc:literal])+ $(#[$attribute:meta])? $variant:ident = $name:literal,)+ }) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
        pub enum $type { $($(#[doc = $doc])+ #[serde(rename = $name)] $variant,)+ }

        impl $type {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name on the wire and in the store.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                super::kind::word(deserializer)
            }
        }

        impl FromStr for $type {
            type Err = &'static str;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|one| one.name() == text).ok_or($rule)
            }
        }
    };
}

words! {
    /// What a tick does while a task of its schedule has not ended.
    Overlap "one of allow, skip, queue, replace" {
        /// Its task runs beside the other.
        Allow = "allow",
        /// It is skipped.
        Skip = "skip",
        /// Its task waits until the other has ended; while one waits, further ticks are skipped.
        Queue = "queue",
        /// The other is cancelled.
        Replace = "replace",
    }
}

words! {
    /// What becomes of ticks that came while nobody was there to see to them.
    Misfire "one of skip, run_once, run_all" {
        /// They are skipped.
        Skip = "skip",
        /// The last of them fires, for all.
        RunOnce = "run_once",
        /// Each fires that is not older than the catch-up window.
        RunAll = "run_all",
    }
}

words! {
    /// Why a tick was skipped.
    SkipReason "one of misfire, superseded, too_late, overlap, owner_inactive, expired, unique_key, cache_hit, cache_joined" {
        /// It was missed, and the policy is to skip such.
        Misfire = "misfire",
        /// It was missed, and a later one fires for it.
        Superseded = "superseded",
        /// It was missed for longer than the catch-up window.
        TooLate = "too_late",
        /// A task of the schedule had not ended.
        Overlap = "overlap",
        /// Whose schedule it is may not log in.
        OwnerInactive = "owner_inactive",
        /// Its task would have expired before it was made.
        Expired = "expired",
        /// Another task has its task's unique key.
        UniqueKey = "unique_key",
        /// A task that has succeeded answers the call that it would have made.
        CacheHit = "cache_hit",
        /// A task works on the call that it would have made.
        CacheJoined = "cache_joined",
    }
}

words! {
    /// What became of a tick.
    TickOutcome "one of fired, skipped" {
        /// Its task was made.
        Fired = "fired",
        /// It was not.
        Skipped = "skipped",
    }
}

/// What the policy for missed ticks makes of one, before anybody looks whether a task still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It fires.
    Fire,
    /// It is skipped.
    Skip(SkipReason),
}

/// How late a tick may be and still count as seen to in time: what a restart or a busy moment takes.
const GRACE: Duration = Duration::from_secs(60);

/// What becomes of a tick that is due; `next` is the one after it. With [`Misfire::RunAll`], ticks missed for longer than
/// `catch_up` are skipped.
pub fn judge(
    misfire: Misfire,
    catch_up: Duration,
    tick: Timestamp,
    next: Option<Timestamp>,
    now: Timestamp,
) -> Verdict {
    let late = now.since(tick);
    if late <= GRACE {
        return Verdict::Fire;
    }
    match misfire {
        Misfire::Skip => Verdict::Skip(SkipReason::Misfire),
        Misfire::RunOnce if next.is_some_and(|next| next <= now) => Verdict::Skip(SkipReason::Superseded),
        Misfire::RunAll if late > catch_up => Verdict::Skip(SkipReason::TooLate),
        Misfire::RunOnce | Misfire::RunAll => Verdict::Fire,
    }
}

/// How long after its tick a task runs: between nothing and `most`, the same each time it is asked for.
pub fn jitter(schedule: ScheduleId, tick: Timestamp, most: Duration) -> Duration {
    let (high, low) = schedule.as_u64_pair();
    let mixed = mix(mix(high ^ mix(low)) ^ tick.as_micros().cast_unsigned());
    let part = (mixed >> 11) as f64 / (1u64 << 53) as f64;
    most.mul_f64(part)
}

/// The finaliser of SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
