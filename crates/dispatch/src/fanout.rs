//! Carries what happens to watched tasks from one process to another.

use taskloom_model::TaskId;
use tokio::sync::broadcast;

/// Lets a watcher in one process hear what happens in another. Nothing is sent about a task that nobody watches.
///
/// No method waits or fails. Events may be lost: watchers also look by themselves now and then.
pub trait Fanout: Send + Sync + 'static {
    /// Says that somebody in this process watches the task. Call it when a watch begins and every 5 s while it lasts: the
    /// others remember it for 12 s.
    fn watch(&self, id: TaskId);

    /// Whether another process watches the task.
    fn is_watched(&self, id: TaskId) -> bool;

    /// Whether no other process watches anything; costs one atomic read.
    fn is_idle(&self) -> bool;

    /// Sends an event of the task to the other processes. Ask [`is_watched`](Self::is_watched) first.
    fn publish(&self, id: TaskId, event: String);

    /// The events that other processes send from now on. A receiver that lags misses some; one of a process that has no
    /// others is closed at once.
    fn events(&self) -> broadcast::Receiver<(TaskId, String)>;
}

/// A process without others: nobody watches from outside, nothing is sent, nothing is counted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

impl Fanout for Alone {
    fn watch(&self, _id: TaskId) {}

    fn is_watched(&self, _id: TaskId) -> bool {
        false
    }

    fn is_idle(&self) -> bool {
        true
    }

    fn publish(&self, _id: TaskId, _event: String) {}

    fn events(&self) -> broadcast::Receiver<(TaskId, String)> {
        broadcast::channel(1).1
    }
}
