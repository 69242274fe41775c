//! Submitting tasks.

use std::time::Duration;

use serde::Serialize;
use taskloom_model::{Backoff, CacheOutcome, ParentPolicy, Priority, Timestamp};
use taskloom_protocol::{Batch, BatchAnswer, Duplicate, Json, RateLimit, SubmitTask, Task, UniqueConflict};
use uuid::Uuid;

use crate::client::new_key;
use crate::transport::Call;
use crate::{Client, Error, Tasks};

/// The answer to a submission: a task, and how the submission came to it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Submitted {
    /// The task as it stands.
    pub task: Task,
    /// Whether it was made, or was there.
    pub outcome: SubmitOutcome,
}

/// What became of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubmitOutcome {
    /// A new task was made.
    Made,
    /// A new task was made; the one that had its unique key was cancelled.
    Replaced(Uuid),
    /// Another task has the unique key: this is that one.
    UniqueKey,
    /// The idempotency key was sent before: this is what that request was answered with. If the key is not the caller's
    /// own, that was an earlier try of this very call, whose answer was lost.
    SameRequest,
    /// The result of the same call was in the cache.
    CacheHit,
    /// A task that works on the same call already.
    CacheJoined,
}

impl Submitted {
    /// The task's id.
    pub fn id(&self) -> Uuid {
        self.task.id
    }

    /// Whether this call made the task.
    pub fn is_new(&self) -> bool {
        matches!(self.outcome, SubmitOutcome::Made | SubmitOutcome::Replaced(_))
    }

    fn of(task: Task) -> Self {
        let outcome = match (task.deduplicated_by, task.cache, task.replaced) {
            (Some(Duplicate::IdempotencyKey), ..) => SubmitOutcome::SameRequest,
            (Some(Duplicate::UniqueKey), ..) => SubmitOutcome::UniqueKey,
            (None, Some(CacheOutcome::Hit), _) => SubmitOutcome::CacheHit,
            (None, Some(CacheOutcome::Joined), _) => SubmitOutcome::CacheJoined,
            (None, _, Some(replaced)) => SubmitOutcome::Replaced(replaced),
            (None, ..) => SubmitOutcome::Made,
        };
        Self { task, outcome }
    }
}

impl Tasks<'_> {
    /// Submits a task; when this returns it is safely stored.
    ///
    /// # Errors
    /// Those of a call; [`Code::Validation`](crate::Code::Validation) names each field that breaks a rule, and
    /// [`Code::UniqueKeyTaken`](crate::Code::UniqueKeyTaken) comes if the task asked to be refused then.
    pub async fn submit(&self, task: &SubmitTask) -> Result<Submitted, Error> {
        self.submit_keyed(task, new_key()).await
    }

    /// The same with an idempotency key of one's own, 1 to 200 visible ASCII characters: whoever sends the same task with
    /// the same key, also after a restart, is answered with the same task.
    ///
    /// # Errors
    /// Those of [`Tasks::submit`]; [`Code::IdempotencyMismatch`](crate::Code::IdempotencyMismatch) if the key came with
    /// another task before.
    pub async fn submit_keyed(&self, task: &SubmitTask, key: impl Into<String>) -> Result<Submitted, Error> {
        let call = Call::post("/tasks").body(task)?.idempotency_key(key);
        self.0.call(call).await.map(Submitted::of)
    }

    /// Submits 1 to 10,000 tasks, all or none; the answers are in their order.
    ///
    /// # Errors
    /// Those of [`Tasks::submit`]; a field's place names the task: `body.tasks.3.queue`.
    pub async fn submit_many(&self, tasks: Vec<SubmitTask>) -> Result<Vec<Submitted>, Error> {
        self.submit_many_keyed(tasks, new_key()).await
    }

    /// The same with an idempotency key of one's own.
    ///
    /// # Errors
    /// Those of [`Tasks::submit_keyed`].
    pub async fn submit_many_keyed(
        &self,
        tasks: Vec<SubmitTask>,
        key: impl Into<String>,
    ) -> Result<Vec<Submitted>, Error> {
        let call = Call::post("/tasks/batch").body(&Batch { tasks })?.idempotency_key(key);
        let answer: BatchAnswer = self.0.call(call).await?;
        Ok(answer.items.into_iter().map(Submitted::of).collect())
    }
}

/// A task that is being described: see [`Client::task`]. What is left out is up to the handler's defaults and the server.
///
/// Values are checked by the server, which names the field and its rule.
#[derive(Debug, Clone)]
#[must_use = "a task is made by `submit`"]
pub struct NewTask<'a> {
    client: &'a Client,
    task: SubmitTask,
    key: Option<String>,
    /// The first value that does not serialise.
    unwritable: Option<String>,
}

impl<'a> NewTask<'a> {
    pub(crate) fn new(client: &'a Client, handler: String) -> Self {
        Self { client, task: SubmitTask::new(handler), key: None, unwritable: None }
    }

    /// Submits it: [`Tasks::submit`].
    ///
    /// # Errors
    /// Those of [`Tasks::submit`], and [`Error::Invalid`] if a value does not serialise.
    pub async fn submit(self) -> Result<Submitted, Error> {
        let (client, key) = (self.client, self.key.clone());
        client.tasks().submit_keyed(&self.build()?, key.unwrap_or_else(new_key)).await
    }

    /// The request, for a batch or for a node of a workflow.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a value does not serialise.
    pub fn build(self) -> Result<SubmitTask, Error> {
        self.unwritable.map_or(Ok(self.task), |why| Err(Error::Invalid(why)))
    }

    /// Positional arguments: what serialises as a list.
    pub fn args(mut self, args: impl Serialize) -> Self {
        self.task.args = self.json("args", &args);
        self
    }

    /// Named arguments: what serialises as an object.
    pub fn kwargs(mut self, kwargs: impl Serialize) -> Self {
        self.task.kwargs = self.json("kwargs", &kwargs);
        self
    }

    /// What Taskloom keeps and does not look into: an object of up to 16 KiB.
    pub fn metadata(mut self, metadata: impl Serialize) -> Self {
        self.task.metadata = self.json("metadata", &metadata);
        self
    }

    /// A name for people, up to 200 characters.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.task.name = Some(name.into());
        self
    }

    /// A label to filter by, up to 100 characters.
    pub fn task_type(mut self, label: impl Into<String>) -> Self {
        self.task.task_type = Some(label.into());
        self
    }

    /// A word to filter by; may be called up to 20 times.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.task.tags.push(tag.into());
        self
    }

    /// The model that it runs, up to 200 characters.
    pub fn model_id(mut self, model: impl Into<String>) -> Self {
        self.task.model_id = Some(model.into());
        self
    }

    /// The queue.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.task.queue = Some(queue.into());
        self
    }

    /// The order inside the queue.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.task.priority = Some(priority);
        self
    }

    /// Not before so long from now.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.task.delay = Some(delay.as_secs_f64());
        self
    }

    /// Not before this time.
    pub fn run_at(mut self, time: Timestamp) -> Self {
        self.task.run_at = Some(time);
        self
    }

    /// Revoked if it waits still at this time.
    pub fn expires_at(mut self, time: Timestamp) -> Self {
        self.task.expires_at = Some(time);
        self
    }

    /// How long one attempt may take.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.task.timeout = Some(limit.as_secs_f64());
        self
    }

    /// After so long the handler is asked to finish; below the timeout.
    pub fn soft_timeout(mut self, limit: Duration) -> Self {
        self.task.soft_timeout = Some(limit.as_secs_f64());
        self
    }

    /// Attempts before it fails, 1 to 1,000.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.task.max_attempts = Some(attempts);
        self
    }

    /// The wait between attempts.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.task.backoff = Some(backoff);
        self
    }

    /// Only after errors of this type, and of others named so, is another attempt worth it; may be called up to 50 times.
    pub fn retry_on(mut self, error_type: impl Into<String>) -> Self {
        self.task.retry_on.push(error_type.into());
        self
    }

    /// While a task with this key has not ended, there is no second one; up to 200 characters.
    pub fn unique_key(mut self, key: impl Into<String>) -> Self {
        self.task.unique_key = Some(key.into());
        self
    }

    /// Nor for so long from now, even if that task has ended.
    pub fn unique_ttl(mut self, ttl: Duration) -> Self {
        self.task.unique_ttl = Some(ttl.as_secs_f64());
        self
    }

    /// What to do if the unique key is taken; the answer is the task that has it, if not said.
    pub fn unique_conflict(mut self, conflict: UniqueConflict) -> Self {
        self.task.unique_conflict = Some(conflict);
        self
    }

    /// For so long after a success, the same call is answered with its result. Zero: never.
    pub fn cache_ttl(mut self, ttl: Duration) -> Self {
        self.task.cache_ttl = Some(ttl.as_secs_f64());
        self
    }

    /// Tasks that must end first, up to 1,000 in all.
    pub fn depends_on(mut self, parents: impl IntoIterator<Item = Uuid>) -> Self {
        self.task.depends_on.extend(parents);
        self
    }

    /// What to do if one of them does not succeed.
    pub fn on_parent_failure(mut self, policy: ParentPolicy) -> Self {
        self.task.on_parent_failure = Some(policy);
        self
    }

    /// At most so many tasks with this key run at once, whoever submitted them: 1 to 10,000.
    pub fn concurrency(mut self, key: impl Into<String>, limit: u32) -> Self {
        (self.task.concurrency_key, self.task.concurrency_limit) = (Some(key.into()), Some(limit));
        self
    }

    /// Tasks with this key start at this rate at most, whoever submitted them.
    pub fn rate(mut self, key: impl Into<String>, limit: RateLimit) -> Self {
        (self.task.rate_key, self.task.rate_limit) = (Some(key.into()), Some(limit));
        self
    }

    /// An idempotency key of one's own: [`Tasks::submit_keyed`]. Only [`NewTask::submit`] sends it.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    fn json(&mut self, field: &str, value: &impl Serialize) -> Option<Json> {
        match serde_json::value::to_raw_value(value) {
            Ok(json) => Some(json),
            Err(error) => {
                self.unwritable.get_or_insert(format!("{field} does not serialise: {error}"));
                None
            }
        }
    }
}
