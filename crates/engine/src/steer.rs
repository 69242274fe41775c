//! Cancelling, retrying, changing and deleting tasks.

use taskloom_model::{Action, Finish, MAP_HANDLER, Refusal, State, TaskId};
use taskloom_protocol::{Change, Task, TaskEvent};
use taskloom_store::{ChangeWaiting, Note, Request};

use crate::{Caller, Engine, EngineError};

impl Engine {
    /// T6: a waiting task is revoked at once, a running one is asked to stop; `force` does not wait for its worker.
    pub async fn cancel(&self, caller: &Caller, id: TaskId, force: bool) -> Result<Task, EngineError> {
        self.step(caller, Request::new(id, Action::Cancel { force })).await?;
        self.get(caller, id).await
    }

    /// T11: an ended task runs again, with all its attempts.
    pub async fn retry(&self, caller: &Caller, id: TaskId) -> Result<Task, EngineError> {
        self.step(caller, Request::new(id, Action::Retry)).await?;
        tracing::info!(task = %id, user = %caller.user_id, "retried by hand");
        self.get(caller, id).await
    }

    /// Changes queue, priority or time of a waiting task, or progress or result of a running one.
    pub async fn change(&self, caller: &Caller, id: TaskId, change: Change) -> Result<Task, EngineError> {
        let errors = change.check(&self.inner.config.limits);
        if !errors.is_empty() {
            return Err(EngineError::Fields(errors));
        }
        let Change { priority, queue, run_at, progress, progress_detail, result } = change;
        if let Some(run_at) = run_at
            && self.get(caller, id).await?.expires_at.is_some_and(|expires_at| run_at >= expires_at)
        {
            return Err(EngineError::field("run_at", "out_of_range", "must be before the task's expires_at"));
        }
        if priority.is_some() || queue.is_some() || run_at.is_some() {
            let change = ChangeWaiting { queue, priority, run_at };
            let store = &self.inner.store;
            let steps = store.task_change_waiting(id, caller.scope(), change, self.now()).await??;
            self.announce(&steps);
        } else if let Some(result) = result {
            let note = Note { result: Some(result), detail: progress_detail, progress, error: None };
            self.finish_from_outside(caller, id, note).await?;
        } else {
            let detail = progress_detail.as_ref().and_then(|d| serde_json::from_str(d.get()).ok());
            let store = &self.inner.store;
            store.task_note_progress(id, caller.scope(), progress, progress_detail).await??;
            let task = self.get(caller, id).await?;
            self.publish(id, || TaskEvent::Progress { progress: task.progress, detail: detail.clone() });
        }
        self.get(caller, id).await
    }

    async fn finish_from_outside(&self, caller: &Caller, id: TaskId, note: Note) -> Result<(), EngineError> {
        let task = self.get(caller, id).await?;
        if task.state != State::Running {
            let ended = if task.has_ended() { Refusal::Terminal } else { Refusal::WrongState };
            return Err(ended.into());
        }
        if task.task == MAP_HANDLER {
            // Its result names the tasks that it made; nobody else can tell them.
            return Err(Refusal::WrongState.into());
        }
        let action = Action::Finish { epoch: task.epoch, finish: Finish::Success };
        self.step(caller, Request { note, ..Request::new(id, action) }).await
    }

    /// Hides a task; cancels it first if it has not ended.
    pub async fn delete(&self, caller: &Caller, id: TaskId) -> Result<(), EngineError> {
        match self.step(caller, Request::new(id, Action::Cancel { force: false })).await {
            Ok(()) | Err(EngineError::Refused(Refusal::Terminal)) => {}
            Err(error) => return Err(error),
        }
        if self.inner.store.task_delete(id, self.now()).await? { Ok(()) } else { Err(EngineError::NotFound) }
    }

    /// T13 at once: forgets a task with its files, taking it from its worker if it runs.
    pub async fn purge(&self, id: TaskId) -> Result<(), EngineError> {
        match self.carry_out(Request::new(id, Action::Cancel { force: true })).await {
            Ok(()) | Err(EngineError::Refused(Refusal::Terminal)) => {}
            Err(error) => return Err(error),
        }
        let action = Action::Purge { retention: std::time::Duration::ZERO };
        self.carry_out(Request::new(id, action)).await?;
        self.forget_files(id).await;
        Ok(())
    }

    async fn step(&self, caller: &Caller, request: Request) -> Result<(), EngineError> {
        self.carry_out(Request { scope: caller.scope(), ..request }).await
    }

    async fn carry_out(&self, request: Request) -> Result<(), EngineError> {
        let request = Request { random: rand::random(), ..request };
        let steps = self.inner.store.task_step(request, self.now()).await??;
        self.announce(&steps);
        Ok(())
    }
}
