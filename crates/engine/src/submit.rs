//! Submission: checks, defaults, and what came of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use sha2::{Digest, Sha256};
use taskloom_model::{CacheOutcome, DEFAULT_QUEUE, Life, SessionId, TaskId, Ties, Timestamp, WorkflowId};
use taskloom_protocol::{Duplicate, FieldError, HandlerDefaults, SubmitTask, Task, TaskRef};
use taskloom_store::{
    CacheKey, Concurrency, Idempotency, Made, NewTask, Rate, Rejected, Spawning, Stepped, Submission,
    SubmitOutcome,
};

use crate::cache::signature;
use crate::queues::micros;
use crate::{Caller, Engine, EngineError, inputs};

/// The answer to a submission.
#[derive(Debug)]
pub struct Submitted {
    /// The task, new or known.
    pub task: Task,
    /// Whether it is new.
    pub created: bool,
}

impl From<Task> for Submitted {
    fn from(task: Task) -> Self {
        let is_answered = matches!(task.cache, Some(CacheOutcome::Hit | CacheOutcome::Joined));
        Self { created: task.deduplicated_by.is_none() && !is_answered, task }
    }
}

/// The running task on whose behalf others are submitted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spawner {
    /// The worker's boot that holds it.
    pub(crate) session: SessionId,
    /// The task, under its claim.
    pub(crate) parent: TaskRef,
    /// The workflow that it belongs to, and its children with it.
    pub(crate) workflow: Option<WorkflowId>,
}

impl Engine {
    /// Submits a task; when this returns it is durable.
    ///
    /// # Errors
    /// [`EngineError::Fields`] names each field that breaks a rule.
    pub async fn submit(
        &self,
        caller: &Caller,
        task: SubmitTask,
        idempotency_key: Option<&str>,
    ) -> Result<Submitted, EngineError> {
        let mut tasks = self.submit_all(caller, vec![task], idempotency_key, None, false).await?;
        tasks.pop().map(Submitted::from).ok_or(EngineError::NotFound)
    }

    /// Submits many tasks, all or none; gives them in order.
    ///
    /// # Errors
    /// [`EngineError::Fields`] names each field that breaks a rule, with the task's place.
    pub async fn submit_batch(
        &self,
        caller: &Caller,
        tasks: Vec<SubmitTask>,
        idempotency_key: Option<&str>,
    ) -> Result<Vec<Task>, EngineError> {
        let most = self.inner.config.limits.batch;
        if tasks.is_empty() || tasks.len() > most {
            return Err(EngineError::field("tasks", "out_of_range", format!("1 to {most} tasks")));
        }
        self.submit_all(caller, tasks, idempotency_key, None, true).await
    }

    pub(crate) async fn submit_all(
        &self,
        caller: &Caller,
        tasks: Vec<SubmitTask>,
        idempotency_key: Option<&str>,
        spawner: Option<Spawner>,
        batch: bool,
    ) -> Result<Vec<Task>, EngineError> {
        self.check(&tasks, self.now(), batch)?;
        let idempotency = idempotency_key.map(|key| idempotency(caller, key, &tasks)).transpose()?;
        let defaults = self.handler_defaults().await?;
        let now = self.now();
        let mut made = Vec::with_capacity(tasks.len());
        for (index, mut task) in tasks.into_iter().enumerate() {
            let has_inputs = inputs::prepare(&mut task)
                .map_err(|error| EngineError::Fields(vec![placed(error, index, batch)]))?;
            self.settle_defaults(&defaults, &mut task);
            let task = self.complete(caller, task, spawner.map(|spawner| spawner.parent.id), now);
            let workflow_id = spawner.and_then(|spawner| spawner.workflow);
            let ties = task.ties.with_if(Ties::INPUTS, has_inputs);
            let ties = ties.with_if(Ties::WORKFLOW, workflow_id.is_some());
            made.push(NewTask { workflow_id, ties, ..task });
        }
        self.take_turns(&mut made, now).await?;
        let tasks: Arc<[NewTask]> = made.into();
        let submission = Submission { tasks: Arc::clone(&tasks), idempotency, now };
        let outcome = self.send(submission, spawner).await?;
        self.conclude(outcome, &tasks, now, batch).await
    }

    /// Announces what came of a submission, and gives its tasks as they are.
    pub(crate) async fn conclude(
        &self,
        outcome: SubmitOutcome,
        tasks: &[NewTask],
        now: Timestamp,
        batch: bool,
    ) -> Result<Vec<Task>, EngineError> {
        match outcome {
            SubmitOutcome::Done { made, steps } => {
                self.announce_new(tasks, &made);
                self.announce(&steps);
                self.answer(tasks, &made, now).await
            }
            SubmitOutcome::Replayed(ids) => self.replayed(ids).await,
            SubmitOutcome::Rejected(Rejected::IdempotencyMismatch) => Err(EngineError::IdempotencyMismatch),
            SubmitOutcome::Rejected(Rejected::UnknownParent { index, parent }) => {
                let error =
                    FieldError::body("depends_on", "not_found", format!("no task with the id {parent}"));
                Err(EngineError::Fields(vec![placed(error, index, batch)]))
            }
            SubmitOutcome::Rejected(Rejected::UniqueKeyTaken { index, holder, is_own }) => {
                let own = || tasks.iter().position(|task| task.id == holder).unwrap_or_default();
                let holder = if is_own { format!("tasks.{}", own()) } else { format!("task {holder}") };
                let place = batch.then(|| format!("tasks.{index}"));
                Err(EngineError::UniqueKeyTaken { holder, place })
            }
        }
    }

    /// Resolves the handler's alias and fills in what the handler says its tasks get.
    pub(crate) fn settle_defaults(&self, defaults: &HashMap<String, HandlerDefaults>, task: &mut SubmitTask) {
        if let Some(alias) = self.inner.config.aliases.get(&task.task) {
            task.task.clone_from(alias);
        }
        if let Some(defaults) = defaults.get(&task.task) {
            defaults.fill(task);
        }
    }

    async fn send(
        &self,
        submission: Submission,
        spawner: Option<Spawner>,
    ) -> Result<SubmitOutcome, EngineError> {
        let Some(Spawner { session, parent, .. }) = spawner else {
            return Ok(self.inner.store.task_submit(submission).await?);
        };
        match self.inner.store.task_spawn(session, parent, submission).await? {
            Spawning::Submitted(outcome) => Ok(outcome),
            Spawning::LeaseLost => Err(EngineError::LeaseLost),
            Spawning::Cancelled => Err(EngineError::WorkflowCancelled),
        }
    }

    fn check(&self, tasks: &[SubmitTask], now: Timestamp, batch: bool) -> Result<(), EngineError> {
        let limits = &self.inner.config.limits;
        let mut errors = Vec::new();
        for (index, task) in tasks.iter().enumerate() {
            let found = task.check(limits).into_iter().chain(delayed_too_long(task, now));
            errors.extend(found.map(|error| placed(error, index, batch)));
            if errors.len() > 100 {
                break;
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(EngineError::Fields(errors)) }
    }

    /// Fills in what is left open still.
    pub(crate) fn complete(
        &self,
        caller: &Caller,
        task: SubmitTask,
        parent_id: Option<TaskId>,
        now: Timestamp,
    ) -> NewTask {
        let config = &self.inner.config;
        let seconds = |seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let cache = task.cache_ttl.filter(|ttl| *ttl > 0.0).map(|ttl| CacheKey {
            signature: signature(&task.task, task.args.as_ref(), task.kwargs.as_ref()),
            ttl: seconds(ttl),
        });
        let delayed = task.delay.map(|delay| now.plus(seconds(delay)));
        NewTask {
            id: self.inner.ids.next(now),
            user_id: caller.user_id,
            handler: task.task,
            queue: task.queue.unwrap_or_else(|| DEFAULT_QUEUE.to_owned()),
            priority: task.priority.unwrap_or_default(),
            name: task.name,
            task_type: task.task_type,
            args: task.args,
            kwargs: task.kwargs,
            max_attempts: task.max_attempts.unwrap_or(config.default_max_attempts),
            timeout_ms: task.timeout.map(millis),
            soft_timeout_ms: task.soft_timeout.map(millis),
            backoff: task.backoff,
            run_at: task.run_at.or(delayed),
            expires_at: task.expires_at,
            tags: task.tags,
            metadata: task.metadata,
            model_id: task.model_id,
            parent_id,
            depends_on: task.depends_on,
            on_parent_failure: task.on_parent_failure.unwrap_or_default(),
            unique_key: task.unique_key,
            unique_until: task.unique_ttl.map(|ttl| now.plus(seconds(ttl))),
            unique_conflict: task.unique_conflict.unwrap_or_default(),
            cache,
            retry_on: task.retry_on,
            schedule_id: None,
            workflow_id: None,
            turn: 0,
            ties: Ties::NONE,
            concurrency: task
                .concurrency_key
                .map(|key| Concurrency { key, most: task.concurrency_limit.unwrap_or(1) }),
            rate: task.rate_key.zip(task.rate_limit).map(|(key, limit)| Rate {
                key,
                count: limit.count,
                per_us: micros(limit.seconds),
            }),
        }
    }

    /// Tells claimers of new tasks.
    pub(crate) fn announce_new(&self, tasks: &[NewTask], made: &[Made]) {
        let steps: Vec<Stepped> = tasks
            .iter()
            .zip(made)
            .filter_map(|(task, made)| made.life().map(|life| task.arrival(&life)))
            .collect();
        self.announce(&steps);
    }

    /// The tasks as they are: new ones from what was written, known ones from the store.
    async fn answer(
        &self,
        tasks: &[NewTask],
        made: &[Made],
        now: Timestamp,
    ) -> Result<Vec<Task>, EngineError> {
        let others = self.others(tasks, made).await?;
        let others: HashMap<TaskId, Task> = others.into_iter().map(|task| (task.id, task)).collect();
        let mut answer = Vec::with_capacity(made.len());
        for (task, made) in tasks.iter().zip(made) {
            let mut told = match *made {
                Made::New(life) | Made::Replacing(life, _) => fresh(task, &life, now),
                Made::Existing(id) | Made::Answered(id, ..) => {
                    others.get(&id).cloned().ok_or(EngineError::NotFound)?
                }
            };
            match *made {
                Made::New(_) => {}
                Made::Replacing(_, old) => told.replaced = Some(old),
                Made::Existing(_) => told.deduplicated_by = Some(Duplicate::UniqueKey),
                Made::Answered(_, outcome, _) => told.cache = Some(outcome),
            }
            if task.cache.is_some() {
                let outcome = *told.cache.get_or_insert(CacheOutcome::Miss);
                self.inner.cache_counts.count(outcome);
            }
            answer.push(told);
        }
        Ok(answer)
    }

    /// The tasks that are there instead of new ones.
    async fn others(&self, tasks: &[NewTask], made: &[Made]) -> Result<Vec<Task>, EngineError> {
        if let ([task], [Made::Answered(id, CacheOutcome::Hit, Some(at))]) = (tasks, made)
            && let Some(cache) = &task.cache
        {
            return self.hit(*id, *at, cache.ttl).await;
        }
        let others: Vec<TaskId> = made.iter().filter_map(|made| made.instead()).collect();
        if others.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.inner.store.task_get_answers(others).await?)
    }

    async fn replayed(&self, ids: Vec<TaskId>) -> Result<Vec<Task>, EngineError> {
        let count = ids.len();
        let mut tasks = self.inner.store.task_get_many(ids).await?;
        if tasks.len() != count {
            // Deleted since: the key outlived its task.
            return Err(EngineError::NotFound);
        }
        for task in &mut tasks {
            task.deduplicated_by = Some(Duplicate::IdempotencyKey);
        }
        Ok(tasks)
    }
}

/// A delay that ends when the task has expired.
fn delayed_too_long(task: &SubmitTask, now: Timestamp) -> Option<FieldError> {
    let delay = Duration::try_from_secs_f64(task.delay?).ok()?;
    let is_late = now.plus(delay) >= task.expires_at? && !delay.is_zero();
    is_late.then(|| FieldError::body("delay", "out_of_range", "must end before expires_at"))
}

/// The error at the task's place in the batch: `body.tasks.3.queue`.
fn placed(mut error: FieldError, index: usize, batch: bool) -> FieldError {
    if batch {
        error.loc.splice(1..1, ["tasks".to_owned(), index.to_string()]);
    }
    error
}

fn millis(seconds: f64) -> u64 {
    (seconds * 1_000.0).ceil() as u64
}

/// The key, with what it is sent for.
pub(crate) fn idempotency(
    caller: &Caller,
    key: &str,
    request: &impl Serialize,
) -> Result<Idempotency, EngineError> {
    if key.is_empty() || key.len() > 200 || key.chars().any(char::is_control) {
        let rule = "1 to 200 bytes without control characters";
        let mut error = FieldError::body("Idempotency-Key", "bad_header", rule);
        error.loc = vec!["header".into(), "Idempotency-Key".into()];
        return Err(EngineError::Fields(vec![error]));
    }
    let text = serde_json::to_vec(request).unwrap_or_default();
    let request_hash = Sha256::digest(&text).into();
    Ok(Idempotency { user_id: caller.user_id, key: key.to_owned(), request_hash })
}

/// A new task as a read would show it, without the read.
fn fresh(task: &NewTask, life: &Life, now: Timestamp) -> Task {
    let state = life.state();
    let mut made = Task::blank(task.id, task.handler.clone(), task.user_id, now);
    made.name.clone_from(&task.name);
    made.task_type.clone_from(&task.task_type);
    made.queue.clone_from(&task.queue);
    made.priority = task.priority;
    (made.state, made.status, made.reason) = (state, state.status(), life.reason());
    made.args = task.args.clone().unwrap_or_else(Task::no_args);
    made.kwargs = task.kwargs.clone().unwrap_or_else(Task::no_kwargs);
    made.max_attempts = task.max_attempts;
    made.model_id.clone_from(&task.model_id);
    made.parent_id = task.parent_id;
    made.workflow_id = task.workflow_id;
    made.schedule_id = task.schedule_id;
    made.parent_ids.clone_from(&task.depends_on);
    made.parent_ids.sort_unstable();
    made.parent_ids.dedup();
    made.tags.clone_from(&task.tags);
    made.metadata.clone_from(&task.metadata);
    made.scheduled_at = task.run_at.filter(|at| *at > now);
    made.completed_at = state.is_terminal().then_some(now);
    made.expires_at = task.expires_at;
    made.timeout = task.timeout_ms.map(|ms| ms as f64 / 1_000.0);
    made
}
