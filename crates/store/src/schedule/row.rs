//! A schedule's row: created, read, changed under its version.

use taskloom_model::{ScheduleId, ScheduleType, TaskId, Timestamp, UserId};
use taskloom_protocol::Json;

use crate::Store;
use crate::error::Result;
use crate::idempotency::{Idempotency, Known};
use crate::row::Row;
use crate::sql::params;

/// A schedule.
#[derive(Debug, Clone)]
pub struct ScheduleRow {
    /// The id, a UUIDv7.
    pub id: ScheduleId,
    /// Whose it is.
    pub user_id: UserId,
    /// A name for people.
    pub name: String,
    /// The handler's name, as it was given.
    pub handler: String,
    /// All that was asked for, as JSON.
    pub definition: Json,
    /// The type of its plan.
    pub kind: ScheduleType,
    /// Whether it fires.
    pub enabled: bool,
    /// What intervals are counted from.
    pub anchor_at: Timestamp,
    /// Rises with every change.
    pub version: u64,
    /// Its next tick.
    pub next_at: Option<Timestamp>,
    /// The last tick that was decided about.
    pub last_tick: Option<Timestamp>,
    /// When it last made a task.
    pub last_run_at: Option<Timestamp>,
    /// That task.
    pub last_task_id: Option<TaskId>,
    /// Ticks that made a task.
    pub fired: u64,
    /// Ticks that made none.
    pub skipped: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was changed last, by somebody.
    pub updated_at: Timestamp,
}

/// The columns in the order of [`read`].
pub(super) const COLUMNS: &str =
    "s.id, s.user_id, s.name, s.handler, s.definition, s.kind, s.enabled, s.anchor_at, s.version,
     s.next_at, s.last_tick, s.last_run_at, s.last_task_id, s.fired, s.skipped, s.created_at, s.updated_at";

pub(super) fn read(row: &mut Row<'_>) -> Result<ScheduleRow> {
    Ok(ScheduleRow {
        id: row.next()?,
        user_id: row.next()?,
        name: row.next()?,
        handler: row.next()?,
        definition: row.next()?,
        kind: row.word()?,
        enabled: row.next()?,
        anchor_at: row.next()?,
        version: row.next()?,
        next_at: row.next()?,
        last_tick: row.next()?,
        last_run_at: row.next()?,
        last_task_id: row.next()?,
        fired: row.next()?,
        skipped: row.next()?,
        created_at: row.next()?,
        updated_at: row.next()?,
    })
}

impl Store {
    /// Writes a new schedule. If its key was used before, gives what for, and writes nothing.
    pub async fn schedule_create(
        &self,
        new: ScheduleRow,
        idempotency: Option<Idempotency>,
    ) -> Result<Option<Known>> {
        self.write(move |tx| {
            Box::pin(async move {
                if let Some(idempotency) = &idempotency {
                    if let Some(known) = idempotency.look(tx).await? {
                        return Ok(Some(known));
                    }
                    idempotency.note(tx, &[new.id], new.created_at).await?;
                }
                let sql = "INSERT INTO schedules (id, user_id, name, handler, definition, kind, enabled, anchor_at, version,
                     next_at, last_tick, fired, skipped, created_at, updated_at)
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?)";
                let row = params![
                    new.id,
                    new.user_id,
                    &new.name,
                    &new.handler,
                    &new.definition,
                    new.kind.name(),
                    new.enabled,
                    new.anchor_at,
                    new.version,
                    new.next_at,
                    new.last_tick,
                    new.created_at,
                    new.updated_at,
                ];
                tx.exec(sql, row).await?;
                Ok(None)
            })
        })
        .await
    }

    /// The schedule, if it exists for this user, or for everybody.
    pub async fn schedule_get(&self, id: ScheduleId, user_id: Option<UserId>) -> Result<Option<ScheduleRow>> {
        self.point(move |tx| {
            Box::pin(async move {
                let sql =
                    format!("SELECT {COLUMNS} FROM schedules s WHERE s.id = ? AND s.deleted_at IS NULL");
                let found = tx.row(&sql, params![id], read).await?;
                Ok(found.filter(|row| user_id.is_none_or(|user| user == row.user_id)))
            })
        })
        .await
    }

    /// Writes what somebody may change of a schedule and its next tick; false if its version is another by now.
    pub async fn schedule_update(&self, row: ScheduleRow) -> Result<bool> {
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "UPDATE schedules SET name = ?, handler = ?, definition = ?, kind = ?, enabled = ?, anchor_at = ?,
                     next_at = ?, updated_at = ?, version = version + 1
                     WHERE id = ? AND version = ? AND deleted_at IS NULL";
                let params = params![
                    &row.name,
                    &row.handler,
                    &row.definition,
                    row.kind.name(),
                    row.enabled,
                    row.anchor_at,
                    row.next_at,
                    row.updated_at,
                    row.id,
                    row.version,
                ];
                Ok(tx.exec(sql, params).await? == 1)
            })
        })
        .await
    }

    /// Hides a schedule, which fires no more; its ticks go with the next pruning. False if there is none.
    pub async fn schedule_delete(&self, id: ScheduleId, now: Timestamp) -> Result<bool> {
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "UPDATE schedules SET deleted_at = ?, next_at = NULL, version = version + 1
                     WHERE id = ? AND deleted_at IS NULL";
                Ok(tx.exec(sql, params![now, id]).await? == 1)
            })
        })
        .await
    }
}
