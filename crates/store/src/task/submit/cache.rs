//! The result cache: which task answers the same call again.

use std::time::Duration;

use taskloom_model::{CacheOutcome, Cached, State, TaskId, Timestamp};
use uuid::Uuid;

use super::NewTask;
use crate::error::{Result, StoreError};
use crate::row::Row;
use crate::sql::params;
use crate::tx::Tx;

/// The call that a task is, for the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheKey {
    /// What tells it from other calls: equal for equal handlers and arguments. Up to 200 characters.
    pub signature: String,
    /// How long its success answers equal calls.
    pub ttl: Duration,
}

impl CacheKey {
    fn ttl_us(&self) -> u64 {
        u64::try_from(self.ttl.as_micros()).unwrap_or(u64::MAX).min(i64::MAX as u64 / 4)
    }

    fn until(&self, now: Timestamp) -> Timestamp {
        now.plus(Duration::from_micros(self.ttl_us()))
    }
}

/// What the cache knows of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    /// The task that was made for it last.
    pub(super) noted: Option<TaskId>,
    /// How that one answers.
    pub(super) answer: CacheOutcome,
    /// When it ended.
    pub(super) ended_at: Option<Timestamp>,
}

/// Locks the call's row; whether there is one.
pub(super) async fn lock(tx: &mut Tx, task: &NewTask, key: &CacheKey) -> Result<bool> {
    let sql = "SELECT 1 FROM cache WHERE user_id = ? AND signature = ?";
    Ok(tx.lock(sql, params![task.user_id, &key.signature]).await? > 0)
}

/// Looks for a task that answers the call. Whoever has locked its row decides.
pub(super) async fn look(tx: &mut Tx, task: &NewTask, key: &CacheKey, now: Timestamp) -> Result<Look> {
    let sql = "SELECT c.task_id, c.ttl_us, c.refreshed_at, t.id, t.deleted_at, n.cancel, o.state, o.finished_at FROM cache c
         LEFT JOIN tasks t ON t.id = c.task_id LEFT JOIN running n ON n.id = c.task_id
         LEFT JOIN outcomes o ON o.id = c.task_id WHERE c.user_id = ? AND c.signature = ?";
    let read = |row: &mut Row<'_>| {
        let (noted, cached) = (row.next()?, read_cached(row)?);
        let ended_at = cached.end.map(|(_, at)| at);
        Ok(Look { noted: Some(noted), answer: cached.answer(now), ended_at })
    };
    let found = tx.row(sql, params![task.user_id, &key.signature], read).await?;
    Ok(found.unwrap_or(Look { noted: None, answer: CacheOutcome::Miss, ended_at: None }))
}

fn read_cached(row: &mut Row<'_>) -> Result<Cached> {
    let (ttl, refreshed_at) = (Duration::from_micros(row.next()?), row.next()?);
    let is_gone = row.next::<Option<Uuid>>()?.is_none();
    let is_deleted = row.next::<Option<Timestamp>>()?.is_some() || is_gone;
    let is_cancelling = row.next::<Option<bool>>()?.unwrap_or(false);
    let state = row.opt_word::<State>()?;
    let end = state.zip(row.next::<Option<Timestamp>>()?);
    Ok(Cached { end, is_cancelling, is_deleted, refreshed_at, ttl })
}

/// Notes that the call was answered with the task: its time begins anew, and is what the latest call wants.
pub(super) async fn refresh(
    tx: &mut Tx,
    task: &NewTask,
    key: &CacheKey,
    id: TaskId,
    now: Timestamp,
) -> Result<()> {
    let sql = "UPDATE cache SET ttl_us = ?, refreshed_at = ?, until_at = ? WHERE user_id = ? AND signature = ? AND task_id = ?";
    let row = params![key.ttl_us(), now, key.until(now), task.user_id, &key.signature, id];
    tx.exec(sql, row).await.map(drop)
}

/// Notes a new task for the call, if it still is noted for the one that was found.
pub(super) async fn take(
    tx: &mut Tx,
    task: &NewTask,
    key: &CacheKey,
    noted: Option<TaskId>,
    now: Timestamp,
) -> Result<()> {
    let Some(noted) = noted else {
        let sql = "INSERT INTO cache (task_id, handler, ttl_us, refreshed_at, until_at, user_id, signature)
             VALUES (?, ?, ?, ?, ?, ?, ?)";
        let row =
            params![task.id, &task.handler, key.ttl_us(), now, key.until(now), task.user_id, &key.signature];
        return tx.exec(sql, row).await.map(drop).map_err(StoreError::raced);
    };
    let sql = "UPDATE cache SET task_id = ?, ttl_us = ?, refreshed_at = ?, until_at = ?
         WHERE user_id = ? AND signature = ? AND task_id = ?";
    let row = params![task.id, key.ttl_us(), now, key.until(now), task.user_id, &key.signature, noted];
    match tx.exec(sql, row).await? {
        1 => Ok(()),
        _ => Err(StoreError::Conflict("another task had been made for the same call".into())),
    }
}
