//! Workflows on the wire.

mod keyed;
mod node;
mod plan;

use serde::{Deserialize, Serialize};
use taskloom_model::{Reason, State, Status, Timestamp};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Counts, SubmitTask};

pub use keyed::Keyed;
pub use node::{MapOver, WorkflowNode};
pub use plan::{MAX_EDGES, WorkflowPlan};

/// Tasks tied by dependencies, submitted all or none.
#[derive(Debug, Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubmitWorkflow {
    /// A name for people, up to 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200, example = "nightly")]
    pub name: Option<String>,
    /// 1 to 10,000 nodes, in any order.
    #[schema(min_items = 1, max_items = 10_000)]
    pub tasks: Vec<WorkflowNode>,
}

impl SubmitWorkflow {
    /// A workflow without nodes.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), tasks: Vec::new() }
    }

    /// Adds a node. What its arguments refer to, it waits for.
    #[must_use]
    pub fn node(self, key: impl Into<String>, task: SubmitTask) -> Self {
        self.with(WorkflowNode::new(key, task))
    }

    /// Adds a node that waits for others besides those its arguments refer to.
    #[must_use]
    pub fn node_after<K: Into<String>>(
        self,
        key: impl Into<String>,
        task: SubmitTask,
        depends_on: impl IntoIterator<Item = K>,
    ) -> Self {
        let depends_on = depends_on.into_iter().map(Into::into).collect();
        self.with(WorkflowNode { depends_on, ..WorkflowNode::new(key, task) })
    }

    /// Adds a node as it is.
    #[must_use]
    pub fn with(mut self, node: WorkflowNode) -> Self {
        self.tasks.push(node);
        self
    }
}

/// The answer to a submission.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
pub struct WorkflowSubmitted {
    /// The workflow.
    pub id: Uuid,
    /// A name for people.
    pub name: Option<String>,
    /// As in [`Workflow`].
    #[schema(value_type = String, example = "pending")]
    pub status: Status,
    /// Per cent, 0 to 100.
    pub progress: f64,
    /// The tasks' ids by the nodes' keys.
    #[schema(value_type = std::collections::HashMap<String, Uuid>)]
    pub tasks: Keyed<Uuid>,
    /// Whether the same `Idempotency-Key` was sent before; then nothing was submitted now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deduplicated: bool,
}

/// A workflow as it stands.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
pub struct Workflow {
    /// The id.
    pub id: Uuid,
    /// A name for people.
    pub name: Option<String>,
    /// `pending` until the first task starts, `running` until the last has ended; then `failed` if any task failed, else
    /// `revoked` if any was, else `succeeded`.
    #[schema(value_type = String, example = "running")]
    pub status: Status,
    /// Per cent: the mean of its tasks'. One that succeeded or was skipped counts 100.
    pub progress: f64,
    /// How many of its tasks stand where, with elements of maps and tasks that handlers submitted.
    pub counts: Counts,
    /// Whose it is.
    pub user_id: Uuid,
    /// When it was submitted.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When somebody cancelled it.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub cancelled_at: Option<Timestamp>,
    /// The nodes by their keys, each behind those it depends on; left out of lists and with `?tasks=false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<std::collections::HashMap<String, WorkflowTask>>)]
    pub tasks: Option<Keyed<WorkflowTask>>,
}

/// A node as it stands.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, ToSchema)]
pub struct WorkflowTask {
    /// The task's id.
    pub id: Uuid,
    /// The handler's name.
    pub task: String,
    /// The exact state of the task.
    #[schema(value_type = String, example = "blocked")]
    pub state: State,
    /// Its status; of a map, that of its children once there are any, as a workflow's from its tasks.
    #[schema(value_type = String, example = "pending")]
    pub status: Status,
    /// Why it is in its state, where the state alone does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub reason: Option<Reason>,
    /// Per cent, 0 to 100; of a map, the mean of its children's.
    pub progress: f64,
    /// The keys of those it waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
    /// Of a map that has fanned out: its children.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<Counts>,
}

/// One page of workflows.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
pub struct WorkflowPage {
    /// The workflows, youngest first, without their nodes.
    pub items: Vec<Workflow>,
    /// Sent as `cursor`, gives the next page; null on the last.
    pub next_cursor: Option<String>,
}

/// How to run a workflow again.
#[derive(Debug, Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryWorkflow {
    /// Run this node and all that depends on it again, whatever became of them. Left out: only what failed or was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 100)]
    pub from: Option<String>,
}

/// The answer to cancel and retry.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
pub struct WorkflowVerdict {
    /// Always true; a refusal is a problem.
    pub success: bool,
    /// What happened, in words.
    pub message: String,
    /// How many tasks it concerned.
    pub tasks: u64,
    /// The workflow now, without its nodes.
    pub workflow: Workflow,
}

/// The status of many from how many stand where.
pub fn status_of(counts: &Counts) -> Status {
    let Counts { total, pending, running, failed, revoked, .. } = *counts;
    if pending == total && total > 0 {
        Status::Pending
    } else if pending + running > 0 {
        Status::Running
    } else if failed > 0 {
        Status::Failed
    } else if revoked > 0 {
        Status::Revoked
    } else {
        Status::Succeeded
    }
}
