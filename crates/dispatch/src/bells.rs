//! Who waits in this process, and for which queues.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

/// Wakes claimers within this process. Cloning is cheap; clones ring the same bells.
#[derive(Clone, Default)]
pub struct Bells {
    queues: Arc<Mutex<Queues>>,
}

type Queues = HashMap<String, Vec<Arc<Bell>>>;

const QUIET: u8 = 0;
const RUNG: u8 = 1;
const ASK_STORE: u8 = 2;

/// One waiter's bell. It hangs in every queue the waiter named and rings once.
struct Bell {
    state: AtomicU8,
    notify: Notify,
}

impl Bell {
    /// True if this woke the waiter; false if it had been woken before.
    fn ring(&self, ask_store: bool) -> bool {
        let state = if ask_store { ASK_STORE } else { RUNG };
        let first = self.state.fetch_max(state, Ordering::AcqRel) == QUIET;
        if first {
            self.notify.notify_one();
        }
        first
    }

    fn is_quiet(&self) -> bool {
        self.state.load(Ordering::Acquire) == QUIET
    }
}

impl Bells {
    /// Wakes up to `count` claimers that wait for this queue, those that wait longest first.
    ///
    /// `ask_store`: the store is known to have tasks, so a claimer that gets no hint should ask it at once.
    pub fn ring(&self, queue: &str, count: usize, ask_store: bool) {
        if let Some(waiters) = self.lock().get_mut(queue) {
            ring_some(waiters, count, ask_store);
        }
    }

    /// Wakes every claimer.
    pub fn ring_all(&self, ask_store: bool) {
        for waiters in self.lock().values_mut() {
            ring_some(waiters, usize::MAX, ask_store);
        }
    }

    /// Begins to wait. Look for tasks after this and before [`Waiter::wait`]: what is announced in between is not missed.
    pub fn listen(&self, names: &[String]) -> Waiter {
        let bell = Arc::new(Bell { state: AtomicU8::new(QUIET), notify: Notify::new() });
        let mut queues = self.lock();
        for name in names {
            queues.entry(name.clone()).or_default().push(Arc::clone(&bell));
        }
        drop(queues);
        Waiter { bell, names: names.to_vec(), bells: self.clone() }
    }

    /// The queues that somebody waits for now, in no order.
    pub fn waiting(&self) -> Vec<String> {
        let waited = |waiters: &[Arc<Bell>]| waiters.iter().any(|bell| bell.is_quiet());
        self.lock().iter().filter(|(_, waiters)| waited(waiters)).map(|(name, _)| name.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ring_some(waiters: &mut Vec<Arc<Bell>>, count: usize, ask_store: bool) {
    let (mut left, mut spent) = (count, 0);
    for bell in waiters.iter() {
        if left == 0 {
            break;
        }
        spent += 1;
        // A waiter that another queue has woken already serves no second task: the next one is woken instead.
        left -= usize::from(bell.ring(ask_store));
    }
    waiters.drain(..spent);
}

/// A claimer that waits, for one wake-up: listen again for the next.
pub struct Waiter {
    bell: Arc<Bell>,
    names: Vec<String>,
    bells: Bells,
}

/// A wake-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wake {
    /// The store is known to have tasks: ask it, even if the home has no hint.
    pub ask_store: bool,
}

impl Waiter {
    /// Waits for the wake-up, at most so long; `None` if none came.
    pub async fn wait(&self, at_most: Duration) -> Option<Wake> {
        timeout(at_most, self.bell.notify.notified()).await.ok()?;
        Some(Wake { ask_store: self.bell.state.load(Ordering::Acquire) == ASK_STORE })
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut queues = self.bells.lock();
        for name in &self.names {
            if let Some(waiters) = queues.get_mut(name) {
                waiters.retain(|bell| !Arc::ptr_eq(bell, &self.bell));
                if waiters.is_empty() {
                    queues.remove(name);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    async fn woken(waiters: &[Waiter]) -> usize {
        let mut woken = 0;
        for waiter in waiters {
            woken += usize::from(waiter.wait(SECOND).await.is_some());
        }
        woken
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_rung_between_listen_and_wait_is_not_missed() {
        let bells = Bells::default();
        let waiter = bells.listen(&names(&["a", "b"]));
        bells.ring("b", 1, false);
        assert_eq!(waiter.wait(SECOND).await, Some(Wake { ask_store: false }));
        assert_eq!(waiter.wait(SECOND).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn one_task_wakes_one_claimer() {
        let bells = Bells::default();
        let waiters = [bells.listen(&names(&["a"])), bells.listen(&names(&["a"]))];
        bells.ring("a", 1, true);
        assert_eq!(woken(&waiters).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_claimer_of_two_queues_is_woken_once_and_the_other_ring_wakes_another() {
        let bells = Bells::default();
        let waiters = [bells.listen(&names(&["a", "b"])), bells.listen(&names(&["b"]))];
        bells.ring("a", 1, false);
        bells.ring("b", 1, false);
        assert_eq!(woken(&waiters).await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn word_of_tasks_in_the_store_is_kept_when_a_bell_rings_twice() {
        let bells = Bells::default();
        let waiter = bells.listen(&names(&["a", "b"]));
        bells.ring("a", 1, false);
        bells.ring("b", 1, true);
        assert_eq!(waiter.wait(SECOND).await, Some(Wake { ask_store: true }));
    }

    #[tokio::test(start_paused = true)]
    async fn everybody_can_be_woken() {
        let bells = Bells::default();
        let waiters = [bells.listen(&names(&["a"])), bells.listen(&names(&["b", "c"]))];
        bells.ring_all(true);
        assert_eq!(woken(&waiters).await, 2);
    }

    #[tokio::test]
    async fn a_queue_is_waited_for_until_its_waiter_is_woken_or_goes() {
        let bells = Bells::default();
        let first = bells.listen(&names(&["a", "b"]));
        let second = bells.listen(&names(&["b"]));
        bells.ring("a", 1, false);
        assert_eq!(bells.waiting(), ["b"], "the second still waits for b");
        drop(second);
        assert!(bells.waiting().is_empty(), "the first was woken");
        drop(first);
    }

    #[tokio::test]
    async fn a_claimer_that_goes_leaves_nothing_behind() {
        let bells = Bells::default();
        drop(bells.listen(&names(&["a", "b"])));
        bells.ring("a", 5, false);
        assert!(bells.lock().is_empty());
    }
}
