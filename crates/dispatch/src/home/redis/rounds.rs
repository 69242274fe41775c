//! When a process looks for hints whose takers are gone, and which queues it knows.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Queues remembered; beyond that all are learned anew.
const QUEUES_AT_MOST: usize = 10_000;

pub(super) struct Rounds {
    next: Mutex<HashMap<String, Instant>>,
    every: Duration,
    idle: Duration,
}

impl Rounds {
    /// A round `every` so often, for hints that were held for longer than `idle`.
    pub(super) fn new(every: Duration, idle: Duration) -> Self {
        Self { next: Mutex::default(), every, idle }
    }

    /// The least idle time of hints to take over now, if one of these queues is due for a round; then all have had theirs.
    pub(super) fn due(&self, queues: &[String], now: Instant) -> Option<Duration> {
        let mut next = self.lock();
        if queues.iter().all(|queue| next.get(queue).is_some_and(|at| *at > now)) {
            return None;
        }
        if next.len() + queues.len() > QUEUES_AT_MOST {
            next.clear();
        }
        for queue in queues.iter().take(QUEUES_AT_MOST) {
            // Jitter, so that processes which started together do not all look at the same moment.
            next.insert(queue.clone(), now + self.every.mul_f64(rand::random_range(0.8..=1.2)));
        }
        Some(self.idle.max(Duration::from_millis(1)))
    }

    /// The queues this process has taken from.
    pub(super) fn queues(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn every_queue_gets_a_round_now_and_then() {
        let (rounds, now) = (Rounds::new(Duration::from_secs(5), Duration::from_secs(30)), Instant::now());
        assert_eq!(rounds.due(&names(&["a"]), now), Some(Duration::from_secs(30)));
        assert_eq!(rounds.due(&names(&["a"]), now + Duration::from_secs(3)), None);
        assert!(rounds.due(&names(&["a", "b"]), now + Duration::from_secs(3)).is_some());
        assert!(rounds.due(&names(&["b"]), now + Duration::from_secs(10)).is_some());
        assert_eq!(rounds.queues().len(), 2);
    }

    #[test]
    fn the_number_of_queues_is_bounded() {
        let (rounds, now) = (Rounds::new(Duration::from_secs(5), Duration::from_secs(30)), Instant::now());
        for number in 0..QUEUES_AT_MOST + 5 {
            rounds.due(&[number.to_string()], now);
        }
        assert!(rounds.queues().len() <= QUEUES_AT_MOST);
    }
}
