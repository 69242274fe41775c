//! What the engine holds: this process's bells and one home.

use std::collections::HashMap;
use std::sync::Arc;

use crate::bells::{Bells, Waiter};
use crate::home::store::StoreHome;
use crate::home::{Home, Ready, Status, Ticket};

/// Tells claimers which tasks are ready. Cloning is cheap.
#[derive(Clone)]
pub struct Dispatcher {
    bells: Bells,
    home: Arc<dyn Home>,
}

impl Default for Dispatcher {
    fn default() -> Self {
        Self::in_process()
    }
}

impl Dispatcher {
    /// A dispatcher over this home. `bells` are those the home was given, if it was given any.
    pub fn new(home: Arc<dyn Home>, bells: Bells) -> Self {
        Self { bells, home }
    }

    /// A dispatcher of a process that is alone with its store.
    pub fn in_process() -> Self {
        Self::new(Arc::new(StoreHome::new()), Bells::default())
    }

    /// Says that these tasks are ready: tells the home, and wakes as many claimers. Call it after the commit. Never waits.
    ///
    /// With a home that keeps hints the claimers wake when the hints can be taken, and not before: a claimer that came too
    /// early would find nothing, or take from the store what the hint then promises to another one.
    pub fn announce(&self, ready: &[Ready]) {
        if ready.is_empty() || self.home.announce(ready) {
            return;
        }
        for (queue, count) in count_by_queue(ready) {
            self.bells.ring(queue, count, true);
        }
    }

    /// Begins to wait. Look for tasks after this and before [`Waiter::wait`]: what is announced in between is not missed.
    pub fn listen(&self, names: &[String]) -> Waiter {
        self.bells.listen(names)
    }

    /// Wakes up to `count` claimers of this process that wait for the queue: another process said so or a sweep found
    /// tasks. `ask_store`: the store is known to have some.
    pub fn ring(&self, queue: &str, count: usize, ask_store: bool) {
        self.bells.ring(queue, count, ask_store);
    }

    /// Takes hints from the home: [`Home::take`].
    pub async fn take(&self, queues: &[String], limit: usize) -> Vec<Ticket> {
        self.home.take(queues, limit).await
    }

    /// Gives hints back that were tried: [`Home::done`].
    pub fn done(&self, tickets: Vec<Ticket>) {
        if !tickets.is_empty() {
            self.home.done(tickets);
        }
    }

    /// How the home is.
    pub fn status(&self) -> Status {
        self.home.status()
    }

    /// The queues that somebody in this process waits for now.
    pub fn waiting(&self) -> Vec<String> {
        self.bells.waiting()
    }
}

/// How many of each queue.
pub(crate) fn count_by_queue(ready: &[Ready]) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    for Ready { queue, .. } in ready {
        *counts.entry(&**queue).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use taskloom_model::{Priority, TaskId};

    use super::*;
    use crate::Wake;

    #[tokio::test(start_paused = true)]
    async fn without_a_wire_an_announcement_sends_claimers_to_the_store() {
        let dispatcher = Dispatcher::in_process();
        let queues = ["a".to_owned()];
        let waiters = [dispatcher.listen(&queues), dispatcher.listen(&queues)];
        let ready = Ready { queue: "a".into(), priority: Priority::Normal, id: TaskId::nil() };
        dispatcher.announce(&[ready]);
        assert_eq!(waiters[0].wait(Duration::from_secs(1)).await, Some(Wake { ask_store: true }));
        assert_eq!(waiters[1].wait(Duration::from_secs(1)).await, None);
        assert!(dispatcher.take(&queues, 10).await.is_empty());
        assert!(dispatcher.status().ok);
    }
}
