//! How a process starts, goes on until it is stopped, and ends.

use taskloom_worker::WorkerError;
use tokio::task::{JoinError, JoinHandle};

use super::announce::Announcement;
use super::backend::Backend;
use super::data_dir::DataDir;
use super::http::Serving;
use super::stop::{Goal, Stop};
use crate::error::{CliError, CliResult, Exit};
use crate::output::Output;

/// The parts of a process that runs.
pub(super) struct Running {
    pub(super) backend: Backend,
    pub(super) http: Option<Serving>,
    pub(super) worker: Option<JoinHandle<Result<(), WorkerError>>>,
    pub(super) announcement: Option<Announcement>,
    /// What nobody else may use meanwhile.
    pub(super) data: Option<DataDir>,
}

impl Running {
    /// A process with nothing but this.
    pub(super) fn of(backend: Backend) -> Self {
        Self { backend, http: None, worker: None, announcement: None, data: None }
    }
}

/// Starts a process and runs it until a signal, which also counts during the start; then drains.
pub(super) async fn run(
    goal: Goal,
    out: Output,
    start: impl AsyncFnOnce(&Stop) -> Result<Running, CliError>,
) -> CliResult {
    let stop = Stop::on_signals(goal, out)?;
    match stop.drain.run_until_cancelled(Box::pin(start(&stop))).await {
        Some(started) => until_stopped(started?, &stop).await,
        None => Ok(Exit::Ok),
    }
}

/// Runs until a signal; a process that is only a worker, also until its worker has left. Worker first, so that watchers
/// see its tasks end; then HTTP, then the loops.
async fn until_stopped(running: Running, stop: &Stop) -> CliResult {
    let Running { backend, http, worker, announcement, data } = running;
    let worked = if let Some(worker) = worker {
        // It drains by itself at the signal.
        explain(worker.await)
    } else {
        stop.drain.cancelled().await;
        Ok(())
    };
    if let Some(http) = http {
        if !stop.drain.is_cancelled() {
            tracing::warn!(?worked, "the built-in worker has left; the API goes on");
            stop.drain.cancelled().await;
        }
        backend.ending.cancel();
        http.drained(stop).await;
    }
    backend.close().await;
    drop((announcement, data));
    worked.map(|()| Exit::Ok)
}

fn explain(ended: Result<Result<(), WorkerError>, JoinError>) -> Result<(), CliError> {
    match ended {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(CliError::failed(format!("the worker: {error}"))),
        Err(_) => Err(CliError::failed("the worker stopped unexpectedly; the log says why")),
    }
}
