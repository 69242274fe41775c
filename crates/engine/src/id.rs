//! Ids of tasks: UUIDv7 by the engine's clock, so that ids sort by submission.

use std::sync::{Mutex, PoisonError};

use taskloom_model::{TaskId, Timestamp};
use uuid::timestamp::context::ContextV7;

/// Makes ids; those of one process rise even within a millisecond.
#[derive(Default)]
pub(crate) struct Ids(Mutex<Option<ContextV7>>);

impl Ids {
    pub(crate) fn next(&self, now: Timestamp) -> TaskId {
        let micros = now.as_micros().unsigned_abs();
        let (seconds, nanos) = (micros / 1_000_000, (micros % 1_000_000) as u32 * 1_000);
        let mut context = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let context = context.get_or_insert_with(ContextV7::new);
        uuid::Uuid::new_v7(uuid::Timestamp::from_unix(&*context, seconds, nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_within_one_instant_and_carry_its_time() {
        let (ids, now) = (Ids::default(), "2026-01-31T08:00:00.123Z".parse::<Timestamp>().unwrap());
        let made: Vec<_> = (0..10_000).map(|_| ids.next(now)).collect();
        assert!(made.is_sorted());
        let (seconds, nanos) = made[0].get_timestamp().unwrap().to_unix();
        assert_eq!(seconds * 1_000 + u64::from(nanos / 1_000_000), now.as_micros().unsigned_abs() / 1_000);
    }
}
