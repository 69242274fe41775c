//! Queues as people look at them.

use std::collections::BTreeMap;
use std::time::Duration;

use taskloom_model::{BUILT_IN_QUEUES, Bucket, Timestamp};

use super::QueueLimits;
use crate::Store;
use crate::error::Result;
use crate::row::{Row, first};
use crate::sql::params;
use crate::task::{Holder, holders};
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

    /// What a queue holds against its ready tasks right now, with up to `most` of the tasks that use up its limit.
    pub async fn queue_terms(&self, name: String, now: Timestamp, most: u32) -> Result<QueueTerms> {
        self.point(move |tx| {
            Box::pin(async move {
                let (paused_at, limits, held, full_at) = terms(tx, &name).await?;
                let is_full = limits.max_running.is_some_and(|most| held >= most);
                let bucket = limits.rate.map(|(count, per_us)| Bucket { count, per_us, full_at });
                let full = match (limits.max_running, bucket) {
                    (Some(most), _) if is_full => Some(Full { most, seconds: None, next_at: None }),
                    (_, Some(bucket)) if bucket.tokens(now) == 0 => Some(Full {
                        most: bucket.count,
                        seconds: Some(Duration::from_micros(bucket.per_us).as_secs_f64()),
                        next_at: Some(bucket.next_at(now)),
                    }),
                    _ => None,
                };
                let holders = if is_full {
                    holders(tx, &format!("{}{name}", super::PERMIT), most).await?
                } else {
                    Vec::new()
                };
                Ok(QueueTerms { paused_at, held, full, holders })
            })
        })
        .await
    }
}

/// What a queue holds against its ready tasks.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueTerms {
    /// Since when nothing starts.
    pub paused_at: Option<Timestamp>,
    /// Its tasks that run, if it has a limit.
    pub held: u32,
    /// The limit that is used up.
    pub full: Option<Full>,
    /// Who uses it up.
    pub holders: Vec<Holder>,
}

/// A limit that is used up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Full {
    /// So many at once, or in a time.
    pub most: u32,
    /// The time in seconds.
    pub seconds: Option<f64>,
    /// When the next may start, if that is a matter of time.
    pub next_at: Option<Timestamp>,
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

/// Since when it is paused, its limits, how many run under them, and when its bucket is full again.
type Terms = (Option<Timestamp>, QueueLimits, u32, Timestamp);

async fn terms(tx: &mut Tx, name: &str) -> Result<Terms> {
    let sql = "SELECT paused_at, max_running, rate_count, rate_us, held, full_at FROM queues WHERE name = ?";
    let read = |row: &mut Row<'_>| {
        let (paused_at, max_running) = (row.next()?, row.next()?);
        let (count, per_us) = (row.next::<Option<u32>>()?, row.next::<Option<u64>>()?);
        Ok((paused_at, QueueLimits { max_running, rate: count.zip(per_us) }, row.next()?, row.next()?))
    };
    let none = (None, QueueLimits::default(), 0, Timestamp::MIN);
    Ok(tx.row(sql, params![name], read).await?.unwrap_or(none))
}

async fn info(tx: &mut Tx, name: String, running: u64) -> Result<QueueInfo> {
    let sql = "SELECT count(*) FROM (SELECT 1 FROM ready WHERE queue = ? LIMIT ?) counted";
    let ready = tx.number(sql, params![&name, COUNTED]).await?;
    let sql = "SELECT t.created_at FROM (SELECT id FROM ready WHERE queue = ? ORDER BY band, id LIMIT 1) r
         JOIN tasks t ON t.id = r.id";
    let oldest = tx.row(sql, params![&name], first).await?;
    let (paused_at, limits, ..) = terms(tx, &name).await?;
    Ok(QueueInfo { name, ready, running, oldest, paused_at, limits })
}
