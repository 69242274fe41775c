//! Watching one task.

mod place;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use taskloom_model::{State, TaskId};
use taskloom_protocol::{Json, KeptLine, Task, TaskEvent};

use crate::bus::Subscription;
use crate::{Caller, Engine, EngineError};

pub use place::{BadPlace, WatchPlace};

/// A watched task: what it was when the watch began, then what happens to it.
pub struct Watch {
    /// The task when the watch began.
    pub task: Task,
    engine: Engine,
    caller: Caller,
    events: Subscription,
    /// What its watcher has been told.
    place: WatchPlace,
    /// What the handler said last about its progress.
    detail: Option<Json>,
    /// What was found and is still to be told.
    pending: VecDeque<TaskEvent>,
    /// Whether there is more to find without waiting.
    more: bool,
    /// When other processes were told that somebody watches.
    told: Instant,
}

/// Other processes forget who does not say again that it watches.
const TELL_AGAIN: Duration = Duration::from_secs(5);

/// How often a watcher looks where nothing carries events between processes.
const LOOK: Duration = Duration::from_millis(300);

/// Log lines that one look reads.
const LINES: u32 = 200;

impl Engine {
    /// How long a watcher goes without looking for itself.
    pub(crate) fn watch_poll(&self) -> Duration {
        let status = self.inner.dispatcher.status();
        let hears_all = self.inner.store.is_exclusive() || (status.home != "store" && status.ok);
        if hears_all { self.inner.config.poll } else { LOOK.min(self.inner.config.poll) }
    }

    /// Watches a task: from now on, or from the place where an earlier watch, of any process, was broken off.
    pub async fn watch(
        &self,
        caller: &Caller,
        id: TaskId,
        from: Option<WatchPlace>,
    ) -> Result<Watch, EngineError> {
        // First listen, then look: what happens in between is told twice rather than not at all.
        let events = self.inner.bus.subscribe(id);
        self.inner.fanout.watch(id);
        let task = self.get(caller, id).await?;
        let place = match from {
            Some(place) => place,
            None => WatchPlace::of(&task, self.inner.store.task_log_end(id).await?),
        };
        // The task itself tells the rest to whoever begins. What was said last to one who was cut off is not known.
        let detail = task.progress_detail.clone().filter(|_| from.is_none());
        let more = from.is_some();
        let (engine, caller, pending, told) = (self.clone(), *caller, VecDeque::new(), Instant::now());
        Ok(Watch { task, engine, caller, events, place, detail, pending, more, told })
    }
}

impl Watch {
    /// The place after the last event that was given; a later watch may go on from it.
    pub fn place(&self) -> WatchPlace {
        self.place
    }

    /// Whether the task has ended and there is nothing that its watcher does not know.
    pub fn is_over(&self) -> bool {
        self.place.has_ended() && self.pending.is_empty() && !self.more
    }

    /// What happens next; nothing more once it has ended or is gone.
    pub async fn next(&mut self) -> Option<TaskEvent> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                self.place.pass(&event);
                return Some(event);
            }
            if self.is_over() {
                return None;
            }
            if self.more {
                self.look(true).await?;
                continue;
            }
            self.hear().await?;
        }
    }

    /// Waits for word, or for the time to look without any.
    async fn hear(&mut self) -> Option<()> {
        if self.told.elapsed() > TELL_AGAIN {
            self.told = Instant::now();
            self.engine.inner.fanout.watch(self.task.id);
        }
        let poll = self.engine.watch_poll();
        match tokio::time::timeout(poll, self.events.next()).await {
            Ok(Some(TaskEvent::Progress { progress, detail })) => {
                self.pending.push_back(TaskEvent::Progress { progress, detail });
                Some(())
            }
            Ok(Some(event @ TaskEvent::State { .. })) if !WatchPlace::is_end(&event) => {
                if self.place.is_news(&event) {
                    self.pending.push_back(event);
                }
                Some(())
            }
            // Lines are read where they are numbered; all of them before the end is told.
            Ok(Some(_)) => self.look(true).await,
            // Missed some, or another process may have gone on unheard.
            Ok(None) | Err(_) => self.look(false).await,
        }
    }

    /// Finds what its watcher does not know yet, and the lines too if there may be any. Nothing if the task is gone.
    async fn look(&mut self, lines: bool) -> Option<()> {
        self.more = false;
        self.events.skip_heard();
        let task = self.engine.get(&self.caller, self.task.id).await.ok()?;
        let state = TaskEvent::State {
            state: task.state,
            status: task.status,
            reason: task.reason,
            attempt: task.attempt,
        };
        let (moved, ends) = (self.place.is_news(&state), task.has_ended());
        if moved && !ends {
            self.pending.push_back(state.clone());
        }
        if lines || moved || task.started_at.is_some() {
            let (lines, _) =
                self.engine.inner.store.task_logs(task.id, self.place.seq(), LINES).await.ok()?;
            self.more = lines.len() == LINES as usize;
            self.pending.extend(lines.into_iter().map(told));
        }
        if !self.more {
            // A success says by itself that all is done.
            if task.state != State::Succeeded {
                self.find_progress(&task);
            }
            if moved && ends {
                self.pending.push_back(state);
            }
        }
        self.task = task;
        Some(())
    }

    fn find_progress(&mut self, task: &Task) {
        let text = |json: &Option<Json>| json.as_ref().map(|json| json.get().to_owned());
        if self.place.knows_progress(task.progress) && text(&self.detail) == text(&task.progress_detail) {
            return;
        }
        self.detail.clone_from(&task.progress_detail);
        let detail = task.progress_detail.as_ref().and_then(|d| serde_json::from_str(d.get()).ok());
        self.pending.push_back(TaskEvent::Progress { progress: task.progress, detail });
    }
}

fn told(line: KeptLine) -> TaskEvent {
    let KeptLine { seq, line } = line;
    TaskEvent::Log { seq, at: line.at, level: line.level, message: line.message }
}
