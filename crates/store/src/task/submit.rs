//! T1: tasks come into being.

use std::sync::Arc;

use taskloom_model::{
    Action, Backoff, Effect, Life, ParentPolicy, Priority, Rules, Start, State, TaskId, Timestamp, UserId,
    next, start,
};
use taskloom_protocol::Json;
use uuid::Uuid;

use super::life::{Place, enter};
use super::note::Note;
use super::step::parent_end;
use crate::Store;
use crate::error::{Result, StoreError};
use crate::sql::params;
use crate::tx::Tx;

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
}

impl NewTask {
    fn rules(&self) -> Rules {
        Rules {
            max_attempts: self.max_attempts,
            timeout: self.timeout_ms.map(std::time::Duration::from_millis),
            backoff: self.backoff.unwrap_or_default(),
            expires_at: self.expires_at,
        }
    }

    /// Its size in memory, roughly.
    fn bytes(&self) -> usize {
        let json = |json: &Option<Json>| json.as_ref().map_or(0, |json| json.get().len());
        200 + json(&self.args) + json(&self.kwargs) + json(&self.metadata)
    }

    fn place(&self) -> Place {
        Place { queue: self.queue.clone(), priority: self.priority }
    }
}

/// A key that makes repeating a submission harmless.
#[derive(Debug, Clone)]
pub struct Idempotency {
    /// Whose key it is.
    pub user_id: UserId,
    /// The key.
    pub key: String,
    /// A hash of the request, so that a key used for another one is noticed.
    pub request_hash: [u8; 32],
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
    /// A task with the same unique key lives.
    Existing(TaskId),
}

/// What became of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubmitOutcome {
    /// One for each task, in order.
    Done(Vec<Made>),
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
}

impl Store {
    /// Submits tasks; when this returns they are durable.
    pub async fn task_submit(&self, submission: Submission) -> Result<SubmitOutcome> {
        let kib = submission.tasks.iter().map(NewTask::bytes).sum::<usize>() >> 10;
        let kib = u32::try_from(kib.clamp(1, crate::WAITING_KIB)).unwrap_or(1);
        let waiting = Arc::clone(&self.waiting_bytes).acquire_many_owned(kib).await;
        let waiting = waiting.map_err(|e| StoreError::Unavailable(e.to_string()))?;
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

async fn submit(tx: &mut Tx, submission: &Submission) -> Result<SubmitOutcome> {
    let now = submission.now;
    if let Some(idempotency) = &submission.idempotency
        && let Some(known) = replay(tx, idempotency).await?
    {
        return Ok(known);
    }
    // Parents first: nothing may be written before a rejection.
    for (index, task) in submission.tasks.iter().enumerate() {
        for parent in &task.depends_on {
            if parent_state(tx, task, *parent).await?.is_none() {
                return Ok(SubmitOutcome::Rejected(Rejected::UnknownParent { index, parent: *parent }));
            }
        }
    }
    let mut made = Vec::with_capacity(submission.tasks.len());
    for task in submission.tasks.iter() {
        made.push(submit_one(tx, task, now).await?);
    }
    if let Some(idempotency) = &submission.idempotency {
        let ids = made.iter().zip(submission.tasks.iter()).map(|(made, task)| match made {
            Made::New(_) => task.id,
            Made::Existing(id) => *id,
        });
        remember(tx, idempotency, &ids.collect::<Vec<_>>(), now).await?;
    }
    Ok(SubmitOutcome::Done(made))
}

async fn replay(tx: &mut Tx, idempotency: &Idempotency) -> Result<Option<SubmitOutcome>> {
    let sql = "SELECT request_hash, task_ids FROM idempotency WHERE user_id = ? AND idem_key = ?";
    let known = tx
        .row(sql, params![idempotency.user_id, &idempotency.key], |row| {
            Ok((row.next::<[u8; 32]>()?, row.json::<Vec<TaskId>>()?.unwrap_or_default()))
        })
        .await?;
    Ok(known.map(|(hash, ids)| {
        if hash == idempotency.request_hash {
            SubmitOutcome::Replayed(ids)
        } else {
            SubmitOutcome::Rejected(Rejected::IdempotencyMismatch)
        }
    }))
}

async fn remember(tx: &mut Tx, idempotency: &Idempotency, ids: &[TaskId], now: Timestamp) -> Result<()> {
    let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
    let ids = serde_json::to_string(&ids).unwrap_or_default();
    let Idempotency { user_id, key, request_hash } = idempotency;
    let sql = "INSERT INTO idempotency (user_id, idem_key, request_hash, task_ids, created_at) VALUES (?, ?, ?, ?, ?)";
    tx.exec(sql, params![*user_id, key, request_hash, &ids, now]).await.map(drop)
}

/// A parent's state if it has ended, if it exists for the child's user.
async fn parent_state(tx: &mut Tx, child: &NewTask, parent: TaskId) -> Result<Option<Option<State>>> {
    let sql = "SELECT o.state FROM tasks t LEFT JOIN outcomes o ON o.id = t.id
         WHERE t.id = ? AND t.user_id = ? AND t.deleted_at IS NULL";
    tx.row(sql, params![parent, child.user_id], |row| row.opt_word()).await
}

async fn submit_one(tx: &mut Tx, task: &NewTask, now: Timestamp) -> Result<Made> {
    if let Some(key) = &task.unique_key
        && let Some(holder) = take_unique_key(tx, task.user_id, key, task.id).await?
    {
        return Ok(Made::Existing(holder));
    }
    insert_task(tx, task, now).await?;
    let life = link_parents(tx, task, now).await?;
    enter(tx, task.id, &task.place(), &life, None, &Note::default()).await?;
    for tag in &task.tags {
        tx.exec("INSERT INTO task_tags (tag, task_id) VALUES (?, ?)", params![tag, task.id]).await?;
    }
    if let Some(at) = task.expires_at {
        tx.exec("INSERT INTO expiries (expires_at, id) VALUES (?, ?)", params![at, task.id]).await?;
    }
    Ok(Made::New(life))
}

/// Takes the key for a task, unless a live task holds it: then gives that one.
pub(crate) async fn take_unique_key(
    tx: &mut Tx,
    user_id: UserId,
    key: &str,
    id: TaskId,
) -> Result<Option<TaskId>> {
    let sql = "SELECT u.task_id, o.id, t.id, t.deleted_at FROM unique_keys u LEFT JOIN outcomes o ON o.id = u.task_id
         LEFT JOIN tasks t ON t.id = u.task_id WHERE u.user_id = ? AND u.unique_key = ?";
    let holder = tx
        .row(sql, params![user_id, key], |row| {
            let holder = row.next::<TaskId>()?;
            let ended = row.next::<Option<Uuid>>()?.is_some();
            let forgotten = row.next::<Option<Uuid>>()?.is_none();
            let deleted = row.next::<Option<Timestamp>>()?.is_some();
            Ok((holder, ended || forgotten || deleted))
        })
        .await?;
    let sql = match holder {
        Some((holder, false)) => return Ok(Some(holder)),
        Some((_, true)) => "UPDATE unique_keys SET task_id = ? WHERE user_id = ? AND unique_key = ?",
        None => "INSERT INTO unique_keys (task_id, user_id, unique_key) VALUES (?, ?, ?)",
    };
    tx.exec(sql, params![id, user_id, key]).await?;
    Ok(None)
}

async fn insert_task(tx: &mut Tx, task: &NewTask, now: Timestamp) -> Result<()> {
    let backoff = task.backoff.as_ref().and_then(|b| serde_json::to_string(b).ok());
    let tags = (!task.tags.is_empty()).then(|| serde_json::to_string(&task.tags).unwrap_or_default());
    let row = params![
        task.id,
        task.user_id,
        &task.handler,
        &task.queue,
        i64::from(task.priority.number()),
        task.name.as_ref(),
        task.task_type.as_ref(),
        task.args.as_ref(),
        task.kwargs.as_ref(),
        task.max_attempts,
        task.timeout_ms,
        task.soft_timeout_ms,
        backoff.as_ref(),
        task.expires_at,
        tags.as_ref(),
        task.metadata.as_ref(),
        task.model_id.as_ref(),
        task.unique_key.as_ref(),
        task.parent_id,
        now,
    ];
    let sql = "INSERT INTO tasks (id, user_id, handler, queue, priority, name, task_type, args, kwargs, max_attempts,
         timeout_ms, soft_timeout_ms, backoff, expires_at, tags, metadata, model_id, unique_key,
         parent_id, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    tx.exec(sql, row).await.map(drop)
}

/// Writes the edges to the parents and gives the life that their ends so far leave to the child.
async fn link_parents(tx: &mut Tx, task: &NewTask, now: Timestamp) -> Result<Life> {
    let mut parents = task.depends_on.clone();
    parents.sort_unstable();
    parents.dedup();
    let mut life = start(Start { run_at: task.run_at, deps_left: parents.len() as u32 }, now);
    for parent in parents {
        let ended = parent_state(tx, task, parent).await?.flatten();
        let sql = "INSERT INTO edges (parent_id, child_id, policy, is_open) VALUES (?, ?, ?, ?)";
        tx.exec(sql, params![parent, task.id, task.on_parent_failure.name(), ended.is_none()]).await?;
        let Some(state) = ended else { continue };
        let action = Action::ParentEnded(parent_end(state, task.on_parent_failure));
        if let Ok(step) = next(&life, &task.rules(), action, now, 0.0)
            && let Effect::Become(after) = step.effect
        {
            life = after;
        }
    }
    Ok(life)
}
