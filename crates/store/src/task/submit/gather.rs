//! Group commit across a network: what concurrent callers bring is written together.
//!
//! No timer: a writer takes all that waits as soon as it is free, so an idle system pays no delay.

use std::sync::{Arc, Weak};

use taskloom_model::{Start, start};
use tokio::sync::{Mutex, OwnedSemaphorePermit, mpsc, oneshot};

use super::{Fresh, Made, NewTask, Submission, SubmitOutcome, submit, write};
use crate::error::{Result, StoreError};
use crate::network::{Lane, Network};

/// Writers at once: while one waits for its commit, the next is filled.
const WRITERS: usize = 2;
/// Submissions that may wait; callers beyond that wait to enter.
const QUEUE: usize = 8_192;
/// Tasks written together at most.
const GROUP: usize = 1_000;

/// Gathers submissions that need nothing but to be written.
pub(crate) struct Gatherer {
    calls: mpsc::Sender<Call>,
}

struct Call {
    submission: Submission,
    answer: oneshot::Sender<Result<SubmitOutcome>>,
    /// Room among what may wait in memory.
    _waiting: OwnedSemaphorePermit,
}

impl Gatherer {
    /// Starts the writers; they end with the gatherer.
    pub(crate) fn start(network: &Arc<Network>) -> Self {
        let (calls, queue) = mpsc::channel(QUEUE);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..WRITERS {
            tokio::spawn(work(Arc::downgrade(network), Arc::clone(&queue)));
        }
        Self { calls }
    }

    /// Submits; when this returns it is durable.
    pub(super) async fn submit(
        &self,
        submission: Submission,
        waiting: OwnedSemaphorePermit,
    ) -> Result<SubmitOutcome> {
        let (answer, result) = oneshot::channel();
        let closing = || StoreError::Unavailable("the store is closing".into());
        let call = Call { submission, answer, _waiting: waiting };
        self.calls.send(call).await.map_err(|_| closing())?;
        result.await.map_err(|_| closing())?
    }
}

async fn work(network: Weak<Network>, queue: Arc<Mutex<mpsc::Receiver<Call>>>) {
    loop {
        let calls = next_group(&mut *queue.lock().await).await;
        let (false, Some(network)) = (calls.is_empty(), network.upgrade()) else { return };
        carry_through(&network, calls).await;
    }
}

/// All that waits, up to a limit; empty when nobody can come any more.
async fn next_group(queue: &mut mpsc::Receiver<Call>) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut tasks = 0;
    let mut next = queue.recv().await;
    while let Some(call) = next {
        tasks += call.submission.tasks.len();
        calls.push(call);
        next = if tasks < GROUP { queue.try_recv().ok() } else { None };
    }
    calls
}

/// Writes the group; should it be refused, each for itself, so that one cannot spoil the others.
async fn carry_through(network: &Arc<Network>, calls: Vec<Call>) {
    let group: Arc<[Submission]> = calls.iter().map(|call| call.submission.clone()).collect();
    let written = Arc::clone(&group);
    let outcome = network.run(Lane::Write, move |tx| {
        Box::pin(async move {
            let tasks: Vec<Fresh<'_>> = written.iter().flat_map(lives).collect();
            write(tx, &tasks).await
        })
    });
    match outcome.await {
        Ok(()) => {
            for call in calls {
                let made = lives(&call.submission).into_iter().map(|fresh| Made::New(fresh.life)).collect();
                // The caller may have gone; the work is done all the same.
                let _ = call.answer.send(Ok(SubmitOutcome::Done { made, steps: Vec::new() }));
            }
        }
        Err(StoreError::Sql(_) | StoreError::Duplicate) if calls.len() > 1 => {
            for call in calls {
                let submission = call.submission.clone();
                let alone = network
                    .run(Lane::Write, move |tx| Box::pin(async move { submit(tx, &submission).await }));
                let _ = call.answer.send(alone.await);
            }
        }
        Err(error) => {
            let error = error.to_string();
            for call in calls {
                let _ = call.answer.send(Err(StoreError::Unavailable(error.clone())));
            }
        }
    }
}

/// The tasks with the lives they begin.
fn lives(submission: &Submission) -> Vec<Fresh<'_>> {
    let at = submission.now;
    let life = |task: &NewTask| start(Start { run_at: task.run_at, ..Start::default() }, at);
    submission.tasks.iter().map(|task| Fresh { task, life: life(task), at }).collect()
}
