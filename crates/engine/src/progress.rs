//! Progress that is told faster than anybody looks: watchers hear all of it at once, the store is written now and then.
//!
//! Workers that use an SDK send their news a few times a second. This is for those that make a call for each step.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use taskloom_model::{SessionId, State, TaskId};
use taskloom_protocol::{Beat, BeatAnswer, BeatTask, FinishTask, Json, Task, TaskRef, WorkerError};
use taskloom_store::BeatItem;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::Engine;
use crate::session::Session;

/// The store is written once in such a span for a task; less than the SDK's workers leave between their news.
const EVERY: Duration = Duration::from_millis(150);
/// Tasks whose progress is remembered; that of others is written as it comes.
const MOST: usize = 10_000;

/// The progress this process was told lately.
#[derive(Default)]
pub(crate) struct Progresses {
    told: Mutex<HashMap<TaskId, Told>>,
    /// Whether somebody writes what is kept.
    is_attended: AtomicBool,
    bell: Notify,
    /// Held while what was kept is written.
    writing: tokio::sync::Mutex<()>,
}

/// What was told of one running task.
struct Told {
    session: SessionId,
    epoch: u32,
    written_at: Instant,
    /// What the store said then: whether a user wants it to stop.
    cancel: bool,
    kept: Option<Kept>,
    /// Progress that is on its way there.
    leaving: Option<Kept>,
}

/// Progress that the store does not know yet.
#[derive(Clone, Default)]
struct Kept {
    progress: Option<f64>,
    detail: Option<Json>,
}

/// What was told of a task and may not be in the store.
pub(crate) struct News {
    epoch: u32,
    kept: Kept,
}

impl Kept {
    fn add(&mut self, progress: Option<f64>, detail: Option<Json>) {
        self.progress = progress.or(self.progress);
        self.detail = detail.or_else(|| self.detail.take());
    }

    /// Fills in what a later message leaves out.
    fn complete(self, progress: &mut Option<f64>, detail: &mut Option<Json>) {
        *progress = progress.or(self.progress);
        if detail.is_none() {
            *detail = self.detail;
        }
    }
}

impl Told {
    /// Whether the lease is surely held, and renewed a moment ago.
    fn is_fresh(&self, session: SessionId, epoch: u32) -> bool {
        self.session == session && self.epoch == epoch && self.written_at.elapsed() < EVERY
    }

    /// What the store may not know.
    fn news(&self) -> Option<Kept> {
        let mut news = self.leaving.clone();
        if let Some(Kept { progress, detail }) = self.kept.clone() {
            news.get_or_insert_default().add(progress, detail);
        }
        news
    }
}

impl Progresses {
    fn told(&self) -> std::sync::MutexGuard<'_, HashMap<TaskId, Told>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a message that only tells progress of tasks whose leases were renewed a moment ago, and answers it;
    /// nothing if it has to be written.
    pub(crate) fn keep(&self, session: &Session, beat: &Beat) -> Option<BeatAnswer> {
        let is_progress = |task: &BeatTask| task.logs.is_empty() && task.tells_progress();
        let is_small = !beat.tasks.is_empty() && beat.tasks.iter().all(is_progress);
        if session.draining || !is_small || !self.is_attended.load(Ordering::Acquire) {
            return None;
        }
        let mut told = self.told();
        let is_fresh =
            |task: &BeatTask| told.get(&task.id).is_some_and(|told| told.is_fresh(beat.session, task.epoch));
        if !beat.tasks.iter().all(is_fresh) {
            return None;
        }
        let mut answer = BeatAnswer::default();
        for BeatTask { id, epoch, progress, detail, .. } in &beat.tasks {
            if let Some(told) = told.get_mut(id) {
                told.kept.get_or_insert_default().add(*progress, detail.clone());
                if told.cancel {
                    answer.cancel.push(TaskRef { id: *id, epoch: *epoch });
                }
            }
        }
        drop(told);
        self.bell.notify_one();
        Some(answer)
    }

    /// Adds what is kept of these tasks to a message that is written, which comes after all that was told before.
    pub(crate) async fn complete_beat(&self, beat: &mut Beat) {
        self.settle(beat.tasks.iter().map(|task| task.id)).await;
        let mut told = self.told();
        for BeatTask { id, epoch, progress, detail, .. } in &mut beat.tasks {
            if let Some(kept) = take(&mut told, *id, *epoch) {
                kept.complete(progress, detail);
            }
        }
    }

    /// Adds what is kept of tasks that end, of which no more will be told.
    pub(crate) async fn complete_ends(&self, ends: &mut [FinishTask]) {
        self.settle(ends.iter().map(|task| task.id)).await;
        let mut told = self.told();
        for FinishTask { id, epoch, progress, detail, .. } in ends {
            if let Some(kept) = take(&mut told, *id, *epoch) {
                kept.complete(progress, detail);
            }
            told.remove(id);
        }
    }

    /// Waits while progress of one of these tasks is on its way to the store.
    async fn settle(&self, mut ids: impl Iterator<Item = TaskId>) {
        let must_wait = {
            let told = self.told();
            !told.is_empty() && ids.any(|id| told.get(&id).is_some_and(|told| told.leaving.is_some()))
        };
        if must_wait {
            drop(self.writing.lock().await);
        }
    }

    /// Notes what the store answered.
    pub(crate) fn written(&self, session: SessionId, tasks: &[TaskRef], answer: &BeatAnswer) {
        let now = Instant::now();
        let mut told = self.told();
        if told.len() >= MOST {
            told.retain(|_, told| told.kept.is_some() || told.written_at.elapsed() < EVERY);
        }
        for task in tasks {
            if answer.lost.contains(task) || told.len() >= MOST {
                told.remove(&task.id);
                continue;
            }
            let cancel = answer.cancel.contains(task);
            let kept =
                told.remove(&task.id).filter(|told| told.epoch == task.epoch).and_then(|told| told.kept);
            let fresh = Told { session, epoch: task.epoch, written_at: now, cancel, kept, leaving: None };
            told.insert(task.id, fresh);
        }
    }

    /// Forgets what was told of tasks whose worker is gone.
    fn forget(&self, tasks: &[TaskRef]) {
        let mut told = self.told();
        for task in tasks {
            told.remove(&task.id);
        }
    }

    /// What the store may not know of a task, to be looked at before the store is read: see [`Self::show`].
    pub(crate) fn news(&self, id: TaskId) -> Option<News> {
        let told = self.told();
        let told = told.get(&id)?;
        Some(News { epoch: told.epoch, kept: told.news()? })
    }

    /// Shows a running task as its worker told it last. `before` was looked at before the store was read: what was written
    /// between the two would be in neither the task nor what is kept now.
    pub(crate) fn show(&self, task: &mut Task, before: Option<News>) {
        for News { epoch, kept: Kept { progress, detail } } in before.into_iter().chain(self.news(task.id)) {
            if epoch == task.epoch && task.state == State::Running {
                task.progress = progress.unwrap_or(task.progress);
                task.progress_detail = detail.or_else(|| task.progress_detail.take());
            }
        }
    }

    /// All that is kept, by session; what was told long ago is forgotten.
    fn take_all(&self) -> HashMap<SessionId, Vec<BeatItem>> {
        let mut due: HashMap<SessionId, Vec<BeatItem>> = HashMap::new();
        self.told().retain(|id, told| {
            // What did not get there the last time goes again.
            let Some(news) = told.news() else { return told.written_at.elapsed() < EVERY };
            (told.kept, told.leaving) = (None, Some(news.clone()));
            let Kept { progress, detail } = news;
            let task = TaskRef { id: *id, epoch: told.epoch };
            due.entry(told.session).or_default().push(BeatItem { task, progress, detail, logs: Vec::new() });
            true
        });
        due
    }
}

fn take(told: &mut HashMap<TaskId, Told>, id: TaskId, epoch: u32) -> Option<Kept> {
    told.get_mut(&id).filter(|told| told.epoch == epoch)?.kept.take()
}

impl Engine {
    /// Writes the progress that is kept, until the end.
    pub(crate) async fn write_progress(self, shutdown: CancellationToken) {
        let progresses = &self.inner.progresses;
        progresses.is_attended.store(true, Ordering::Release);
        while shutdown.run_until_cancelled(progresses.bell.notified()).await.is_some() {
            shutdown.run_until_cancelled(tokio::time::sleep(EVERY)).await;
            self.write_kept().await;
        }
        progresses.is_attended.store(false, Ordering::Release);
        self.write_kept().await;
    }

    async fn write_kept(&self) {
        let _writing = self.inner.progresses.writing.lock().await;
        for (session, items) in self.inner.progresses.take_all() {
            let tasks: Vec<TaskRef> = items.iter().map(|item| item.task).collect();
            // Progress that cannot be written now is no harm: the leases hold, and it goes again with the next.
            if let Err(error) = self.write_beat(session, items, &tasks).await {
                tracing::debug!(%error, "progress was not written");
                if !matches!(error, WorkerError::Unavailable(_)) {
                    self.inner.progresses.forget(&tasks);
                }
            }
        }
    }
}
