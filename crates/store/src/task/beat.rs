//! T4: heartbeats, progress and log lines.

use std::time::Duration;

use taskloom_model::{SessionId, TaskId, Timestamp};
use taskloom_protocol::{Json, LogLine, TaskRef};

use crate::Store;
use crate::error::Result;
use crate::sql::params;
use crate::tx::Tx;

/// News of one running task.
#[derive(Debug, Clone)]
pub struct BeatItem {
    /// The task and the epoch of the claim.
    pub task: TaskRef,
    /// Progress 0 to 100, if it changed.
    pub progress: Option<f64>,
    /// About the progress, if it changed.
    pub detail: Option<Json>,
    /// New lines.
    pub logs: Vec<LogLine>,
}

impl BeatItem {
    /// Whether it says more than that the task is held.
    pub fn has_news(&self) -> bool {
        self.progress.is_some() || !self.logs.is_empty()
    }
}

/// What the worker has to know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BeatResult {
    /// No longer held.
    pub lost: Vec<TaskRef>,
    /// A user wants these to stop.
    pub cancel: Vec<TaskRef>,
}

impl Store {
    /// Renews the leases of the tasks that the session still holds.
    pub async fn task_beat(
        &self,
        session: SessionId,
        items: Vec<BeatItem>,
        lease: Duration,
        now: Timestamp,
    ) -> Result<BeatResult> {
        self.write(move |tx| {
            Box::pin(async move {
                let mut result = BeatResult::default();
                let until = now.plus(lease);
                for item in &items {
                    match beat(tx, session, item, until).await? {
                        None => result.lost.push(item.task),
                        Some(true) => result.cancel.push(item.task),
                        Some(false) => {}
                    }
                }
                Ok(result)
            })
        })
        .await
    }
}

/// Renews one lease; gives the cancel flag, or nothing if it is not held.
async fn beat(tx: &mut Tx, session: SessionId, item: &BeatItem, until: Timestamp) -> Result<Option<bool>> {
    let TaskRef { id, epoch } = item.task;
    let sql = "UPDATE running SET lease_until = CASE WHEN lease_until < ? THEN ? ELSE lease_until END,
         progress = coalesce(?, progress), detail = coalesce(?, detail)
         WHERE id = ? AND epoch = ? AND session = ?";
    let row = params![until, until, item.progress, item.detail.as_ref(), id, epoch, session];
    if tx.exec(sql, row).await? == 0 {
        return Ok(None);
    }
    append_logs(tx, id, &item.logs).await?;
    tx.row("SELECT cancel FROM running WHERE id = ?", params![id], crate::sql::first).await
}

/// Appends log lines of a task.
pub(crate) async fn append_logs(tx: &mut Tx, id: TaskId, logs: &[LogLine]) -> Result<()> {
    for line in logs {
        let sql = "INSERT INTO logs (task_id, at, level, message) VALUES (?, ?, ?, ?)";
        tx.exec(sql, params![id, line.at, line.level.name(), &line.message]).await?;
    }
    Ok(())
}
