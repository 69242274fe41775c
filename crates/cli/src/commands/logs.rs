//! `taskloom logs`

use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;
use taskloom_protocol::{LogLevel, LogLine, Task};

use super::connect;
use crate::args::Connection;
use crate::client::{Call, Client, pause, segment};
use crate::config::Environment;
use crate::error::{CliError, CliResult, Exit};
use crate::output::{Output, Tone, plain};

/// Lines in one answer.
const PAGE: u32 = 1_000;
/// How often a followed task is asked for new lines.
const POLL: Duration = Duration::from_millis(500);
/// Failures in a row before following gives up: about a minute.
const MOST_FAILURES: u32 = 15;

/// Show what a task's handler wrote
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  taskloom logs 0199…\n  taskloom logs 0199… --follow\n  \
    taskloom logs 0199… --json | jq -r 'select(.level == \"error\").message'   one line of JSON for each line")]
pub(crate) struct Logs {
    /// The task's id
    id: String,
    /// Go on until the task ends, also after the connection broke
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
        let mut reader = Reader { client, path, after: 0, out, heard: false };
        let mut failures = 0;
        loop {
            let wait = match reader.step(self.follow).await {
                Ok(true) => return Ok(Exit::Ok),
                Ok(false) => {
                    failures = 0;
                    POLL
                }
                Err(error) => {
                    failures += 1;
                    // What the server refused it refuses again; that nobody is there at all is known at once.
                    let is_final = error.exit == Exit::Refused || !reader.heard || failures > MOST_FAILURES;
                    if !self.follow || is_final {
                        return Err(error);
                    }
                    out.note(format!("{}; trying again", error.message));
                    pause(failures, None)
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = tokio::signal::ctrl_c() => return Ok(Exit::Interrupted),
            }
        }
    }
}

/// Reads a log and knows how far it has come, so that a broken connection costs no line and shows none twice.
struct Reader {
    client: Client,
    path: String,
    after: u64,
    out: Output,
    /// Whether the server has answered yet.
    heard: bool,
}

impl Reader {
    /// Prints the lines that came since; whether there will be no more.
    async fn step(&mut self, follow: bool) -> Result<bool, CliError> {
        // Asked before the lines: what an ended task wrote is all there.
        let ended = !follow || self.client.call(Call::get(&self.path)).await?.read::<Task>()?.has_ended();
        self.heard = true;
        while self.page().await? {}
        Ok(ended)
    }

    /// Prints a page of lines; whether there may be another.
    async fn page(&mut self) -> Result<bool, CliError> {
        let call = Call::get(format!("{}/logs", self.path))
            .query("after", self.after.to_string())
            .query("limit", PAGE.to_string());
        let page: Page = self.client.call(call).await?.read()?;
        for item in &page.items {
            let out = self.out;
            out.line(if out.json { item.get().to_owned() } else { for_people(item, out)? });
        }
        match page.next_after {
            Some(next) if next > self.after && !page.items.is_empty() => self.after = next,
            _ => return Ok(false),
        }
        Ok(true)
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
