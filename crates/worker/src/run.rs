//! A worker's life: register, claim, drain.

use std::sync::Arc;
use std::time::Duration;

use taskloom_protocol::WorkerError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::attempt::Flag;
use crate::backoff::Backoff;
use crate::beat::Heartbeat;
use crate::shared::Shared;
use crate::{Worker, claim, drain, finish};

impl Worker {
    /// Runs until `shutdown` fires or the server asks the worker to leave, then drains: handlers may finish within
    /// the drain limit, what they do not finish is given back, and every outcome is reported.
    ///
    /// It waits for a server that is away, at the start and later. Dropping the future instead of firing `shutdown`
    /// aborts all handlers and leaves their leases to run out.
    ///
    /// # Errors
    /// The server refuses the worker: its token, its protocol version or a setting. Running handlers have been
    /// drained by then.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), WorkerError> {
        let drain = shutdown.child_token();
        let shared = Arc::new(Shared::new(
            self.api,
            self.registry,
            self.hello,
            self.work_dir,
            (drain, self.kill.clone()),
        ));
        let Some(registered) = shared.drain.run_until_cancelled(register(&shared)).await else {
            return Ok(());
        };
        registered?;
        let abandon = Abandon(Arc::clone(&shared));
        let heartbeat = Heartbeat::start(&shared, self.beat_api)?;
        let finisher = AbortOnDropHandle::new(tokio::spawn(finish::run(Arc::clone(&shared))));

        let stopped = claim::run(&shared).await;
        if let Some(error) = &stopped.error {
            tracing::error!(%error, "the server refuses this worker's claims");
        }
        drain::run(&shared, stopped.claiming, self.drain_limit).await;

        // Where it still tries to reach the server it may stop: the drain has waited as long as a lease holds.
        drop(finisher);
        heartbeat.stop().await;
        drop(abandon);
        remove_session_dir(&shared).await;
        stopped.error.map_or(Ok(()), Err)
    }
}

/// Registers, waiting for a server that is away.
async fn register(shared: &Shared) -> Result<(), WorkerError> {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
    loop {
        match shared.register(&*shared.api).await {
            Err(error @ (WorkerError::Unavailable(_) | WorkerError::UnknownSession)) => {
                tracing::warn!(%error, "cannot register; trying again");
                tokio::time::sleep(backoff.next()).await;
            }
            done => return done,
        }
    }
}

async fn remove_session_dir(shared: &Shared) {
    match tokio::fs::remove_dir_all(shared.session_dir()).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(%error, "cannot remove the worker's directory");
        }
        _ => {}
    }
}

/// Aborts whatever still runs when the worker ends in another way than by its drain.
struct Abandon(Arc<Shared>);

impl Drop for Abandon {
    fn drop(&mut self) {
        for attempt in self.0.held() {
            attempt.set(Flag::LOST);
        }
    }
}
