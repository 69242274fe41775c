//! The engine as workers see it, in process or behind the server.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use taskloom_dispatch::Ticket;
use taskloom_model::{Finish, Priority, SessionId, State, Timestamp};
use taskloom_protocol::{
    Artifact, ArtifactPut, Beat, BeatAnswer, BeatTask, ClaimRequest, Claimed, Code, DrainAnswer,
    DrainRequest, FinishAnswer, FinishRequest, FinishTask, LogLine, Outcome, PROTOCOL_VERSION, Register,
    Registered, Spawn, Task, TaskError, TaskEvent, TaskRef, WorkerApi, WorkerError, WorkerInfo, shorten,
};
use taskloom_store::{
    BeatItem, BeatResult, ClaimSpec, Claims, FinishItem, Hint, NewWorker, Note, StoreError,
};

use crate::submit::Spawner;
use crate::worker_check::{check_hello, check_news, check_outcome, check_range};
use crate::{Caller, Engine, EngineError};

/// The shortest wait for a limit.
const LEAST: Duration = Duration::from_millis(1);
/// The longest log line in bytes; the rest is cut.
const LOG_LINE: usize = 8 << 10;
/// Sessions remembered in memory; beyond that the store is asked.
const SESSIONS: usize = 10_000;

/// What is known of a worker's boot.
#[derive(Clone)]
pub(crate) struct Session {
    queues: Arc<[String]>,
    handlers: Arc<HashSet<String>>,
    pub(crate) draining: bool,
    /// When it was heard last, in microseconds.
    heard: Arc<AtomicI64>,
}

impl Session {
    fn new(queues: Vec<String>, handlers: Vec<String>, draining: bool, now: Timestamp) -> Self {
        let handlers = Arc::new(handlers.into_iter().collect());
        Self { queues: queues.into(), handlers, draining, heard: Arc::new(AtomicI64::new(now.as_micros())) }
    }

    fn hear(&self, now: Timestamp) {
        self.heard.fetch_max(now.as_micros(), Ordering::Relaxed);
    }

    /// Whether it was silent for so long. One that is stopped would take a task with its last call and sit on it.
    fn is_silent(&self, span: Duration, now: Timestamp) -> bool {
        now.since(Timestamp::from_micros(self.heard.load(Ordering::Relaxed))) >= span
    }
}

/// The workers this process has heard of.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<SessionId, Session>>);

impl Sessions {
    fn get(&self, id: SessionId) -> Option<Session> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    fn put(&self, id: SessionId, session: Session) {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() >= SESSIONS {
            sessions.clear();
        }
        sessions.insert(id, session);
    }

    fn remove(&self, id: SessionId) -> Option<Session> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id)
    }
}

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

    /// Lets the next call of the worker ask the store, and its waiting claim come back at once.
    fn forget_session(&self, session: SessionId) {
        if let Some(session) = self.inner.sessions.remove(session) {
            for queue in session.queues.iter() {
                self.inner.dispatcher.ring(queue, usize::MAX, true);
            }
        }
    }

    async fn session(&self, id: SessionId) -> Result<Session, WorkerError> {
        if let Some(session) = self.inner.sessions.get(id) {
            return Ok(session);
        }
        let known = self.inner.store.worker_get(id).await.map_err(|e| self.failed(&e))?;
        let (queues, handlers, draining) = known.ok_or(WorkerError::UnknownSession)?;
        let session = Session::new(queues, handlers, draining, self.now());
        self.inner.sessions.put(id, session.clone());
        Ok(session)
    }

    /// [`WorkerApi::claim`] that stops waiting when `given_up` ends. A claim that has begun is carried through.
    pub async fn claim_until(
        &self,
        request: ClaimRequest,
        given_up: impl Future<Output = ()> + Send,
    ) -> Result<Vec<Claimed>, WorkerError> {
        let mut given_up = std::pin::pin!(given_up);
        check_range("limit", u64::from(request.limit), 1, 10_000)?;
        check_range("wait_ms", u64::from(request.wait_ms), 0, 60_000)?;
        let deadline = Instant::now() + Duration::from_millis(u64::from(request.wait_ms));
        self.session(request.session).await?.hear(self.now());
        let mut ask_store = true;
        loop {
            let session = self.session(request.session).await?;
            // First listen, then look: a task that comes in between rings.
            let waiter = self.inner.dispatcher.listen(&session.queues);
            if session.draining || session.is_silent(self.inner.config.lease, self.now()) {
                return Ok(Vec::new());
            }
            let Claims { claimed, expired, cut, wake_at, .. } =
                self.claim_once(&session, &request, ask_store).await?;
            if claimed.is_empty() && !expired.is_empty() {
                // There may be some behind those that were too late.
                continue;
            }
            if cut || claimed.len() == request.limit as usize {
                // There may be more than this worker can take: pass the wake-up on.
                for queue in session.queues.iter() {
                    self.inner.dispatcher.ring(queue, 1, true);
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if !claimed.is_empty() || left.is_zero() {
                return Ok(claimed);
            }
            let patience = wake_at.map_or(Duration::MAX, |at| at.since(self.now()).max(LEAST));
            tokio::select! {
                biased;
                // A queue's rate lets the next start then.
                () = tokio::time::sleep(patience.min(left)), if wake_at.is_some() => ask_store = true,
                // Now and then it looks by itself, also where no loop runs.
                wake = waiter.wait(left.min(self.inner.config.poll * 5)) => ask_store = wake.is_none_or(|w| w.ask_store),
                () = &mut given_up => return Ok(Vec::new()),
            }
        }
    }

    /// Tasks that the dispatcher hands out; else, if that is worth it, whatever the store has.
    async fn claim_once(
        &self,
        session: &Session,
        request: &ClaimRequest,
        ask_store: bool,
    ) -> Result<Claims, WorkerError> {
        if let Some(from) = self.inner.turns.look_back() {
            let claims = self.claim_passed_by(session, request, from).await?;
            if !claims.claimed.is_empty() {
                return Ok(claims);
            }
            // Hints come in the order of submissions; the store knows whose turn it is.
            let claims = self.claim_from_store(session, request, Arc::new([])).await?;
            if !claims.claimed.is_empty() || claims.wake_at.is_some() {
                return Ok(claims);
            }
        }
        let tickets = self.inner.dispatcher.take(&session.queues, request.limit as usize).await;
        if !tickets.is_empty() {
            let hint = |ticket: &Ticket| Hint { queue: Arc::clone(&ticket.ready.queue), id: ticket.ready.id };
            let claims = self.claim_from_store(session, request, tickets.iter().map(hint).collect()).await;
            // Whatever came of it: should the store not answer, the sweep finds them again.
            self.inner.dispatcher.done(tickets);
            let claims = claims?;
            if !claims.claimed.is_empty() || claims.wake_at.is_some() {
                return Ok(claims);
            }
        }
        if ask_store {
            self.claim_from_store(session, request, Arc::new([])).await
        } else {
            Ok(Claims::default())
        }
    }

    /// Tasks of lower priority, the last queue first, that wait for long while more urgent ones go before them.
    async fn claim_passed_by(
        &self,
        session: &Session,
        request: &ClaimRequest,
        from: Priority,
    ) -> Result<Claims, WorkerError> {
        let before = self.now().minus(self.inner.config.aging);
        let queues = Arc::clone(&session.queues);
        let found = self.inner.store.task_overdue(queues, from, before, request.limit).await;
        let hints = found.map_err(|e| self.failed(&e))?;
        if hints.is_empty() {
            return Ok(Claims::default());
        }
        self.claim_from_store(session, request, hints.into()).await
    }

    async fn claim_from_store(
        &self,
        session: &Session,
        request: &ClaimRequest,
        hints: Arc<[Hint]>,
    ) -> Result<Claims, WorkerError> {
        let spec = ClaimSpec {
            session: request.session,
            queues: Arc::clone(&session.queues),
            handlers: Arc::clone(&session.handlers),
            limit: request.limit,
            lease: self.inner.config.lease,
            now: self.now(),
            hints,
        };
        let mut claims = self.inner.store.task_claim(spec).await.map_err(|e| self.failed(&e))?;
        if claims.unknown {
            self.inner.sessions.remove(request.session);
            return Err(WorkerError::UnknownSession);
        }
        self.fill_inputs(request.session, &mut claims).await;
        self.announce(&claims.expired);
        if self.is_watched() {
            for task in &claims.claimed {
                let (state, attempt) = (State::Running, task.attempt);
                self.publish(task.id, || TaskEvent::State {
                    state,
                    status: state.status(),
                    reason: None,
                    attempt,
                });
            }
        }
        Ok(claims)
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
        for task in &beat.tasks {
            check_news(task.progress, task.detail.as_ref(), &task.logs)?;
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
        for task in &request.tasks {
            check_news(task.progress, task.detail.as_ref(), &task.logs)?;
            check_outcome(&task.outcome, &limits)?;
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
