//! What the background loops find: tasks that are due, lost, expired or forgotten.

mod promote;
mod waiting;

use std::time::Duration;

use taskloom_model::{Action, TaskId, Timestamp};

use super::step::{Request, Stepped, follow, step, step_all};
use crate::Store;
use crate::error::Result;
use crate::row::{Row, first};
use crate::sql::params;
use crate::tx::Tx;

pub use waiting::{ReadyPlace, Waiting};

/// How many tasks stand where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// Wait for parents.
    pub blocked: u64,
    /// Wait for a time.
    pub scheduled: u64,
    /// Wait for a worker.
    pub ready: u64,
    /// Run.
    pub running: u64,
}

/// Tasks that move in one transaction across a network.
const TOGETHER: usize = 256;

impl Store {
    /// T2: makes up to `limit` due tasks ready.
    pub async fn task_promote(&self, now: Timestamp, limit: u32) -> Result<Vec<Stepped>> {
        if !self.is_exclusive() {
            return self.write(move |tx| Box::pin(async move { promote::due(tx, now, limit).await })).await;
        }
        let ids = self
            .point(move |tx| {
                Box::pin(async move {
                    let sql = "SELECT id FROM scheduled WHERE run_at <= ? ORDER BY run_at, id LIMIT ?";
                    tx.rows(sql, params![now, limit], first::<TaskId>).await
                })
            })
            .await?;
        self.step_each(ids, |_| (Action::Promote, 0.0), now).await
    }

    /// When the next scheduled task is due.
    pub async fn task_next_due(&self) -> Result<Option<Timestamp>> {
        self.point(|tx| {
            Box::pin(async move {
                tx.row("SELECT run_at FROM scheduled ORDER BY run_at LIMIT 1", &[], first).await
            })
        })
        .await
    }

    /// T8: takes up to `limit` tasks from workers that are lost or over time; `random` spreads their retries.
    pub async fn task_reap(
        &self,
        now: Timestamp,
        grace: Duration,
        limit: u32,
        random: fn() -> f64,
    ) -> Result<Vec<Stepped>> {
        let overdue = now.minus(grace);
        let ids = self
            .point(move |tx| {
                Box::pin(async move {
                    let sql = "SELECT id FROM running WHERE lease_until <= ? OR deadline <= ? LIMIT ?";
                    tx.rows(sql, params![now, overdue, limit], first::<TaskId>).await
                })
            })
            .await?;
        self.step_each(ids, move |_| (Action::Reap { grace }, random()), now).await
    }

    /// T8 for workers that lived inside a process that is gone: nobody else can renew their leases.
    pub async fn task_reap_embedded(&self, now: Timestamp, random: fn() -> f64) -> Result<Vec<Stepped>> {
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "SELECT id FROM running WHERE session IN (SELECT session FROM workers WHERE embedded = 1)";
                let ids = tx.rows(sql, &[], first::<TaskId>).await?;
                let mut steps = Vec::new();
                for id in ids {
                    tx.exec("UPDATE running SET lease_until = ? WHERE id = ?", params![now, id]).await?;
                    let action = Action::Reap { grace: Duration::ZERO };
                    let request = Request { random: random(), ..Request::new(id, action) };
                    let _ = step(tx, &request, now, &mut steps).await?;
                }
                let sql = "UPDATE workers SET left_at = ? WHERE embedded = 1 AND left_at IS NULL";
                tx.exec(sql, params![now]).await?;
                Ok(steps)
            })
        })
        .await
    }

    /// T6: revokes up to `limit` tasks that waited past their `expires_at`.
    pub async fn task_expire(&self, now: Timestamp, limit: u32) -> Result<Vec<Stepped>> {
        let due = self
            .point(move |tx| {
                Box::pin(async move {
                    let sql = "SELECT id, expires_at FROM expiries WHERE expires_at <= ? ORDER BY expires_at, id LIMIT ?";
                    let read = |row: &mut Row<'_>| Ok((row.next::<TaskId>()?, row.next::<Timestamp>()?));
                    tx.rows(sql, params![now, limit], read).await
                })
            })
            .await?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        self.write(move |tx| {
            Box::pin(async move {
                let mut steps = Vec::new();
                for (id, at) in due {
                    // One that runs may finish; should it wait again, its next claim sees the time.
                    let _ = step(tx, &Request::new(id, Action::Expire), now, &mut steps).await?;
                    tx.exec("DELETE FROM expiries WHERE expires_at = ? AND id = ?", params![at, id]).await?;
                }
                Ok(steps)
            })
        })
        .await
    }

    /// Forgets up to `limit` each of: idempotency keys noted before `keys_before`; logins that ended before it; workers
    /// last heard before `workers_before`. Gives whether there may be more.
    pub async fn leftovers_prune(
        &self,
        keys_before: Timestamp,
        workers_before: Timestamp,
        limit: u32,
    ) -> Result<bool> {
        self.write(move |tx| {
            Box::pin(async move {
                let mut more = false;
                for (table, key, column, before) in [
                    ("idempotency", "(user_id, idem_key)", "created_at", keys_before),
                    ("logins", "(id)", "expires_at", keys_before),
                    ("workers", "(session)", "last_seen", workers_before),
                ] {
                    let columns = key.trim_matches(['(', ')']);
                    let sql = match tx {
                        // It takes a limit here, but none within IN, where it would look at the whole table.
                        Tx::Mysql(_) => format!("DELETE FROM {table} WHERE {column} < ? LIMIT ?"),
                        _ => format!(
                            "DELETE FROM {table} WHERE {key} IN (SELECT {columns} FROM {table} WHERE {column} < ? LIMIT ?)"
                        ),
                    };
                    let sql = sql.as_str();
                    more |= tx.exec(sql, params![before, limit]).await? == u64::from(limit);
                }
                Ok(more)
            })
        })
        .await
    }

    /// How many tasks stand where.
    pub async fn task_depth(&self) -> Result<QueueDepth> {
        self.scan(|tx| Box::pin(async move { depth(tx).await })).await
    }

    /// Takes a step with each task; one that another process took first is left out. Idle loops never get to the writer.
    pub(crate) async fn step_each(
        &self,
        ids: Vec<TaskId>,
        action: impl Fn(TaskId) -> (Action, f64),
        now: Timestamp,
    ) -> Result<Vec<Stepped>> {
        let mut steps = Vec::new();
        // Across a network rows stay locked for some round trips.
        let together = if self.is_exclusive() { usize::MAX } else { TOGETHER };
        for some in ids.chunks(together.min(ids.len()).max(1)) {
            steps.extend(self.steps(some.to_vec(), &action, now).await?);
        }
        Ok(steps)
    }

    async fn steps(
        &self,
        mut ids: Vec<TaskId>,
        action: impl Fn(TaskId) -> (Action, f64),
        now: Timestamp,
    ) -> Result<Vec<Stepped>> {
        ids.sort_unstable();
        let requests: Vec<Request> = ids
            .into_iter()
            .map(|id| {
                let (action, random) = action(id);
                Request { random, ..Request::new(id, action) }
            })
            .collect();
        self.write(move |tx| {
            Box::pin(async move {
                let mut steps = Vec::new();
                // What another process took first is left out.
                step_all(tx, &requests, now, &mut steps).await?;
                follow(tx, 0, now, &mut steps).await?;
                Ok(steps)
            })
        })
        .await
    }
}

async fn depth(tx: &mut Tx) -> Result<QueueDepth> {
    Ok(QueueDepth {
        blocked: tx.number("SELECT count(*) FROM blocked", &[]).await?,
        scheduled: tx.number("SELECT count(*) FROM scheduled", &[]).await?,
        ready: tx.number("SELECT count(*) FROM ready", &[]).await?,
        running: tx.number("SELECT count(*) FROM running", &[]).await?,
    })
}
