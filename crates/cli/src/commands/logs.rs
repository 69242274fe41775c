//! `taskloom logs`

use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;
use taskloom_protocol::{LogLevel, LogLine, Task};

use super::connect;
use crate::args::Connection;
use crate::client::{Call, Client, segment};
use crate::config::Environment;
use crate::error::{CliError, CliResult, Exit};
use crate::output::{Output, Tone, plain};

/// Lines in one answer.
const PAGE: u32 = 1_000;
/// How often a followed task is asked for new lines.
const POLL: Duration = Duration::from_millis(500);

/// Show what a task's handler wrote
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  taskloom logs 0199…\n  taskloom logs 0199… --follow\n  \
    taskloom logs 0199… --json | jq -r 'select(.level == \"error\").message'   one line of JSON for each line")]
pub(crate) struct Logs {
    /// The task's id
    id: String,
    /// Go on until the task ends
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    connection: Connection,
}

/// A page of lines.
#[derive(Deserialize)]
struct Page {
    items: Vec<Box<RawValue>>,
    #[serde(alias = "next")]
    next_after: Option<u64>,
}

impl Logs {
    pub(crate) async fn run(self, environment: &Environment) -> CliResult {
        let (client, out) = connect(&self.connection, environment)?;
        let path = format!("/tasks/{}", segment(&self.id));
        let mut after = 0;
        loop {
            // Asked before the lines: what an ended task wrote is all there.
            let ended = !self.follow || client.call(Call::get(&path)).await?.read::<Task>()?.has_ended();
            after = show(&client, &path, after, out).await?;
            if ended {
                return Ok(Exit::Ok);
            }
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                _ = tokio::signal::ctrl_c() => return Ok(Exit::Interrupted),
            }
        }
    }
}

/// Prints all lines after `after`; answers where to go on.
async fn show(client: &Client, path: &str, mut after: u64, out: Output) -> Result<u64, CliError> {
    loop {
        let call = Call::get(format!("{path}/logs"))
            .query("after", after.to_string())
            .query("limit", PAGE.to_string());
        let page: Page = client.call(call).await?.read()?;
        for item in &page.items {
            out.line(if out.json { item.get().to_owned() } else { for_people(item, out)? });
        }
        match page.next_after {
            Some(next) if next > after && !page.items.is_empty() => after = next,
            _ => return Ok(after),
        }
    }
}

fn for_people(item: &RawValue, out: Output) -> Result<String, CliError> {
    let unreadable = |e| CliError::failed(format!("the server's answer cannot be read: {e}"));
    let line: LogLine = serde_json::from_str(item.get()).map_err(unreadable)?;
    let (name, tone) = match line.level {
        LogLevel::Debug => ("debug", Tone::Faint),
        LogLevel::Info => ("info ", Tone::Good),
        LogLevel::Warning => ("warn ", Tone::Warn),
        LogLevel::Error => ("error", Tone::Bad),
    };
    let at = out.paint(Tone::Faint, &line.at.to_string());
    Ok(format!("{at} {} {}", out.paint(tone, name), plain(&line.message)))
}
