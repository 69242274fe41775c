//! The engine as workers see it, in process or behind the server.

use std::collections::HashSet;
use std::path::Path;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use taskloom_model::{Finish, SessionId};
use taskloom_protocol::{
    Artifact, ArtifactPut, Beat, BeatAnswer, BeatTask, ClaimRequest, Claimed, Code, DrainAnswer,
    DrainRequest, FinishAnswer, FinishRequest, FinishTask, LogLine, Outcome, PROTOCOL_VERSION, Register,
    Registered, Spawn, Task, TaskError, TaskEvent, TaskRef, WorkerApi, WorkerError, WorkerInfo, shorten,
};
use taskloom_store::{BeatItem, BeatResult, FinishItem, NewWorker, Note, StoreError};

use crate::session::Session;
use crate::submit::Spawner;
use crate::worker_check::{check_hello, check_news, check_outcome, check_range, of_task};
use crate::{Caller, Engine, EngineError};

/// The longest log line in bytes; the rest is cut.
const LOG_LINE: usize = 8 << 10;

impl Engine {
    /// Says that this worker's boot lives and dies with this process, which has the store to itself.
    pub fn embed(&self, session: SessionId) {
        self.inner.embedded.lock().unwrap_or_else(PoisonError::into_inner).insert(session);
    }

    /// The workers heard of lately.
    pub async fn workers(&self) -> Result<Vec<WorkerInfo>, EngineError> {
        Ok(self.inner.store.worker_list(self.inner.config.lease, self.now()).await?)
    }

    /// Asks a worker to take no more tasks and to leave when it is done.
    pub async fn drain_worker(&self, session: SessionId) -> Result<(), EngineError> {
        if !self.inner.store.worker_drain(session).await? {
            return Err(EngineError::NotFound);
        }
        self.forget_session(session);
        Ok(())
    }

    /// What a worker hears of the store's failure: only what may pass is worth another try.
    pub(crate) fn failed(&self, error: &StoreError) -> WorkerError {
        tracing::error!(%error, "the store failed a worker's call");
        match error {
            StoreError::Unavailable(_) => {
                // A heartbeat may have been among them: its worker is not to blame.
                self.inner.store_failed.store(true, Ordering::Relaxed);
                WorkerError::Unavailable("the database cannot be written or read right now".into())
            }
            _ => WorkerError::Refused {
                code: Code::Internal,
                detail: "the server's log has the details".into(),
            },
        }
    }

    /// Brings news of a worker's tasks to the store; of these tasks they tell progress.
    pub(crate) async fn write_beat(
        &self,
        session: SessionId,
        items: Vec<BeatItem>,
        tells: &[TaskRef],
    ) -> Result<BeatAnswer, WorkerError> {
        let lease = self.inner.config.lease;
        let beaten = self.inner.store.task_beat(session, items, lease, self.now()).await;
        let Some(BeatResult { lost, cancel, drain }) = beaten.map_err(|e| self.failed(&e))? else {
            self.forget_session(session);
            return Err(WorkerError::UnknownSession);
        };
        let answer = BeatAnswer { lost, cancel, drain };
        self.inner.progresses.written(session, tells, &answer);
        Ok(answer)
    }

    fn publish_news(&self, item: &BeatItem) {
        if let Some(progress) = item.progress {
            let detail = item.detail.as_ref().and_then(|d| serde_json::from_str(d.get()).ok());
            self.publish(item.task.id, || TaskEvent::Progress { progress, detail: detail.clone() });
        }
        self.publish_logs(item.task.id, &item.logs);
    }

    /// Says that there are new lines: watchers read them where they are numbered.
    fn publish_logs(&self, id: taskloom_model::TaskId, logs: &[LogLine]) {
        if let Some(LogLine { at, level, message }) = logs.last() {
            self.publish(id, || TaskEvent::Log { seq: 0, at: *at, level: *level, message: message.clone() });
        }
    }
}

#[async_trait]
impl WorkerApi for Engine {
    async fn register(&self, mut hello: Register) -> Result<Registered, WorkerError> {
        check_hello(&hello, &self.inner.config.limits)?;
        let mut seen = HashSet::new();
        hello.queues.retain(|queue| seen.insert(queue.clone()));
        let (session, queues, handlers) = (hello.session, hello.queues.clone(), hello.handlers.clone());
        let embedded = self.inner.embedded.lock().unwrap_or_else(PoisonError::into_inner).contains(&session);
        let defaults = hello.defaults.take();
        let worker = NewWorker { hello, embedded };
        self.inner.store.worker_register(worker, self.now()).await.map_err(|e| self.failed(&e))?;
        if let Some(defaults) = defaults {
            self.declare_handlers(&handlers, defaults).await.map_err(|e| self.failed(&e))?;
        }
        self.inner.sessions.put(session, Session::new(queues, handlers, false, self.now()));
        let config = &self.inner.config;
        Ok(Registered {
            protocol: PROTOCOL_VERSION,
            lease_ms: config.lease.as_millis() as u64,
            beat_ms: config.heartbeat.as_millis() as u64,
            cancel_grace_ms: config.cancel_grace.as_millis() as u64,
        })
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Vec<Claimed>, WorkerError> {
        self.claim_until(request, std::future::pending()).await
    }

    async fn beat(&self, mut beat: Beat) -> Result<BeatAnswer, WorkerError> {
        check_range("tasks", beat.tasks.len() as u64, 0, 100_000)?;
        for (index, task) in beat.tasks.iter().enumerate() {
            check_news(task.progress, task.detail.as_ref(), &task.logs).map_err(|e| of_task(index, e))?;
        }
        let session = self.session(beat.session).await?;
        session.hear(self.now());
        let progresses = &self.inner.progresses;
        if let Some(answer) = progresses.keep(&session, &beat) {
            for task in beat.tasks {
                self.publish_news(&beat_item(task));
            }
            return Ok(answer);
        }
        progresses.complete_beat(&mut beat).await;
        let tells: Vec<TaskRef> = beat
            .tasks
            .iter()
            .filter(|task| task.tells_progress())
            .map(|BeatTask { id, epoch, .. }| TaskRef { id: *id, epoch: *epoch })
            .collect();
        let items: Vec<BeatItem> = beat.tasks.into_iter().map(beat_item).collect();
        let watched = self.is_watched();
        let news: Vec<BeatItem> = items.iter().filter(|item| watched && item.has_news()).cloned().collect();
        let answer = self.write_beat(beat.session, items, &tells).await?;
        for item in news.iter().filter(|item| !answer.lost.contains(&item.task)) {
            self.publish_news(item);
        }
        Ok(answer)
    }

    async fn finish(&self, mut request: FinishRequest) -> Result<FinishAnswer, WorkerError> {
        check_range("tasks", request.tasks.len() as u64, 1, 10_000)?;
        let limits = self.inner.config.limits;
        let watched = self.is_watched();
        for (index, task) in request.tasks.iter().enumerate() {
            check_news(task.progress, task.detail.as_ref(), &task.logs)
                .and_then(|()| check_outcome(&task.outcome, &limits))
                .map_err(|e| of_task(index, e))?;
        }
        self.inner.progresses.complete_ends(&mut request.tasks).await;
        let items: Vec<FinishItem> = request.tasks.into_iter().map(finish_item).collect();
        let told = items.iter().filter(|item| watched && !item.logs.is_empty());
        let told: Vec<_> = told.map(|item| (item.task, item.logs.clone())).collect();
        let finished = self.inner.store.task_finish(request.session, items, self.now()).await;
        let (steps, lost) = finished.map_err(|e| self.failed(&e))?;
        for (task, logs) in told.iter().filter(|(task, _)| !lost.contains(task)) {
            self.publish_logs(task.id, logs);
        }
        self.announce(&steps);
        Ok(FinishAnswer { lost })
    }

    async fn drain(&self, request: DrainRequest) -> Result<DrainAnswer, WorkerError> {
        check_range("tasks", request.tasks.len() as u64, 0, 100_000)?;
        let now = self.now();
        let drained = self.inner.store.task_drain(request.session, request.tasks, now).await;
        let (steps, lost) = drained.map_err(|e| self.failed(&e))?;
        self.announce(&steps);
        if request.leave {
            let left = self.inner.store.worker_leave(request.session, now).await;
            self.announce(&left.map_err(|e| self.failed(&e))?);
            self.forget_session(request.session);
        }
        Ok(DrainAnswer { lost })
    }

    async fn spawn(&self, spawn: Spawn) -> Result<Vec<Task>, WorkerError> {
        let Spawn { session, parent, tasks } = spawn;
        check_range("tasks", tasks.len() as u64, 1, self.inner.config.limits.batch as u64)?;
        let family = self.inner.store.task_family(parent.id).await.map_err(|e| self.failed(&e))?;
        let (user_id, workflow) = family.ok_or(WorkerError::LeaseLost)?;
        let caller = Caller { user_id, all: false };
        let spawner = Spawner { session, parent, workflow };
        let spawned = self.submit_all(&caller, tasks, None, Some(spawner), true).await;
        spawned.map_err(|error| match error {
            EngineError::LeaseLost => WorkerError::LeaseLost,
            error => refusal(&error),
        })
    }

    async fn put_artifact(&self, put: ArtifactPut, file: &Path) -> Result<Artifact, WorkerError> {
        self.keep_artifact(put, file).await
    }
}

fn refusal(error: &EngineError) -> WorkerError {
    let problem = error.problem();
    match problem.code {
        Code::Unavailable | Code::Internal => WorkerError::Unavailable(error.to_string()),
        code => WorkerError::Refused { code, detail: problem.detail },
    }
}

fn beat_item(task: BeatTask) -> BeatItem {
    let BeatTask { id, epoch, progress, detail, logs } = task;
    let task = TaskRef { id, epoch };
    BeatItem { task, progress, detail, logs: cut(logs) }
}

fn finish_item(task: FinishTask) -> FinishItem {
    let FinishTask { id, epoch, outcome, progress, detail, logs } = task;
    let mut note = Note { progress, detail, ..Note::default() };
    let millis = Duration::from_millis;
    let finish = match outcome {
        Outcome::Success { result } => {
            note.result = Some(result);
            Finish::Success
        }
        Outcome::Error { error, retry_in_ms } => {
            note.error = Some(shortened(error));
            Finish::Error { retry_in: retry_in_ms.map(millis) }
        }
        Outcome::Fatal { error } => {
            note.error = Some(shortened(error));
            Finish::Fatal
        }
        Outcome::Timeout => {
            let message = "the attempt ran into its time limit".into();
            note.error = Some(TaskError { kind: "timeout".into(), message, traceback: None });
            Finish::Timeout
        }
        Outcome::Snooze { delay_ms } => Finish::Snooze(millis(delay_ms)),
        Outcome::Cancelled => Finish::Cancelled,
    };
    let task = TaskRef { id, epoch };
    FinishItem { task, finish, note, logs: cut(logs), random: rand::random() }
}

/// Keeps what a person will read of an error.
fn shortened(error: TaskError) -> TaskError {
    let TaskError { mut kind, mut message, mut traceback } = error;
    truncate(&mut kind, 200);
    truncate(&mut message, 16 << 10);
    if let Some(traceback) = &mut traceback {
        truncate(traceback, 64 << 10);
    }
    TaskError { kind, message, traceback }
}

fn cut(mut logs: Vec<LogLine>) -> Vec<LogLine> {
    for line in &mut logs {
        line.message = shorten(std::mem::take(&mut line.message), LOG_LINE);
    }
    logs
}

fn truncate(text: &mut String, most: usize) {
    // Not every database keeps NUL in a text.
    if text.contains('\0') {
        *text = text.replace('\0', "\u{fffd}");
    }
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
        text.push('…');
    }
}
