//! What keeps a task where it is: a few lookups by key, none of which walks far.

use std::collections::HashMap;
use std::time::Duration;

use taskloom_model::{SessionId, TaskId, Timestamp};

use crate::Store;
use crate::error::Result;
use crate::row::{Row, first};
use crate::sql::params;
use crate::tx::Tx;

/// The farthest that a chain of blocked tasks is followed.
const CHAIN: u32 = 100;
/// Ended attempts that the pace of a queue is drawn from.
const SAMPLE: u32 = 1_000;
/// How far back the pace of a queue looks.
const LATELY: Duration = Duration::from_secs(60);

/// The first blocked task's first open parent, and so on: the farthest.
const ROOT: &str = "
WITH RECURSIVE up (id, depth) AS (
  SELECT t.id, 0 FROM tasks t WHERE t.id = ?
  UNION ALL
  SELECT (SELECT e.parent_id FROM edges e WHERE e.child_id = up.id AND e.is_open = 1 ORDER BY e.parent_id LIMIT 1),
    depth + 1 FROM up WHERE up.id IS NOT NULL AND depth < ?
)
SELECT id FROM up WHERE id IS NOT NULL ORDER BY depth DESC LIMIT 1";

impl Store {
    /// The parents of a task that have not ended, oldest first: up to `most` of them, and how many there are.
    pub async fn task_open_parents(&self, id: TaskId, most: u32) -> Result<(Vec<TaskId>, u64)> {
        self.point(move |tx| {
            Box::pin(async move {
                let sql =
                    "SELECT parent_id FROM edges WHERE child_id = ? AND is_open = 1 ORDER BY parent_id LIMIT ?";
                let parents = tx.rows(sql, params![id, most], first).await?;
                let open = tx.row("SELECT deps_left FROM blocked WHERE id = ?", params![id], first).await?;
                Ok((parents, open.unwrap_or_default()))
            })
        })
        .await
    }

    /// The task at the root of the chain that a blocked task waits for: its first open parent, or that one's, and so on.
    pub async fn task_root(&self, id: TaskId) -> Result<Option<TaskId>> {
        self.point(move |tx| {
            Box::pin(async move {
                let root: Option<TaskId> = tx.row(ROOT, params![id, CHAIN], first).await?;
                Ok(root.filter(|root| *root != id))
            })
        })
        .await
    }

    /// How many ready tasks of its queue are before a ready task, counted up to `most` and one.
    pub async fn task_ahead(&self, id: TaskId, queue: String, most: u32) -> Result<u64> {
        self.point(move |tx| {
            Box::pin(async move {
                let sql = "SELECT band FROM tasks WHERE id = ?";
                let band = tx.row(sql, params![id], first::<i64>).await?.unwrap_or_default();
                let sql = "SELECT count(*) FROM (SELECT 1 FROM ready WHERE queue = ? AND band < ? LIMIT ?) ahead";
                let before = tx.number(sql, params![&queue, band, most + 1]).await?;
                let left = u64::from(most + 1).saturating_sub(before);
                let sql =
                    "SELECT count(*) FROM (SELECT 1 FROM ready WHERE queue = ? AND band = ? AND id < ? LIMIT ?) ahead";
                Ok(before + tx.number(sql, params![&queue, band, id, left]).await?)
            })
        })
        .await
    }

    /// Attempts of a queue that ended a task, per second, lately: in the last minute, or as far back as the last thousand
    /// ends of all queues reach.
    pub async fn queue_pace(&self, queue: String, now: Timestamp) -> Result<f64> {
        self.scan(move |tx| Box::pin(async move { pace(tx, &queue, now).await })).await
    }

    /// The first ready tasks of a queue, in their order, with their handlers.
    pub async fn queue_head(&self, queue: String, most: u32) -> Result<Vec<(TaskId, String)>> {
        self.point(move |tx| {
            Box::pin(async move {
                let sql = "SELECT h.id, t.handler FROM (SELECT band, id FROM ready WHERE queue = ? ORDER BY band, id LIMIT ?) h
                     JOIN tasks t ON t.id = h.id ORDER BY h.band, h.id";
                let read = |row: &mut Row<'_>| Ok((row.next::<TaskId>()?, row.next::<String>()?));
                tx.rows(sql, params![&queue, most], read).await
            })
        })
        .await
    }

    /// How many tasks each of these workers runs, if any.
    pub async fn worker_busy(&self, sessions: Vec<SessionId>) -> Result<HashMap<SessionId, u64>> {
        self.scan(move |tx| {
            Box::pin(async move {
                let sql = "SELECT session, count(*) FROM running GROUP BY session";
                let read = |row: &mut Row<'_>| Ok((row.next::<SessionId>()?, row.next::<u64>()?));
                let busy = tx.rows(sql, &[], read).await?;
                Ok(busy.into_iter().filter(|(session, _)| sessions.contains(session)).collect())
            })
        })
        .await
    }
}

async fn pace(tx: &mut Tx, queue: &str, now: Timestamp) -> Result<f64> {
    let sql = "SELECT o.finished_at, t.queue FROM outcomes o JOIN tasks t ON t.id = o.id
         WHERE o.finished_at > ? AND o.started_at IS NOT NULL ORDER BY o.finished_at DESC LIMIT ?";
    let read = |row: &mut Row<'_>| Ok((row.next::<Timestamp>()?, row.next::<String>()?));
    let ended = tx.rows(sql, params![now.minus(LATELY), SAMPLE], read).await?;
    let of_queue = ended.iter().filter(|(_, of)| of == queue).count();
    let span = match ended.last() {
        Some((oldest, _)) if ended.len() == SAMPLE as usize => now.since(*oldest),
        _ => LATELY,
    };
    // Many may end in one moment.
    Ok(of_queue as f64 / span.max(Duration::from_millis(1)).as_secs_f64())
}
