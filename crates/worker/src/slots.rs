//! How many more tasks the worker may take.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Counts running handlers and ended attempts that the server has not acknowledged yet.
///
/// A handler's end frees its slot at once, so claims overlap with finishes; but no more than one further set of slots
/// may wait to be acknowledged, or a server that takes claims and no finishes would fill the memory.
#[derive(Debug)]
pub(crate) struct Slots {
    total: usize,
    running: AtomicUsize,
    unacknowledged: AtomicUsize,
    /// Told after every change; for the one task that claims and later drains.
    pub(crate) changed: Notify,
}

impl Slots {
    pub(crate) fn new(total: usize) -> Self {
        Self {
            total,
            running: AtomicUsize::new(0),
            unacknowledged: AtomicUsize::new(0),
            changed: Notify::new(),
        }
    }

    pub(crate) fn total(&self) -> usize {
        self.total
    }

    pub(crate) fn running(&self) -> usize {
        self.running.load(Ordering::Acquire)
    }

    pub(crate) fn unacknowledged(&self) -> usize {
        self.unacknowledged.load(Ordering::Acquire)
    }

    /// How many tasks to claim at most.
    pub(crate) fn free(&self) -> usize {
        let backlog = self.unacknowledged().saturating_sub(self.total);
        self.total.saturating_sub(self.running() + backlog)
    }

    pub(crate) fn take(&self, count: usize) {
        self.running.fetch_add(count, Ordering::AcqRel);
    }

    /// A handler has ended and its outcome waits to be reported.
    pub(crate) fn ended(&self) {
        self.unacknowledged.fetch_add(1, Ordering::AcqRel);
        self.left();
    }

    /// An attempt has left without an outcome.
    pub(crate) fn left(&self) {
        self.running.fetch_sub(1, Ordering::AcqRel);
        self.changed.notify_one();
    }

    pub(crate) fn acknowledged(&self, count: usize) {
        self.unacknowledged.fetch_sub(count, Ordering::AcqRel);
        self.changed.notify_one();
    }
}
