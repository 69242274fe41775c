//! A schedule's task: one for a tick, and one by hand.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use taskloom_model::{ScheduleId, Timestamp};
use taskloom_protocol::{HandlerDefaults, RunSchedule, SubmitTask};
use taskloom_store::{NewTask, ScheduleRow, Submission};

use super::view;
use crate::submit::{Submitted, idempotency};
use crate::{Caller, Engine, EngineError};

impl Engine {
    /// Makes a task of a schedule now, beside its ticks, whether or not it is paused; what is said here lies over what the
    /// schedule says. The task is the schedule's owner's. As with any submission, another task may answer instead.
    ///
    /// # Errors
    /// [`EngineError::Fields`] names each field that breaks a rule; [`EngineError::UniqueKeyTaken`] if the task asked to be
    /// refused then; [`EngineError::IdempotencyMismatch`] if the key was sent with another request.
    pub async fn schedule_run(
        &self,
        caller: &Caller,
        id: ScheduleId,
        over: &RunSchedule,
        idempotency_key: Option<&str>,
    ) -> Result<Submitted, EngineError> {
        let row = self.schedule_row(caller, id).await?;
        let asked = view::read(&row)?;
        let expires_in = over.expires_in.or(asked.expires_in);
        let mut task = asked.task();
        over.lay_over(&mut task);
        task.delay = over.delay;
        let errors = over.check(&task, expires_in, &self.inner.config.limits);
        if !errors.is_empty() {
            return Err(EngineError::Fields(errors));
        }
        let idempotency = idempotency_key.map(|key| idempotency(caller, key, &(id, over))).transpose()?;
        let defaults = self.handler_defaults().await?;
        let now = self.now();
        task.expires_at = expiry(now, expires_in);
        let mut tasks = [self.task_of(&row, task, now, &defaults)];
        self.take_turns(&mut tasks, now).await?;
        let tasks: Arc<[NewTask]> = tasks.into();
        let submission = Submission { tasks: Arc::clone(&tasks), idempotency, now };
        let outcome = self.inner.store.schedule_run(id, submission).await?.ok_or(EngineError::NoSchedule)?;
        let mut answers = self.conclude(outcome, &tasks, now, false).await?;
        let submitted = answers.pop().map(Submitted::from).ok_or(EngineError::NotFound)?;
        tracing::info!(schedule = %id, task = %submitted.task.id, user = %caller.user_id, "ran a schedule by hand");
        Ok(submitted)
    }

    /// A task of a schedule: its owner's.
    pub(super) fn task_of(
        &self,
        row: &ScheduleRow,
        mut task: SubmitTask,
        now: Timestamp,
        defaults: &HashMap<String, HandlerDefaults>,
    ) -> NewTask {
        let owner = Caller { user_id: row.user_id, all: false };
        // Unless it is said otherwise a tick wants a run, not the answer of another: so far the handler's default does not go.
        let cache_ttl = task.cache_ttl;
        self.settle_defaults(defaults, &mut task);
        task.cache_ttl = cache_ttl;
        NewTask { schedule_id: Some(row.id), ..self.complete(&owner, task, None, now) }
    }
}

/// When a task expires that is of this tick.
pub(super) fn expiry(tick: Timestamp, expires_in: Option<f64>) -> Option<Timestamp> {
    Duration::try_from_secs_f64(expires_in?).ok().map(|span| tick.plus(span))
}
