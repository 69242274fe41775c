//! The tasks that other processes watch.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use taskloom_model::TaskId;
use tokio::time::Instant;

/// A watch is said again every 5 s; two may be lost.
const REMEMBERED_FOR: Duration = Duration::from_secs(12);
/// Tasks beyond this are watched without events from other processes: their watchers look by themselves.
const TASKS_AT_MOST: usize = 10_000;

pub(super) struct Watched {
    until: Mutex<HashMap<TaskId, Instant>>,
    idle: AtomicBool,
}

impl Default for Watched {
    fn default() -> Self {
        Self { until: Mutex::default(), idle: true.into() }
    }
}

impl Watched {
    pub(super) fn watch(&self, id: TaskId, now: Instant) {
        let mut until = self.lock();
        if until.len() >= TASKS_AT_MOST && !until.contains_key(&id) {
            until.retain(|_, until| *until > now);
        }
        if until.len() < TASKS_AT_MOST || until.contains_key(&id) {
            until.insert(id, now + REMEMBERED_FOR);
        }
        self.idle.store(until.is_empty(), Ordering::Release);
    }

    pub(super) fn is_idle(&self) -> bool {
        self.idle.load(Ordering::Acquire)
    }

    pub(super) fn is_watched(&self, id: TaskId, now: Instant) -> bool {
        !self.is_idle() && self.lock().get(&id).is_some_and(|until| *until > now)
    }

    /// Forgets what nobody watches any more. To be called every second or so.
    pub(super) fn forget(&self, now: Instant) {
        if !self.is_idle() {
            let mut until = self.lock();
            until.retain(|_, until| *until > now);
            self.idle.store(until.is_empty(), Ordering::Release);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TaskId, Instant>> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_is_forgotten_after_twelve_seconds() {
        let (watched, now, id) = (Watched::default(), Instant::now(), TaskId::from_u128(1));
        assert!(watched.is_idle());
        watched.watch(id, now);
        assert!(!watched.is_idle());
        assert!(watched.is_watched(id, now + Duration::from_secs(11)));
        assert!(!watched.is_watched(id, now + Duration::from_secs(12)));
        watched.forget(now + Duration::from_secs(11));
        assert!(!watched.is_idle());
        watched.forget(now + Duration::from_secs(12));
        assert!(watched.is_idle());
    }

    #[test]
    fn the_number_of_tasks_is_bounded_and_known_ones_stay() {
        let (watched, now) = (Watched::default(), Instant::now());
        for number in 0..TASKS_AT_MOST as u128 + 5 {
            watched.watch(TaskId::from_u128(number), now);
        }
        assert_eq!(watched.lock().len(), TASKS_AT_MOST);
        let later = now + Duration::from_secs(6);
        watched.watch(TaskId::from_u128(0), later);
        assert!(watched.is_watched(TaskId::from_u128(0), now + Duration::from_secs(17)));
        let much_later = now + Duration::from_secs(13);
        watched.watch(TaskId::from_u128(u128::MAX), much_later);
        assert!(watched.is_watched(TaskId::from_u128(u128::MAX), much_later), "the old ones made room");
    }
}
