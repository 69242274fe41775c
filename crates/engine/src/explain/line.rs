//! What is before a ready task: others of its queue, and queues that its workers serve first.

use std::collections::{BTreeMap, HashMap};

use taskloom_model::SessionId;
use taskloom_protocol::{Serving, Task, WorkerInfo};

use super::serves;
use crate::{Engine, EngineError};

/// Tasks at the head of a queue whose handlers are looked at.
pub(super) const HEAD: u32 = 100;
/// Queues that are looked at because a worker serves them first.
const QUEUES: usize = 20;

/// The live workers that serve a task's queue.
pub(super) struct Crew {
    serving: u64,
    /// Those that know its handler as well.
    knowing: Vec<WorkerInfo>,
    busy: HashMap<SessionId, u64>,
}

impl Crew {
    pub(super) fn serving(&self) -> Serving {
        Serving {
            serving: self.serving,
            knowing: self.knowing.len() as u64,
            slots: self.knowing.iter().map(|worker| u64::from(worker.concurrency)).sum(),
            busy: self.knowing.iter().map(|worker| self.busy(worker)).sum(),
        }
    }

    /// How many of its slots a worker uses. It may have claimed again before the end of a task was noted: then more
    /// tasks of it seem to run than it has slots.
    fn busy(&self, worker: &WorkerInfo) -> u64 {
        let runs = self.busy.get(&worker.session).copied().unwrap_or_default();
        runs.min(u64::from(worker.concurrency))
    }

    fn is_free(&self, worker: &WorkerInfo) -> bool {
        self.busy(worker) < u64::from(worker.concurrency)
    }
}

/// What is before a ready task.
pub(super) struct Before {
    /// Tasks of its queue that its workers may take first.
    pub(super) tasks: u64,
    /// Tasks of its queue that none of its workers knows, among those looked at.
    pub(super) unknown: u64,
    /// Queues that its workers serve first and where tasks for them wait; none if one of them comes to it directly.
    pub(super) queues: Vec<String>,
}

impl Engine {
    pub(super) async fn crew(&self, task: &Task) -> Result<Crew, EngineError> {
        let mut workers = self.workers().await?;
        workers.retain(|worker| serves(worker, &task.queue));
        let serving = workers.len() as u64;
        workers.retain(|worker| knows(worker, &task.task));
        let busy = match workers.len() {
            0 => HashMap::new(),
            _ => self.inner.store.worker_busy(workers.iter().map(|worker| worker.session).collect()).await?,
        };
        Ok(Crew { serving, knowing: workers, busy })
    }

    /// What is before a task, `ahead` of its queue among it.
    pub(super) async fn before(&self, task: &Task, ahead: u64, crew: &Crew) -> Result<Before, EngineError> {
        let head = match ahead {
            0 => Vec::new(),
            _ => self.inner.store.queue_head(task.queue.clone(), HEAD).await?,
        };
        let is_known = |handler: &str| crew.knowing.iter().any(|worker| knows(worker, handler));
        let before = head.iter().take_while(|(id, _)| *id != task.id);
        let unknown = before.filter(|(_, handler)| !is_known(handler)).count() as u64;
        // What was read later may say more.
        let unknown = unknown.min(ahead);
        let queues = self.served_first(task, crew).await?;
        Ok(Before { tasks: ahead - unknown, unknown, queues })
    }

    /// The queues that keep the task's workers: the free ones, or all if none is free.
    async fn served_first(&self, task: &Task, crew: &Crew) -> Result<Vec<String>, EngineError> {
        let is_any_free = crew.knowing.iter().any(|worker| crew.is_free(worker));
        let mut workers = crew.knowing.clone();
        workers.retain(|worker| crew.is_free(worker) || !is_any_free);
        if workers.iter().any(|worker| worker.queues.first() == Some(&task.queue)) {
            return Ok(Vec::new());
        }
        let mut heads: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for worker in &workers {
            heads.extend(before_in(worker, &task.queue).map(|queue| (queue.clone(), Vec::new())));
        }
        for (queue, handlers) in heads.iter_mut().take(QUEUES) {
            *handlers = self.waiting_handlers(queue).await?;
        }
        let mut found: Vec<String> = Vec::new();
        for worker in &workers {
            let waits = |queue: &&String| {
                let handlers = heads.get(*queue).map(Vec::as_slice).unwrap_or_default();
                handlers.iter().any(|handler| knows(worker, handler))
            };
            let Some(queue) = before_in(worker, &task.queue).find(waits) else { return Ok(Vec::new()) };
            if !found.contains(queue) {
                found.push(queue.clone());
            }
        }
        Ok(found)
    }

    /// The handlers of the tasks at the head of a queue; none if nothing of it may start.
    async fn waiting_handlers(&self, queue: &str) -> Result<Vec<String>, EngineError> {
        let store = &self.inner.store;
        let terms = store.queue_terms(queue.to_owned(), self.now(), 0).await?;
        if terms.paused_at.is_some() || terms.full.is_some() {
            return Ok(Vec::new());
        }
        let head = store.queue_head(queue.to_owned(), HEAD).await?;
        Ok(head.into_iter().map(|(_, handler)| handler).collect())
    }
}

/// The queues that a worker serves before this one.
fn before_in<'a>(worker: &'a WorkerInfo, queue: &'a str) -> impl Iterator<Item = &'a String> {
    worker.queues.iter().take_while(move |served| served.as_str() != queue)
}

/// Whether a worker knows this handler; one that named none takes them all.
fn knows(worker: &WorkerInfo, handler: &str) -> bool {
    worker.handlers.is_empty() || worker.handlers.iter().any(|known| known == handler)
}
