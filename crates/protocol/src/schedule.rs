//! Schedules on the wire.

mod check;
mod config;
mod given;

use serde::{Deserialize, Serialize};
use taskloom_model::{Backoff, Misfire, Overlap, Priority, ScheduleType, SkipReason, TickOutcome, Timestamp};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::request::{BackoffSchema, priority};
use crate::{Json, RateLimit, SubmitTask};

pub use given::Given;

// Creating, changing and running by hand share what can be said about the task; only the wrapper of a field differs, and
// serde's `flatten` would lose the errors' places and unknown fields.
macro_rules! with_task_fields {
    ($(#[$doc:meta])* $name:ident, $wrap:ident, $is_absent:literal, $priority:literal,
     { $($(#[$meta:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, Deserialize, Serialize, ToSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $($(#[$meta])* pub $field: $type,)*
            /// Positional arguments.
            #[serde(skip_serializing_if = $is_absent)]
            #[schema(value_type = Option<Vec<serde_json::Value>>)]
            pub args: $wrap<Json>,
            /// Named arguments.
            #[serde(skip_serializing_if = $is_absent)]
            #[schema(value_type = Option<Object>)]
            pub kwargs: $wrap<Json>,
            /// A label to filter by, up to 100 characters.
            #[serde(skip_serializing_if = $is_absent)]
            #[schema(value_type = Option<String>, max_length = 100)]
            pub task_type: $wrap<String>,
            /// The queue, 1 to 100 letters, digits, `.`, `_`, `-` or `:`.
            #[serde(skip_serializing_if = $is_absent)]
            #[schema(value_type = Option<String>, min_length = 1, max_length = 100, pattern = "^[A-Za-z0-9._:-]+$")]
            pub queue: $wrap<String>,
            /// `low`, `normal`, `high`, `critical` or 1 to 4.
            #[serde(skip_serializing_if = $is_absent, deserialize_with = $priority)]
            #[schema(value_type = Option<String>, example = "normal")]
            pub priority: $wrap<Priority>,
            /// Time limit of one attempt in seconds, above 0.
            #[serde(skip_serializing_if = $is_absent)]
            #[schema(value_type = Option<f64>, exclusive_minimum = 0, maximum = 315_360_000)]
            pub timeout: $wrap<f64>,
            /// After so many seconds the handler is asked to finish; below `timeout`.
            #[serde(skip_serializing_if = $is_absent)]
            #[schema(value_type = Option<f64>, exclusive_minimum = 0, maximum = 315_360_000)]
            pub soft_timeout: $wrap<f64>,
            /// Attempts before the task fails, 1 to 1,000.
            #[serde(skip_serializing_if = $is_absent)]
            #[schema(value_type = Option<u32>, minimum = 1, maximum = 1000)]
            pub max_attempts: $wrap<u32>,
            /// The wait between attempts.
            #[serde(skip_serializing_if = $is_absent)]
            #[schema(value_type = Option<BackoffSchema>)]
            pub backoff: $wrap<Backoff>,
            /// Error types that are worth another attempt, up to 50; all are, if left out.
            #[serde(skip_serializing_if = $is_absent)]
            #[schema(value_type = Option<Vec<String>>)]
            pub retry_on: $wrap<Vec<String>>,
            /// At most `concurrency_limit` tasks with this key run at once. Up to 200 characters.
            #[serde(skip_serializing_if = $is_absent)]
            #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
            pub concurrency_key: $wrap<String>,
            /// With `concurrency_key`: 1 to 10,000; 1 if left out.
            #[serde(skip_serializing_if = $is_absent)]
            #[schema(value_type = Option<u32>, minimum = 1, maximum = 10_000)]
            pub concurrency_limit: $wrap<u32>,
            /// Tasks with this key start at `rate_limit` at most. Up to 200 characters.
            #[serde(skip_serializing_if = $is_absent)]
            #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
            pub rate_key: $wrap<String>,
            /// With `rate_key`.
            #[serde(skip_serializing_if = $is_absent)]
            #[schema(value_type = Option<RateLimit>)]
            pub rate_limit: $wrap<RateLimit>,
            /// Up to 20 words of up to 50 characters to filter by.
            #[serde(skip_serializing_if = $is_absent)]
            #[schema(value_type = Option<Vec<String>>)]
            pub tags: $wrap<Vec<String>>,
            /// Anything else, up to 16 KiB; Taskloom keeps it and does not look inside.
            #[serde(skip_serializing_if = $is_absent)]
            #[schema(value_type = Option<Object>)]
            pub metadata: $wrap<Json>,
            /// The model the task runs, up to 200 characters.
            #[serde(skip_serializing_if = $is_absent)]
            #[schema(value_type = Option<String>, max_length = 200)]
            pub model_id: $wrap<String>,
        }
    };
}

with_task_fields! {
    /// A schedule to create: a task, and when it runs.
    CreateSchedule, Option, "Option::is_none", "priority", {
        /// A name for people, 1 to 200 characters; its tasks bear it too.
        #[schema(min_length = 1, max_length = 200, example = "weekly report")]
        name: String,
        /// The handler's name, 1 to 200 characters; `celery_task_name` means the same.
        #[serde(alias = "celery_task_name")]
        #[schema(min_length = 1, max_length = 200, example = "reports.build")]
        task: String,
        /// `cron`, `interval`, `daily`, `weekly`, `monthly`, `scheduled`, `immediate` or `manual`.
        #[schema(value_type = String, example = "weekly")]
        schedule_type: Option<ScheduleType>,
        /// When, in the words of the type: `{"days": [1, 3, 5], "time": "14:30:00"}`.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<Object>)]
        schedule_config: Option<Json>,
        /// The IANA zone of its local times; `UTC` if left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(max_length = 100, example = "Asia/Shanghai")]
        timezone: Option<String>,
        /// What a tick does while a task of the schedule has not ended: `allow` (the default), `skip`, `queue` or
        /// `replace`.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<String>, example = "skip")]
        overlap: Option<Overlap>,
        /// What becomes of missed ticks: `run_once` (the default), `run_all` or `skip`.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<String>, example = "run_once")]
        misfire: Option<Misfire>,
        /// With `run_all`, ticks missed for longer than so many seconds are skipped; 3,600 if left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(minimum = 0, maximum = 2_592_000)]
        catch_up: Option<u64>,
        /// Each task runs up to so many seconds after its tick; 0 if left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(minimum = 0, maximum = 86_400)]
        jitter: Option<f64>,
        /// Whether it fires; true if left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        enabled: Option<bool>,
        /// No tick before this time.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<String>, format = DateTime)]
        start_at: Option<Timestamp>,
        /// No tick after this time.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<String>, format = DateTime)]
        end_at: Option<Timestamp>,
    }
}

with_task_fields! {
    /// A change of a schedule: what is left out stays, and null takes a field back to its default.
    ChangeSchedule, Given, "Given::is_absent", "given::priority", {
        /// The new name.
        #[serde(skip_serializing_if = "Given::is_absent")]
        #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
        name: Given<String>,
        /// The new handler.
        #[serde(alias = "celery_task_name", skip_serializing_if = "Given::is_absent")]
        #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
        task: Given<String>,
        /// The new type; give its `schedule_config` too.
        #[serde(skip_serializing_if = "Given::is_absent")]
        #[schema(value_type = Option<String>)]
        schedule_type: Given<ScheduleType>,
        /// The new times.
        #[serde(skip_serializing_if = "Given::is_absent")]
        #[schema(value_type = Option<Object>)]
        schedule_config: Given<Json>,
        /// The new zone.
        #[serde(skip_serializing_if = "Given::is_absent")]
        #[schema(value_type = Option<String>, max_length = 100)]
        timezone: Given<String>,
        /// What a tick does while a task of the schedule has not ended.
        #[serde(skip_serializing_if = "Given::is_absent")]
        #[schema(value_type = Option<String>)]
        overlap: Given<Overlap>,
        /// What becomes of missed ticks.
        #[serde(skip_serializing_if = "Given::is_absent")]
        #[schema(value_type = Option<String>)]
        misfire: Given<Misfire>,
        /// With `run_all`, ticks missed for longer than so many seconds are skipped.
        #[serde(skip_serializing_if = "Given::is_absent")]
        #[schema(value_type = Option<u64>, minimum = 0, maximum = 2_592_000)]
        catch_up: Given<u64>,
        /// Each task runs up to so many seconds after its tick.
        #[serde(skip_serializing_if = "Given::is_absent")]
        #[schema(value_type = Option<f64>, minimum = 0, maximum = 86_400)]
        jitter: Given<f64>,
        /// Whether it fires.
        #[serde(skip_serializing_if = "Given::is_absent")]
        #[schema(value_type = Option<bool>)]
        enabled: Given<bool>,
        /// No tick before this time.
        #[serde(skip_serializing_if = "Given::is_absent")]
        #[schema(value_type = Option<String>, format = DateTime)]
        start_at: Given<Timestamp>,
        /// No tick after this time.
        #[serde(skip_serializing_if = "Given::is_absent")]
        #[schema(value_type = Option<String>, format = DateTime)]
        end_at: Given<Timestamp>,
    }
}

with_task_fields! {
    /// What one run by hand has other than the schedule says.
    RunSchedule, Option, "Option::is_none", "priority", {
        /// Not before so many seconds from now.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(minimum = 0, maximum = 315_360_000)]
        delay: Option<f64>,
    }
}

macro_rules! lays_over_a_task {
    ($($name:ident),+) => {
        $(impl $name {
            /// Lays what is said here over a task.
            pub fn lay_over(&self, task: &mut SubmitTask) {
                lay(&self.args, &mut task.args);
                lay(&self.kwargs, &mut task.kwargs);
                lay(&self.task_type, &mut task.task_type);
                lay(&self.queue, &mut task.queue);
                lay(&self.priority, &mut task.priority);
                lay(&self.timeout, &mut task.timeout);
                lay(&self.soft_timeout, &mut task.soft_timeout);
                lay(&self.max_attempts, &mut task.max_attempts);
                lay(&self.backoff, &mut task.backoff);
                lay(&self.metadata, &mut task.metadata);
                lay(&self.model_id, &mut task.model_id);
                lay(&self.concurrency_key, &mut task.concurrency_key);
                lay(&self.concurrency_limit, &mut task.concurrency_limit);
                lay(&self.rate_key, &mut task.rate_key);
                lay(&self.rate_limit, &mut task.rate_limit);
                if let Some(retry_on) = &self.retry_on {
                    task.retry_on.clone_from(retry_on);
                }
                if let Some(tags) = &self.tags {
                    task.tags.clone_from(tags);
                }
            }
        })+
    };
}

lays_over_a_task! { CreateSchedule, RunSchedule }

fn lay<T: Clone>(value: &Option<T>, slot: &mut Option<T>) {
    if value.is_some() {
        slot.clone_from(value);
    }
}

impl CreateSchedule {
    /// The task that each tick makes.
    pub fn task(&self) -> SubmitTask {
        let mut task = SubmitTask { name: Some(self.name.clone()), ..SubmitTask::new(self.task.clone()) };
        self.lay_over(&mut task);
        task
    }
}

impl ChangeSchedule {
    /// Carries the change out. A new type without a config of its own has none: that of the old one says nothing to it.
    pub fn apply(&self, to: &mut CreateSchedule) {
        let (mut name, mut task) = (Some(std::mem::take(&mut to.name)), Some(std::mem::take(&mut to.task)));
        self.name.apply(&mut name);
        self.task.apply(&mut task);
        (to.name, to.task) = (name.unwrap_or_default(), task.unwrap_or_default());
        if !self.schedule_type.is_absent() {
            to.schedule_config = None;
        }
        self.schedule_type.apply(&mut to.schedule_type);
        self.schedule_config.apply(&mut to.schedule_config);
        self.timezone.apply(&mut to.timezone);
        self.overlap.apply(&mut to.overlap);
        self.misfire.apply(&mut to.misfire);
        self.catch_up.apply(&mut to.catch_up);
        self.jitter.apply(&mut to.jitter);
        self.enabled.apply(&mut to.enabled);
        self.start_at.apply(&mut to.start_at);
        self.end_at.apply(&mut to.end_at);
        self.args.apply(&mut to.args);
        self.kwargs.apply(&mut to.kwargs);
        self.task_type.apply(&mut to.task_type);
        self.queue.apply(&mut to.queue);
        self.priority.apply(&mut to.priority);
        self.timeout.apply(&mut to.timeout);
        self.soft_timeout.apply(&mut to.soft_timeout);
        self.max_attempts.apply(&mut to.max_attempts);
        self.backoff.apply(&mut to.backoff);
        self.retry_on.apply(&mut to.retry_on);
        self.concurrency_key.apply(&mut to.concurrency_key);
        self.concurrency_limit.apply(&mut to.concurrency_limit);
        self.rate_key.apply(&mut to.rate_key);
        self.rate_limit.apply(&mut to.rate_limit);
        self.tags.apply(&mut to.tags);
        self.metadata.apply(&mut to.metadata);
        self.model_id.apply(&mut to.model_id);
    }

    /// Whether it says something about when the schedule fires.
    pub fn moves_ticks(&self) -> bool {
        !(self.schedule_type.is_absent()
            && self.schedule_config.is_absent()
            && self.timezone.is_absent()
            && self.start_at.is_absent()
            && self.end_at.is_absent())
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        serde_json::to_string(self).is_ok_and(|text| text == "{}")
    }
}

/// A schedule with all that is known of it.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
pub struct Schedule {
    /// The id.
    pub id: Uuid,
    /// A name for people.
    pub name: String,
    /// The handler's name.
    pub task: String,
    /// Positional arguments.
    #[schema(value_type = Vec<serde_json::Value>)]
    pub args: Json,
    /// Named arguments.
    #[schema(value_type = Object)]
    pub kwargs: Json,
    /// A label of its tasks.
    pub task_type: Option<String>,
    /// The queue of its tasks.
    pub queue: String,
    /// Their order inside the queue.
    #[schema(value_type = String, example = "normal")]
    pub priority: Priority,
    /// Time limit of one attempt in seconds.
    pub timeout: Option<f64>,
    /// After so many seconds the handler is asked to finish.
    pub soft_timeout: Option<f64>,
    /// Attempts before a task fails; the server's default if null.
    pub max_attempts: Option<u32>,
    /// The wait between attempts.
    #[schema(value_type = Option<BackoffSchema>)]
    pub backoff: Option<Backoff>,
    /// Error types that are worth another attempt; all are, if there is none.
    pub retry_on: Vec<String>,
    /// The limit of concurrency of its tasks.
    pub concurrency_key: Option<String>,
    /// How many of them run at once.
    pub concurrency_limit: Option<u32>,
    /// The limit of the rate of its tasks.
    pub rate_key: Option<String>,
    /// At which they start.
    pub rate_limit: Option<RateLimit>,
    /// Words to filter its tasks by.
    pub tags: Vec<String>,
    /// What its submitter wanted kept.
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Json>,
    /// The model its tasks run.
    pub model_id: Option<String>,
    /// The type of its plan.
    #[schema(value_type = String, example = "weekly")]
    pub schedule_type: ScheduleType,
    /// When, in the words of the type, as it was given.
    #[schema(value_type = Object)]
    pub schedule_config: Json,
    /// The IANA zone of its local times.
    pub timezone: String,
    /// What a tick does while a task of the schedule has not ended.
    #[schema(value_type = String, example = "skip")]
    pub overlap: Overlap,
    /// What becomes of missed ticks.
    #[schema(value_type = String, example = "run_once")]
    pub misfire: Misfire,
    /// With `run_all`, ticks missed for longer than so many seconds are skipped.
    pub catch_up: u64,
    /// Each task runs up to so many seconds after its tick.
    pub jitter: f64,
    /// Whether it fires.
    pub enabled: bool,
    /// No tick before this time.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub start_at: Option<Timestamp>,
    /// No tick after this time.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub end_at: Option<Timestamp>,
    /// Its next tick; null if there is none, or if it is paused.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_run_at: Option<Timestamp>,
    /// When it last made a task.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_run_at: Option<Timestamp>,
    /// That task.
    pub last_task_id: Option<Uuid>,
    /// What became of its ticks so far.
    pub counts: TickCounts,
    /// Whose it is.
    pub user_id: Uuid,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was changed last.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

/// How many ticks had which outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct TickCounts {
    /// Made a task.
    pub fired: u64,
    /// Made none.
    pub skipped: u64,
}

/// A page of schedules.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct SchedulePage {
    /// The schedules, latest first.
    pub items: Vec<Schedule>,
    /// Gives the next page; null on the last.
    pub next_cursor: Option<String>,
    /// How many match.
    pub total: u64,
}

/// What became of a tick.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct Tick {
    /// The tick.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The same as the schedule's zone shows it.
    pub local: String,
    /// `fired` or `skipped`.
    #[schema(value_type = String, example = "fired")]
    pub outcome: TickOutcome,
    /// Why it was skipped: `misfire`, `superseded`, `too_late`, `overlap` or `owner_inactive`.
    #[schema(value_type = Option<String>)]
    pub reason: Option<SkipReason>,
    /// The task it made.
    pub task_id: Option<Uuid>,
    /// When that was decided.
    #[schema(value_type = String, format = DateTime)]
    pub decided_at: Timestamp,
}

/// A page of ticks.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct TickPage {
    /// The ticks, latest first.
    pub items: Vec<Tick>,
    /// Gives the next page; null on the last.
    pub next_cursor: Option<String>,
}

/// A plan to look at without making a schedule of it.
#[derive(Debug, Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PreviewSchedule {
    /// The type of the plan.
    #[schema(value_type = String, example = "cron")]
    pub schedule_type: Option<ScheduleType>,
    /// When, in the words of the type.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub schedule_config: Option<Json>,
    /// The IANA zone of its local times; `UTC` if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 100, example = "Asia/Shanghai")]
    pub timezone: Option<String>,
    /// No tick before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub start_at: Option<Timestamp>,
    /// No tick after this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub end_at: Option<Timestamp>,
    /// Ticks after this time; now if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub after: Option<Timestamp>,
    /// How many, 1 to 100; 10 if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100, default = 10)]
    pub count: Option<u32>,
}

/// A tick to come.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct PreviewTime {
    /// In UTC.
    #[schema(value_type = String, format = DateTime)]
    pub utc: Timestamp,
    /// As the zone's clocks show it, with its offset.
    #[schema(example = "2026-12-25T10:00:00+08:00")]
    pub local: String,
}

/// Ticks to come.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct Preview {
    /// The ticks, first come first.
    pub times: Vec<PreviewTime>,
}
