//! Queues that somebody has paused or limited; all others need no row.
//!
//! A claim takes nothing from a special queue by the common statement, whose guard asks for its row. Processes remember for
//! a moment which queues are special, so that they need not try: what they remember is never the reason that a task starts.

mod claim;
mod read;

pub use read::{Full, QueueInfo, QueueTerms};

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use taskloom_model::{Bucket, Timestamp};
use uuid::Uuid;

use crate::Store;
use crate::error::{Result, StoreError};
use crate::row::Row;
use crate::sql::params;
use crate::tx::Tx;

/// The beginning of the gate's name of a permit that a queue gave.
pub(crate) const PERMIT: &str = "queue:";

/// How long a process relies on what it remembers of special queues.
const REMEMBERED: Duration = Duration::from_secs(1);

/// What a queue lets its workers do; nothing means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueLimits {
    /// Tasks that run at once, across all workers.
    pub max_running: Option<u32>,
    /// Tasks that start in so many microseconds, across all workers.
    pub rate: Option<(u32, u64)>,
}

/// Why the common claim leaves a queue out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Special {
    /// Nothing starts.
    Paused,
    /// A claim has to count.
    Limited,
}

/// What a process remembers of special queues.
#[derive(Default)]
pub(crate) struct Book(Mutex<Option<(Instant, Page)>>);

type Page = Arc<HashMap<String, Special>>;

impl Book {
    fn get(&self) -> Option<Page> {
        let page = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        page.as_ref().filter(|(at, _)| at.elapsed() < REMEMBERED).map(|(_, page)| Arc::clone(page))
    }

    fn put(&self, page: Option<Page>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = page.map(|page| (Instant::now(), page));
    }
}

impl Store {
    /// The special queues, as this process remembers them.
    pub(crate) async fn special_queues(&self) -> Result<Page> {
        if let Some(page) = self.queues.get() {
            return Ok(page);
        }
        let page = self
            .point(|tx| {
                Box::pin(async move {
                    let sql = "SELECT name, paused_at FROM queues WHERE is_special = 1";
                    let read = |row: &mut Row<'_>| {
                        let name = row.next::<String>()?;
                        let is_paused = row.next::<Option<Timestamp>>()?.is_some();
                        Ok((name, if is_paused { Special::Paused } else { Special::Limited }))
                    };
                    tx.rows(sql, &[], read).await
                })
            })
            .await?;
        let page: Page = Arc::new(page.into_iter().collect());
        self.queues.put(Some(Arc::clone(&page)));
        Ok(page)
    }

    /// Pauses a queue, or lets it go on. Nothing of it starts while it is paused; what runs goes on.
    pub async fn queue_pause(&self, name: String, paused: bool, now: Timestamp) -> Result<()> {
        self.write(move |tx| {
            Box::pin(async move {
                make(tx, &name, now).await?;
                if paused {
                    let sql =
                        "UPDATE queues SET paused_at = coalesce(paused_at, ?), is_special = 1 WHERE name = ?";
                    return tx.exec(sql, params![now, &name]).await.map(drop);
                }
                let sql = "UPDATE queues SET paused_at = NULL, is_special =
                     CASE WHEN max_running IS NULL AND rate_count IS NULL THEN 0 ELSE 1 END WHERE name = ?";
                tx.exec(sql, params![&name]).await.map(drop)
            })
        })
        .await?;
        self.queues.put(None);
        Ok(())
    }

    /// Sets a queue's limits. What runs counts at once, and is not stopped should it be too much.
    pub async fn queue_limit(&self, name: String, limits: QueueLimits, now: Timestamp) -> Result<()> {
        self.write(move |tx| {
            Box::pin(async move {
                make(tx, &name, now).await?;
                let (count, per_us) = limits.rate.unzip();
                let is_limited = limits.max_running.is_some() || count.is_some();
                // A new bucket is full: what the old one had given does not count against it.
                let sql = "UPDATE queues SET max_running = ?, rate_count = ?, rate_us = ?, full_at = ?, is_special =
                     CASE WHEN paused_at IS NULL THEN ? ELSE 1 END WHERE name = ?";
                tx.exec(sql, params![limits.max_running, count, per_us, now, is_limited, &name]).await?;
                count_running(tx, &name).await
            })
        })
        .await?;
        self.queues.put(None);
        Ok(())
    }
}

/// Makes the queue's row and locks it.
async fn make(tx: &mut Tx, name: &str, now: Timestamp) -> Result<()> {
    tx.lock("SELECT 1 FROM queues WHERE name = ?", params![name]).await?;
    if tx.number("SELECT count(*) FROM queues WHERE name = ?", params![name]).await? == 0 {
        let sql = "INSERT INTO queues (name, is_special, held, full_at) VALUES (?, 0, 0, ?)";
        tx.exec(sql, params![name, now]).await.map_err(StoreError::raced)?;
    }
    Ok(())
}

/// Gives a permit to each task of the queue that runs without one.
async fn count_running(tx: &mut Tx, name: &str) -> Result<()> {
    let permit = format!("{PERMIT}{name}");
    let sql = "SELECT n.id FROM running n JOIN tasks t ON t.id = n.id
         WHERE t.queue = ? AND NOT EXISTS (SELECT 1 FROM permits p WHERE p.gate = ? AND p.task_id = n.id)";
    let ids = tx.rows(sql, params![name, &permit], crate::row::first::<Uuid>).await?;
    // Those that have ended since are gone from here, and whoever ends one from now on sees its tie.
    let mut running = Vec::with_capacity(ids.len());
    for id in ids {
        let lock = "SELECT 1 FROM running WHERE id = ?";
        if !tx.is_shared() || tx.lock(lock, params![id]).await? == 1 {
            running.push(id);
        }
    }
    claim::permit(tx, name, &running, None).await
}

/// Takes back permits of tasks that run no more.
pub(crate) async fn give_back(tx: &mut Tx, name: &str, permit: &str, ids: &[Uuid]) -> Result<()> {
    tx.lock("SELECT 1 FROM queues WHERE name = ?", params![name]).await?;
    let given = tx.exec_in("DELETE FROM permits WHERE gate = ? AND task_id", params![permit], ids).await?;
    tx.exec("UPDATE queues SET held = held - ? WHERE name = ?", params![given, name]).await.map(drop)
}

/// A queue's limits and how much of them is taken.
struct Terms {
    max_running: Option<u32>,
    held: u32,
    bucket: Option<Bucket>,
}

impl Terms {
    /// Reads and locks them; nothing if nothing may start.
    async fn lock(tx: &mut Tx, name: &str) -> Result<Option<Self>> {
        tx.lock("SELECT 1 FROM queues WHERE name = ?", params![name]).await?;
        let sql = "SELECT max_running, rate_count, rate_us, held, full_at FROM queues WHERE name = ? AND paused_at IS NULL";
        let read = |row: &mut Row<'_>| {
            let max_running = row.next()?;
            let (count, per_us) = (row.next::<Option<u32>>()?, row.next::<Option<u64>>()?);
            let (held, full_at) = (row.next()?, row.next()?);
            let bucket = count.zip(per_us).map(|(count, per_us)| Bucket { count, per_us, full_at });
            Ok(Self { max_running, held, bucket })
        };
        tx.row(sql, params![name], read).await
    }

    /// How many may start now.
    fn room(&self, now: Timestamp) -> u32 {
        let places = self.max_running.map_or(u32::MAX, |most| most.saturating_sub(self.held));
        places.min(self.bucket.map_or(u32::MAX, |bucket| bucket.tokens(now)))
    }
}
