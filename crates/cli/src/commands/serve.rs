//! `taskloom serve`

use clap::Args;

use super::process::{self, Listen, Setting};
use crate::config::Environment;
use crate::error::CliResult;
use crate::process::serve::{self, Serve as Told};

/// Run the API on PostgreSQL or MySQL: one of any number behind a load balancer
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  export DATABASE_URL=postgres://taskloom:…@db/taskloom REDIS_URL=redis://redis SECRET_KEY=…\n  \
    taskloom serve --host 0.0.0.0\n  \
    taskloom serve --port auto --data /srv/taskloom   DIR/server.json tells scripts the address\n  \
    taskloom serve --no-scheduler                     where `taskloom scheduler` runs apart\n\nIt needs a database that \
    several processes can share, and the same SECRET_KEY for all servers\n(`openssl rand -hex 32` makes one). It runs no \
    tasks: that is what `taskloom worker` does.\nThe first start creates the user admin and shows its password once; \
    TASKLOOM_ADMIN_PASSWORD sets it.\nCtrl-C and SIGTERM let calls finish; a second one cuts them."
)]
pub(crate) struct Serve {
    #[command(flatten)]
    listen: Listen,
    /// Leave delays, retries, leases and the removal of old tasks to other processes
    #[arg(long)]
    no_scheduler: bool,
    #[command(flatten)]
    setting: Setting,
}

impl Serve {
    pub(crate) fn run(self, environment: &Environment) -> CliResult {
        let told = Told { no_scheduler: self.no_scheduler, announce: self.setting.data.is_some() };
        let launch = self.setting.load(self.listen.overrides(), environment)?;
        process::run(serve::run(launch, told))
    }
}
