//! What the background loops find: tasks that are due, lost, expired or forgotten.

use std::time::Duration;

use taskloom_model::{Action, TaskId, Timestamp};

use super::step::{Request, Stepped, step};
use crate::Store;
use crate::error::Result;
use crate::sql::{first, params};
use crate::tx::Tx;

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

impl Store {
    /// T2: makes up to `limit` due tasks ready.
    pub async fn task_promote(&self, now: Timestamp, limit: u32) -> Result<Vec<Stepped>> {
        let sql = "SELECT id FROM scheduled WHERE run_at <= ? ORDER BY run_at, id LIMIT ?";
        self.sweep(sql, now, limit, |_| Action::Promote).await
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
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "SELECT id FROM running WHERE lease_until <= ? OR deadline <= ? LIMIT ?";
                let overdue = now.minus(grace);
                let ids = tx.rows(sql, params![now, overdue, limit], first::<TaskId>).await?;
                let mut steps = Vec::new();
                for id in ids {
                    let action = Action::Reap { grace };
                    let request = Request { random: random(), ..Request::new(id, action) };
                    // Another reaper, a heartbeat or a finish may have been first.
                    let _ = step(tx, &request, now, &mut steps).await?;
                }
                Ok(steps)
            })
        })
        .await
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
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "SELECT id, expires_at FROM expiries WHERE expires_at <= ? ORDER BY expires_at, id LIMIT ?";
                let due = tx
                    .rows(sql, params![now, limit], |row| Ok((row.next::<TaskId>()?, row.next::<Timestamp>()?)))
                    .await?;
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

    /// T13: forgets terminal tasks past their retention, oldest first. Looks at up to `limit` tasks behind `after`
    /// and gives those it forgot with the place to go on from; nothing there means the end was reached.
    pub async fn task_prune(
        &self,
        after: Option<TaskId>,
        retention: Duration,
        now: Timestamp,
        limit: u32,
    ) -> Result<(Vec<TaskId>, Option<TaskId>)> {
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "SELECT id FROM tasks WHERE id > ? AND created_at <= ? ORDER BY id LIMIT ?";
                let after = after.unwrap_or_default();
                let oldest = now.minus(retention);
                let ids = tx.rows(sql, params![after, oldest, limit], first::<TaskId>).await?;
                let mut steps = Vec::new();
                for id in &ids {
                    let _ =
                        step(tx, &Request::new(*id, Action::Purge { retention }), now, &mut steps).await?;
                }
                let next = (ids.len() == limit as usize).then(|| ids.last().copied()).flatten();
                Ok((steps.into_iter().map(|s| s.id).collect(), next))
            })
        })
        .await
    }

    /// Forgets idempotency keys older than `before` and sessions and logins that ended before it.
    pub async fn leftovers_prune(&self, before: Timestamp, limit: u32) -> Result<u64> {
        self.write(move |tx| {
            Box::pin(async move {
                let mut gone = 0;
                for sql in [
                    "DELETE FROM idempotency WHERE (user_id, idem_key) IN
                         (SELECT user_id, idem_key FROM idempotency WHERE created_at < ? LIMIT ?)",
                    "DELETE FROM logins WHERE id IN (SELECT id FROM logins WHERE expires_at < ? LIMIT ?)",
                ] {
                    gone += tx.exec(sql, params![before, limit]).await?;
                }
                Ok(gone)
            })
        })
        .await
    }

    /// How many tasks stand where.
    pub async fn task_depth(&self) -> Result<QueueDepth> {
        self.scan(|tx| Box::pin(async move { depth(tx).await })).await
    }

    async fn sweep(
        &self,
        sql: &'static str,
        now: Timestamp,
        limit: u32,
        action: fn(TaskId) -> Action,
    ) -> Result<Vec<Stepped>> {
        self.write(move |tx| {
            Box::pin(async move {
                let ids = tx.rows(sql, params![now, limit], first::<TaskId>).await?;
                let mut steps = Vec::new();
                for id in ids {
                    // Another process may have been first.
                    let _ = step(tx, &Request::new(id, action(id)), now, &mut steps).await?;
                }
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
