//! What flow control holds against a task: a full limit, or its queue.

use taskloom_protocol::{Cause, FullLimit, Task};
use taskloom_store::Holder;

use crate::queues::limit_info;
use crate::{Caller, Engine, EngineError};

/// Holders that an explanation names.
const HOLDERS: u32 = 20;

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
