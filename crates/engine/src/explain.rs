//! Why a task is where it is.

mod limits;
mod line;
mod words;

use std::time::Duration;

use taskloom_model::{State, TaskId, Timestamp};
use taskloom_protocol::{Cause, Explanation, OpenParent, OpenParents, Task, WorkerInfo};

use crate::{Caller, Engine, EngineError};

/// Open parents that an explanation names.
const PARENTS: u32 = 20;
/// Tasks before a ready one that are counted.
const AHEAD: u32 = 10_000;

impl Engine {
    /// Why a task is where it is, and what would help. A few lookups by key, however long its queue is.
    pub async fn explain(&self, caller: &Caller, id: TaskId) -> Result<Explanation, EngineError> {
        let task = self.get(caller, id).await?;
        let mut told = blank(&task);
        match task.state {
            State::Blocked => self.blocked(caller, &task, &mut told).await?,
            State::Scheduled => words::scheduled(&task, &mut told),
            State::Limited => {
                let limit = self.full_limit(caller, &task).await?;
                let holdings = self.holdings(limit.as_ref()).await?;
                words::limited(&task, limit, &holdings, &mut told);
            }
            State::Ready => self.ready(caller, &task, &mut told).await?,
            State::Running => words::running(&task, &mut told),
            State::Succeeded | State::Failed | State::Revoked => words::ended(&task, &mut told),
        }
        words::attempts(&task, &mut told);
        Ok(told)
    }

    async fn blocked(&self, caller: &Caller, task: &Task, told: &mut Explanation) -> Result<(), EngineError> {
        let store = &self.inner.store;
        let (ids, open) = store.task_open_parents(task.id, PARENTS).await?;
        let items = self.named(caller, ids).await?;
        let root = match items.first() {
            Some(parent) if parent.state == State::Blocked => store.task_root(parent.id).await?,
            _ => None,
        };
        let root = self.named(caller, root.into_iter().collect()).await?.into_iter().next();
        let more = open.saturating_sub(items.len() as u64);
        let parents = OpenParents { items, more, root };
        words::blocked(task, open, &parents, told);
        told.runs_at = task.scheduled_at;
        told.parents = Some(parents);
        Ok(())
    }

    /// What of these the caller may see.
    async fn named(&self, caller: &Caller, ids: Vec<TaskId>) -> Result<Vec<OpenParent>, EngineError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let tasks = self.inner.store.task_get_many(ids).await?;
        let seen = tasks.into_iter().filter(|task| caller.held_to().is_none_or(|user| user == task.user_id));
        Ok(seen.map(|Task { id, task, state, .. }| OpenParent { id, task, state }).collect())
    }

    async fn ready(&self, caller: &Caller, task: &Task, told: &mut Explanation) -> Result<(), EngineError> {
        if let Some((cause, limit)) = self.held_by_queue(caller, task).await? {
            words::held_back(task, cause, limit, &[], told);
            return Ok(());
        }
        let crew = self.crew(task).await?;
        let workers = crew.serving();
        told.workers = Some(workers);
        let ahead = self.stand_in_line(task, told).await?;
        if workers.serving == 0 {
            words::no_worker(task, told);
        } else if workers.knowing == 0 {
            words::no_handler(task, told);
        } else {
            let before = self.before(task, ahead, &crew).await?;
            // How its queue went on lately says nothing where others are served first.
            if !told.position_capped && before.queues.is_empty() {
                told.estimated_start = self.estimated_start(task, before.tasks).await?;
            }
            words::in_line(workers, &before, self.inner.config.aging, told);
        }
        Ok(())
    }

    /// Where a ready task stands: how many of its queue are before it, as far as they are counted.
    async fn stand_in_line(&self, task: &Task, told: &mut Explanation) -> Result<u64, EngineError> {
        let ahead = self.inner.store.task_ahead(task.id, task.queue.clone(), AHEAD).await?;
        told.position_capped = ahead > u64::from(AHEAD);
        let ahead = ahead.min(u64::from(AHEAD));
        told.position = Some(ahead);
        Ok(ahead)
    }

    /// When a task with so many before it would start if its queue went on as lately.
    async fn estimated_start(&self, task: &Task, before: u64) -> Result<Option<Timestamp>, EngineError> {
        let now = self.now();
        let pace = self.inner.store.queue_pace(task.queue.clone(), now).await?;
        if pace <= 0.0 {
            return Ok(None);
        }
        let wait = Duration::try_from_secs_f64((before + 1) as f64 / pace);
        Ok(wait.ok().map(|wait| now.plus(wait)))
    }
}

/// Whether a worker takes tasks of this queue.
fn serves(worker: &WorkerInfo, queue: &str) -> bool {
    worker.alive && !worker.draining && worker.queues.iter().any(|served| served == queue)
}

fn blank(task: &Task) -> Explanation {
    Explanation {
        state: task.state,
        cause: Cause::Ended,
        summary: String::new(),
        details: Vec::new(),
        reason: task.reason.filter(|_| !matches!(task.state, State::Blocked | State::Scheduled)),
        error: task.error.clone(),
        suggestion: None,
        parents: None,
        runs_at: None,
        position: None,
        position_capped: false,
        estimated_start: None,
        limit: None,
        workers: None,
    }
}
