//! Schedules on the wire.

mod check;
mod config;
mod given;
mod refused;
mod shown;

use serde::{Deserialize, Serialize};
use taskloom_model::{Backoff, Misfire, Overlap, Priority, ScheduleType, Timestamp};
use utoipa::ToSchema;

use crate::request::{BackoffSchema, priority};
use crate::{Json, RateLimit, SubmitTask, UniqueConflict};

pub use given::Given;
pub use refused::Refused;
pub use shown::{Preview, PreviewSchedule, PreviewTime, Schedule, SchedulePage, Tick, TickCounts, TickPage};

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
            /// While a task with this key has not ended, a tick is skipped, and a run answered with that task. Up to 200
            /// characters.
            #[serde(skip_serializing_if = $is_absent)]
            #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
            pub unique_key: $wrap<String>,
            /// With `unique_key`: it stays taken for so many seconds from the making of a task, even when that has ended.
            #[serde(skip_serializing_if = $is_absent)]
            #[schema(value_type = Option<f64>, exclusive_minimum = 0, maximum = 315_360_000)]
            pub unique_ttl: $wrap<f64>,
            /// With `unique_key`, if that is taken: `return` the task that has it, `reject` this one, or `replace` that one.
            /// A tick is skipped by either of the first two.
            #[serde(skip_serializing_if = $is_absent)]
            #[schema(value_type = Option<String>, example = "return")]
            pub unique_conflict: $wrap<UniqueConflict>,
            /// For so many seconds after a success of the same task with the same arguments, and while one works on it, a
            /// tick is skipped, and a run answered with that task. 0 or left out: never.
            #[serde(skip_serializing_if = $is_absent)]
            #[schema(value_type = Option<f64>, minimum = 0, maximum = 315_360_000)]
            pub cache_ttl: $wrap<f64>,
            /// A task that has not started so many seconds after its tick, or after it was run by hand, is revoked.
            #[serde(skip_serializing_if = $is_absent)]
            #[schema(value_type = Option<f64>, exclusive_minimum = 0, maximum = 315_360_000)]
            pub expires_in: $wrap<f64>,
            #[doc(hidden)]
            #[serde(skip_serializing, deserialize_with = "refused::depends_on")]
            pub depends_on: Refused,
            #[doc(hidden)]
            #[serde(skip_serializing, deserialize_with = "refused::depends_on")]
            pub on_parent_failure: Refused,
            #[doc(hidden)]
            #[serde(skip_serializing, deserialize_with = "refused::run_at")]
            pub run_at: Refused,
            #[doc(hidden)]
            #[serde(skip_serializing, deserialize_with = "refused::expires_at")]
            pub expires_at: Refused,
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
        #[doc(hidden)]
        #[serde(skip_serializing, deserialize_with = "refused::run_at")]
        delay: Refused,
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
        #[doc(hidden)]
        #[serde(skip_serializing, deserialize_with = "refused::run_at")]
        delay: Refused,
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
            /// Lays what is said here over a task; but for `expires_in`, which needs a tick.
            pub fn lay_over(&self, task: &mut SubmitTask) {
                lay(self.args.as_ref(), &mut task.args);
                lay(self.kwargs.as_ref(), &mut task.kwargs);
                lay(self.task_type.as_ref(), &mut task.task_type);
                lay(self.queue.as_ref(), &mut task.queue);
                lay(self.priority.as_ref(), &mut task.priority);
                lay(self.timeout.as_ref(), &mut task.timeout);
                lay(self.soft_timeout.as_ref(), &mut task.soft_timeout);
                lay(self.max_attempts.as_ref(), &mut task.max_attempts);
                lay(self.backoff.as_ref(), &mut task.backoff);
                lay(self.metadata.as_ref(), &mut task.metadata);
                lay(self.model_id.as_ref(), &mut task.model_id);
                lay(self.concurrency_key.as_ref(), &mut task.concurrency_key);
                lay(self.concurrency_limit.as_ref(), &mut task.concurrency_limit);
                lay(self.rate_key.as_ref(), &mut task.rate_key);
                lay(self.rate_limit.as_ref(), &mut task.rate_limit);
                lay(self.unique_key.as_ref(), &mut task.unique_key);
                lay(self.unique_ttl.as_ref(), &mut task.unique_ttl);
                lay(self.unique_conflict.as_ref(), &mut task.unique_conflict);
                lay(self.cache_ttl.as_ref(), &mut task.cache_ttl);
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

fn lay<T: Clone>(value: Option<&T>, slot: &mut Option<T>) {
    if let Some(value) = value {
        *slot = Some(value.clone());
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
        self.unique_key.apply(&mut to.unique_key);
        self.unique_ttl.apply(&mut to.unique_ttl);
        self.unique_conflict.apply(&mut to.unique_conflict);
        self.cache_ttl.apply(&mut to.cache_ttl);
        self.expires_in.apply(&mut to.expires_in);
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
