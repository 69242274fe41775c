//! The background loops alone.

use super::backend::{Backend, Loops};
use super::running::{self, Running};
use super::stop::Goal;
use super::{Launch, settings};
use crate::error::CliResult;

/// Moves tasks by time until a signal. Every step is guarded in the database, so any number of processes may do it.
pub(crate) async fn run(launch: Launch<'_>) -> CliResult {
    let Launch { config, dir, out, .. } = launch;
    running::run(Goal::Nothing, out, async |_| {
        let database = settings::shared_store(&config, "scheduler")?;
        let mut backend = Backend::open(&config, &database, &dir).await?;
        backend.start(Loops::All);
        out.note(format!("scheduling on {database}; Ctrl-C stops"));
        Ok(Running::of(backend))
    })
    .await
}
