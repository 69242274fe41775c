//! What travels between Taskloom's users, its server and its workers.
//!
//! Wire types, the table of error codes, and [`WorkerApi`], the only thing a worker speaks. No I/O happens here.

mod account;
mod cache;
mod canonical;
mod check;
mod dead;
mod error;
mod explain;
mod field;
mod handler;
mod history;
mod prune;
mod query;
mod queue;
pub mod reference;
mod request;
mod schedule;
mod task;
mod text;
mod worker;
mod workflow;

pub use account::{
    ApiKey, ApiKeyList, CreateApiKey, CreateUser, Login, NewApiKey, PasswordChange, Refresh, Scope,
    TokenPair, UpdateUser, User, UserPage,
};
pub use cache::{CacheEntry, CachePage, CachePurged, CacheRequests};
pub use canonical::canonical;
pub use check::{Limits, check_queue_name};
pub use dead::{DEAD_AT_ONCE, DeadFilter, DeadLetter, MoveDead, MovedDead, dead_reason};
pub use error::{Code, FieldError, Problem};
pub use explain::{Cause, Explanation, FullLimit, OpenParent, OpenParents, Serving};
pub use field::{Json, JsonError, check_json, json_null};
pub use handler::HandlerDefaults;
pub use history::{Artifact, Artifacts, Attempt, Attempts, KeptLine, LogLevel, LogLine, Logs};
pub use prune::{PruneAnswer, PruneCounts, PruneRequest};
pub use query::{
    CountTasks, ListCache, ListSchedules, ListTasks, ListTicks, ListUsers, ListWorkflows, PurgeCache,
};
pub use queue::{LimitInfo, LimitList, QueueLimits, QueueList, QueueStats};
pub use request::{Batch, Change, RateLimit, SubmitTask, UniqueConflict};
pub use schedule::{
    ChangeSchedule, CreateSchedule, Given, Preview, PreviewSchedule, PreviewTime, Refused, RunSchedule,
    Schedule, SchedulePage, Tick, TickCounts, TickPage,
};
pub use task::{BatchAnswer, Counts, Duplicate, Page, Task, TaskError, TaskEvent, Verdict};
pub use text::shorten;
pub use worker::{
    ArtifactPut, Beat, BeatAnswer, BeatTask, ClaimAnswer, ClaimRequest, Claimed, DrainAnswer, DrainRequest,
    FinishAnswer, FinishRequest, FinishTask, Outcome, PROTOCOL_VERSION, Register, Registered, Spawn,
    SpawnAnswer, TaskRef, WorkerApi, WorkerError, WorkerInfo, WorkerList,
};
pub use workflow::{
    Keyed, MAX_EDGES, MapOver, RetryWorkflow, SubmitWorkflow, Workflow, WorkflowNode, WorkflowPage,
    WorkflowPlan, WorkflowSubmitted, WorkflowTask, WorkflowVerdict, status_of,
};
