//! Tells claimers that tasks are ready.
//!
//! A dispatcher carries no truth: the claim itself is guarded by the store, so a call too many is harmless, and every
//! waiter also wakes by itself now and then, so a call too few only costs time. This crate has one home, the process;
//! Redis Streams become another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

/// Wakes claimers within this process. Cloning is cheap.
#[derive(Clone, Default)]
pub struct Dispatcher {
    queues: Arc<Mutex<HashMap<String, Vec<Arc<Notify>>>>>,
}

impl Dispatcher {
    /// Says that `count` tasks of a queue are ready: wakes as many waiting claimers.
    pub fn announce(&self, queue: &str, count: usize) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(waiters) = queues.get_mut(queue) else { return };
        for waiter in waiters.drain(..count.min(waiters.len())) {
            waiter.notify_one();
        }
    }

    /// Begins to wait. Look for tasks after this and before [`Waiter::wait`]: what is announced in between is not missed.
    pub fn listen(&self, names: &[String]) -> Waiter {
        let bell = Arc::new(Notify::new());
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        for name in names {
            queues.entry(name.clone()).or_default().push(Arc::clone(&bell));
        }
        Waiter { bell, names: names.to_vec(), queues: Arc::clone(&self.queues) }
    }
}

/// A claimer that waits.
pub struct Waiter {
    bell: Arc<Notify>,
    names: Vec<String>,
    queues: Arc<Mutex<HashMap<String, Vec<Arc<Notify>>>>>,
}

impl Waiter {
    /// Waits until a task is announced, at most so long; true if one was.
    pub async fn wait(&self, at_most: Duration) -> bool {
        timeout(at_most, self.bell.notified()).await.is_ok()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
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

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_announced_between_listen_and_wait_is_not_missed() {
        let dispatcher = Dispatcher::default();
        let waiter = dispatcher.listen(&names(&["a", "b"]));
        dispatcher.announce("b", 1);
        assert!(waiter.wait(Duration::from_secs(1)).await);
        assert!(!waiter.wait(Duration::from_secs(1)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn one_task_wakes_one_claimer() {
        let dispatcher = Dispatcher::default();
        let waiters = [dispatcher.listen(&names(&["a"])), dispatcher.listen(&names(&["a"]))];
        dispatcher.announce("a", 1);
        let woken = futures_woken(&waiters).await;
        assert_eq!(woken, 1);
    }

    async fn futures_woken(waiters: &[Waiter]) -> usize {
        let mut woken = 0;
        for waiter in waiters {
            woken += usize::from(waiter.wait(Duration::from_secs(1)).await);
        }
        woken
    }

    #[tokio::test]
    async fn a_claimer_that_goes_leaves_nothing_behind() {
        let dispatcher = Dispatcher::default();
        drop(dispatcher.listen(&names(&["a", "b"])));
        dispatcher.announce("a", 5);
        assert!(dispatcher.queues.lock().unwrap().is_empty());
    }
}
