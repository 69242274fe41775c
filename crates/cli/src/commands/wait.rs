//! `taskloom wait`

use std::time::Duration;

use clap::Args;

use super::{connect, submit::conclude};
use crate::args::Connection;
use crate::client::segment;
use crate::config::Environment;
use crate::duration::parse_seconds;
use crate::error::{CliResult, EXIT_HELP};
use crate::watch::{self, View};

/// Wait until a task ends; the exit status is the task's
#[derive(Debug, Args)]
#[command(after_help = format!("Examples:\n  taskloom wait 0199…\n  taskloom wait 0199… --timeout 5m --json\n\n{EXIT_HELP}"))]
pub(crate) struct Wait {
    /// The task's id
    id: String,
    /// Give up after so long, such as 90, 30s or 5m; the task goes on
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    timeout: Option<f64>,
    /// Show nothing until it has ended
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Wait {
    pub(crate) async fn run(self, environment: &Environment) -> CliResult {
        let (client, out) = connect(&self.connection, environment)?;
        let view = if self.quiet || out.json { View::silent() } else { View::new(out) };
        let limit = self.timeout.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
        let watched = watch::watch(&client, &segment(&self.id), view, limit).await?;
        Ok(conclude(&client, watched, &self.id, out))
    }
}
