//! Queues as people look at them.

use std::collections::BTreeMap;

use taskloom_model::{BUILT_IN_QUEUES, Timestamp};

use super::QueueLimits;
use crate::Store;
use crate::error::Result;
use crate::row::{Row, first};
use crate::sql::params;
use crate::tx::Tx;

/// Ready tasks counted at most in a queue.
const COUNTED: u32 = 10_000;
/// Queues listed at most.
const LISTED: usize = 1_000;

/// A queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueInfo {
    /// Its name.
    pub name: String,
    /// Tasks that wait for a worker, counted up to 10,000.
    pub ready: u64,
    /// Tasks that run.
    pub running: u64,
    /// When the first of those that wait was submitted.
    pub oldest: Option<Timestamp>,
    /// Since when nothing starts.
    pub paused_at: Option<Timestamp>,
    /// Its limits.
    pub limits: QueueLimits,
}

impl Store {
    /// Every queue that is built in, served, special, or holds something that waits or runs; by name.
    pub async fn queue_list(&self) -> Result<Vec<QueueInfo>> {
        self.scan(|tx| {
            Box::pin(async move {
                let running = running(tx).await?;
                let mut names: Vec<String> = BUILT_IN_QUEUES.map(str::to_owned).to_vec();
                names.extend(running.keys().cloned());
                names.extend(tx.rows("SELECT name FROM queues", &[], first::<String>).await?);
                let served =
                    "SELECT queues FROM workers WHERE left_at IS NULL ORDER BY last_seen DESC LIMIT 1000";
                let served = tx.rows(served, &[], |row| row.json::<Vec<String>>()).await?;
                names.extend(served.into_iter().flatten().flatten());
                names.extend(waiting(tx).await?);
                names.sort_unstable();
                names.dedup();
                names.truncate(LISTED);
                let mut queues = Vec::with_capacity(names.len());
                for name in names {
                    let running = running.get(&name).copied().unwrap_or_default();
                    queues.push(info(tx, name, running).await?);
                }
                Ok(queues)
            })
        })
        .await
    }

    /// One queue; one that nobody has used is empty.
    pub async fn queue_get(&self, name: String) -> Result<QueueInfo> {
        self.scan(|tx| {
            Box::pin(async move {
                let sql = "SELECT count(*) FROM running n JOIN tasks t ON t.id = n.id WHERE t.queue = ?";
                let running = tx.number(sql, params![&name]).await?;
                info(tx, name, running).await
            })
        })
        .await
    }

    /// Whether a queue is paused, and its limits.
    pub async fn queue_terms(&self, name: String) -> Result<(Option<Timestamp>, QueueLimits, u64)> {
        self.point(|tx| Box::pin(async move { terms(tx, &name).await })).await
    }
}

async fn running(tx: &mut Tx) -> Result<BTreeMap<String, u64>> {
    let sql = "SELECT t.queue, count(*) FROM running n JOIN tasks t ON t.id = n.id GROUP BY t.queue";
    let read = |row: &mut Row<'_>| Ok((row.next::<String>()?, row.next::<u64>()?));
    Ok(tx.rows(sql, &[], read).await?.into_iter().collect())
}

/// The queues in which something is ready: a look-up for each, whatever waits in them.
async fn waiting(tx: &mut Tx) -> Result<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    while names.len() < LISTED {
        let sql = "SELECT queue FROM ready WHERE queue > ? ORDER BY queue LIMIT 1";
        let last = names.last().map(String::as_str).unwrap_or_default();
        let Some(next) = tx.row(sql, params![last], first::<String>).await? else { break };
        names.push(next);
    }
    Ok(names)
}

async fn terms(tx: &mut Tx, name: &str) -> Result<(Option<Timestamp>, QueueLimits, u64)> {
    let sql = "SELECT paused_at, max_running, rate_count, rate_us, held FROM queues WHERE name = ?";
    let read = |row: &mut Row<'_>| {
        let (paused_at, max_running) = (row.next()?, row.next()?);
        let (count, per_us) = (row.next::<Option<u32>>()?, row.next::<Option<u64>>()?);
        Ok((paused_at, QueueLimits { max_running, rate: count.zip(per_us) }, row.next()?))
    };
    Ok(tx.row(sql, params![name], read).await?.unwrap_or_default())
}

async fn info(tx: &mut Tx, name: String, running: u64) -> Result<QueueInfo> {
    let sql = "SELECT count(*) FROM (SELECT 1 FROM ready WHERE queue = ? LIMIT ?) counted";
    let ready = tx.number(sql, params![&name, COUNTED]).await?;
    let sql = "SELECT t.created_at FROM (SELECT id FROM ready WHERE queue = ? ORDER BY band, id LIMIT 1) r
         JOIN tasks t ON t.id = r.id";
    let oldest = tx.row(sql, params![&name], first).await?;
    let (paused_at, limits, _) = terms(tx, &name).await?;
    Ok(QueueInfo { name, ready, running, oldest, paused_at, limits })
}
