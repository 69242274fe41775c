//! Ctrl-C and SIGTERM: the first asks to drain, the second to hurry, the third ends the process.

use tokio_util::sync::CancellationToken;

use crate::error::CliError;
use crate::output::Output;

/// What is not to be interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Running tasks.
    Tasks,
    /// Calls of the API.
    Calls,
    /// Nothing takes long here.
    Nothing,
}

impl Goal {
    /// What is said at the first and at the second signal.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Tasks => (
                "stopping: running tasks may finish; once more to hurry",
                "hurrying: running tasks go back to their queue",
            ),
            Self::Calls => ("stopping: calls may finish; once more to hurry", "hurrying"),
            Self::Nothing => ("stopping", "hurrying"),
        }
    }
}

/// What the signals ask for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop {
    /// Drain: running tasks may finish.
    pub(crate) drain: CancellationToken,
    /// Hurry: running tasks go back to their queue.
    pub(crate) kill: CancellationToken,
}

impl Stop {
    /// Listens for signals from now on. Must be called on a runtime.
    pub(crate) fn on_signals(goal: Goal, out: Output) -> Result<Self, CliError> {
        let stop = Self::default();
        let (stopping, hurrying) = goal.words();
        let mut signals =
            Signals::new().map_err(|e| CliError::failed(format!("cannot listen for signals: {e}")))?;
        let told = stop.clone();
        tokio::spawn(async move {
            signals.next().await;
            out.note(format!("\n{stopping}"));
            told.drain.cancel();
            signals.next().await;
            out.note(hurrying);
            told.kill.cancel();
            signals.next().await;
            // What is acknowledged is on disk: leases run out and the tasks run again.
            std::process::exit(1);
        });
        Ok(stop)
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
