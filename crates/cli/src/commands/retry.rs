//! `taskloom retry`

use clap::Args;
use taskloom_protocol::Verdict;

use super::{connect, tell};
use crate::args::Connection;
use crate::client::{Call, segment};
use crate::config::Environment;
use crate::error::CliResult;
use crate::output::plain;

/// Run a task that has ended once more
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  taskloom retry 0199… && taskloom wait 0199…\n  taskloom list --status failed \
    --json | jq -r '.items[].id' | xargs -n1 taskloom retry"
)]
pub(crate) struct Retry {
    /// The task's id
    id: String,
    #[command(flatten)]
    connection: Connection,
}

impl Retry {
    pub(crate) async fn run(self, environment: &Environment) -> CliResult {
        let (client, out) = connect(&self.connection, environment)?;
        let body = client.call(Call::post(format!("/tasks/{}/retry", segment(&self.id)))).await?;
        tell(&body, out, |verdict: Verdict| plain(&verdict.message))
    }
}
