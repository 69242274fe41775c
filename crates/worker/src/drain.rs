//! Leaves without losing anything.

use std::sync::Arc;
use std::time::Duration;

use taskloom_protocol::{DrainRequest, TaskRef, WorkerError};
use tokio::select;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::attempt::{Attempt, Flag};
use crate::backoff::Backoff;
use crate::claim::Claiming;
use crate::shared::{End, Shared};

/// How long handlers have after their tokens fired.
const GRACE: Duration = Duration::from_secs(2);
/// How long aborted handlers have until they are at an await.
const ABORT: Duration = Duration::from_secs(1);
/// How long an open claim may take to end after the worker has said good-bye.
const LAST_CLAIM: Duration = Duration::from_millis(200);

/// Lets handlers finish within `limit`, gives back the rest, and says good-bye.
pub(crate) async fn run(shared: &Arc<Shared>, claiming: Option<Claiming>, limit: Duration) {
    let running = shared.slots.running();
    tracing::info!(running, "draining: no more tasks are taken");
    let claiming = Late::watch(shared, claiming);
    if !within(shared, limit, idle(shared)).await {
        stop_handlers(shared, limit).await;
    }
    give_back(shared).await;
    select! {
        biased;
        () = acknowledged(shared) => {}
        () = patience(shared) => {
            tracing::warn!(tasks = shared.slots.unacknowledged(), "left before all results were acknowledged");
        }
    }
    shared.say_good_bye();
    call(shared, Vec::new(), true).await;
    claiming.end().await;
    tracing::info!("drained");
}

/// Waits for `done` as long as the limit and the kill token allow; whether it came.
async fn within(shared: &Shared, limit: Duration, done: impl Future<Output = ()>) -> bool {
    select! {
        biased;
        () = done => true,
        () = shared.kill.cancelled() => false,
        () = sleep(limit) => false,
    }
}

/// How long results may take to be acknowledged: as long as a lease holds; not long after a kill.
async fn patience(shared: &Shared) {
    let killed = async {
        shared.kill.cancelled().await;
        sleep(ABORT).await;
    };
    // Whichever ends it, it is over.
    let _ = timeout(shared.timing.lease(), killed).await;
}

async fn idle(shared: &Shared) {
    while shared.slots.running() > 0 {
        shared.slots.changed.notified().await;
    }
}

async fn acknowledged(shared: &Shared) {
    while shared.slots.unacknowledged() > 0 {
        shared.slots.changed.notified().await;
    }
}

/// Tells handlers to stop, then aborts them, then takes the task from those that block their thread.
async fn stop_handlers(shared: &Arc<Shared>, limit: Duration) {
    let attempts: Vec<Arc<Attempt>> = shared.held().into_iter().filter(|a| !a.has_ended()).collect();
    tracing::warn!(tasks = attempts.len(), "handlers did not finish in time; they are told to stop");
    for attempt in &attempts {
        attempt.set(Flag::DRAIN);
    }
    if within(shared, GRACE.min(limit), idle(shared)).await {
        return;
    }
    for attempt in &attempts {
        attempt.set(Flag::GIVE_BACK);
    }
    if timeout(ABORT, idle(shared)).await.is_ok() {
        return;
    }
    for attempt in &attempts {
        if !attempt.has_ended() {
            tracing::error!(task = %attempt.info.id, handler = attempt.info.task, "a handler blocks its thread");
        }
        shared.end(attempt, End::GivenBack);
    }
}

async fn give_back(shared: &Shared) {
    let tasks = shared.take_given_back();
    if !tasks.is_empty() {
        tracing::info!(tasks = tasks.len(), "giving tasks back");
        call(shared, tasks.clone(), false).await;
        shared.release(tasks);
    }
}

/// Tells the server, again if it is away: a worker that cannot say it leaves its leases to run out.
async fn call(shared: &Shared, tasks: Vec<TaskRef>, leave: bool) {
    const TRIES: u32 = 5;
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
    for _ in 0..TRIES {
        let request = DrainRequest { session: shared.session(), tasks: tasks.clone(), leave };
        let error = match shared.api.drain(request).await {
            Ok(answer) => {
                for lost in answer.lost {
                    tracing::warn!(task = %lost.id, "could not give a task back: the lease is lost");
                }
                return;
            }
            // What it says is out of date already.
            Err(WorkerError::LeaseLost | WorkerError::UnknownSession) => return,
            Err(error) => error,
        };
        tracing::warn!(%error, leave, "cannot tell the server that this worker drains");
        if matches!(error, WorkerError::Refused { .. }) {
            return;
        }
        sleep(backoff.next()).await;
    }
}

/// A claim that was on its way when the drain began: whatever it still brings goes back at once.
struct Late(Option<AbortOnDropHandle<()>>);

impl Late {
    fn watch(shared: &Arc<Shared>, claiming: Option<Claiming>) -> Self {
        let shared = Arc::clone(shared);
        Self(claiming.map(|claiming| {
            AbortOnDropHandle::new(tokio::spawn(async move {
                if let Ok(Ok(batch)) = claiming.await
                    && !batch.tasks.is_empty()
                {
                    let tasks = batch.tasks.iter().map(|task| TaskRef { id: task.id, epoch: task.epoch });
                    call(&shared, tasks.collect(), false).await;
                }
            }))
        }))
    }

    /// The server has heard that the worker leaves, so the claim is about to end.
    async fn end(self) {
        if let Some(late) = self.0 {
            // A claim that goes on waiting is dropped: it can no longer bring tasks.
            let _ = timeout(LAST_CLAIM, late).await;
        }
    }
}
