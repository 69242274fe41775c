//! Takes tasks for free slots and starts their handlers.

use std::sync::Arc;
use std::time::Duration;

use taskloom_protocol::{ClaimRequest, Claimed, WorkerError};
use tokio::select;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use crate::attempt::Attempt;
use crate::backoff::Backoff;
use crate::limits::MAX_BATCH;
use crate::shared::Shared;
use crate::{Payload, drive};

/// How long the server may wait for a task.
const WAIT_MS: u32 = 20_000;
/// How long a busy worker gathers free slots, so that claims come in batches.
const GATHER: Duration = Duration::from_millis(2);

/// How long to wait after a claim that brought nothing and did not wait either, at most.
const PAUSE: Duration = Duration::from_millis(100);

/// A claim on its way. It runs in a task of its own: dropping it half-way would lose what the server hands out.
pub(crate) type Claiming = AbortOnDropHandle<Result<Batch, WorkerError>>;

/// Claimed tasks.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) tasks: Vec<Claimed>,
    /// Their leases began no earlier than this on the worker's stopwatch.
    granted: u64,
}

impl Batch {
    /// Whether the leases may be over before anything was started: the process was stopped, or its threads blocked.
    fn is_stale(&self, shared: &Shared) -> bool {
        let age = Duration::from_micros(shared.stopwatch.micros().saturating_sub(self.granted));
        !self.tasks.is_empty() && age >= shared.timing.lease()
    }
}

/// Why the worker claims no more.
#[derive(Debug)]
pub(crate) struct Stopped {
    /// A claim that has not returned; the server may hand out tasks through it still.
    pub(crate) claiming: Option<Claiming>,
    pub(crate) error: Option<WorkerError>,
}

/// Claims until the drain begins or the server refuses.
pub(crate) async fn run(shared: &Arc<Shared>) -> Stopped {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
    let mut is_busy = false;
    loop {
        let free = shared.drain.run_until_cancelled(free_slots(shared, is_busy)).await;
        let Some(free) = free.filter(|_| !shared.drain.is_cancelled()) else {
            return Stopped { claiming: None, error: None };
        };
        let asked = Instant::now();
        let mut claiming = AbortOnDropHandle::new(tokio::spawn(claim(Arc::clone(shared), free)));
        let answer = select! {
            biased;
            answer = &mut claiming => answer,
            () = shared.drain.cancelled() => return Stopped { claiming: Some(claiming), error: None },
        };
        match answer.unwrap_or_else(|error| Err(WorkerError::Unavailable(error.to_string()))) {
            Ok(batch) => {
                backoff.reset();
                is_busy = batch.tasks.len() >= free;
                if batch.tasks.is_empty() && asked.elapsed() < PAUSE {
                    // A server that does not wait must not be asked in a tight loop.
                    let pause = PAUSE.mul_f64(rand::random_range(0.5..=1.0));
                    shared.drain.run_until_cancelled(sleep(pause)).await;
                }
                start(shared, batch);
            }
            Err(error @ (WorkerError::Refused { .. } | WorkerError::LeaseLost)) => {
                return Stopped { claiming: None, error: Some(error) };
            }
            Err(error) => recover(shared, &error, backoff.next()).await,
        }
    }
}

/// Waits for free slots: for one, or on a busy worker a little for a batch that is worth a call.
async fn free_slots(shared: &Shared, is_busy: bool) -> usize {
    let worthwhile = if is_busy { shared.slots.total().div_ceil(4) } else { 1 };
    if shared.slots.free() < worthwhile {
        slots(shared, 1).await;
        // If the time runs out, what is free by then must do.
        let _ = timeout(GATHER, slots(shared, worthwhile)).await;
    }
    slots(shared, 1).await.min(MAX_BATCH)
}

async fn slots(shared: &Shared, wanted: usize) -> usize {
    loop {
        let free = shared.slots.free();
        if free >= wanted {
            return free;
        }
        shared.slots.changed.notified().await;
    }
}

async fn recover(shared: &Shared, error: &WorkerError, wait: Duration) {
    tracing::warn!(%error, "cannot claim tasks; trying again");
    let again = async {
        sleep(wait).await;
        if *error == WorkerError::UnknownSession
            && let Err(error) = shared.register(&*shared.api).await
        {
            tracing::warn!(%error, "cannot register again");
        }
    };
    shared.drain.run_until_cancelled(again).await;
}

/// Claims, and keeps the earliest time at which the server can have granted the leases.
///
/// The answer may lie unread while the process is stopped, so the time of reading says nothing. What counts is when
/// the answer was certainly not there yet.
async fn claim(shared: Arc<Shared>, free: usize) -> Result<Batch, WorkerError> {
    let limit = u32::try_from(free).unwrap_or(u32::MAX);
    let mut granted = shared.stopwatch.micros();
    let look_every = (shared.timing.lease() / 10).min(Duration::from_millis(500));
    let mut call =
        std::pin::pin!(shared.api.claim(ClaimRequest { session: shared.session(), limit, wait_ms: WAIT_MS }));
    loop {
        select! {
            biased;
            answer = &mut call => return answer.map(|tasks| Batch { tasks, granted }),
            () = sleep(look_every) => granted = shared.stopwatch.micros(),
        }
    }
}

/// Takes the tasks into the worker's hands and starts their handlers.
fn start(shared: &Arc<Shared>, batch: Batch) {
    if batch.is_stale(shared) {
        tracing::warn!(
            tasks = batch.tasks.len(),
            "an answer lay unread for longer than a lease; its tasks are not run"
        );
        return;
    }
    let attempts = batch.tasks.into_iter().map(|mut claimed| {
        let args = std::mem::replace(&mut claimed.args, taskloom_protocol::json_null());
        let kwargs = std::mem::replace(&mut claimed.kwargs, taskloom_protocol::json_null());
        (Arc::new(Attempt::new(shared, claimed, batch.granted)), Payload::new(args, kwargs))
    });
    for (attempt, payload) in shared.hold(attempts.collect()) {
        let info = &attempt.info;
        let span = tracing::info_span!("task", id = %info.id, task = info.task, attempt = info.attempt);
        tokio::spawn(drive::run(attempt, payload).instrument(span));
    }
}
