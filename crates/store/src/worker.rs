//! Workers and the files their tasks leave.

use std::time::Duration;

use taskloom_model::{MAP_QUEUE, SessionId, TaskId, Timestamp};
use taskloom_protocol::{Artifact, Register, TaskRef, WorkerInfo};

use crate::Store;
use crate::error::{Result, StoreError};
use crate::row::Row;
use crate::sql::params;
use crate::task::Stepped;

/// A worker that introduces itself.
#[derive(Debug, Clone)]
pub struct NewWorker {
    /// What it says of itself.
    pub hello: Register,
    /// Whether it lives in the server's own process.
    pub embedded: bool,
}

impl Store {
    /// Notes a worker's boot; saying it twice changes nothing but the description.
    pub async fn worker_register(&self, worker: NewWorker, now: Timestamp) -> Result<()> {
        self.write(move |tx| {
            Box::pin(async move {
                let Register { session, name, queues, handlers, concurrency, version, .. } = &worker.hello;
                let queues = serde_json::to_string(queues).unwrap_or_default();
                let handlers = serde_json::to_string(handlers).unwrap_or_default();
                let sql = "UPDATE workers SET name = ?, queues = ?, handlers = ?, concurrency = ?, version = ?, last_seen = ?,
                     left_at = NULL WHERE session = ?";
                let row = params![name, &queues, &handlers, *concurrency, version, now, *session];
                if tx.exec(sql, row).await? == 1 {
                    return Ok(());
                }
                let row = params![
                    *session,
                    name,
                    &queues,
                    &handlers,
                    *concurrency,
                    version,
                    worker.embedded,
                    now,
                    now
                ];
                let sql = "INSERT INTO workers (session, name, queues, handlers, concurrency, version, embedded, started_at,
                     last_seen, draining) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)";
                tx.exec(sql, row).await.map(drop).map_err(StoreError::raced)
            })
        })
        .await
    }

    /// The queues and handlers of a known worker, and whether it is to take no more tasks.
    pub async fn worker_get(&self, session: SessionId) -> Result<Option<(Vec<String>, Vec<String>, bool)>> {
        self.point(move |tx| {
            Box::pin(async move {
                let sql =
                    "SELECT queues, handlers, draining FROM workers WHERE session = ? AND left_at IS NULL";
                let read = |row: &mut Row<'_>| {
                    let queues = row.json()?.unwrap_or_default();
                    Ok((queues, row.json()?.unwrap_or_default(), row.next()?))
                };
                tx.row(sql, params![session], read).await
            })
        })
        .await
    }

    /// Tells a worker to take no more tasks; false if it is not known.
    pub async fn worker_drain(&self, session: SessionId) -> Result<bool> {
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "UPDATE workers SET draining = 1 WHERE session = ? AND left_at IS NULL";
                Ok(tx.exec(sql, params![session]).await? == 1)
            })
        })
        .await
    }

    /// Notes that a worker has left, and takes back what it still holds.
    pub async fn worker_leave(&self, session: SessionId, now: Timestamp) -> Result<Vec<Stepped>> {
        let held = self
            .write(move |tx| {
                Box::pin(async move {
                    // From now on it gets no more.
                    tx.exec("UPDATE workers SET left_at = ? WHERE session = ?", params![now, session])
                        .await?;
                    let sql = "SELECT id, epoch FROM running WHERE session = ?";
                    tx.rows(sql, params![session], |row| Ok(TaskRef { id: row.next()?, epoch: row.next()? }))
                        .await
                })
            })
            .await?;
        // A worker may hold thousands. Should this be broken off, the rest is taken back when the leases end.
        let (steps, _) = self.task_drain(session, held, now).await?;
        Ok(steps)
    }

    /// Up to 1,000 workers that have not left, most lately heard first; alive if heard within `lease`.
    pub async fn worker_list(&self, lease: Duration, now: Timestamp) -> Result<Vec<WorkerInfo>> {
        self.scan(move |tx| {
            Box::pin(async move {
                let sql = "SELECT session, name, queues, handlers, concurrency, version, started_at, last_seen, draining
                     FROM workers WHERE left_at IS NULL AND last_seen > ? AND queues <> ? ORDER BY last_seen DESC LIMIT 1000";
                // One that is silent for a day is history.
                let oldest = now.minus(Duration::from_secs(86_400));
                let read = |row: &mut Row<'_>| read_worker(row, lease, now);
                // The engine's own, which fan maps out, are nobody's to steer.
                let own = format!("[\"{MAP_QUEUE}\"]");
                tx.rows(sql, params![oldest, &own], read).await
            })
        })
        .await
    }

    /// Notes a stored file; false if the session does not hold the task under that epoch.
    pub async fn artifact_put(&self, session: SessionId, task: TaskRef, artifact: Artifact) -> Result<bool> {
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "SELECT 1 FROM running WHERE id = ? AND epoch = ? AND session = ?";
                // The attempt must not end before its file is noted.
                tx.lock(sql, params![task.id, task.epoch, session]).await?;
                if tx.number(sql, params![task.id, task.epoch, session]).await? != 1 {
                    return Ok(false);
                }
                let Artifact { name, bytes, sha256, content_type, created_at } = &artifact;
                tx.exec("DELETE FROM artifacts WHERE task_id = ? AND name = ?", params![task.id, name])
                    .await?;
                let sql =
                    "INSERT INTO artifacts (task_id, name, epoch, bytes, sha256, content_type, created_at)
                     VALUES (?, ?, ?, ?, ?, ?, ?)";
                let row = params![task.id, name, task.epoch, *bytes, sha256, content_type, *created_at];
                tx.exec(sql, row).await?;
                Ok(true)
            })
        })
        .await
    }

    /// The files of a task with the epoch of the attempt that stored each, by name.
    pub async fn artifact_list(&self, id: TaskId) -> Result<Vec<(Artifact, u32)>> {
        self.point(move |tx| {
            Box::pin(async move {
                let sql = "SELECT name, bytes, sha256, content_type, created_at, epoch FROM artifacts WHERE task_id = ?
                     ORDER BY name";
                tx.rows(sql, params![id], |row| {
                    let artifact = Artifact {
                        name: row.next()?,
                        bytes: row.next()?,
                        sha256: row.next()?,
                        content_type: row.next()?,
                        created_at: row.next()?,
                    };
                    Ok((artifact, row.next()?))
                })
                .await
            })
        })
        .await
    }
}

fn read_worker(row: &mut Row<'_>, lease: Duration, now: Timestamp) -> Result<WorkerInfo> {
    let mut worker = WorkerInfo {
        session: row.next()?,
        name: row.next()?,
        queues: row.json()?.unwrap_or_default(),
        handlers: row.json()?.unwrap_or_default(),
        concurrency: row.next()?,
        version: row.next()?,
        started_at: row.next()?,
        last_seen: row.next()?,
        draining: row.next()?,
        alive: false,
    };
    worker.alive = now.since(worker.last_seen) <= lease;
    Ok(worker)
}
