#![doc = include_str!("../README.md")]

pub mod address;
mod admin;
mod api_keys;
mod cache;
mod checksum;
mod client;
mod dead_letters;
mod error;
mod events;
#[cfg(doctest)]
mod guide;
mod pages;
mod queues;
mod schedules;
pub mod sse;
mod submit;
mod tasks;
pub mod transport;
mod users;
mod wait;
mod workers;
mod workflows;

pub use admin::Admin;
pub use api_keys::ApiKeys;
pub use cache::Cache;
pub use checksum::Checksum;
pub use client::Client;
pub use dead_letters::DeadLetters;
pub use error::{Error, Problem};
pub use events::{Events, WatchEvent};
pub use pages::{Listed, Pages};
pub use queues::{Limits, Queues};
pub use schedules::Schedules;
pub use serde_json::json;
pub use submit::{NewTask, SubmitOutcome, Submitted};
pub use taskloom_model::{
    AttemptOutcome, Backoff, BackoffKind, CacheOutcome, Limit, Misfire, Overlap, ParentPolicy, Priority,
    Reason, Role, ScheduleType, SkipReason, State, Status, TickOutcome, Timestamp,
};
pub use taskloom_protocol::{
    ApiKey, Artifact, Attempt, CacheEntry, CachePage, CacheRequests, Cause, Change, ChangeSchedule, Code,
    CountTasks, Counts, CreateApiKey, CreateSchedule, CreateUser, DeadFilter, DeadLetter, Explanation,
    FieldError, Given, Json, KeptLine, Keyed, LimitInfo, ListCache, ListSchedules, ListTasks, ListTicks,
    ListUsers, ListWorkflows, LogLevel, LogLine, Logs, MapOver, MoveDead, MovedDead, NewApiKey, Page,
    PreviewSchedule, PreviewTime, PruneAnswer, PruneCounts, PruneRequest, PurgeCache, QueueLimits,
    QueueStats, RateLimit, RunSchedule, Schedule, SchedulePage, Scope, SubmitTask, SubmitWorkflow, Task,
    TaskError, TaskEvent, Tick, TickCounts, TickPage, UniqueConflict, UpdateUser, User, WorkerInfo, Workflow,
    WorkflowNode, WorkflowPage, WorkflowSubmitted, WorkflowTask, WorkflowVerdict,
};
pub use tasks::Tasks;
pub use users::Users;
pub use uuid::Uuid;
pub use workers::Workers;
pub use workflows::Workflows;

/// A value as the JSON that requests hold, such as [`CreateSchedule::kwargs`].
///
/// # Errors
/// [`Error::Invalid`] if it does not serialise.
pub fn to_json(value: &impl serde::Serialize) -> Result<Json, Error> {
    serde_json::value::to_raw_value(value).map_err(|e| Error::Invalid(format!("does not serialise: {e}")))
}
