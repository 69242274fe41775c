//! Reports ends of attempts: one request at a time, each with all that ended during the one before.

use std::sync::Arc;
use std::time::Duration;

use taskloom_protocol::{FinishRequest, Outcome, WorkerError};
use tokio::time::sleep;

use crate::HandlerError;
use crate::attempt::Flag;
use crate::backoff::Backoff;
use crate::shared::{Finished, Shared};

/// Reports for ever; whoever drops it has waited until nothing is left to report.
pub(crate) async fn run(shared: Arc<Shared>) {
    loop {
        let batch = shared.take_finished();
        if batch.is_empty() {
            shared.finish.notified().await;
        } else {
            report(&shared, batch).await;
        }
    }
}

/// Reports the batch. A refused one is halved until the outcome that the server cannot take stands alone.
async fn report(shared: &Shared, batch: Vec<Finished>) {
    let mut batches = vec![batch];
    while let Some(batch) = batches.pop() {
        let Some(mut refused) = send(shared, batch).await else { continue };
        if refused.len() > 1 {
            let half = refused.split_off(refused.len() / 2);
            batches.extend([half, refused]);
        } else if let Some(replaced) = refused.pop().and_then(replace) {
            batches.push(vec![replaced]);
        }
    }
}

/// Sends until the server has answered or no lease holds; gives back what the server refuses to read.
async fn send(shared: &Shared, mut batch: Vec<Finished>) -> Option<Vec<Finished>> {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
    loop {
        batch = only_held(shared, batch);
        if batch.is_empty() {
            return None;
        }
        let tasks = batch.iter().map(|finished| finished.report.clone()).collect();
        let request = FinishRequest { session: shared.session(), tasks };
        match shared.api.finish(request).await {
            Ok(answer) => {
                for lost in &answer.lost {
                    tracing::warn!(task = %lost.id, epoch = lost.epoch, "the result came too late: the lease is lost");
                }
                settle(shared, &batch);
                return None;
            }
            Err(WorkerError::LeaseLost) => {
                settle(shared, &batch);
                return None;
            }
            Err(WorkerError::Refused { code, detail }) => {
                tracing::error!(
                    code = code.code(),
                    detail,
                    tasks = batch.len(),
                    "the server refused results"
                );
                return Some(batch);
            }
            Err(error) => {
                tracing::warn!(%error, tasks = batch.len(), "cannot report results; trying again");
                sleep(backoff.next()).await;
                if error == WorkerError::UnknownSession
                    && let Err(error) = shared.register(&*shared.api).await
                {
                    tracing::warn!(%error, "cannot register again");
                }
            }
        }
    }
}

/// Drops outcomes whose lease is lost: somebody else may run the task, and the server would refuse them.
fn only_held(shared: &Shared, batch: Vec<Finished>) -> Vec<Finished> {
    let now = shared.stopwatch.micros();
    let is_lost = |finished: &Finished| finished.attempt.has(Flag::LOST) || finished.attempt.lease_ended(now);
    if !batch.iter().any(is_lost) {
        return batch;
    }
    let (lost, held): (Vec<_>, Vec<_>) = batch.into_iter().partition(is_lost);
    tracing::warn!(tasks = lost.len(), "dropped results whose lease is lost");
    settle(shared, &lost);
    held
}

/// The server knows how these ended, or does not care any more.
fn settle(shared: &Shared, batch: &[Finished]) {
    shared.release(batch.iter().map(|finished| finished.attempt.task_ref()));
    shared.slots.acknowledged(batch.len());
}

/// The server cannot take this outcome: says so in its place. If it takes not even that, the lease has to run out.
fn replace(mut finished: Finished) -> Option<Finished> {
    let is_second =
        matches!(&finished.report.outcome, Outcome::Fatal { error } if error.kind == "refused_result");
    if is_second {
        let shared = Arc::clone(&finished.attempt.shared);
        settle(&shared, &[finished]);
        return None;
    }
    let error =
        HandlerError::fatal("refused_result", "the server refused to read the attempt's result or log lines");
    finished.report.outcome = error.into_outcome();
    finished.report.logs.clear();
    finished.report.progress = None;
    finished.report.detail = None;
    Some(finished)
}
