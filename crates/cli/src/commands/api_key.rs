//! `taskloom api-key`

use clap::{Args, Subcommand};
use serde::Deserialize;
use taskloom_protocol::{self as protocol, CreateApiKey, NewApiKey, Scope};

use super::{connect, now};
use crate::args::Connection;
use crate::client::{Call, segment};
use crate::config::Environment;
use crate::duration::parse_seconds;
use crate::error::{CliError, CliResult, Exit};
use crate::output::{Table, Tone, age, clip};

/// Create, list and revoke API keys, for scripts and for workers
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  taskloom api-key create nightly --scope tasks:read --scope tasks:write\n  \
    taskloom api-key create worker-1 --scope worker\n  taskloom api-key list\n  taskloom api-key revoke 0199…"
)]
pub(crate) struct ApiKey {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create a key; it is shown once
    #[command(after_help = "Examples:\n  taskloom api-key create worker-1 --scope worker\n  \
        TASKLOOM_TOKEN=$(taskloom api-key create ci --scope tasks:write --expires-in 90d --json | jq -r .key)")]
    Create {
        /// What it is for
        name: String,
        /// What it may do: tasks:read, tasks:write or worker (alone); may be repeated
        #[arg(long = "scope", value_name = "SCOPE", required = true, value_parser = scope)]
        scopes: Vec<Scope>,
        /// It ends after so long, such as 90d; never if left out
        #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
        expires_in: Option<f64>,
        #[command(flatten)]
        connection: Connection,
    },
    /// List your keys
    #[command(after_help = "Examples:\n  taskloom api-key list --json")]
    List {
        #[command(flatten)]
        connection: Connection,
    },
    /// Revoke a key
    #[command(after_help = "Examples:\n  taskloom api-key revoke 0199…")]
    Revoke {
        /// The key's id
        id: String,
        #[command(flatten)]
        connection: Connection,
    },
}

/// The keys, as the server lists them: bare or in `items`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Keys {
    Page { items: Vec<protocol::ApiKey> },
    Bare(Vec<protocol::ApiKey>),
}

fn scope(text: &str) -> Result<Scope, String> {
    let known = Scope::ALL.into_iter().find(|scope| scope.name() == text);
    known.ok_or_else(|| "one of tasks:read, tasks:write, worker".into())
}

impl ApiKey {
    pub(crate) async fn run(self, environment: &Environment) -> CliResult {
        match self.action {
            Action::Create { name, scopes, expires_in, connection } => {
                let span = expires_in.map(std::time::Duration::try_from_secs_f64).transpose();
                let span = span.map_err(|_| CliError::usage("--expires-in is too long"))?;
                let ask = CreateApiKey { name, scopes, expires_at: span.map(|span| now().plus(span)) };
                create(&ask, &connection, environment).await
            }
            Action::List { connection } => list(&connection, environment).await,
            Action::Revoke { id, connection } => revoke(&id, &connection, environment).await,
        }
    }
}

async fn create(ask: &CreateApiKey, connection: &Connection, environment: &Environment) -> CliResult {
    let (client, out) = connect(connection, environment)?;
    let body = client.call(Call::post("/api-keys").body(ask)?).await?;
    if out.json {
        out.line(body.0);
    } else {
        let new: NewApiKey = body.read()?;
        out.note(format!(
            "API key {} ({}). It is shown only now:",
            clip(&new.api_key.name, 60),
            new.api_key.id
        ));
        out.line(new.key);
    }
    Ok(Exit::Ok)
}

async fn list(connection: &Connection, environment: &Environment) -> CliResult {
    let (client, out) = connect(connection, environment)?;
    let body = client.call(Call::get("/api-keys")).await?;
    if out.json {
        out.line(body.0);
        return Ok(Exit::Ok);
    }
    let (Keys::Page { items } | Keys::Bare(items)) = body.read()?;
    let mut table = Table::new(&["ID", "NAME", "SCOPES", "CREATED", "STATE"]);
    let now = now();
    for key in items {
        let (state, tone) = match (key.revoked_at, key.expires_at) {
            (Some(at), _) => (format!("revoked {}", age(at, now)), Tone::Bad),
            (None, Some(at)) if at <= now => (format!("expired {}", age(at, now)), Tone::Bad),
            (None, Some(at)) => (format!("expires {}", age(at, now)), Tone::Good),
            (None, None) => ("valid".into(), Tone::Good),
        };
        let scopes = key.scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(" ");
        table.row(vec![
            (key.id.to_string(), None),
            (clip(&key.name, 40), None),
            (scopes, None),
            (age(key.created_at, now), None),
            (state, Some(tone)),
        ]);
    }
    table.lines(out).into_iter().for_each(|line| out.line(line));
    Ok(Exit::Ok)
}

async fn revoke(id: &str, connection: &Connection, environment: &Environment) -> CliResult {
    let (client, out) = connect(connection, environment)?;
    let body = client.call(Call::delete(format!("/api-keys/{}", segment(id)))).await?;
    if out.json {
        out.line(if body.0.is_empty() { "{}".into() } else { body.0 });
    } else {
        out.line("revoked");
    }
    Ok(Exit::Ok)
}
