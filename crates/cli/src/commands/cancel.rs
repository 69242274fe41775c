//! `taskloom cancel`

use clap::Args;
use taskloom_protocol::Verdict;

use super::{connect, tell};
use crate::args::Connection;
use crate::client::{Call, segment};
use crate::config::Environment;
use crate::error::CliResult;
use crate::output::plain;

/// Cancel a task: at once while it waits; a running one is asked to stop
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  taskloom cancel 0199…\n  taskloom cancel 0199… --force   do not wait for its worker"
)]
pub(crate) struct Cancel {
    /// The task's id
    id: String,
    /// Revoke a running task at once; its worker learns of it at the next heartbeat
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Cancel {
    pub(crate) async fn run(self, environment: &Environment) -> CliResult {
        let (client, out) = connect(&self.connection, environment)?;
        let mut call = Call::post(format!("/tasks/{}/cancel", segment(&self.id)));
        if self.force {
            call = call.query("force", "true");
        }
        let body = client.call(call).await?;
        tell(&body, out, |verdict: Verdict| plain(&verdict.message))
    }
}
