//! Workflows: submitted, read, waited for, cancelled, run again.

use std::time::Duration;

use taskloom_model::Status;
use taskloom_protocol::{
    ListTasks, ListWorkflows, RetryWorkflow, SubmitWorkflow, Task, Workflow, WorkflowPage, WorkflowSubmitted,
    WorkflowVerdict,
};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::client::new_key;
use crate::transport::Call;
use crate::wait::{LONGEST, TRIES_AWAY};
use crate::{Client, Error, Pages};

/// How often a workflow is asked for that is waited for.
const POLL: Duration = Duration::from_millis(500);

/// What can be done with workflows: see [`Client::workflows`].
#[derive(Debug, Clone, Copy)]
pub struct Workflows<'a>(pub(crate) &'a Client);

impl Workflows<'_> {
    /// Submits tasks tied by dependencies, all or none.
    ///
    /// # Errors
    /// Those of a call; [`Code::Validation`](crate::Code::Validation) names the node and the field: `body.tasks.3.key`.
    pub async fn submit(&self, workflow: &SubmitWorkflow) -> Result<WorkflowSubmitted, Error> {
        self.submit_keyed(workflow, new_key()).await
    }

    /// The same with an idempotency key of one's own, 1 to 200 visible ASCII characters.
    ///
    /// # Errors
    /// Those of [`Workflows::submit`]; [`Code::IdempotencyMismatch`](crate::Code::IdempotencyMismatch) if the key came with
    /// another workflow before.
    pub async fn submit_keyed(
        &self,
        workflow: &SubmitWorkflow,
        key: impl Into<String>,
    ) -> Result<WorkflowSubmitted, Error> {
        self.0.call(Call::post("/workflows").body(workflow)?.idempotency_key(key)).await
    }

    /// A workflow with its nodes.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn get(&self, id: Uuid) -> Result<Workflow, Error> {
        self.0.call(Call::get(path(id, ""))).await
    }

    /// The same without its nodes, which may be thousands.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn summary(&self, id: Uuid) -> Result<Workflow, Error> {
        self.0.call(Call::get(path(id, "")).query("tasks", "false")).await
    }

    /// One page of workflows, the youngest first, without their nodes.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn page(&self, query: &ListWorkflows) -> Result<WorkflowPage, Error> {
        self.0.call(Call::get("/workflows").queries(query)?).await
    }

    /// All workflows, the youngest first, without their nodes.
    ///
    /// # Errors
    /// None yet; those of a call come as it is read.
    pub fn list(&self, query: &ListWorkflows) -> Result<Pages<Workflow>, Error> {
        Ok(Pages::new(self.0, Call::get("/workflows").queries(query)?))
    }

    /// Its tasks, with elements of maps and what handlers submitted.
    ///
    /// # Errors
    /// None yet; those of a call come as it is read.
    pub fn tasks(&self, id: Uuid) -> Result<Pages<Task>, Error> {
        self.0.tasks().list(&ListTasks { workflow_id: Some(id), ..ListTasks::default() })
    }

    /// Waits until all its tasks have ended, or at most `limit`, by asking twice a second; gives it as it stands then,
    /// whatever its status, without its nodes.
    ///
    /// # Errors
    /// Those of a call, once the server has been away for about a minute.
    pub async fn wait(&self, id: Uuid, limit: impl Into<Option<Duration>>) -> Result<Workflow, Error> {
        let end = limit.into().map(|limit| Instant::now() + limit.min(LONGEST));
        loop {
            let call = Call::get(path(id, "")).query("tasks", "false").tries(TRIES_AWAY);
            let workflow: Workflow = self.0.call(call).await?;
            let left = end.map_or(POLL, |end| end.saturating_duration_since(Instant::now()));
            if !matches!(workflow.status, Status::Pending | Status::Running) || left.is_zero() {
                return Ok(workflow);
            }
            sleep(POLL.min(left)).await;
        }
    }

    /// Cancels all its tasks that have not ended.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn cancel(&self, id: Uuid) -> Result<WorkflowVerdict, Error> {
        self.0.call(Call::post(path(id, "/cancel"))).await
    }

    /// The same without waiting for the workers.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn cancel_by_force(&self, id: Uuid) -> Result<WorkflowVerdict, Error> {
        self.0.call(Call::post(path(id, "/cancel")).query("force", "true")).await
    }

    /// Runs again what failed or was revoked.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn retry(&self, id: Uuid) -> Result<WorkflowVerdict, Error> {
        self.0.call(Call::post(path(id, "/retry"))).await
    }

    /// Runs this node and all that depends on it again, whatever became of them.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn retry_from(&self, id: Uuid, node: impl Into<String>) -> Result<WorkflowVerdict, Error> {
        let retry = RetryWorkflow { from: Some(node.into()) };
        self.0.call(Call::post(path(id, "/retry")).body(&retry)?).await
    }
}

fn path(id: Uuid, rest: &str) -> String {
    format!("/workflows/{id}{rest}")
}
