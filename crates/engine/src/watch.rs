//! Watching one task.

use std::time::{Duration, Instant};

use taskloom_model::{State, TaskId};
use taskloom_protocol::{Task, TaskEvent};

use crate::bus::Subscription;
use crate::{Caller, Engine, EngineError};

/// A watched task: what it was when the watch began, then what happens to it.
pub struct Watch {
    /// The task when the watch began.
    pub task: Task,
    engine: Engine,
    caller: Caller,
    events: Subscription,
    known: (State, u32),
    /// When other processes were told that somebody watches.
    told: Instant,
}

/// Other processes forget who does not say again that it watches.
const TELL_AGAIN: Duration = Duration::from_secs(5);

/// How often a watcher looks where nothing carries events between processes.
const LOOK: Duration = Duration::from_millis(300);

impl Engine {
    /// How long a watcher goes without looking for itself.
    pub(crate) fn watch_poll(&self) -> Duration {
        let status = self.inner.dispatcher.status();
        let hears_all = self.inner.store.is_exclusive() || (status.home != "store" && status.ok);
        if hears_all { self.inner.config.poll } else { LOOK.min(self.inner.config.poll) }
    }

    /// Watches a task.
    pub async fn watch(&self, caller: &Caller, id: TaskId) -> Result<Watch, EngineError> {
        // First listen, then look: what happens in between is told twice rather than not at all.
        let events = self.inner.bus.subscribe(id);
        self.inner.fanout.watch(id);
        let task = self.get(caller, id).await?;
        let known = (task.state, task.attempt);
        Ok(Watch { task, engine: self.clone(), caller: *caller, events, known, told: Instant::now() })
    }
}

impl Watch {
    /// What happens next; nothing more once it has ended or is gone.
    pub async fn next(&mut self) -> Option<TaskEvent> {
        while !self.known.0.is_terminal() {
            let poll = self.engine.watch_poll();
            if self.told.elapsed() > TELL_AGAIN {
                self.told = Instant::now();
                self.engine.inner.fanout.watch(self.task.id);
            }
            let event = match tokio::time::timeout(poll, self.events.next()).await {
                Ok(Some(event)) => event,
                // Missed some, or another process may have gone on unheard: look.
                Ok(None) | Err(_) => match self.look().await? {
                    Some(event) => event,
                    None => continue,
                },
            };
            if let TaskEvent::State { state, attempt, .. } = event {
                if (state, attempt) == self.known && !matches!(state, State::Running) {
                    continue;
                }
                self.known = (state, attempt);
            }
            return Some(event);
        }
        None
    }

    /// The change since the last event; the outer `None` if the task is gone.
    async fn look(&mut self) -> Option<Option<TaskEvent>> {
        let task = self.engine.get(&self.caller, self.task.id).await.ok()?;
        let Task { state, status, reason, attempt, .. } = task;
        let changed = (state, attempt) != self.known;
        Some(changed.then_some(TaskEvent::State { state, status, reason, attempt }))
    }
}
