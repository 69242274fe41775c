//! Workflows: tasks that came together, and what joins them on the way.

mod cancel;
mod expand;
mod inputs;
mod list;
mod members;
mod retry;
mod spawn;
mod submit;

use taskloom_model::{TaskId, Timestamp, UserId, WorkflowId};

use crate::error::Result;
use crate::row::Row;
use crate::sql::{Param, params};
use crate::tx::Tx;

pub use expand::{Expanded, Expansion};
pub use inputs::ResultSize;
pub use retry::RetryRefused;
pub use spawn::Spawning;
pub use submit::{NewWorkflow, WorkflowOutcome, WorkflowSubmission};

/// A row of `workflows`.
struct Head {
    id: WorkflowId,
    user_id: UserId,
    name: Option<String>,
    created_at: Timestamp,
    cancelled_at: Option<Timestamp>,
}

/// What [`Head::read`] reads.
const HEAD: &str = "SELECT id, user_id, name, created_at, cancelled_at FROM workflows";

impl Head {
    fn read(row: &mut Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.next()?,
            user_id: row.next()?,
            name: row.next()?,
            created_at: row.next()?,
            cancelled_at: row.next()?,
        })
    }

    /// The workflow, if it exists for this user.
    async fn get(tx: &mut Tx, id: WorkflowId, owner: Option<UserId>) -> Result<Option<Self>> {
        let found = tx.row(&format!("{HEAD} WHERE id = ?"), params![id], Self::read).await?;
        Ok(found.filter(|head| owner.is_none_or(|owner| owner == head.user_id)))
    }

    /// The same; nobody else cancels, retries or joins it until the transaction ends.
    async fn lock(tx: &mut Tx, id: WorkflowId, owner: Option<UserId>) -> Result<Option<Self>> {
        tx.lock("SELECT 1 FROM workflows WHERE id = ?", params![id]).await?;
        Self::get(tx, id, owner).await
    }
}

/// A task that joins a workflow: its id, its node's key, its place in a map.
type Joining<'a> = (TaskId, Option<&'a str>, Option<u32>);

/// Lists tasks as those of a workflow.
async fn join(tx: &mut Tx, id: WorkflowId, tasks: impl IntoIterator<Item = Joining<'_>>) -> Result<()> {
    let mut rows: Vec<Param<'_>> = Vec::new();
    for (task, node, item) in tasks {
        rows.extend::<[Param<'_>; 4]>([id.into(), task.into(), node.into(), item.into()]);
    }
    tx.insert_many("INSERT INTO workflow_tasks (workflow_id, task_id, node, item)", 4, &rows).await
}
