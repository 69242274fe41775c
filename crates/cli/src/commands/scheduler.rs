//! `taskloom scheduler`

use clap::Args;

use super::process::{self, Setting};
use crate::config::Environment;
use crate::error::CliResult;
use crate::process::scheduler;

/// Run the background loops alone: delays, retries, lost workers, expiry, removal of old tasks
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  DATABASE_URL=postgres://… REDIS_URL=redis://… taskloom scheduler\n  \
    taskloom scheduler --config /etc/taskloom.toml\n\nEvery `taskloom serve` runs the same loops, unless it is started \
    with --no-scheduler. Any number of\nprocesses may run them: each step is guarded in the database, and nothing happens \
    twice. It has no port;\nCtrl-C and SIGTERM stop it.")]
pub(crate) struct Scheduler {
    #[command(flatten)]
    setting: Setting,
}

impl Scheduler {
    pub(crate) fn run(self, environment: &Environment) -> CliResult {
        let launch = self.setting.load([], environment)?;
        process::run(scheduler::run(launch))
    }
}
