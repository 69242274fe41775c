//! A workflow comes into being with all its nodes, in one transaction.

use std::sync::Arc;

use taskloom_model::{UserId, WorkflowId};

use super::join;
use crate::Store;
use crate::error::Result;
use crate::idempotency::{Idempotency, Known};
use crate::sql::params;
use crate::task::step::Stepped;
use crate::task::submit::{Made, NewTask, Rejected, Submission, SubmitOutcome, submit};
use crate::tx::Tx;

/// A workflow as the store takes it.
#[derive(Debug, Clone)]
pub struct NewWorkflow {
    /// The id, a fresh UUIDv7.
    pub id: WorkflowId,
    /// Whose it is.
    pub user_id: UserId,
    /// A name for people.
    pub name: Option<String>,
}

/// A workflow to submit.
#[derive(Debug, Clone)]
pub struct WorkflowSubmission {
    /// The workflow.
    pub workflow: NewWorkflow,
    /// The nodes' keys.
    pub keys: Arc<[String]>,
    /// The nodes' tasks, in the same order, each behind those it depends on. They say that they belong to the workflow.
    pub tasks: Arc<[NewTask]>,
    /// The key, if the client sent one.
    pub idempotency: Option<Idempotency>,
    /// The instant of submission.
    pub now: taskloom_model::Timestamp,
}

/// What became of it.
#[derive(Debug, Clone)]
pub enum WorkflowOutcome {
    /// It exists, and its tasks, in order.
    Done {
        /// One for each task.
        made: Vec<Made>,
        /// What else moved.
        steps: Vec<Stepped>,
    },
    /// The same submission was made before, and this came of it.
    Replayed(WorkflowId),
    /// Nothing was submitted.
    Rejected(Rejected),
}

impl Store {
    /// Submits a workflow; when this returns it is durable.
    pub async fn workflow_submit(&self, submission: WorkflowSubmission) -> Result<WorkflowOutcome> {
        self.write(move |tx| Box::pin(async move { write(tx, &submission).await })).await
    }
}

async fn write(tx: &mut Tx, submission: &WorkflowSubmission) -> Result<WorkflowOutcome> {
    let WorkflowSubmission { workflow, keys, tasks, idempotency, now } = submission;
    if let Some(idempotency) = idempotency {
        match idempotency.look(tx).await? {
            Some(Known::Same(ids)) => {
                let id = ids.first().copied().unwrap_or_default();
                return Ok(WorkflowOutcome::Replayed(id));
            }
            Some(Known::Other) => return Ok(WorkflowOutcome::Rejected(Rejected::IdempotencyMismatch)),
            None => {}
        }
    }
    let all = Submission { tasks: Arc::clone(tasks), idempotency: None, now: *now };
    let (made, steps) = match submit(tx, &all).await? {
        SubmitOutcome::Done { made, steps } => (made, steps),
        SubmitOutcome::Rejected(rejected) => return Ok(WorkflowOutcome::Rejected(rejected)),
        SubmitOutcome::Replayed(_) => return Ok(WorkflowOutcome::Rejected(Rejected::IdempotencyMismatch)),
    };
    let row = params![workflow.id, workflow.user_id, workflow.name.as_ref(), *now];
    tx.exec("INSERT INTO workflows (id, user_id, name, created_at) VALUES (?, ?, ?, ?)", row).await?;
    let nodes = tasks.iter().zip(keys.iter()).map(|(task, key)| (task.id, Some(key.as_str()), None));
    join(tx, workflow.id, nodes).await?;
    if let Some(idempotency) = idempotency {
        idempotency.note(tx, &[workflow.id], *now).await?;
    }
    Ok(WorkflowOutcome::Done { made, steps })
}
