//! `taskloom dev`

use clap::Args;

use super::process::{self, Listen, Setting};
use crate::config::Environment;
use crate::error::CliResult;
use crate::process::dev;

/// Run everything on this machine: API, engine and a worker in one process
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  taskloom dev                          http://127.0.0.1:8000, data in ./data\n  \
    taskloom dev --data /srv/taskloom --port auto\n  \
    DATABASE_URL=postgres://… taskloom dev   keeps everything in PostgreSQL\n  \
    TASKLOOM_ADMIN_PASSWORD=… taskloom dev   sets the first user's password\n\nThe first start creates the user admin \
    and shows its password once. DIR/server.json tells scripts the address.\nCtrl-C lets running tasks finish (at \
    most worker.drain_seconds); a second one hands them back to their queue."
)]
pub(crate) struct Dev {
    #[command(flatten)]
    listen: Listen,
    /// Tasks that the worker runs at once [default: 4 for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    concurrency: Option<u32>,
    #[command(flatten)]
    setting: Setting,
}

impl Dev {
    pub(crate) fn run(self, environment: &Environment) -> CliResult {
        let flags = self.listen.overrides().chain(process::concurrency(self.concurrency));
        let launch = self.setting.load(flags, environment)?;
        process::run_with_handlers(|threads| async move { dev::run(launch, &threads).await })
    }
}
