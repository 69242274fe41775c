//! Children that a running handler submits.

use taskloom_model::{SessionId, TaskId, UserId, WorkflowId};
use taskloom_protocol::TaskRef;

use super::{Head, join};
use crate::Store;
use crate::error::Result;
use crate::sql::params;
use crate::task::submit::{Submission, SubmitOutcome, submit};
use crate::tx::Tx;

/// What became of it.
#[derive(Debug, Clone)]
pub enum Spawning {
    /// As of any submission.
    Submitted(SubmitOutcome),
    /// The parent is no longer held under that epoch.
    LeaseLost,
    /// Somebody has cancelled the parent's workflow.
    Cancelled,
}

impl Store {
    /// Submits tasks on behalf of a running one, if the session holds it when they are written. Those that say so belong
    /// to its workflow.
    pub async fn task_spawn(
        &self,
        session: SessionId,
        parent: TaskRef,
        submission: Submission,
    ) -> Result<Spawning> {
        self.write(move |tx| Box::pin(async move { spawn(tx, session, parent, &submission).await })).await
    }

    /// Whose a task is, and the workflow it belongs to.
    pub async fn task_family(&self, id: TaskId) -> Result<Option<(UserId, Option<WorkflowId>)>> {
        self.point(move |tx| {
            Box::pin(async move {
                let sql = "SELECT user_id, workflow_id FROM tasks WHERE id = ?";
                tx.row(sql, params![id], |row| Ok((row.next()?, row.next()?))).await
            })
        })
        .await
    }
}

async fn spawn(
    tx: &mut Tx,
    session: SessionId,
    parent: TaskRef,
    submission: &Submission,
) -> Result<Spawning> {
    // The workflow before its tasks: everybody locks them in this order.
    let workflow = submission.tasks.iter().find_map(|task| task.workflow_id);
    let is_closed = match workflow {
        Some(workflow) => {
            Head::lock(tx, workflow, None).await?.is_none_or(|head| head.cancelled_at.is_some())
        }
        None => false,
    };
    if !still_holds(tx, session, parent).await? {
        return Ok(Spawning::LeaseLost);
    }
    if is_closed {
        return Ok(Spawning::Cancelled);
    }
    let outcome = submit(tx, submission).await?;
    if let (Some(workflow), SubmitOutcome::Done { made, .. }) = (workflow, &outcome) {
        let new = submission.tasks.iter().zip(made).filter(|(_, made)| made.life().is_some());
        join(tx, workflow, new.map(|(task, _)| (task.id, None, None))).await?;
    }
    Ok(Spawning::Submitted(outcome))
}

/// Whether the session holds the task under this epoch, and will until the transaction ends.
pub(super) async fn still_holds(tx: &mut Tx, session: SessionId, task: TaskRef) -> Result<bool> {
    let sql = "SELECT 1 FROM running WHERE id = ? AND epoch = ? AND session = ?";
    let held = params![task.id, task.epoch, session];
    if tx.is_shared() {
        return Ok(tx.lock(sql, held).await? == 1);
    }
    Ok(tx.number(sql, held).await? == 1)
}
