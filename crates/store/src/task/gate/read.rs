//! Gates as people look at them.

use taskloom_model::{Limit, TaskId, Timestamp, UserId};

use crate::Store;
use crate::error::Result;
use crate::row::Row;
use crate::sql::params;
use crate::task::life::limit_of;
use crate::tx::Tx;

/// A limit, and how much of it is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateInfo {
    /// Its kind.
    pub limit: Limit,
    /// What is limited.
    pub key: String,
    /// So many at once, or in the time.
    pub most: u32,
    /// The time in microseconds; 0 for so many at once.
    pub per_us: u64,
    /// Permits that are out; always 0 for a rate.
    pub held: u32,
    /// Tasks that wait for it, counted up to 10,000.
    pub waiting: u64,
    /// When the next may start, if that is a matter of time.
    pub wake_at: Option<Timestamp>,
}

/// Who holds a permit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The task.
    pub id: TaskId,
    /// Its handler.
    pub task: String,
    /// Whose it is.
    pub user_id: UserId,
}

/// Tasks counted at most at a gate.
const COUNTED: u32 = 10_000;

impl Store {
    /// Up to `limit` limits behind this name, in the order of names.
    pub async fn gate_list(&self, after: Option<String>, limit: u32) -> Result<Vec<GateInfo>> {
        self.scan(move |tx| {
            Box::pin(async move {
                let sql = "SELECT gate FROM gates WHERE gate > ? ORDER BY gate LIMIT ?";
                let after = after.unwrap_or_default();
                let names = tx.rows(sql, params![&after, limit], crate::row::first::<String>).await?;
                let mut gates = Vec::with_capacity(names.len());
                for name in names {
                    gates.extend(info(tx, &name).await?);
                }
                Ok(gates)
            })
        })
        .await
    }

    /// The limit that this task waits for, with up to `most` holders of its permits and how many tasks wait before it.
    pub async fn gate_of(&self, id: TaskId, most: u32) -> Result<Option<(GateInfo, Vec<Holder>, u64)>> {
        self.scan(move |tx| {
            Box::pin(async move {
                let read = |row: &mut Row<'_>| Ok((row.next::<String>()?, row.next::<i64>()?));
                let sql = "SELECT gate, band FROM limited WHERE id = ?";
                let Some((name, band)) = tx.row(sql, params![id], read).await? else { return Ok(None) };
                let Some(gate) = info(tx, &name).await? else { return Ok(None) };
                let holders = holders(tx, &name, most).await?;
                let sql = "SELECT count(*) FROM (SELECT 1 FROM limited WHERE gate = ? AND (band, id) < (?, ?) LIMIT ?) counted";
                let before = tx.number(sql, params![&name, band, id, COUNTED]).await?;
                Ok(Some((gate, holders, before)))
            })
        })
        .await
    }
}

/// Up to `most` tasks that hold a permit of this gate.
pub(crate) async fn holders(tx: &mut Tx, name: &str, most: u32) -> Result<Vec<Holder>> {
    let sql = "SELECT p.task_id, t.handler, t.user_id FROM permits p JOIN tasks t ON t.id = p.task_id
         WHERE p.gate = ? ORDER BY p.task_id LIMIT ?";
    let read = |row: &mut Row<'_>| Ok(Holder { id: row.next()?, task: row.next()?, user_id: row.next()? });
    tx.rows(sql, params![name, most], read).await
}

async fn info(tx: &mut Tx, name: &str) -> Result<Option<GateInfo>> {
    let sql = "SELECT count(*) FROM (SELECT 1 FROM limited WHERE gate = ? LIMIT ?) counted";
    let waiting = tx.number(sql, params![name, COUNTED]).await?;
    let limit = limit_of(name)?;
    let key = name.split_once(':').map(|(_, key)| key.to_owned()).unwrap_or_default();
    let read = |row: &mut Row<'_>| {
        let (most, per_us, held) = (row.next()?, row.next()?, row.next()?);
        Ok(GateInfo { limit, key: key.clone(), most, per_us, held, waiting, wake_at: row.next()? })
    };
    tx.row("SELECT most, per_us, held, wake_at FROM gates WHERE gate = ?", params![name], read).await
}
