//! What flow control holds against a task: a full limit, or its queue.

use taskloom_model::{State, TaskId};
use taskloom_protocol::{Cause, FullLimit, Task, WorkerInfo};
use taskloom_store::Holder;

use super::serves;
use crate::queues::limit_info;
use crate::{Caller, Engine, EngineError};

/// Holders that an explanation names.
const HOLDERS: u32 = 20;

/// A task that holds a limit.
pub(super) struct Holding {
    pub(super) id: TaskId,
    pub(super) state: State,
    pub(super) queue: String,
    /// What keeps it from starting, if it is ready.
    pub(super) kept: Option<Kept>,
}

/// What keeps a ready task that holds a limit from starting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// Its queue is paused.
    Paused,
    /// No live worker serves its queue.
    Unserved,
}

impl Engine {
    /// The limit that a task waits for.
    pub(super) async fn full_limit(
        &self,
        caller: &Caller,
        task: &Task,
    ) -> Result<Option<FullLimit>, EngineError> {
        let Some((gate, holders, waiting)) = self.inner.store.gate_of(task.id, HOLDERS).await? else {
            return Ok(None);
        };
        let (most, held) = (u64::from(gate.most), u64::from(gate.held));
        let info = limit_info(gate);
        let holders = named(caller, &holders);
        Ok(Some(FullLimit {
            key: info.key,
            limit: most,
            seconds: info.rate_limit.map(|rate| rate.seconds),
            others: held.saturating_sub(holders.len() as u64),
            holders,
            waiting,
            next_at: info.next_at,
        }))
    }

    /// What the tasks that hold this limit do, of those that the caller may see.
    pub(super) async fn holdings(&self, limit: Option<&FullLimit>) -> Result<Vec<Holding>, EngineError> {
        let Some(limit) = limit.filter(|limit| !limit.holders.is_empty()) else { return Ok(Vec::new()) };
        let workers = self.workers().await?;
        let mut holdings = Vec::with_capacity(limit.holders.len());
        for task in self.inner.store.task_get_many(limit.holders.clone()).await? {
            let kept = self.kept(&task, &workers).await?;
            holdings.push(Holding { id: task.id, state: task.state, queue: task.queue, kept });
        }
        holdings.sort_unstable_by_key(|holding| holding.id);
        Ok(holdings)
    }

    async fn kept(&self, task: &Task, workers: &[WorkerInfo]) -> Result<Option<Kept>, EngineError> {
        if task.state != State::Ready {
            return Ok(None);
        }
        let terms = self.inner.store.queue_terms(task.queue.clone(), self.now(), 0).await?;
        if terms.paused_at.is_some() {
            return Ok(Some(Kept::Paused));
        }
        let served = workers.iter().any(|worker| serves(worker, &task.queue));
        Ok((!served).then_some(Kept::Unserved))
    }

    /// What the queue of a ready task holds against it.
    pub(super) async fn held_by_queue(
        &self,
        caller: &Caller,
        task: &Task,
    ) -> Result<Option<(Cause, Option<FullLimit>)>, EngineError> {
        let terms = self.inner.store.queue_terms(task.queue.clone(), self.now(), HOLDERS).await?;
        if terms.paused_at.is_some() {
            return Ok(Some((Cause::QueuePaused, None)));
        }
        let Some(full) = terms.full else { return Ok(None) };
        let holders = named(caller, &terms.holders);
        let limit = FullLimit {
            key: task.queue.clone(),
            limit: u64::from(full.most),
            seconds: full.seconds,
            others: u64::from(terms.held).saturating_sub(holders.len() as u64),
            holders,
            waiting: 0,
            next_at: full.next_at,
        };
        Ok(Some((Cause::QueueLimit, Some(limit))))
    }
}

/// What of these the caller may see.
fn named(caller: &Caller, holders: &[Holder]) -> Vec<uuid::Uuid> {
    let seen = |holder: &&Holder| caller.held_to().is_none_or(|user| user == holder.user_id);
    holders.iter().filter(seen).map(|holder| holder.id).collect()
}
