//! The worker protocol: what any worker, in any language, says to Taskloom.

use std::collections::BTreeMap;
use std::path::Path;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use taskloom_model::{Priority, Ties, Timestamp};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Artifact, Code, HandlerDefaults, Json, LogLine, SubmitTask, Task, TaskError};

/// The version of the worker protocol; a server answers others with `validation`.
pub const PROTOCOL_VERSION: u32 = 1;

/// A worker introduces itself, once per boot.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// [`PROTOCOL_VERSION`].
    pub protocol: u32,
    /// A fresh UUID for each boot.
    pub session: Uuid,
    /// A name for people, such as `host:pid`; 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    /// The queues it serves, in order; 1 to 100.
    pub queues: Vec<String>,
    /// The handlers it knows; empty if it does not say.
    #[serde(default)]
    pub handlers: Vec<String>,
    /// How many tasks it runs at once.
    #[schema(minimum = 1, maximum = 100_000)]
    pub concurrency: u32,
    /// What it is, such as `taskloom/0.1.0`.
    #[serde(default)]
    pub version: String,
    /// What it wants for tasks of its handlers that leave it open, by handler. Left out: it does not say, and what others
    /// said stays. Given: the handlers that it knows and does not name here have no defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<BTreeMap<String, HandlerDefaults>>,
}

/// What a worker is told at registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct Registered {
    /// [`PROTOCOL_VERSION`].
    pub protocol: u32,
    /// A claim holds so many milliseconds without a heartbeat.
    pub lease_ms: u64,
    /// Send a heartbeat every so many milliseconds.
    pub beat_ms: u64,
    /// After a cancel the handler has so many milliseconds before it should be aborted.
    pub cancel_grace_ms: u64,
}

/// Asks for tasks.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimRequest {
    /// The worker's boot.
    pub session: Uuid,
    /// Free slots, 1 to 10,000.
    #[schema(minimum = 1, maximum = 10_000)]
    pub limit: u32,
    /// Wait so many milliseconds for a task if there is none, up to 60,000.
    #[serde(default)]
    #[schema(maximum = 60_000)]
    pub wait_ms: u32,
}

/// A task in a worker's hands.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
pub struct Claimed {
    /// The task.
    pub id: Uuid,
    /// The fence; every write about this attempt carries it.
    pub epoch: u32,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Attempts before the task fails.
    pub max_attempts: u32,
    /// The handler's name, aliases resolved.
    pub task: String,
    /// Positional arguments.
    #[schema(value_type = Vec<serde_json::Value>)]
    pub args: Json,
    /// Named arguments.
    #[schema(value_type = Object)]
    pub kwargs: Json,
    /// The queue.
    pub queue: String,
    /// Order inside the queue.
    #[schema(value_type = String)]
    pub priority: Priority,
    /// Time limit of this attempt in milliseconds.
    pub timeout_ms: Option<u64>,
    /// After so many milliseconds the handler is asked to finish.
    pub soft_timeout_ms: Option<u64>,
    /// Whose it is.
    pub user_id: Uuid,
    /// What else it concerns; no worker's business.
    #[serde(skip)]
    #[schema(ignore)]
    pub ties: Ties,
    /// When the task was submitted.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// The claimed tasks; none if none came in time.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct ClaimAnswer {
    /// The tasks.
    pub tasks: Vec<Claimed>,
}

/// A task under the epoch of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskRef {
    /// The task.
    pub id: Uuid,
    /// The epoch of the claim.
    pub epoch: u32,
}

/// News of one running task.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BeatTask {
    /// The task.
    pub id: Uuid,
    /// The epoch of the claim.
    pub epoch: u32,
    /// Per cent, 0 to 100; left out if nothing changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
    /// About the progress; left out if nothing changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = serde_json::Value)]
    pub detail: Option<Json>,
    /// Lines since the last beat, up to 1,000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<LogLine>,
}

impl BeatTask {
    /// Whether it says anything about the progress.
    pub fn tells_progress(&self) -> bool {
        self.progress.is_some() || self.detail.is_some()
    }
}

/// A heartbeat: renews the leases of the tasks it names.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Beat {
    /// The worker's boot.
    pub session: Uuid,
    /// Its running tasks, up to 100,000.
    #[serde(default)]
    pub tasks: Vec<BeatTask>,
}

/// What a worker hears back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct BeatAnswer {
    /// No longer held: abort the handler, report nothing.
    pub lost: Vec<TaskRef>,
    /// A user wants these to stop.
    pub cancel: Vec<TaskRef>,
    /// An operator wants the worker to take no more tasks and to leave when it is done.
    pub drain: bool,
}

/// How an attempt ended.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// It returned this.
    Success {
        /// Any JSON.
        #[schema(value_type = serde_json::Value)]
        result: Json,
    },
    /// It failed; another attempt may mend it.
    Error {
        /// Why.
        error: TaskError,
        /// When to try again instead of the backoff, in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_in_ms: Option<u64>,
    },
    /// It failed; no attempt can mend it.
    Fatal {
        /// Why.
        error: TaskError,
    },
    /// It ran into its time limit.
    Timeout,
    /// Nothing to do yet: run again later, the attempt does not count.
    Snooze {
        /// In so many milliseconds.
        delay_ms: u64,
    },
    /// It stopped because it was told to.
    Cancelled,
}

/// The end of one attempt.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FinishTask {
    /// The task.
    pub id: Uuid,
    /// The epoch of the claim.
    pub epoch: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// The last progress, if it was not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
    /// About the last progress, if it was not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub detail: Option<Json>,
    /// The lines that were not sent yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<LogLine>,
}

/// The ends of attempts.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FinishRequest {
    /// The worker's boot.
    pub session: Uuid,
    /// 1 to 10,000 of them.
    pub tasks: Vec<FinishTask>,
}

/// Which of them counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct FinishAnswer {
    /// Not held under that epoch any more (`lease_lost`); nothing was changed for these.
    pub lost: Vec<TaskRef>,
}

/// A worker leaves, or gives back what it cannot finish.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DrainRequest {
    /// The worker's boot.
    pub session: Uuid,
    /// Tasks to give back; they are ready again at once and the attempt does not count.
    #[serde(default)]
    pub tasks: Vec<TaskRef>,
    /// The worker is gone after this call.
    #[serde(default)]
    pub leave: bool,
}

/// Which of the tasks were given back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct DrainAnswer {
    /// Not held under that epoch any more.
    pub lost: Vec<TaskRef>,
}

/// A handler submits tasks of its own.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Spawn {
    /// The worker's boot.
    pub session: Uuid,
    /// The running task on whose behalf it submits; its user owns the new ones.
    pub parent: TaskRef,
    /// The tasks, all or none.
    pub tasks: Vec<SubmitTask>,
}

/// The spawned tasks, in order.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct SpawnAnswer {
    /// One for each task sent.
    pub items: Vec<Task>,
}

/// A file to keep with a running task.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct ArtifactPut {
    /// The worker's boot.
    pub session: Uuid,
    /// The running task.
    pub task: TaskRef,
    /// The file's name: 1 to 100 letters, digits, `.`, `_` or `-`, not starting with a dot.
    pub name: String,
    /// Its media type.
    pub content_type: String,
}

/// A worker as operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct WorkerInfo {
    /// The boot.
    pub session: Uuid,
    /// A name for people.
    pub name: String,
    /// The queues it serves.
    pub queues: Vec<String>,
    /// The handlers it knows.
    pub handlers: Vec<String>,
    /// How many tasks it runs at once.
    pub concurrency: u32,
    /// What it is.
    pub version: String,
    /// When it registered.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// When it was heard last.
    #[schema(value_type = String, format = DateTime)]
    pub last_seen: Timestamp,
    /// Whether it was told to take no more tasks.
    pub draining: bool,
    /// Whether its last heartbeat is younger than a lease.
    pub alive: bool,
}

/// The workers that registered lately.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
pub struct WorkerList {
    /// One for each boot, the one that was heard last first; up to 1,000.
    pub items: Vec<WorkerInfo>,
}

/// Why a call of the worker protocol failed as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkerError {
    /// The one task of the call is no longer held under that epoch.
    #[error("the lease is lost")]
    LeaseLost,
    /// The session is not known: register again.
    #[error("the server does not know the session")]
    UnknownSession,
    /// The call itself is wrong; repeating it does not help.
    #[error("refused: {detail}")]
    Refused {
        /// The stable code.
        code: Code,
        /// Why, in words.
        detail: String,
    },
    /// Passing: the server is away or overloaded; try again.
    #[error("not available: {0}")]
    Unavailable(String),
}

/// Everything a worker can say. The engine implements it in process, an HTTP client across the network.
#[async_trait]
pub trait WorkerApi: Send + Sync + 'static {
    /// Introduces the worker; must come first.
    async fn register(&self, hello: Register) -> Result<Registered, WorkerError>;
    /// Takes up to `limit` tasks, waiting for the first if there is none.
    async fn claim(&self, request: ClaimRequest) -> Result<Vec<Claimed>, WorkerError>;
    /// Renews leases; carries progress and logs; brings cancels.
    async fn beat(&self, beat: Beat) -> Result<BeatAnswer, WorkerError>;
    /// Reports ends of attempts. Stale ones come back in `lost`.
    async fn finish(&self, request: FinishRequest) -> Result<FinishAnswer, WorkerError>;
    /// Gives tasks back, or says good-bye.
    async fn drain(&self, request: DrainRequest) -> Result<DrainAnswer, WorkerError>;
    /// Submits tasks on behalf of a running one.
    async fn spawn(&self, spawn: Spawn) -> Result<Vec<Task>, WorkerError>;
    /// Keeps a file with a running task.
    async fn put_artifact(&self, put: ArtifactPut, file: &Path) -> Result<Artifact, WorkerError>;
}
