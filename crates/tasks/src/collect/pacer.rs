//! Keeps the distance between requests to one host.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The earliest instant of the next request to each host of one task.
#[derive(Debug)]
pub(crate) struct Pacer {
    interval: Duration,
    next: Mutex<HashMap<String, Instant>>,
}

impl Pacer {
    /// `rate` is requests per second to one host, above zero.
    pub(crate) fn new(rate: f64) -> Self {
        Self { interval: Duration::from_secs_f64(1.0 / rate), next: Mutex::default() }
    }

    /// Waits for this request's turn. Callers are served in the order in which they ask.
    pub(crate) async fn wait(&self, host: &str) {
        let turn = self.reserve(host, Instant::now());
        sleep_until(turn).await;
    }

    /// Keeps everybody away from a host that asked for it.
    pub(crate) fn hold(&self, host: &str, delay: Duration) {
        let until = Instant::now() + delay;
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = next.entry(host.to_owned()).or_insert(until);
        *turn = (*turn).max(until);
    }

    fn reserve(&self, host: &str, now: Instant) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = next.get(host).map_or(now, |at| (*at).max(now));
        next.insert(host.to_owned(), turn + self.interval);
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_of_one_host_keep_their_distance_and_hosts_do_not_wait_for_each_other() {
        let pacer = Pacer::new(10.0);
        let start = Instant::now();
        let after = |host| pacer.reserve(host, start) - start;
        assert_eq!([after("a"), after("a"), after("a")].map(|d| d.as_millis()), [0, 100, 200]);
        assert_eq!(after("b"), Duration::ZERO);
    }

    #[test]
    fn a_quiet_host_saves_nothing_up() {
        let pacer = Pacer::new(10.0);
        let start = Instant::now();
        pacer.reserve("a", start);
        let later = start + Duration::from_secs(60);
        assert_eq!(pacer.reserve("a", later), later);
        assert_eq!(pacer.reserve("a", later), later + Duration::from_millis(100));
    }

    #[test]
    fn a_held_host_waits_and_the_longest_hold_counts() {
        let pacer = Pacer::new(10.0);
        pacer.hold("a", Duration::from_secs(9));
        pacer.hold("a", Duration::from_secs(3));
        let now = Instant::now();
        assert!(pacer.reserve("a", now) - now > Duration::from_secs(5));
    }
}
