//! `taskloom delete`

use clap::Args;
use serde_json::json;

use super::confirm::confirm;
use super::connect;
use crate::args::Connection;
use crate::client::{Call, segment};
use crate::config::Environment;
use crate::error::{CliResult, Exit};

/// Delete tasks: what has not ended is cancelled, and none is shown any more
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  taskloom delete 0199…\n  \
    taskloom delete 0199… 0199… --purge        for good, with history and files; for admins\n  \
    taskloom list --tag trial --json | jq -r '.items[].id' | xargs taskloom delete\n\n\
    Those that the server refuses are told and left; then the exit status is 5.")]
pub(crate) struct Delete {
    /// The tasks' ids
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// Remove them for good, with their history and files; for admins
    #[arg(long)]
    purge: bool,
    /// Do not ask before a purge
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Delete {
    pub(crate) async fn run(self, environment: &Environment) -> CliResult {
        let (client, out) = connect(&self.connection, environment)?;
        if self.purge && !self.yes && !confirm(&question(self.ids.len()), out)? {
            return Ok(Exit::Failed);
        }
        let done = if self.purge { "removed for good" } else { "deleted" };
        let (mut deleted, mut refused, mut stopped) = (Vec::new(), Vec::new(), None);
        for id in self.ids {
            let mut call = Call::delete(format!("/tasks/{}", segment(&id)));
            if self.purge {
                call = call.query("purge", "true");
            }
            match client.call(call).await {
                Ok(_) => {
                    if !out.json {
                        out.line(format!("{id} {done}"));
                    }
                    deleted.push(id);
                }
                Err(error) if error.exit == Exit::Refused => {
                    out.error(&format_args!("{id}: {error}"));
                    refused.push(id);
                }
                // The next one would meet the same.
                Err(error) => {
                    stopped = Some(error);
                    break;
                }
            }
        }
        if out.json {
            out.json(&json!({"deleted": deleted, "refused": refused}));
        }
        match stopped {
            Some(error) => Err(error),
            None if refused.is_empty() => Ok(Exit::Ok),
            None => Ok(Exit::Refused),
        }
    }
}

fn question(tasks: usize) -> String {
    let what = if tasks == 1 { "the task".to_owned() } else { format!("{tasks} tasks") };
    format!("Remove {what} for good, with history and files?")
}
