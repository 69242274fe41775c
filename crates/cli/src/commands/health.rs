//! `taskloom health`

use std::path::Path;

use clap::Args;
use serde::Deserialize;

use super::connect;
use crate::args::{ConfigFile, Connection};
use crate::config::{self, Environment};
use crate::error::{CliError, CliResult, Exit};
use crate::output::{Output, Tone, plain};
use crate::process::listen;

/// Ask a server whether it is well: status 0 if it takes tasks, 1 if it does not or cannot be reached
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  taskloom health\n  taskloom health --server http://10.0.0.7:8000 --json | jq .status\n  \
    HEALTHCHECK CMD [\"taskloom\", \"health\"]              in a Dockerfile\n\nIt asks once, and needs no login. \
    Beside a server it finds the address in that server's configuration; one that only a flag names, as in \
    `serve --port 9000`, has to be given with --server.\n\n`degraded` means that Redis is away: tasks are taken and \
    run, only slower."
)]
#[command(mut_arg("server", |server| server.help(SERVER)))]
pub(crate) struct Health {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    file: ConfigFile,
}

const SERVER: &str = "The server [default: TASKLOOM_SERVER, else this machine's if server.host or server.port is \
    configured, else the last login's, else http://127.0.0.1:8000]";

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
        let Self { connection, file } = self;
        let server = match connection.server {
            None if environment.get("TASKLOOM_SERVER").is_none() => {
                configured(file.file.as_deref(), environment)?
            }
            // The configuration is not even read: one that is broken does not matter.
            named => named,
        };
        let (client, out) = connect(&Connection { server, ..connection }, environment)?;
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

/// The server that the configuration describes; `None` if it leaves that open.
fn configured(file: Option<&Path>, environment: &Environment) -> Result<Option<String>, CliError> {
    let loaded = config::load(file, environment, &[]).map_err(|errors| {
        CliError::from(errors).hint("`taskloom health --server URL` asks without the configuration")
    })?;
    let server = &loaded.config.server;
    let is_described = loaded.is_set("server.host") || loaded.is_set("server.port");
    // Port 0 is one that only the server itself knows.
    Ok((is_described && server.port != 0).then(|| listen::url_of(&server.host, server.port)))
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
