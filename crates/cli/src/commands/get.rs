//! `taskloom get`

use clap::Args;
use taskloom_protocol::Task;

use super::{connect, now, tell};
use crate::args::Connection;
use crate::client::{Call, segment};
use crate::config::Environment;
use crate::error::CliResult;
use crate::output::describe_task;

/// Show one task with all that is known of it
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  taskloom get 0199…\n  taskloom get 0199… --json | jq .result")]
pub(crate) struct Get {
    /// The task's id
    id: String,
    #[command(flatten)]
    connection: Connection,
}

impl Get {
    pub(crate) async fn run(self, environment: &Environment) -> CliResult {
        let (client, out) = connect(&self.connection, environment)?;
        let body = client.call(Call::get(format!("/tasks/{}", segment(&self.id)))).await?;
        tell(&body, out, |task: Task| describe_task(&task, out, now()))
    }
}
