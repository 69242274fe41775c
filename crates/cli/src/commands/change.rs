//! `taskloom change`

use std::time::Duration;

use clap::Args;
use taskloom_model::{Priority, Timestamp};
use taskloom_protocol::{Change as Wanted, Task};

use super::json::{any, one_reads_stdin};
use super::{connect, now, tell};
use crate::args::Connection;
use crate::client::{Call, segment};
use crate::config::Environment;
use crate::duration::parse_seconds;
use crate::error::{CliError, CliResult};
use crate::output::describe_task;

/// Change a task: its place while it waits, its progress or result while it runs
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  taskloom change 0199… --priority critical\n  \
    taskloom change 0199… --queue reports --delay 10m\n  \
    taskloom change 0199… --progress 40 --progress-detail '{\"step\": 2}'\n  \
    taskloom change 0199… --result '{\"rows\": 3}'                   ends it as succeeded")]
pub(crate) struct Change {
    /// The task's id
    id: String,
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    connection: Connection,
}

/// At least one of these.
#[derive(Debug, Args)]
#[group(id = "what", required = true)]
struct What {
    /// While it waits: low, normal, high, critical or 1 to 4
    #[arg(long)]
    priority: Option<Priority>,
    /// While it waits: the new queue
    #[arg(long)]
    queue: Option<String>,
    /// While it waits: not before this time, such as 2026-01-31T08:00:00Z
    #[arg(long, value_name = "RFC3339")]
    run_at: Option<Timestamp>,
    /// While it waits: not before so long from now by this machine's clock, such as 90, 30s or 5m
    #[arg(long, value_name = "TIME", value_parser = parse_seconds, conflicts_with = "run_at")]
    delay: Option<f64>,
    /// While it runs: per cent, 0 to 100
    #[arg(long, value_name = "PERCENT")]
    progress: Option<f64>,
    /// While it runs: any JSON about the progress, @FILE, or - for standard input
    #[arg(long, value_name = "JSON")]
    progress_detail: Option<String>,
    /// While it runs: its result, any JSON, @FILE, or - for standard input; it ends as succeeded
    #[arg(long, value_name = "JSON")]
    result: Option<String>,
}

impl Change {
    pub(crate) async fn run(self, environment: &Environment) -> CliResult {
        let wanted = self.what.read()?;
        let (client, out) = connect(&self.connection, environment)?;
        let call = Call::patch(format!("/tasks/{}", segment(&self.id))).body(&wanted)?;
        let body = client.call(call).await?;
        tell(&body, out, |task: Task| describe_task(&task, out, now()))
    }
}

impl What {
    fn read(self) -> Result<Wanted, CliError> {
        one_reads_stdin(&[self.progress_detail.as_deref(), self.result.as_deref()])?;
        let json = |flag: &str, text: Option<&str>| text.map(|text| any(flag, text)).transpose();
        Ok(Wanted {
            run_at: self.run_at.or_else(|| self.delay.map(from_now)),
            progress: self.progress,
            progress_detail: json("--progress-detail", self.progress_detail.as_deref())?,
            result: json("--result", self.result.as_deref())?,
            priority: self.priority,
            queue: self.queue,
        })
    }
}

fn from_now(seconds: f64) -> Timestamp {
    now().plus(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}
