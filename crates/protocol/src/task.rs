//! Tasks on the wire.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use taskloom_model::{CacheOutcome, Priority, Reason, State, Status, Timestamp};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Json, LogLevel, json_null};

/// Why a submission was answered with a task that exists already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Duplicate {
    /// The same `Idempotency-Key` was sent before.
    IdempotencyKey,
    /// A task with the same `unique_key` has not ended, or its time is not over.
    UniqueKey,
}

/// Why a task failed or was revoked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct TaskError {
    /// The kind of error: an exception's or a type's name, or `timeout`, `lost`, `panic`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// What happened.
    pub message: String,
    /// Where, if the handler's language tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceback: Option<String>,
}

/// A task with all that is known of it.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
pub struct Task {
    /// The id.
    pub id: Uuid,
    /// A name for people.
    pub name: Option<String>,
    /// The handler's name.
    pub task: String,
    /// A label.
    pub task_type: Option<String>,
    /// The queue.
    pub queue: String,
    /// Order inside the queue.
    #[schema(value_type = String, example = "normal")]
    pub priority: Priority,
    /// `pending`, `running`, `succeeded`, `failed` or `revoked`.
    #[schema(value_type = String, example = "pending")]
    pub status: Status,
    /// The exact state: `blocked`, `scheduled`, `ready`, `running`, `succeeded`, `failed`, `revoked`.
    #[schema(value_type = String, example = "ready")]
    pub state: State,
    /// Why it is in its state, where the state alone does not say.
    #[schema(value_type = Option<String>)]
    pub reason: Option<Reason>,
    /// Per cent, 0 to 100.
    pub progress: f64,
    /// What the handler said last about its progress.
    #[schema(value_type = serde_json::Value)]
    pub progress_detail: Option<Json>,
    /// Positional arguments.
    #[schema(value_type = Vec<serde_json::Value>)]
    pub args: Json,
    /// Named arguments.
    #[schema(value_type = Object)]
    pub kwargs: Json,
    /// The handler's answer; any JSON.
    #[schema(value_type = serde_json::Value)]
    pub result: Json,
    /// Why it failed; of an attempt before, while it waits for the next.
    pub error: Option<TaskError>,
    /// Attempts so far.
    pub attempt: u32,
    /// Attempts before it fails.
    pub max_attempts: u32,
    /// The fence of the worker protocol.
    pub epoch: u32,
    /// The worker that holds it or held it last.
    pub worker: Option<String>,
    /// The id, under the name that Celery users know.
    pub celery_id: Uuid,
    /// Whose it is.
    pub user_id: Uuid,
    /// The model it runs.
    pub model_id: Option<String>,
    /// The schedule that made it.
    pub schedule_id: Option<Uuid>,
    /// The workflow it belongs to.
    pub workflow_id: Option<Uuid>,
    /// The task whose handler submitted it.
    pub parent_id: Option<Uuid>,
    /// The tasks it depends on.
    pub parent_ids: Vec<Uuid>,
    /// Words to filter by.
    pub tags: Vec<String>,
    /// What its submitter wanted kept.
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Json>,
    /// When it was submitted.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it is to run, if it waits for a time.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub scheduled_at: Option<Timestamp>,
    /// When its latest attempt began.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub completed_at: Option<Timestamp>,
    /// Revoked if it waits still then.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// Time limit of one attempt in seconds.
    pub timeout: Option<f64>,
    /// Set on the answer to a submission that made no new task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deduplicated_by: Option<Duplicate>,
    /// Set on the answer to a submission with a `cache_ttl`: `hit`, `joined` or `miss`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "hit")]
    pub cache: Option<CacheOutcome>,
    /// Set on the answer to a submission that took the unique key of another task: that one, which was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<Uuid>,
}

impl Task {
    /// `[]`, what absent `args` mean.
    pub fn no_args() -> Json {
        RawValue::from_string("[]".into()).unwrap_or_else(|_| json_null())
    }

    /// `{}`, what absent `kwargs` mean.
    pub fn no_kwargs() -> Json {
        RawValue::from_string("{}".into()).unwrap_or_else(|_| json_null())
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.state.is_terminal()
    }

    /// How long its latest attempt has run, or ran.
    pub fn run_time(&self, now: Timestamp) -> Option<Duration> {
        self.started_at.map(|start| self.completed_at.unwrap_or(now).since(start))
    }

    /// A new task of this handler that nobody has touched; fields not named are empty.
    pub fn blank(id: Uuid, task: String, user_id: Uuid, created_at: Timestamp) -> Self {
        Self {
            id,
            name: None,
            task,
            task_type: None,
            queue: taskloom_model::DEFAULT_QUEUE.into(),
            priority: Priority::default(),
            status: Status::Pending,
            state: State::Ready,
            reason: None,
            progress: 0.0,
            progress_detail: None,
            args: json_null(),
            kwargs: json_null(),
            result: json_null(),
            error: None,
            attempt: 0,
            max_attempts: 1,
            epoch: 0,
            worker: None,
            celery_id: id,
            user_id,
            model_id: None,
            schedule_id: None,
            workflow_id: None,
            parent_id: None,
            parent_ids: Vec::new(),
            tags: Vec::new(),
            metadata: None,
            created_at,
            scheduled_at: None,
            started_at: None,
            completed_at: None,
            expires_at: None,
            timeout: None,
            deduplicated_by: None,
            cache: None,
            replaced: None,
        }
    }
}

/// The tasks of a batch, in the order they were sent.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct BatchAnswer {
    /// One for each task sent.
    pub items: Vec<Task>,
}

/// One page of a list.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct Page {
    /// The tasks.
    pub items: Vec<Task>,
    /// Sent as `cursor`, gives the next page; null on the last.
    pub next_cursor: Option<String>,
    /// Tasks that match, counted up to 10,000; `GET /tasks/count` counts on.
    pub total: u64,
}

/// How many tasks stand in each status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct Counts {
    /// All of them.
    pub total: u64,
    /// Blocked, scheduled or ready.
    pub pending: u64,
    /// Running.
    pub running: u64,
    /// Succeeded.
    pub succeeded: u64,
    /// Failed.
    pub failed: u64,
    /// Revoked.
    pub revoked: u64,
}

/// The answer to cancel and retry.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct Verdict {
    /// Always true; a refusal is a problem.
    pub success: bool,
    /// What happened, in words.
    pub message: String,
    /// The task now.
    pub task: Task,
}

/// What happens to a task while somebody watches.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum TaskEvent {
    /// It moved to another state.
    State {
        /// The new state.
        #[schema(value_type = String)]
        state: State,
        /// Its status.
        #[schema(value_type = String)]
        status: Status,
        /// Why, where the state alone does not say.
        #[schema(value_type = Option<String>)]
        reason: Option<Reason>,
        /// The attempt.
        attempt: u32,
    },
    /// Its handler reported progress.
    Progress {
        /// Per cent, 0 to 100.
        progress: f64,
        /// What the handler says about it.
        #[schema(value_type = serde_json::Value)]
        detail: Option<serde_json::Value>,
    },
    /// Its handler wrote a line.
    Log {
        /// Its position in the log.
        seq: u64,
        /// When.
        #[schema(value_type = String, format = DateTime)]
        at: Timestamp,
        /// How much it matters.
        level: LogLevel,
        /// The line.
        message: String,
    },
}
