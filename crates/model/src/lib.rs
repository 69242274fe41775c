//! Taskloom's nouns and rules.
//!
//! This crate does no I/O, knows no async runtime and imports nothing else of Taskloom. Every decision about a
//! task's life is the pure function [`next`]; the layers above only carry it out.

mod bucket;
mod cache;
mod held;
mod life;
mod machine;
mod priority;
mod retry;
mod retry_on;
mod role;
mod schedule;
mod state;
mod ties;
mod time;

pub use bucket::Bucket;
pub use cache::{CacheOutcome, Cached};
pub use life::{AttemptEnd, AttemptOutcome, Life, Limit, Limits, Phase, Rules, Wait};
pub use machine::{
    Action, CRASH_CAP, Effect, Finish, ParentEnd, ParentPolicy, REFUND_CAP, Refusal, Start, Transition, next,
    start,
};
pub use priority::Priority;
pub use retry::{Backoff, BackoffKind};
pub use retry_on::{CANCELLED_ERROR, LOST_ERROR, TIMEOUT_ERROR, confine, is_retried_on};
pub use role::{Permission, Role};
pub use schedule::{
    Calendar, Clock24, Misfire, Overlap, Plan, PlanError, ScheduleType, SkipReason, Spec, TickOutcome, Unit,
    Verdict, When, Window, Zone, jitter, judge,
};
pub use state::{Reason, State, Status};
pub use ties::Ties;
pub use time::{ParseTimestampError, Timestamp};

/// Identifies a task: a UUIDv7, so ids sort by creation.
pub type TaskId = uuid::Uuid;
/// Identifies a schedule.
pub type ScheduleId = uuid::Uuid;
/// Identifies one boot of one worker.
pub type SessionId = uuid::Uuid;
/// Identifies a user.
pub type UserId = uuid::Uuid;

/// The queue a task goes to when its submitter names none.
pub const DEFAULT_QUEUE: &str = "default";
/// The queues every installation has, in the order a worker without `--queues` serves them.
pub const BUILT_IN_QUEUES: [&str; 3] = ["high_priority", DEFAULT_QUEUE, "low_priority"];
