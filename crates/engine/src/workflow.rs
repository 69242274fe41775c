//! Workflows: submitted, read, cancelled, run again.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use taskloom_model::{MAP_HANDLER, MAP_QUEUE, Status, TaskId, Ties, Timestamp, WorkflowId};
use taskloom_protocol::{
    FieldError, Json, Keyed, SubmitTask, SubmitWorkflow, Workflow, WorkflowNode, WorkflowPage, WorkflowPlan,
    WorkflowSubmitted, WorkflowVerdict,
};
use taskloom_store::{
    NewTask, NewWorkflow, Rejected, RetryRefused, Stepped, WorkflowOutcome, WorkflowSubmission,
};
use uuid::Uuid;

use crate::submit::idempotency;
use crate::{Caller, Engine, EngineError};

/// Tasks cancelled in one transaction.
const TOGETHER: u32 = 200;
/// Cancels that one pass takes over.
const CANCELS: u32 = 10;
/// Attempts of a map: only the loss of the engine's process ends one, and three of those end it for good.
const MAP_ATTEMPTS: u32 = 10;

/// What a map is to do, as its `kwargs` keep it.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct MapArguments {
    /// The list, or a reference to it.
    pub(crate) over: Json,
    /// What each child is.
    pub(crate) task: SubmitTask,
}

impl Engine {
    /// Submits a workflow, all or none; when this returns it is durable.
    ///
    /// # Errors
    /// [`EngineError::Fields`] names each field that breaks a rule, with the node's place.
    pub async fn submit_workflow(
        &self,
        caller: &Caller,
        workflow: SubmitWorkflow,
        idempotency_key: Option<&str>,
    ) -> Result<WorkflowSubmitted, EngineError> {
        let plan = workflow.plan(&self.inner.config.limits).map_err(EngineError::Fields)?;
        let idempotency = idempotency_key.map(|key| idempotency(caller, key, &workflow)).transpose()?;
        let now = self.now();
        let id = self.inner.ids.next(now);
        let name = workflow.name.clone();
        let mut workflow = workflow;
        let defaults = self.handler_defaults().await?;
        for node in &mut workflow.tasks {
            self.settle_defaults(&defaults, &mut node.task);
            // A node is a task of its own, which no other answers for.
            node.task.cache_ttl = None;
        }
        let (keys, mut tasks) = self.nodes(caller, workflow, &plan, id, now)?;
        self.take_turns(&mut tasks, now).await?;
        let (keys, tasks): (Arc<[String]>, Arc<[NewTask]>) = (keys.into(), tasks.into());
        let submission = WorkflowSubmission {
            workflow: NewWorkflow { id, user_id: caller.user_id, name: name.clone() },
            keys: Arc::clone(&keys),
            tasks: Arc::clone(&tasks),
            idempotency,
            now,
        };
        match self.inner.store.workflow_submit(submission).await? {
            WorkflowOutcome::Done { made, steps } => {
                self.announce_new(&tasks, &made);
                self.announce(&steps);
                let ids = keys.iter().cloned().zip(tasks.iter().map(|task| task.id)).collect();
                let (status, progress) = (Status::Pending, 0.0);
                Ok(WorkflowSubmitted { id, name, status, progress, tasks: Keyed(ids), deduplicated: false })
            }
            WorkflowOutcome::Replayed(id) => {
                let known = self.workflow(caller, id, true).await?;
                let tasks = known.tasks.unwrap_or(Keyed(Vec::new()));
                let tasks = Keyed(tasks.0.into_iter().map(|(key, node)| (key, node.id)).collect());
                let Workflow { id, name, status, progress, .. } = known;
                Ok(WorkflowSubmitted { id, name, status, progress, tasks, deduplicated: true })
            }
            WorkflowOutcome::Rejected(Rejected::IdempotencyMismatch) => Err(EngineError::IdempotencyMismatch),
            // All parents come with it.
            WorkflowOutcome::Rejected(_) => Err(EngineError::NotFound),
        }
    }

    /// The nodes' keys and tasks, each behind those it depends on.
    fn nodes(
        &self,
        caller: &Caller,
        workflow: SubmitWorkflow,
        plan: &WorkflowPlan,
        id: WorkflowId,
        now: Timestamp,
    ) -> Result<(Vec<String>, Vec<NewTask>), EngineError> {
        let mut nodes: Vec<Option<WorkflowNode>> = workflow.tasks.into_iter().map(Some).collect();
        let mut places = vec![TaskId::nil(); nodes.len()];
        let mut ids: HashMap<String, Uuid> = HashMap::with_capacity(nodes.len());
        for place in plan.dag.order() {
            // Ids rise along the graph.
            places[*place] = self.inner.ids.next(now);
            if let Some(node) = &nodes[*place] {
                ids.insert(node.key.clone(), places[*place]);
            }
        }
        let (mut keys, mut tasks) = (Vec::with_capacity(nodes.len()), Vec::with_capacity(nodes.len()));
        for place in plan.dag.order() {
            let Some(mut node) = nodes[*place].take() else { continue };
            let has_inputs = plan.has_inputs[*place];
            node.resolve(&ids, has_inputs).map_err(|error| {
                EngineError::Fields(vec![
                    FieldError::body("args", "bad_reference", error.to_string()).at_task(*place),
                ])
            })?;
            let parents = plan.dag.parents(*place).iter().map(|parent| places[*parent]).collect();
            let task = NewTask { id: places[*place], ..self.node(caller, &node, parents, has_inputs, now) };
            tasks.push(NewTask { workflow_id: Some(id), ties: task.ties.with(Ties::WORKFLOW), ..task });
            keys.push(node.key);
        }
        Ok((keys, tasks))
    }

    fn node(
        &self,
        caller: &Caller,
        node: &WorkflowNode,
        parents: Vec<TaskId>,
        has_inputs: bool,
        now: Timestamp,
    ) -> NewTask {
        let mut task = node.task.clone();
        // People find a node by its key, should it have no name.
        task.name.get_or_insert_with(|| node.key.clone());
        let task = match &node.map {
            Some(map) => map_task(task, &map.over),
            None => task,
        };
        let ties = Ties::NONE.with_if(Ties::INPUTS, has_inputs).with_if(Ties::MAP, node.map.is_some());
        let made = self.complete(caller, task, None, now);
        let made = NewTask { depends_on: parents, ties: made.ties.with(ties), ..made };
        if node.map.is_some() { NewTask { queue: MAP_QUEUE.into(), ..made } } else { made }
    }

    /// A workflow, with its nodes or without.
    pub async fn workflow(
        &self,
        caller: &Caller,
        id: WorkflowId,
        with_nodes: bool,
    ) -> Result<Workflow, EngineError> {
        let store = &self.inner.store;
        let found = if with_nodes {
            store.workflow_get(id, caller.held_to()).await?
        } else {
            store.workflow_glance(id, caller.held_to()).await?
        };
        found.ok_or(EngineError::NoWorkflow)
    }

    /// Up to `limit` workflows that the caller may see, youngest first, from where a page before ended.
    pub async fn workflows(
        &self,
        caller: &Caller,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<WorkflowPage, EngineError> {
        let before = cursor.map(|text| text.parse().map_err(|_| EngineError::BadCursor)).transpose()?;
        let limit = limit.clamp(1, 100);
        let mut items = self.inner.store.workflow_list(caller.held_to(), before, limit + 1).await?;
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next_cursor = items.last().filter(|_| more).map(|last| last.id.to_string());
        Ok(WorkflowPage { items, next_cursor })
    }

    /// T6 for every task of a workflow that has not ended; from now on nothing joins it.
    pub async fn cancel_workflow(
        &self,
        caller: &Caller,
        id: WorkflowId,
        force: bool,
    ) -> Result<WorkflowVerdict, EngineError> {
        let known = self.workflow(caller, id, false).await?;
        if known.counts.pending + known.counts.running == 0 {
            return Err(EngineError::WorkflowEnded);
        }
        if !self.inner.store.workflow_close(id, caller.held_to(), force, self.now()).await? {
            return Err(EngineError::NoWorkflow);
        }
        // A client that hangs up does not stop it half-way.
        let tasks = tokio::spawn(self.clone().cancel_members(id, force)).await;
        let tasks = tasks.map_err(|error| EngineError::Io(std::io::Error::other(error)))??;
        let message = "workflow cancelled; what runs is told to stop";
        self.verdict(caller, id, message, tasks).await
    }

    /// Goes on with cancels that were left half done, because the process that was at it is gone. Gives how many tasks.
    pub async fn finish_cancels(&self) -> Result<u64, EngineError> {
        let mut tasks = 0;
        for (id, force) in self.inner.store.workflow_cancels_left(self.now(), CANCELS).await? {
            tracing::warn!(workflow = %id, "goes on cancelling");
            tasks += self.clone().cancel_members(id, force).await?;
        }
        Ok(tasks)
    }

    /// T6 for every live task of a workflow, in bounded steps. Gives how many.
    async fn cancel_members(self, id: WorkflowId, force: bool) -> Result<u64, EngineError> {
        let (mut before, mut tasks) = (None, 0);
        loop {
            let some = self.inner.store.workflow_cancel_some(id, before, force, self.now(), TOGETHER).await?;
            let (steps, next) = some;
            tasks += steps.len() as u64;
            self.announce(&steps);
            before = next;
            if before.is_none() {
                return Ok(tasks);
            }
        }
    }

    /// T11 for what failed or was revoked in a workflow; or for a node and all that depends on it.
    pub async fn retry_workflow(
        &self,
        caller: &Caller,
        id: WorkflowId,
        from: Option<String>,
    ) -> Result<WorkflowVerdict, EngineError> {
        let retried = self.inner.store.workflow_retry(id, caller.held_to(), from, self.now()).await?;
        let (tasks, steps): (u64, Vec<Stepped>) = retried.map_err(refused)?;
        self.announce(&steps);
        tracing::info!(workflow = %id, user = %caller.user_id, tasks, "retried by hand");
        self.verdict(caller, id, "workflow runs again", tasks).await
    }

    async fn verdict(
        &self,
        caller: &Caller,
        id: WorkflowId,
        message: &str,
        tasks: u64,
    ) -> Result<WorkflowVerdict, EngineError> {
        let workflow = self.workflow(caller, id, false).await?;
        Ok(WorkflowVerdict { success: true, message: message.into(), tasks, workflow })
    }
}

/// The task that stands for a map: when it starts, it fans out. What is not about time is its children's.
fn map_task(mut task: SubmitTask, over: &Json) -> SubmitTask {
    let own = SubmitTask {
        name: task.name.clone(),
        priority: task.priority,
        run_at: task.run_at.take(),
        delay: task.delay.take(),
        expires_at: task.expires_at,
        on_parent_failure: task.on_parent_failure.take(),
        tags: task.tags.clone(),
        max_attempts: Some(MAP_ATTEMPTS),
        ..SubmitTask::new(MAP_HANDLER)
    };
    let arguments = serde_json::value::to_raw_value(&MapArguments { over: over.clone(), task });
    SubmitTask { kwargs: arguments.ok(), ..own }
}

fn refused(refused: RetryRefused) -> EngineError {
    match refused {
        RetryRefused::NotFound => EngineError::NoWorkflow,
        RetryRefused::UnknownNode => EngineError::field("from", "unknown_key", "no node with this key"),
        RetryRefused::Nothing => EngineError::NothingToRetry,
        RetryRefused::StillLives { id, node, state } => EngineError::StillLives { id, node, state },
    }
}
