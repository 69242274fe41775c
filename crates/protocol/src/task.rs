//! Tasks on the wire.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use taskloom_model::{
    AttemptOutcome, Backoff, BackoffKind, ParentPolicy, Priority, Reason, State, Status, Timestamp,
};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{FieldError, Json, check_json, json_null};

/// What a submission may carry at most; the operator sets them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of `args` and `kwargs` together.
    pub payload_bytes: usize,
    /// Levels of nesting in `args`, `kwargs` and `metadata`.
    pub depth: usize,
    /// Tasks in one batch.
    pub batch: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { payload_bytes: 1 << 20, depth: 64, batch: 10_000 }
    }
}

/// The longest delay or time limit in seconds: ten years.
const MAX_SECONDS: f64 = 315_360_000.0;

/// A task to submit.
#[derive(Debug, Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SubmitTask {
    /// The handler's name, 1 to 200 characters; `celery_task_name` means the same.
    #[serde(alias = "celery_task_name")]
    #[schema(min_length = 1, max_length = 200, example = "demo.sleep")]
    pub task: String,
    /// Positional arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<serde_json::Value>>)]
    pub args: Option<Json>,
    /// Named arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub kwargs: Option<Json>,
    /// A name for people, up to 200 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200)]
    pub name: Option<String>,
    /// A label to filter by, up to 100 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 100)]
    pub task_type: Option<String>,
    /// The queue, 1 to 100 letters, digits, `.`, `_`, `-` or `:`; `default` if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 100, pattern = "^[A-Za-z0-9._:-]+$")]
    pub queue: Option<String>,
    /// `low`, `normal`, `high`, `critical` or 1 to 4; `normal` if left out.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "priority")]
    #[schema(value_type = Option<String>, example = "normal")]
    pub priority: Option<Priority>,
    /// Not before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub run_at: Option<Timestamp>,
    /// Not before so many seconds from now, instead of `run_at`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 315_360_000)]
    pub delay: Option<f64>,
    /// Revoked if it waits still at this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// Time limit of one attempt in seconds, above 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(exclusive_minimum = 0, maximum = 315_360_000)]
    pub timeout: Option<f64>,
    /// After so many seconds the handler is asked to finish; below `timeout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(exclusive_minimum = 0, maximum = 315_360_000)]
    pub soft_timeout: Option<f64>,
    /// Attempts before the task fails, 1 to 1,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1000)]
    pub max_attempts: Option<u32>,
    /// The wait between attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BackoffSchema>)]
    pub backoff: Option<Backoff>,
    /// While a task with this key has not ended, submitting another answers with that one. Up to 200 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200)]
    pub unique_key: Option<String>,
    /// Tasks that must succeed first, up to 1,000.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<Uuid>,
    /// What to do when one of them does not: `skip` (revoke), `fail` or `run`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "skip")]
    pub on_parent_failure: Option<ParentPolicy>,
    /// Up to 20 words of up to 50 characters to filter by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Anything else, up to 16 KiB; Taskloom keeps it and does not look inside.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Json>,
    /// The model this task runs, up to 200 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200)]
    pub model_id: Option<String>,
    /// Reserved: refused with `not_supported`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(ignore)]
    pub cache_ttl: Option<Json>,
    /// Reserved: refused with `not_supported`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(ignore)]
    pub concurrency_key: Option<Json>,
    /// Reserved: refused with `not_supported`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(ignore)]
    pub concurrency_limit: Option<Json>,
    /// Reserved: refused with `not_supported`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(ignore)]
    pub rate_key: Option<Json>,
    /// Reserved: refused with `not_supported`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(ignore)]
    pub rate_limit: Option<Json>,
}

/// The wait between attempts, in OpenAPI's words.
#[derive(ToSchema)]
#[schema(as = Backoff)]
#[expect(dead_code, reason = "describes Backoff, never built")]
struct BackoffSchema {
    /// `fixed`, `linear` or `exponential`.
    #[schema(value_type = Option<String>, example = "exponential")]
    kind: Option<BackoffKind>,
    /// The first delay in seconds.
    #[schema(minimum = 0, maximum = 31_536_000)]
    seconds: Option<f64>,
    /// The longest delay in seconds.
    #[schema(minimum = 0, maximum = 31_536_000)]
    max_seconds: Option<f64>,
}

impl SubmitTask {
    /// A task for this handler, all else left to the defaults.
    pub fn new(task: impl Into<String>) -> Self {
        Self { task: task.into(), ..Self::default() }
    }

    /// Every rule that a field breaks; empty if none.
    pub fn check(&self, limits: &Limits) -> Vec<FieldError> {
        let mut found = Check(Vec::new());
        if self.task.is_empty() {
            found.add("task", "missing", "required: the handler's name, such as demo.sleep");
        }
        found.text("task", &self.task, 200, |c| !c.is_control() && !c.is_whitespace());
        for (field, text, longest) in [
            ("name", &self.name, 200),
            ("task_type", &self.task_type, 100),
            ("unique_key", &self.unique_key, 200),
            ("model_id", &self.model_id, 200),
        ] {
            found.text(field, text.as_deref().unwrap_or_default(), longest, |c| !c.is_control());
        }
        if self.unique_key.as_deref() == Some("") {
            found.add("unique_key", "too_short", "must not be empty");
        }
        if let Some(queue) = &self.queue {
            found.queue("queue", queue);
        }
        found.times(self);
        found.options(self);
        found.payload(self, limits);
        found.reserved(self);
        found.0
    }
}

/// Collects what is wrong.
struct Check(Vec<FieldError>);

impl Check {
    fn add(&mut self, field: &str, kind: &str, msg: impl Into<String>) {
        self.0.push(FieldError::body(field, kind, msg));
    }

    fn text(&mut self, field: &str, text: &str, longest: usize, allowed: impl Fn(char) -> bool) {
        if text.chars().count() > longest {
            self.add(field, "too_long", format!("at most {longest} characters"));
        } else if !text.chars().all(allowed) {
            self.add(field, "bad_character", "has a character that is not allowed here");
        }
    }

    fn queue(&mut self, field: &str, queue: &str) {
        if queue.is_empty() {
            self.add(field, "too_short", "must not be empty");
        }
        self.text(field, queue, 100, |c| c.is_ascii_alphanumeric() || "._:-".contains(c));
    }

    fn seconds(&mut self, field: &str, value: Option<f64>, least: f64) {
        if value.is_some_and(|s| !(least..=MAX_SECONDS).contains(&s)) {
            self.add(field, "out_of_range", format!("seconds from {least} to {MAX_SECONDS}"));
        }
    }

    fn times(&mut self, task: &SubmitTask) {
        self.seconds("delay", task.delay, 0.0);
        self.seconds("timeout", task.timeout, 0.001);
        self.seconds("soft_timeout", task.soft_timeout, 0.001);
        if task.delay.is_some() && task.run_at.is_some() {
            self.add("delay", "exclusive", "give run_at or delay, not both");
        }
        if let (Some(soft), Some(hard)) = (task.soft_timeout, task.timeout)
            && soft >= hard
        {
            self.add("soft_timeout", "out_of_range", "must be below timeout");
        }
    }

    fn options(&mut self, task: &SubmitTask) {
        if task.max_attempts.is_some_and(|n| !(1..=1_000).contains(&n)) {
            self.add("max_attempts", "out_of_range", "1 to 1000");
        }
        if let Some(Backoff { seconds, max_seconds, .. }) = task.backoff {
            for (field, value) in [("backoff.seconds", seconds), ("backoff.max_seconds", max_seconds)] {
                if !(0.0..=Backoff::LIMIT_SECONDS).contains(&value) {
                    self.add(field, "out_of_range", format!("seconds from 0 to {}", Backoff::LIMIT_SECONDS));
                }
            }
        }
        if task.depends_on.len() > 1_000 {
            self.add("depends_on", "too_long", "at most 1000 parents");
        }
        if task.tags.len() > 20 {
            self.add("tags", "too_long", "at most 20 tags");
        }
        for (index, tag) in task.tags.iter().enumerate() {
            if tag.is_empty() {
                self.add(&format!("tags.{index}"), "too_short", "must not be empty");
            }
            if task.tags[..index].contains(tag) {
                self.add(&format!("tags.{index}"), "duplicate", "given twice");
            }
            self.text(&format!("tags.{index}"), tag, 50, |c| !c.is_control());
        }
    }

    fn payload(&mut self, task: &SubmitTask, limits: &Limits) {
        let mut bytes = 0;
        let fields = [
            ("args", &task.args, '[', "a list"),
            ("kwargs", &task.kwargs, '{', "an object"),
            ("metadata", &task.metadata, '{', "an object"),
        ];
        for (field, json, opening, what) in fields {
            let Some(json) = json else { continue };
            if !json.get().starts_with(opening) {
                self.add(field, "wrong_type", format!("must be {what}"));
            } else if let Err(error) = check_json(json.get(), limits.depth) {
                self.add(field, "bad_json", error.to_string());
            }
            if field == "metadata" {
                if json.get().len() > 16 << 10 {
                    self.add(field, "too_long", "at most 16 KiB");
                }
            } else {
                bytes += json.get().len();
            }
        }
        if bytes > limits.payload_bytes {
            let most = limits.payload_bytes;
            self.add("kwargs", "too_long", format!("args and kwargs take {bytes} bytes, at most {most}"));
        }
    }

    fn reserved(&mut self, task: &SubmitTask) {
        let reserved = [
            ("cache_ttl", &task.cache_ttl),
            ("concurrency_key", &task.concurrency_key),
            ("concurrency_limit", &task.concurrency_limit),
            ("rate_key", &task.rate_key),
            ("rate_limit", &task.rate_limit),
        ];
        for (field, value) in reserved {
            if value.is_some() {
                self.add(field, "not_supported", "not supported by this version");
            }
        }
    }
}

/// Reads a priority by name or by number.
fn priority<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Priority>, D::Error> {
    struct NameOrNumber;
    impl serde::de::Visitor<'_> for NameOrNumber {
        type Value = Option<Priority>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("one of low, normal, high, critical or 1 to 4")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
            text.parse().map(Some).map_err(|_| E::invalid_value(serde::de::Unexpected::Str(text), &self))
        }

        fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Self::Value, E> {
            i64::try_from(number)
                .ok()
                .and_then(Priority::from_number)
                .map(Some)
                .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Unsigned(number), &self))
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
    }
    deserializer.deserialize_any(NameOrNumber)
}

/// A parent of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct ParentSpec {
    /// The parent.
    pub task_id: Uuid,
    /// What the child does when the parent does not succeed.
    #[schema(value_type = String)]
    pub on_failure: ParentPolicy,
}

/// Why a submission was answered with a task that exists already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Duplicate {
    /// The same `Idempotency-Key` was sent before.
    IdempotencyKey,
    /// A task with the same `unique_key` has not ended.
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
        }
    }
}

/// Many tasks, submitted all or none.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// 1 to 10,000 tasks.
    #[schema(min_items = 1, max_items = 10_000)]
    pub tasks: Vec<SubmitTask>,
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

/// A change to a task; which fields count depends on its state.
#[derive(Debug, Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Change {
    /// While pending: the new priority.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "priority")]
    #[schema(value_type = Option<String>)]
    pub priority: Option<Priority>,
    /// While pending: the new queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// While pending: the new time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub run_at: Option<Timestamp>,
    /// While running: per cent, 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 100)]
    pub progress: Option<f64>,
    /// While running: any JSON about the progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = serde_json::Value)]
    pub progress_detail: Option<Json>,
    /// While running: the result, which ends the task as succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = serde_json::Value)]
    pub result: Option<Json>,
}

impl Change {
    /// Every rule that a field breaks; empty if none.
    pub fn check(&self, limits: &Limits) -> Vec<FieldError> {
        let mut found = Check(Vec::new());
        let pending = self.priority.is_some() || self.queue.is_some() || self.run_at.is_some();
        let running = self.progress.is_some() || self.progress_detail.is_some() || self.result.is_some();
        if !pending && !running {
            found.add("", "missing", "give at least one field to change");
        }
        if pending && running {
            found.add(
                "",
                "exclusive",
                "priority, queue and run_at change while pending, the others while running",
            );
        }
        if let Some(queue) = &self.queue {
            found.queue("queue", queue);
        }
        if self.progress.is_some_and(|p| !(0.0..=100.0).contains(&p)) {
            found.add("progress", "out_of_range", "0 to 100");
        }
        for (field, json) in [("progress_detail", &self.progress_detail), ("result", &self.result)] {
            let Some(json) = json else { continue };
            if json.get().len() > limits.payload_bytes {
                found.add(field, "too_long", format!("at most {} bytes", limits.payload_bytes));
            } else if let Err(error) = check_json(json.get(), limits.depth) {
                found.add(field, "bad_json", error.to_string());
            }
        }
        found.0
    }
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

/// One attempt of a task.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
pub struct Attempt {
    /// From 1.
    pub attempt: u32,
    /// The fence of its claim.
    pub epoch: u32,
    /// Who ran it.
    pub worker: Option<String>,
    /// When it began.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    /// When it ended; null while it runs.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
    /// `succeeded`, `failed`, `timed_out`, `snoozed`, `cancelled`, `lost`, `drained`; null while it runs.
    #[schema(value_type = Option<String>)]
    pub outcome: Option<AttemptOutcome>,
    /// Why it failed.
    pub error: Option<TaskError>,
}

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// For the handler's author.
    Debug,
    /// For everybody.
    #[default]
    Info,
    /// Something to look at.
    Warning,
    /// Something failed.
    Error,
}

impl LogLevel {
    /// Every level.
    pub const ALL: [Self; 4] = [Self::Debug, Self::Info, Self::Warning, Self::Error];

    /// The name on the wire and in the store.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl std::str::FromStr for LogLevel {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|l| l.name() == text).ok_or("one of debug, info, warning, error")
    }
}

/// A line a handler wrote.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct LogLine {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// How much it matters.
    #[serde(default)]
    pub level: LogLevel,
    /// The line, up to 8 KiB.
    pub message: String,
}

/// A file that a task made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct Artifact {
    /// The file's name, unique within the task.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// The SHA-256 of its content, in hex.
    pub sha256: String,
    /// Its media type.
    pub content_type: String,
    /// When it was stored.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// Why a task is where it is, for people.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct Explanation {
    /// The exact state.
    #[schema(value_type = String)]
    pub state: State,
    /// One sentence.
    pub summary: String,
    /// The facts behind it, and what would help.
    pub details: Vec<String>,
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
        /// When.
        #[schema(value_type = String, format = DateTime)]
        at: Timestamp,
        /// How much it matters.
        level: LogLevel,
        /// The line.
        message: String,
    },
}
