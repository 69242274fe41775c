//! T1: tasks come into being.

mod cache;
mod gather;
mod parents;
mod postgres;
pub(crate) mod repeats;
pub(crate) mod unique_key;
mod write;

pub use cache::CacheKey;
pub(crate) use gather::Gatherer;
pub(super) use parents::hold;
pub(super) use write::Fresh;
use write::write;

use std::collections::HashMap;
use std::sync::Arc;

use taskloom_model::{
    Backoff, CacheOutcome, Life, Limits, ParentPolicy, Phase, Priority, Rules, TaskId, Ties, Timestamp,
    UserId,
};
use taskloom_protocol::{Json, UniqueConflict};
use uuid::Uuid;

use super::gate::{declare, settle};
use super::life::{Place, band};
use super::step::Stepped;
use crate::Store;
use crate::error::{Result, StoreError};
use crate::idempotency::{Idempotency, Known};
use crate::tx::Tx;
use repeats::Verdict;

/// A task as the store takes it: checked, defaults filled in.
#[derive(Debug, Clone)]
pub struct NewTask {
    /// The id, a fresh UUIDv7.
    pub id: TaskId,
    /// Whose it is.
    pub user_id: UserId,
    /// The handler's name.
    pub handler: String,
    /// The queue.
    pub queue: String,
    /// Order inside the queue.
    pub priority: Priority,
    /// A name for people.
    pub name: Option<String>,
    /// A label.
    pub task_type: Option<String>,
    /// Positional arguments, a JSON list.
    pub args: Option<Json>,
    /// Named arguments, a JSON object.
    pub kwargs: Option<Json>,
    /// Attempts before it fails.
    pub max_attempts: u32,
    /// Time limit of an attempt in milliseconds.
    pub timeout_ms: Option<u64>,
    /// When the handler is asked to finish, in milliseconds from its start.
    pub soft_timeout_ms: Option<u64>,
    /// The wait between attempts.
    pub backoff: Option<Backoff>,
    /// Not before this instant.
    pub run_at: Option<Timestamp>,
    /// Revoked if it waits still then.
    pub expires_at: Option<Timestamp>,
    /// Words to filter by.
    pub tags: Vec<String>,
    /// What its submitter wants kept.
    pub metadata: Option<Json>,
    /// The model it runs.
    pub model_id: Option<String>,
    /// The task whose handler submits it.
    pub parent_id: Option<TaskId>,
    /// Tasks that must end first.
    pub depends_on: Vec<TaskId>,
    /// What it does when one of them does not succeed.
    pub on_parent_failure: ParentPolicy,
    /// No second task with this key while one lives.
    pub unique_key: Option<String>,
    /// Nor until this instant, even if the task has ended.
    pub unique_until: Option<Timestamp>,
    /// What becomes of it if another task has the key.
    pub unique_conflict: UniqueConflict,
    /// An equal call may be answered with this task, or this one with a task that was made for an equal call.
    pub cache: Option<CacheKey>,
    /// Errors of other types end it at once; empty: every error is worth another attempt.
    pub retry_on: Vec<String>,
    /// The schedule that makes it.
    pub schedule_id: Option<Uuid>,
    /// The workflow it belongs to.
    pub workflow_id: Option<Uuid>,
    /// Its user's turn in its queue: equals in priority go by it, then by id.
    pub turn: u64,
    /// What its claim or end concerns besides itself; those of limits are added.
    pub ties: Ties,
    /// At most so many tasks with this key at once.
    pub concurrency: Option<Concurrency>,
    /// At most so many tasks with this key in a time.
    pub rate: Option<Rate>,
}

/// A limit of how many tasks run at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concurrency {
    /// What is limited, across all queues and users.
    pub key: String,
    /// Tasks at once, at least 1.
    pub most: u32,
}

/// A limit of how many tasks start in a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rate {
    /// What is limited, across all queues and users.
    pub key: String,
    /// Tasks in that time, at least 1; so many may start at once.
    pub count: u32,
    /// The time in microseconds.
    pub per_us: u64,
}

impl NewTask {
    fn rules(&self) -> Rules {
        Rules {
            max_attempts: self.max_attempts,
            timeout: self.timeout_ms.map(std::time::Duration::from_millis),
            backoff: self.backoff.unwrap_or_default(),
            expires_at: self.expires_at,
            limits: self.all_ties().limits(),
        }
    }

    /// Its ties with those of its limits.
    fn all_ties(&self) -> Ties {
        self.ties
            .with_if(Ties::CONCURRENCY, self.concurrency.is_some())
            .with_if(Ties::RATE, self.rate.is_some())
    }

    /// Its size in memory, roughly.
    fn bytes(&self) -> usize {
        let json = |json: &Option<Json>| json.as_ref().map_or(0, |json| json.get().len());
        200 + json(&self.args) + json(&self.kwargs) + json(&self.metadata)
    }

    /// Whether nothing but its own rows has to be looked at.
    fn is_plain(&self) -> bool {
        !self.may_repeat() && self.depends_on.is_empty() && self.all_ties().limits() == Limits::default()
    }

    /// Whether another task may answer instead of it.
    pub(crate) fn may_repeat(&self) -> bool {
        self.unique_key.is_some() || self.cache.is_some()
    }

    /// Where among the ready it will stand.
    pub(crate) fn band(&self) -> i64 {
        band(self.priority, self.turn)
    }

    /// Its coming into being, as a step from nowhere.
    pub fn arrival(&self, life: &Life) -> Stepped {
        Stepped {
            id: self.id,
            queue: self.queue.clone(),
            priority: self.priority,
            band: self.band(),
            ties: self.all_ties(),
            // Nobody can have watched it before.
            before: life.state(),
            life: *life,
        }
    }

    fn place(&self) -> Place {
        Place { queue: self.queue.clone(), priority: self.priority, band: self.band() }
    }
}

/// Tasks to submit, all or none.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The tasks.
    pub tasks: Arc<[NewTask]>,
    /// The key, if the client sent one.
    pub idempotency: Option<Idempotency>,
    /// The instant of submission.
    pub now: Timestamp,
}

/// What became of one submitted task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// It exists now.
    New(Life),
    /// It exists now, in the place of the task that had its unique key.
    Replacing(Life, TaskId),
    /// This task has its unique key.
    Existing(TaskId),
    /// This task answers the call: it succeeded at that time, or works on it.
    Answered(TaskId, CacheOutcome, Option<Timestamp>),
}

impl Made {
    /// The life of a task that was made.
    pub fn life(self) -> Option<Life> {
        match self {
            Self::New(life) | Self::Replacing(life, _) => Some(life),
            Self::Existing(_) | Self::Answered(..) => None,
        }
    }

    /// The task that was there instead of the new one.
    pub fn instead(self) -> Option<TaskId> {
        match self {
            Self::New(_) | Self::Replacing(..) => None,
            Self::Existing(id) | Self::Answered(id, ..) => Some(id),
        }
    }
}

/// What became of a submission.
#[derive(Debug, Clone)]
pub enum SubmitOutcome {
    /// The tasks exist.
    Done {
        /// One for each task, in order.
        made: Vec<Made>,
        /// What else moved.
        steps: Vec<Stepped>,
    },
    /// The same submission was made before; these were its tasks.
    Replayed(Vec<TaskId>),
    /// Nothing was submitted.
    Rejected(Rejected),
}

/// Why nothing was submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejected {
    /// The idempotency key belongs to another request.
    IdempotencyMismatch,
    /// A parent does not exist, or not for this user.
    UnknownParent {
        /// The task, by its place in the submission.
        index: usize,
        /// The parent.
        parent: TaskId,
    },
    /// Another task has the unique key, and the new one asked to be refused then.
    UniqueKeyTaken {
        /// The task, by its place in the submission.
        index: usize,
        /// The task that has the key.
        holder: TaskId,
        /// That one is another task of this submission, so it was not made either.
        is_own: bool,
    },
}

impl Store {
    /// Submits tasks; when this returns they are durable.
    pub async fn task_submit(&self, submission: Submission) -> Result<SubmitOutcome> {
        let kib = submission.tasks.iter().map(NewTask::bytes).sum::<usize>() >> 10;
        let kib = u32::try_from(kib.clamp(1, crate::WAITING_KIB)).unwrap_or(1);
        let waiting = Arc::clone(&self.waiting_bytes).acquire_many_owned(kib).await;
        let waiting = waiting.map_err(|e| StoreError::Unavailable(e.to_string()))?;
        if let (Some(gatherer), true) = (self.gatherer(), submission.is_plain()) {
            return gatherer.submit(submission, waiting).await;
        }
        // Held until the last try is over, also when the caller goes away.
        let waiting = Arc::new(waiting);
        self.write(move |tx| {
            Box::pin(async move {
                let submitted = submit(tx, &submission).await;
                drop(waiting);
                submitted
            })
        })
        .await
    }
}

impl Submission {
    /// Whether its tasks need nothing but to be written: those can be written together with others'.
    fn is_plain(&self) -> bool {
        self.idempotency.is_none() && self.tasks.iter().all(NewTask::is_plain)
    }
}

/// Writes a submission in the transaction at hand.
pub(crate) async fn submit(tx: &mut Tx, submission: &Submission) -> Result<SubmitOutcome> {
    let now = submission.now;
    if let Some(idempotency) = &submission.idempotency
        && let Some(known) = idempotency.look(tx).await?
    {
        return Ok(match known {
            Known::Same(ids) => SubmitOutcome::Replayed(ids),
            Known::Other => SubmitOutcome::Rejected(Rejected::IdempotencyMismatch),
        });
    }
    // Parents and keys first: nothing may be written before a rejection.
    let mut ends = match parents::ends(tx, &submission.tasks).await? {
        Ok(ends) => ends,
        Err(rejected) => return Ok(SubmitOutcome::Rejected(rejected)),
    };
    let verdicts = match repeats::decide(tx, &submission.tasks, now).await? {
        Ok(verdicts) => verdicts,
        Err(rejected) => return Ok(SubmitOutcome::Rejected(rejected)),
    };
    let mut steps = repeats::replace(tx, &verdicts, now).await?;
    if !steps.is_empty()
        && let Ok(now_ended) = parents::ends(tx, &submission.tasks).await?
    {
        // A parent may be among what was replaced.
        ends = now_ended;
    }
    repeats::take(tx, &submission.tasks, &verdicts, now).await?;
    let mut made = Vec::with_capacity(submission.tasks.len());
    let mut written = Vec::with_capacity(submission.tasks.len());
    for (task, verdict) in submission.tasks.iter().zip(verdicts) {
        made.push(match verdict {
            Verdict::HasKey(id) => Made::Existing(id),
            Verdict::Answers(id, outcome, ended_at) => Made::Answered(id, outcome, ended_at),
            Verdict::Make { replaces, .. } => {
                let life = parents::life(task, &ends, now);
                written.push(Fresh { task, life, at: now });
                replaces.map_or(Made::New(life), |old| Made::Replacing(life, old))
            }
        });
    }
    declare(tx, &written, now).await?;
    write(tx, &written).await?;
    parents::link(tx, &written, &ends).await?;
    steps.extend(let_in(tx, &written, &mut made, now).await?);
    if let Some(idempotency) = &submission.idempotency {
        let ids =
            made.iter().zip(submission.tasks.iter()).map(|(made, task)| made.instead().unwrap_or(task.id));
        idempotency.note(tx, &ids.collect::<Vec<_>>(), now).await?;
    }
    Ok(SubmitOutcome::Done { made, steps })
}

/// Lets in those of the new tasks that a limit has room for; gives what else that moved.
async fn let_in(
    tx: &mut Tx,
    written: &[Fresh<'_>],
    made: &mut [Made],
    now: Timestamp,
) -> Result<Vec<Stepped>> {
    let is_limited = |fresh: &&Fresh<'_>| matches!(fresh.life.phase, Phase::Limited(_));
    let mut steps: Vec<Stepped> =
        written.iter().filter(is_limited).map(|fresh| fresh.task.arrival(&fresh.life)).collect();
    let arrived = steps.len();
    settle(tx, 0, now, &mut steps).await?;
    steps.drain(..arrived);
    if steps.is_empty() {
        return Ok(steps);
    }
    // The new ones stand in the order of the submission.
    let new = made.iter_mut().filter_map(|made| match made {
        Made::New(life) | Made::Replacing(life, _) => Some(life),
        Made::Existing(_) | Made::Answered(..) => None,
    });
    let mut own: HashMap<TaskId, &mut Life> = written.iter().map(|fresh| fresh.task.id).zip(new).collect();
    steps.retain(|step| match own.get_mut(&step.id) {
        Some(life) => {
            **life = step.life;
            false
        }
        None => true,
    });
    Ok(steps)
}
