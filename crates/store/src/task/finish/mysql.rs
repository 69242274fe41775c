//! Many successes at once on MySQL and MariaDB: a read that locks, then sets, since MySQL has no RETURNING.

use std::collections::HashMap;

use taskloom_model::{Life, Phase, SessionId, State, TaskId, Ties, Timestamp};
use taskloom_protocol::Json;
use uuid::Uuid;

use super::FinishItem;
use crate::error::Result;
use crate::row::Row;
use crate::sql::{Param, params};
use crate::tx::Tx;

/// A row of `running` as it ends.
struct Held {
    id: TaskId,
    life: Life,
    started_at: Timestamp,
    detail: Option<Json>,
    ties: Ties,
}

pub(super) async fn succeed(
    tx: &mut Tx,
    session: SessionId,
    items: &[&FinishItem],
    now: Timestamp,
) -> Result<Vec<(TaskId, Life, Ties)>> {
    let asked: HashMap<(TaskId, u32), &FinishItem> =
        items.iter().map(|item| ((item.task.id, item.task.epoch), *item)).collect();
    let ids: Vec<Uuid> = items.iter().map(|item| item.task.id).collect();
    let sql = "SELECT id, epoch, attempt, crashes, refunds, started_at, detail, ties FROM running WHERE session = ? AND id";
    let read = |row: &mut Row<'_>| {
        let phase = Phase::Ended { state: State::Succeeded, reason: None, at: now };
        let id = row.next()?;
        let (epoch, attempt) = (row.next()?, row.next()?);
        let life = Life { epoch, attempt, crashes: row.next()?, refunds: row.next()?, phase };
        Ok(Held {
            id,
            life,
            started_at: row.next()?,
            detail: row.next()?,
            ties: Ties::from_bits(row.next()?),
        })
    };
    let mut held = tx.rows_in(sql, params![session], &ids, " FOR UPDATE", read).await?;
    held.retain(|held| asked.contains_key(&(held.id, held.life.epoch)));
    let gone: Vec<Uuid> = held.iter().map(|held| held.id).collect();
    tx.exec_in("DELETE FROM running WHERE id", &[], &gone).await?;
    let mut rows: Vec<Param<'_>> = Vec::with_capacity(held.len() * COLUMNS);
    for Held { id, life, started_at, detail, .. } in &held {
        let note = asked.get(&(*id, life.epoch)).map(|item| &item.note);
        let result = note.and_then(|note| note.result.as_ref());
        let detail = note.and_then(|note| note.detail.as_ref()).or(detail.as_ref());
        let row: [Param<'_>; COLUMNS] = [
            (*id).into(),
            State::Succeeded.name().into(),
            life.epoch.into(),
            life.attempt.into(),
            life.refunds.into(),
            session.into(),
            (*started_at).into(),
            now.into(),
            100.0.into(),
            detail.into(),
            result.into(),
        ];
        rows.extend(row);
    }
    tx.insert_many(INSERT, COLUMNS, &rows).await?;
    Ok(held.into_iter().map(|held| (held.id, held.life, held.ties)).collect())
}

const COLUMNS: usize = 11;
const INSERT: &str =
    "INSERT INTO outcomes (id, state, epoch, attempt, refunds, session, started_at, finished_at, progress,
     detail, result)";
