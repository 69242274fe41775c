//! A server in memory: hands out tasks, and writes down all that the worker says.
#![allow(dead_code, unreachable_pub, reason = "each test file is a crate and uses another part")]
#![allow(
    clippy::needless_pass_by_value,
    clippy::struct_excessive_bools,
    reason = "plain calls and plain switches"
)]

use std::collections::{HashSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use serde_json::value::to_raw_value;
use taskloom_protocol::{
    Artifact, ArtifactPut, Beat, BeatAnswer, BeatTask, ClaimRequest, Claimed, DrainAnswer, DrainRequest,
    FinishAnswer, FinishRequest, FinishTask, LogLine, Outcome, Register, Registered, Spawn, Task, TaskRef,
    WorkerApi, WorkerError,
};
use taskloom_worker::{CancellationToken, Registry, Worker, WorkerBuilder};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use uuid::Uuid;

#[derive(Default)]
pub struct State {
    pub queue: VecDeque<Claimed>,
    pub registered: Vec<Register>,
    pub claims: Vec<ClaimRequest>,
    pub beats: Vec<Beat>,
    /// Heartbeats that have come in, answered or not.
    pub beats_in: Vec<Beat>,
    pub finishes: Vec<FinishRequest>,
    pub drains: Vec<DrainRequest>,
    pub spawned: Vec<Spawn>,
    pub artifacts: Vec<(ArtifactPut, Vec<u8>)>,
    /// What heartbeats answer.
    pub cancel: HashSet<TaskRef>,
    pub lost: HashSet<TaskRef>,
    pub drain: bool,
    /// Errors to answer first, in order.
    pub claim_errors: VecDeque<WorkerError>,
    pub beat_errors: VecDeque<WorkerError>,
    pub finish_errors: VecDeque<WorkerError>,
    /// Whether every heartbeat fails.
    pub deaf: bool,
    /// A finish with this text in a result is refused.
    pub poison: Option<String>,
    /// Whether finishes wait.
    pub hold_finishes: bool,
    /// Whether heartbeats that carry lines wait.
    pub hold_beats: bool,
}

type OnClaim = Box<dyn Fn(&ClaimRequest) + Send + Sync>;

pub struct Fake {
    timing: Registered,
    state: Mutex<State>,
    changed: Notify,
    pub on_claim: Option<OnClaim>,
}

/// Quick enough for tests in real time; the lease is so long that only tests about it see its end.
pub const TIMING: Registered = Registered { protocol: 1, lease_ms: 60_000, beat_ms: 20, cancel_grace_ms: 40 };

impl Fake {
    pub fn new() -> Arc<Self> {
        Self::with_timing(TIMING)
    }

    pub fn with_timing(timing: Registered) -> Arc<Self> {
        Arc::new(Self::bare(timing))
    }

    pub fn bare(timing: Registered) -> Self {
        Self { timing, state: Mutex::default(), changed: Notify::new(), on_claim: None }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Changes something; whoever waits looks again.
    pub fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_waiters();
    }

    /// Queues a task for the handler `name`.
    pub fn push(&self, name: &str, args: Value, kwargs: Value) -> TaskRef {
        self.push_with(name, args, kwargs, |_| {})
    }

    pub fn push_with(
        &self,
        name: &str,
        args: Value,
        kwargs: Value,
        change: impl FnOnce(&mut Claimed),
    ) -> TaskRef {
        let mut claimed = Claimed {
            id: Uuid::now_v7(),
            epoch: 1,
            attempt: 1,
            max_attempts: 3,
            task: name.into(),
            args: to_raw_value(&args).unwrap(),
            kwargs: to_raw_value(&kwargs).unwrap(),
            queue: "default".into(),
            priority: taskloom_model::Priority::default(),
            timeout_ms: None,
            soft_timeout_ms: None,
            ties: taskloom_model::Ties::NONE,
            user_id: Uuid::nil(),
            created_at: taskloom_model::Timestamp::MIN,
        };
        change(&mut claimed);
        let task = TaskRef { id: claimed.id, epoch: claimed.epoch };
        self.change(|state| state.queue.push_back(claimed));
        task
    }

    /// Waits until `find` finds something. A guard in real time ends a test that waits for ever.
    pub async fn until<T>(&self, mut find: impl FnMut(&mut State) -> Option<T>) -> T {
        let (tell, mut overdue) = tokio::sync::oneshot::channel::<()>();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(60));
            let _ = tell.send(());
        });
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(found) = find(&mut self.state()) {
                return found;
            }
            tokio::select! {
                () = changed => {}
                _ = &mut overdue => panic!("waited for a minute in vain"),
            }
        }
    }

    pub async fn finished(&self, task: TaskRef) -> FinishTask {
        self.until(|state| state.finish_of(task)).await
    }

    pub async fn outcome(&self, task: TaskRef) -> Outcome {
        self.finished(task).await.outcome
    }
}

impl State {
    pub fn finish_of(&self, task: TaskRef) -> Option<FinishTask> {
        let mut all = self.finishes.iter().flat_map(|request| &request.tasks);
        all.find(|finish| finish.id == task.id && finish.epoch == task.epoch).cloned()
    }

    pub fn beats_of(&self, task: TaskRef) -> Vec<BeatTask> {
        let all = self.beats.iter().flat_map(|beat| &beat.tasks);
        all.filter(|line| line.id == task.id && line.epoch == task.epoch).cloned().collect()
    }

    /// All lines of a task, from heartbeats and from its finish.
    pub fn lines_of(&self, task: TaskRef) -> Vec<LogLine> {
        let mut lines: Vec<_> = self.beats_of(task).into_iter().flat_map(|line| line.logs).collect();
        lines.extend(self.finish_of(task).map(|finish| finish.logs).unwrap_or_default());
        lines
    }
}

#[async_trait]
impl WorkerApi for Fake {
    async fn register(&self, hello: Register) -> Result<Registered, WorkerError> {
        self.change(|state| state.registered.push(hello));
        Ok(self.timing)
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Vec<Claimed>, WorkerError> {
        if let Some(check) = &self.on_claim {
            check(&request);
        }
        self.change(|state| state.claims.push(request.clone()));
        if let Some(error) = { self.state().claim_errors.pop_front() } {
            return Err(error);
        }
        let limit = request.limit as usize;
        Ok(self
            .until(|state| {
                let count = limit.min(state.queue.len());
                let has_left = state.drains.iter().any(|drain| drain.leave);
                (count > 0 || has_left).then(|| state.queue.drain(..count).collect())
            })
            .await)
    }

    async fn beat(&self, beat: Beat) -> Result<BeatAnswer, WorkerError> {
        {
            let mut state = self.state();
            if state.deaf {
                return Err(WorkerError::Unavailable("deaf".into()));
            }
            if let Some(error) = state.beat_errors.pop_front() {
                return Err(error);
            }
        }
        self.change(|state| state.beats_in.push(beat.clone()));
        let carries_lines = beat.tasks.iter().any(|line| !line.logs.is_empty());
        self.until(|state| (!(state.hold_beats && carries_lines)).then_some(())).await;
        let named: HashSet<TaskRef> =
            beat.tasks.iter().map(|t| TaskRef { id: t.id, epoch: t.epoch }).collect();
        let mut answer = BeatAnswer::default();
        self.change(|state| {
            answer.lost = state.lost.intersection(&named).copied().collect();
            answer.cancel = state.cancel.intersection(&named).copied().collect();
            answer.drain = state.drain;
            state.beats.push(beat);
        });
        Ok(answer)
    }

    async fn finish(&self, request: FinishRequest) -> Result<FinishAnswer, WorkerError> {
        {
            let mut state = self.state();
            if let Some(error) = state.finish_errors.pop_front() {
                return Err(error);
            }
            let poisoned = |poison: &str| {
                request
                    .tasks
                    .iter()
                    .any(|task| serde_json::to_string(&task.outcome).unwrap().contains(poison))
            };
            if state.poison.as_deref().is_some_and(poisoned) {
                let detail = "poison".into();
                return Err(WorkerError::Refused { code: taskloom_protocol::Code::Validation, detail });
            }
        }
        self.change(|state| state.finishes.push(request));
        self.until(|state| (!state.hold_finishes).then_some(())).await;
        Ok(FinishAnswer::default())
    }

    async fn drain(&self, request: DrainRequest) -> Result<DrainAnswer, WorkerError> {
        self.change(|state| state.drains.push(request));
        Ok(DrainAnswer::default())
    }

    async fn spawn(&self, spawn: Spawn) -> Result<Vec<Task>, WorkerError> {
        let new = |task: &taskloom_protocol::SubmitTask| {
            Task::blank(Uuid::now_v7(), task.task.clone(), Uuid::nil(), taskloom_model::Timestamp::MIN)
        };
        let tasks = spawn.tasks.iter().map(new).collect();
        self.change(|state| state.spawned.push(spawn));
        Ok(tasks)
    }

    async fn put_artifact(&self, put: ArtifactPut, file: &Path) -> Result<Artifact, WorkerError> {
        let content = std::fs::read(file).unwrap();
        let artifact = Artifact {
            name: put.name.clone(),
            bytes: content.len() as u64,
            sha256: String::new(),
            content_type: put.content_type.clone(),
            created_at: taskloom_model::Timestamp::MIN,
        };
        self.change(|state| state.artifacts.push((put, content)));
        Ok(artifact)
    }
}

/// A worker at work; dropping it abandons its handlers.
pub struct Running {
    pub fake: Arc<Fake>,
    pub shutdown: CancellationToken,
    pub kill: CancellationToken,
    pub worker: JoinHandle<Result<(), WorkerError>>,
}

impl Running {
    pub fn start(fake: &Arc<Fake>, registry: Registry) -> Self {
        Self::start_with(fake, registry, |builder| builder)
    }

    pub fn start_with(
        fake: &Arc<Fake>,
        registry: Registry,
        set: impl FnOnce(WorkerBuilder) -> WorkerBuilder,
    ) -> Self {
        let (shutdown, kill) = (CancellationToken::new(), CancellationToken::new());
        let builder = Worker::builder(Arc::clone(fake) as Arc<dyn WorkerApi>, registry);
        let worker = set(builder.name("test").concurrency(8).kill(kill.clone())).build();
        let worker = tokio::spawn(worker.run(shutdown.clone()));
        Self { fake: Arc::clone(fake), shutdown, kill, worker }
    }

    pub async fn stop(self) -> Result<(), WorkerError> {
        self.shutdown.cancel();
        self.worker.await.unwrap()
    }
}

/// The error of an outcome that has one.
pub fn error_of(outcome: Outcome) -> taskloom_protocol::TaskError {
    match outcome {
        Outcome::Error { error, .. } | Outcome::Fatal { error } => error,
        other => panic!("no error: {other:?}"),
    }
}
