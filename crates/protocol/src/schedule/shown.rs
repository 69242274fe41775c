//! Schedules as others see them: their ticks, and ticks to come.

use serde::{Deserialize, Serialize};
use taskloom_model::{Backoff, Misfire, Overlap, Priority, ScheduleType, SkipReason, TickOutcome, Timestamp};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::request::BackoffSchema;
use crate::{Duplicate, Json, RateLimit, UniqueConflict};

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
    /// While a task with this key has not ended, its ticks and runs are answered with that one.
    pub unique_key: Option<String>,
    /// The key stays taken for so many seconds.
    pub unique_ttl: Option<f64>,
    /// What becomes of a task of it whose key is taken.
    #[schema(value_type = Option<String>, example = "return")]
    pub unique_conflict: Option<UniqueConflict>,
    /// For so many seconds after a success its ticks and runs are answered with the result.
    pub cache_ttl: Option<f64>,
    /// A task of it that has not started so many seconds after its tick is revoked.
    pub expires_in: Option<f64>,
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
    /// Set on the answer to a request that was sent before, and made no new schedule now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deduplicated_by: Option<Duplicate>,
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
    /// Why it was skipped: `misfire`, `superseded`, `too_late`, `overlap`, `owner_inactive`, `expired`, `unique_key`,
    /// `cache_hit` or `cache_joined`.
    #[schema(value_type = Option<String>)]
    pub reason: Option<SkipReason>,
    /// The task it made; if it was skipped for `unique_key`, `cache_hit` or `cache_joined`, the one that was there.
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
