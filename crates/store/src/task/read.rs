//! Reads tasks as users see them.

use std::collections::HashMap;

use taskloom_model::{AttemptOutcome, Reason, State, TaskId, Timestamp, UserId};
use taskloom_protocol::{Attempt, KeptLine, LogLine, Task, TaskError, json_null};

use super::life::{limit_of, read_priority};
use crate::Store;
use crate::error::Result;
use crate::row::{Row, first};
use crate::sql::params;
use crate::tx::Tx;

/// What [`read_task`] reads, in its order.
pub(crate) const TASK_COLUMNS: &str = "
t.id, t.user_id, t.handler, t.created_at, t.queue, t.priority, t.name, t.task_type, t.args, t.kwargs, t.max_attempts,
t.timeout_ms, t.expires_at, t.tags, t.metadata, t.model_id, t.parent_id, t.schedule_id, t.workflow_id, t.parents,
b.deps_left, b.run_at, b.epoch, b.attempt, b.refunds,
s.run_at, s.reason, s.epoch, s.attempt, s.refunds,
l.gate, l.epoch, l.attempt, l.refunds,
r.epoch, r.attempt, r.refunds,
n.epoch, n.attempt, n.refunds, n.started_at, n.cancel, n.progress, n.detail,
o.state, o.reason, o.epoch, o.attempt, o.refunds, o.started_at, o.finished_at, o.progress, o.detail, o.result, o.error,
w.name";

/// The tables behind [`TASK_COLUMNS`], as joins to `tasks t`.
pub(crate) const TASK_JOINS: &str = "
LEFT JOIN blocked b ON b.id = t.id
LEFT JOIN scheduled s ON s.id = t.id
LEFT JOIN limited l ON l.id = t.id
LEFT JOIN ready r ON r.queue = t.queue AND r.band = t.band AND r.id = t.id
LEFT JOIN running n ON n.id = t.id
LEFT JOIN outcomes o ON o.id = t.id
LEFT JOIN workers w ON w.session = coalesce(n.session, o.session)";

/// So many tasks are read on the caller's thread.
const FEW: usize = 10;

impl Store {
    /// The task, if it exists and is not deleted; of another user than `owner` it does not exist.
    pub async fn task_get(&self, id: TaskId, owner: Option<UserId>) -> Result<Option<Task>> {
        self.point(move |tx| Box::pin(async move { get(tx, id, owner).await })).await
    }

    /// These tasks, in this order; what does not exist is left out.
    pub async fn task_get_many(&self, ids: Vec<TaskId>) -> Result<Vec<Task>> {
        if ids.len() <= FEW {
            return self.point(move |tx| Box::pin(async move { get_many(tx, ids).await })).await;
        }
        self.scan(move |tx| Box::pin(async move { get_many(tx, ids).await })).await
    }

    /// These tasks, deleted or not: what a submission was answered with, whatever has happened to it since. Their order is
    /// any; what was forgotten is left out.
    pub async fn task_get_answers(&self, mut ids: Vec<TaskId>) -> Result<Vec<Task>> {
        ids.sort_unstable();
        ids.dedup();
        if ids.len() <= FEW {
            return self.point(move |tx| Box::pin(async move { find(tx, &ids, "").await })).await;
        }
        self.scan(move |tx| Box::pin(async move { find(tx, &ids, "").await })).await
    }

    /// The user of a task, deleted or not.
    pub async fn task_owner(&self, id: TaskId) -> Result<Option<UserId>> {
        self.point(move |tx| {
            Box::pin(
                async move { tx.row("SELECT user_id FROM tasks WHERE id = ?", params![id], first).await },
            )
        })
        .await
    }

    /// The attempts of a task, oldest first.
    pub async fn task_attempts(&self, id: TaskId) -> Result<Vec<Attempt>> {
        self.scan(move |tx| Box::pin(async move { attempts(tx, id).await })).await
    }

    /// Up to `limit` log lines behind the place `after`, and the place to go on from.
    pub async fn task_logs(&self, id: TaskId, after: u64, limit: u32) -> Result<(Vec<KeptLine>, u64)> {
        self.scan(move |tx| {
            Box::pin(async move {
                let sql = "SELECT seq, at, level, message FROM logs WHERE task_id = ? AND seq > ? ORDER BY seq LIMIT ?";
                let read = |row: &mut Row<'_>| {
                    let seq = row.next()?;
                    let line = LogLine { at: row.next()?, level: row.word()?, message: row.next()? };
                    Ok(KeptLine { seq, line })
                };
                let lines = tx.rows(sql, params![id, after, limit], read).await?;
                let next = lines.last().map_or(after, |line| line.seq);
                Ok((lines, next))
            })
        })
        .await
    }

    /// The position of the last log line; 0 if there is none.
    pub async fn task_log_end(&self, id: TaskId) -> Result<u64> {
        self.point(move |tx| {
            Box::pin(async move {
                let sql = "SELECT seq FROM logs WHERE task_id = ? ORDER BY seq DESC LIMIT 1";
                Ok(tx.row(sql, params![id], first).await?.unwrap_or_default())
            })
        })
        .await
    }
}

async fn get_many(tx: &mut Tx, ids: Vec<TaskId>) -> Result<Vec<Task>> {
    let tasks = find(tx, &ids, "t.deleted_at IS NULL AND").await?.into_iter().map(|task| (task.id, task));
    let known: HashMap<TaskId, Task> = tasks.collect();
    // An id that is asked for twice is answered twice.
    Ok(ids.iter().filter_map(|id| known.get(id).cloned()).collect())
}

async fn find(tx: &mut Tx, ids: &[TaskId], condition: &str) -> Result<Vec<Task>> {
    let head = format!("SELECT {TASK_COLUMNS} FROM tasks t {TASK_JOINS} WHERE {condition} t.id");
    let found = tx.rows_in(&head, &[], ids, "", read_task).await?;
    complete(tx, found).await
}

async fn get(tx: &mut Tx, id: TaskId, owner: Option<UserId>) -> Result<Option<Task>> {
    let found = tx.row(select_task(), params![id], read_task).await?;
    let Some(found) = found.filter(|found| owner.is_none_or(|owner| owner == found.task.user_id)) else {
        return Ok(None);
    };
    Ok(complete(tx, vec![found]).await?.pop())
}

fn select_task() -> &'static str {
    static SELECT: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        format!("SELECT {TASK_COLUMNS} FROM tasks t {TASK_JOINS} WHERE t.id = ? AND t.deleted_at IS NULL")
    });
    &SELECT
}

/// A task as its row and the table in which it stands tell it.
pub(crate) struct Found {
    task: Task,
    has_parents: bool,
}

/// Adds what stands in other tables: parents, and the last error of a task that waits for its next attempt.
pub(crate) async fn complete(tx: &mut Tx, found: Vec<Found>) -> Result<Vec<Task>> {
    let children: Vec<TaskId> = found.iter().filter(|f| f.has_parents).map(|f| f.task.id).collect();
    let is_retried = |task: &Task| task.attempt > 0 && !task.has_ended();
    let retried: Vec<TaskId> =
        found.iter().map(|f| &f.task).filter(|t| is_retried(t)).map(|t| t.id).collect();
    let mut tasks: Vec<Task> = found.into_iter().map(|found| found.task).collect();
    if !children.is_empty() {
        let sql = "SELECT child_id, parent_id FROM edges WHERE child_id";
        let pair = |row: &mut Row<'_>| Ok((row.next::<TaskId>()?, row.next::<TaskId>()?));
        let mut edges = tx.rows_in(sql, &[], &children, "", pair).await?;
        edges.sort_unstable();
        for task in &mut tasks {
            task.parent_ids =
                edges.iter().filter(|(child, _)| *child == task.id).map(|(_, parent)| *parent).collect();
        }
    }
    if !retried.is_empty() {
        let sql = "SELECT a.task_id, a.error FROM attempts a WHERE a.epoch =
             (SELECT max(l.epoch) FROM attempts l WHERE l.task_id = a.task_id) AND a.task_id";
        let pair = |row: &mut Row<'_>| Ok((row.next::<TaskId>()?, row.json::<TaskError>()?));
        let errors: HashMap<TaskId, Option<TaskError>> =
            tx.rows_in(sql, &[], &retried, "", pair).await?.into_iter().collect();
        for task in tasks.iter_mut().filter(|task| is_retried(task)) {
            task.error = errors.get(&task.id).cloned().flatten();
        }
    }
    Ok(tasks)
}

/// Reads a row of [`TASK_COLUMNS`].
pub(crate) fn read_task(row: &mut Row<'_>) -> Result<Found> {
    let mut task = Task::blank(row.next()?, String::new(), row.next()?, Timestamp::MIN);
    task.task = row.next()?;
    task.created_at = row.next()?;
    task.queue = row.next()?;
    task.priority = read_priority(row)?;
    task.name = row.next()?;
    task.task_type = row.next()?;
    task.args = row.next::<Option<_>>()?.unwrap_or_else(Task::no_args);
    task.kwargs = row.next::<Option<_>>()?.unwrap_or_else(Task::no_kwargs);
    task.max_attempts = row.next()?;
    task.timeout = row.next::<Option<u64>>()?.map(|ms| ms as f64 / 1_000.0);
    task.expires_at = row.next()?;
    task.tags = row.json()?.unwrap_or_default();
    task.metadata = row.next()?;
    task.model_id = row.next()?;
    task.parent_id = row.next()?;
    task.schedule_id = row.next()?;
    task.workflow_id = row.next()?;
    let has_parents = row.next::<u32>()? > 0;
    read_standing(row, &mut task)?;
    task.status = task.state.status();
    task.worker = row.next()?;
    Ok(Found { task, has_parents })
}

/// Reads whichever of the six tables the task stands in; the others are null.
fn read_standing(row: &mut Row<'_>, task: &mut Task) -> Result<()> {
    let blocked = row.next::<Option<u32>>()?.is_some();
    let blocked_until = row.next()?;
    if blocked {
        (task.state, task.reason, task.scheduled_at) =
            (State::Blocked, Some(Reason::Dependencies), blocked_until);
        read_counters(row, task)?;
    } else {
        row.skip(3);
    }
    task.scheduled_at = row.next::<Option<Timestamp>>()?.or(task.scheduled_at);
    if let Some(reason) = row.opt_word()? {
        (task.state, task.reason) = (State::Scheduled, Some(reason));
        read_counters(row, task)?;
    } else {
        row.skip(3);
    }
    if let Some(gate) = row.next::<Option<String>>()? {
        (task.state, task.reason) = (State::Limited, Some(limit_of(&gate)?.reason()));
        read_counters(row, task)?;
    } else {
        row.skip(3);
    }
    read_ready(row, task)?;
    read_running(row, task)?;
    read_outcome(row, task)
}

fn read_counters(row: &mut Row<'_>, task: &mut Task) -> Result<()> {
    task.epoch = row.next()?;
    task.attempt = row.next()?;
    // What users see as the limit is what is left to them, refunds included.
    task.max_attempts = task.max_attempts.saturating_add(row.next()?);
    Ok(())
}

fn read_ready(row: &mut Row<'_>, task: &mut Task) -> Result<()> {
    if row.peek_null()? {
        row.skip(3);
        return Ok(());
    }
    task.state = State::Ready;
    read_counters(row, task)
}

fn read_running(row: &mut Row<'_>, task: &mut Task) -> Result<()> {
    if row.peek_null()? {
        row.skip(7);
        return Ok(());
    }
    task.state = State::Running;
    read_counters(row, task)?;
    task.started_at = row.next()?;
    task.reason = row.next::<bool>()?.then_some(Reason::Cancelling);
    task.progress = row.next()?;
    task.progress_detail = row.next()?;
    Ok(())
}

fn read_outcome(row: &mut Row<'_>, task: &mut Task) -> Result<()> {
    let Some(state) = row.opt_word()? else {
        row.skip(10);
        return Ok(());
    };
    task.state = state;
    task.reason = row.opt_word()?;
    read_counters(row, task)?;
    task.started_at = row.next()?;
    task.completed_at = row.next()?;
    task.progress = row.next()?;
    task.progress_detail = row.next()?;
    task.result = row.next::<Option<_>>()?.unwrap_or_else(json_null);
    task.error = row.json()?;
    Ok(())
}

async fn attempts(tx: &mut Tx, id: TaskId) -> Result<Vec<Attempt>> {
    let sql =
        "SELECT a.attempt, a.epoch, w.name, a.started_at, a.ended_at, a.outcome, a.error FROM attempts a
         LEFT JOIN workers w ON w.session = a.session WHERE a.task_id = ? ORDER BY a.epoch LIMIT 1000";
    let mut attempts = tx
        .rows(sql, params![id], |row| {
            Ok(Attempt {
                attempt: row.next()?,
                epoch: row.next()?,
                worker: row.next()?,
                started_at: row.next()?,
                ended_at: row.next()?,
                outcome: row.opt_word()?,
                error: row.json()?,
            })
        })
        .await?;
    let sql = "SELECT n.attempt, n.epoch, w.name, n.started_at FROM running n
         LEFT JOIN workers w ON w.session = n.session WHERE n.id = ?";
    let open = tx.row(sql, params![id], |row| latest(row, None)).await?;
    attempts.extend(open);
    let sql = "SELECT o.attempt, o.epoch, w.name, o.started_at, o.finished_at FROM outcomes o
         LEFT JOIN workers w ON w.session = o.session WHERE o.id = ? AND o.state = 'succeeded'";
    let success = tx.row(sql, params![id], |row| latest(row, Some(AttemptOutcome::Succeeded))).await?;
    attempts.extend(success);
    Ok(attempts)
}

fn latest(row: &mut Row<'_>, outcome: Option<AttemptOutcome>) -> Result<Attempt> {
    Ok(Attempt {
        attempt: row.next()?,
        epoch: row.next()?,
        worker: row.next()?,
        started_at: row.next()?,
        ended_at: if outcome.is_some() { row.next()? } else { None },
        outcome,
        error: None,
    })
}
