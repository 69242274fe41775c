//! What users send about tasks.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use taskloom_model::{Backoff, BackoffKind, ParentPolicy, Priority, Timestamp};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::Json;

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
    /// What to do when one of them does not: `skip` (revoke), `fail` or `continue`.
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
    /// Error types that are worth another attempt, up to 50; an error of another type ends the task at once. All are,
    /// if left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retry_on: Vec<String>,
    /// The key stays taken for so many seconds from now, even when its task has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(exclusive_minimum = 0, maximum = 315_360_000)]
    pub unique_ttl: Option<f64>,
    /// What to do when the key is taken: `return` the task that has it, `reject` this one, or `replace` that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "return")]
    pub unique_conflict: Option<UniqueConflict>,
    /// For so many seconds after a success, the same task with the same arguments is answered with its result; while
    /// one works on it, with that one. 0: never, whatever the handler's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 315_360_000)]
    pub cache_ttl: Option<f64>,
    /// At most `concurrency_limit` tasks with this key run at once, whoever submitted them. Up to 200 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200)]
    pub concurrency_key: Option<String>,
    /// With `concurrency_key`: 1 to 10,000; 1 if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 10_000)]
    pub concurrency_limit: Option<u32>,
    /// Tasks with this key start at `rate_limit` at most, whoever submitted them. Up to 200 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200)]
    pub rate_key: Option<String>,
    /// With `rate_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
}

/// What becomes of a submission whose `unique_key` is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UniqueConflict {
    /// It is answered with the task that has the key.
    #[default]
    Return,
    /// It is refused.
    Reject,
    /// The task that has the key is cancelled, and this one takes its place.
    Replace,
}

/// How many tasks may start in a time; as many may start at once after a pause.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Tasks, 1 to 1,000,000.
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub count: u32,
    /// In so many seconds, 0.001 to 31,536,000.
    #[schema(minimum = 0.001, maximum = 31_536_000)]
    pub seconds: f64,
}

/// The wait between attempts, in OpenAPI's words.
#[derive(ToSchema)]
#[schema(as = Backoff)]
#[expect(dead_code, reason = "describes Backoff, never built")]
pub(crate) struct BackoffSchema {
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
}

/// Many tasks, submitted all or none.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// 1 to 10,000 tasks.
    #[schema(min_items = 1, max_items = 10_000)]
    pub tasks: Vec<SubmitTask>,
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

/// Reads a priority by name or by number.
pub(crate) fn priority<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Priority>, D::Error> {
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

#[cfg(test)]
mod tests {
    #[test]
    fn a_longest_wait_that_is_left_out_never_cuts_the_first() {
        let read = |text| serde_json::from_str::<taskloom_model::Backoff>(text).map(|b| b.max_seconds).ok();
        assert_eq!([read("{}"), read(r#"{"seconds":9}"#)], [Some(600.0); 2]);
        assert_eq!(read(r#"{"seconds":3600}"#), Some(3600.0));
        assert_eq!(
            read(r#"{"seconds":3600,"max_seconds":5}"#),
            Some(5.0),
            "who checks it tells the user why not"
        );
    }
}
