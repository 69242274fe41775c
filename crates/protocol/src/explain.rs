//! Why a task is where it is.

use serde::{Deserialize, Serialize};
use taskloom_model::{Reason, State, Timestamp};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::TaskError;

/// What keeps a task where it is. Programs may rely on these codes; new ones may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Tasks that it depends on have not ended.
    WaitsForParents,
    /// Its time has not come.
    WaitsForTime,
    /// An attempt failed; the next has its time.
    WaitsForRetry,
    /// Its handler put it off.
    Snoozed,
    /// Its queue is paused.
    QueuePaused,
    /// The places of its `concurrency_key` are all taken, by tasks that run or are about to.
    ConcurrencyLimit,
    /// So many tasks of its `rate_key` as may start have started.
    RateLimit,
    /// So many tasks of its queue as may run do run.
    QueueLimit,
    /// No live worker serves its queue.
    NoWorkerForQueue,
    /// No live worker that serves its queue knows its handler.
    NoWorkerForHandler,
    /// All workers that could run it are busy.
    WorkersBusy,
    /// A worker is free, but tasks of its queue, or of queues that its workers serve first, are before it.
    TasksBefore,
    /// A worker is free, and nothing is before it: it starts at any moment.
    Starting,
    /// A worker runs it.
    Running,
    /// A worker runs it and was told to stop.
    Cancelling,
    /// It has ended.
    Ended,
}

/// Why a task is where it is: for people `summary` and `details`, for programs the rest. What does not apply is null.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
pub struct Explanation {
    /// The exact state.
    #[schema(value_type = String)]
    pub state: State,
    /// What keeps it there.
    pub cause: Cause,
    /// One sentence.
    pub summary: String,
    /// The facts behind it, and what would help.
    pub details: Vec<String>,
    /// Why it ended as it did, or is being stopped.
    #[schema(value_type = Option<String>)]
    pub reason: Option<Reason>,
    /// Why its last attempt failed.
    pub error: Option<TaskError>,
    /// A command that would help.
    pub suggestion: Option<String>,
    /// The tasks that it waits for.
    pub parents: Option<OpenParents>,
    /// When it may run, if it waits for a time.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub runs_at: Option<Timestamp>,
    /// Ready tasks of its queue before it, counted up to 10,000.
    pub position: Option<u64>,
    /// Whether there are more than `position` says.
    pub position_capped: bool,
    /// When it starts if its queue goes on as in the last minute; null if nothing of its queue ran lately, if too many
    /// are before it, or if its workers serve other queues first, where tasks wait.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub estimated_start: Option<Timestamp>,
    /// The limit that is full.
    pub limit: Option<FullLimit>,
    /// The workers that could run it.
    pub workers: Option<Serving>,
}

/// The parents of a task that have not ended.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
pub struct OpenParents {
    /// The first of them, up to 20.
    pub items: Vec<OpenParent>,
    /// How many there are beyond those.
    pub more: u64,
    /// What the first of them, itself blocked, waits for in the end: the task at the root of the chain.
    pub root: Option<OpenParent>,
}

/// A parent that has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct OpenParent {
    /// The task.
    pub id: Uuid,
    /// Its handler.
    pub task: String,
    /// Its exact state.
    #[schema(value_type = String)]
    pub state: State,
}

/// A limit that is full.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, ToSchema)]
pub struct FullLimit {
    /// The key of the limit, or the queue.
    pub key: String,
    /// How many it lets through.
    pub limit: u64,
    /// In so many seconds, if it is one of time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// The asker's tasks that hold it, up to 20.
    pub holders: Vec<Uuid>,
    /// How many others hold it, of anybody.
    pub others: u64,
    /// How many wait for it before this one, which is not counted itself; 0 if it is next. Counted up to 10,000.
    pub waiting: u64,
    /// When the next may start, if that is a matter of time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_at: Option<Timestamp>,
}

/// The live workers that serve a queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct Serving {
    /// How many serve the queue.
    pub serving: u64,
    /// How many of those know the handler.
    pub knowing: u64,
    /// How many tasks those that know it run at once.
    pub slots: u64,
    /// How many of those slots are taken now.
    pub busy: u64,
}
