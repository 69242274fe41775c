//! T6 for a whole workflow, page by page. What was begun is noted, so that another goes on if the one who began is gone.

use std::time::Duration;

use taskloom_model::{Action, TaskId, Timestamp, UserId, WorkflowId};

use super::Head;
use crate::Store;
use crate::error::Result;
use crate::row::{Row, first};
use crate::sql::params;
use crate::task::step::{Request, Stepped, follow, step_all};
use crate::tx::Tx;

/// After this long without another page the next who looks goes on.
const RESUME_AFTER: Duration = Duration::from_secs(15);

impl Store {
    /// Says that a workflow is cancelled: nothing joins it from now on. False if it does not exist for this user.
    pub async fn workflow_close(
        &self,
        id: WorkflowId,
        owner: Option<UserId>,
        force: bool,
        now: Timestamp,
    ) -> Result<bool> {
        self.write(move |tx| {
            Box::pin(async move {
                if Head::lock(tx, id, owner).await?.is_none() {
                    return Ok(false);
                }
                tx.exec("UPDATE workflows SET cancelled_at = ? WHERE id = ?", params![now, id]).await?;
                reopen(tx, id).await?;
                let sql = "INSERT INTO cancelling (workflow_id, is_forced, resume_at) VALUES (?, ?, ?)";
                tx.exec(sql, params![id, force, now.plus(RESUME_AFTER)]).await?;
                Ok(true)
            })
        })
        .await
    }

    /// T6 for up to `limit` tasks of a cancelled workflow with ids below `before`, the last first: what depends on others
    /// is revoked before they are. Gives the steps and where to go on. Should somebody have retried the workflow meanwhile,
    /// nothing is cancelled any more.
    pub async fn workflow_cancel_some(
        &self,
        id: WorkflowId,
        before: Option<TaskId>,
        force: bool,
        now: Timestamp,
        limit: u32,
    ) -> Result<(Vec<Stepped>, Option<TaskId>)> {
        let before = before.unwrap_or(uuid::Uuid::max());
        let live = self
            .point(move |tx| {
                Box::pin(async move {
                    let sql = "SELECT w.task_id FROM workflow_tasks w LEFT JOIN outcomes o ON o.id = w.task_id
                         WHERE w.workflow_id = ? AND w.task_id < ? AND o.id IS NULL ORDER BY w.task_id DESC LIMIT ?";
                    tx.rows(sql, params![id, before, limit], first::<TaskId>).await
                })
            })
            .await?;
        let next = live.last().copied().filter(|_| live.len() >= limit as usize);
        let steps = self
            .write(move |tx| {
                Box::pin(async move {
                    if Head::lock(tx, id, None).await?.is_none_or(|head| head.cancelled_at.is_none()) {
                        return Ok(None);
                    }
                    match next {
                        Some(_) => {
                            let sql = "UPDATE cancelling SET resume_at = ? WHERE workflow_id = ?";
                            tx.exec(sql, params![now.plus(RESUME_AFTER), id]).await?;
                        }
                        None => reopen(tx, id).await?,
                    }
                    cancel(tx, live, force, now).await.map(Some)
                })
            })
            .await?;
        Ok(steps.map_or((Vec::new(), None), |steps| (steps, next)))
    }

    /// Takes over up to `limit` workflows whose cancel was left half done; with whether it is by force.
    pub async fn workflow_cancels_left(&self, now: Timestamp, limit: u32) -> Result<Vec<(WorkflowId, bool)>> {
        let sql = "SELECT workflow_id, is_forced, resume_at FROM cancelling WHERE resume_at <= ? ORDER BY resume_at LIMIT ?";
        let read = |row: &mut Row<'_>| Ok((row.next::<WorkflowId>()?, row.next()?, row.next::<Timestamp>()?));
        let due = self
            .point(move |tx| Box::pin(async move { tx.rows(sql, params![now, limit], read).await }))
            .await?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        self.write(move |tx| {
            Box::pin(async move {
                let mut taken = Vec::new();
                for (id, is_forced, at) in due {
                    let sql = "UPDATE cancelling SET resume_at = ? WHERE workflow_id = ? AND resume_at = ?";
                    if tx.exec(sql, params![now.plus(RESUME_AFTER), id, at]).await? == 1 {
                        taken.push((id, is_forced));
                    }
                }
                Ok(taken)
            })
        })
        .await
    }
}

/// Nothing is left to cancel.
pub(super) async fn reopen(tx: &mut Tx, id: WorkflowId) -> Result<()> {
    tx.exec("DELETE FROM cancelling WHERE workflow_id = ?", params![id]).await.map(drop)
}

/// Cancels tasks. Those among them that wait for parents are revoked in this very transaction and wait for nobody any more:
/// so their parents need not look for them one by one.
async fn cancel(tx: &mut Tx, mut ids: Vec<TaskId>, force: bool, now: Timestamp) -> Result<Vec<Stepped>> {
    ids.sort_unstable();
    if tx.is_shared() {
        // First what runs, then the edges: in the order in which whoever ends a task locks them.
        tx.rows_in("SELECT id FROM running WHERE id", &[], &ids, " FOR UPDATE", first::<TaskId>).await?;
    }
    tx.exec_in("UPDATE edges SET is_open = 0 WHERE is_open = 1 AND child_id", &[], &ids).await?;
    let mut steps = Vec::new();
    let requests: Vec<Request> = ids.iter().map(|id| Request::new(*id, Action::Cancel { force })).collect();
    // One that has just ended needs no cancelling.
    step_all(tx, &requests, now, &mut steps).await?;
    follow(tx, 0, now, &mut steps).await?;
    Ok(steps)
}
