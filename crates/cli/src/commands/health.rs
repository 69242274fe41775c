//! `taskloom health`

use clap::Args;
use serde::Deserialize;

use super::connect;
use crate::args::Connection;
use crate::config::Environment;
use crate::error::{CliError, CliResult, Exit};
use crate::output::{Output, Tone, plain};

/// Ask a server whether it is well: status 0 if it takes tasks, 1 if it does not or cannot be reached
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  taskloom health\n  taskloom health --server http://10.0.0.7:8000 --json | jq .status\n  \
    HEALTHCHECK CMD [\"taskloom\", \"health\"]              in a Dockerfile\n\nIt asks once, and needs no login. \
    `degraded` means that Redis is away: tasks are taken and run, only slower."
)]
pub(crate) struct Health {
    #[command(flatten)]
    connection: Connection,
}

/// As much of the answer as is told.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    status: String,
    version: String,
    database: Option<Part>,
    redis: Option<Part>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Part {
    ok: bool,
    detail: Option<String>,
}

impl Health {
    pub(crate) async fn run(self, environment: &Environment) -> CliResult {
        let (client, out) = connect(&self.connection, environment)?;
        // For whoever only looks at the status there is one that is bad.
        let unwell = |error: CliError| CliError { exit: Exit::Failed, ..error };
        let (status, body) = client.probe("/health").await.map_err(unwell)?;
        let answer = serde_json::from_str::<Answer>(&body.0).unwrap_or_default();
        if answer.status.is_empty() {
            return Err(CliError::failed(format!(
                "{} answered {status}, not as Taskloom would",
                client.server()
            )));
        }
        if out.json {
            out.line(body.0);
        } else {
            tell(&answer, out);
        }
        Ok(if status.is_success() { Exit::Ok } else { Exit::Failed })
    }
}

fn tell(answer: &Answer, out: Output) {
    let tone = match answer.status.as_str() {
        "ok" => Tone::Good,
        "degraded" => Tone::Warn,
        _ => Tone::Bad,
    };
    let version = plain(&answer.version);
    out.line(format!("{} (Taskloom {version})", out.paint(tone, &plain(&answer.status))));
    for (name, part) in [("database", &answer.database), ("redis", &answer.redis)] {
        if let Some(Part { ok: false, detail }) = part {
            out.line(format!("  {name}: {}", plain(detail.as_deref().unwrap_or("does not answer"))));
        }
    }
}
