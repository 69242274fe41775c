//! `taskloom cache`

use clap::{Args, Subcommand};
use taskloom_protocol::{CacheEntry, CachePage, CachePurged};

use super::confirm::confirm;
use super::{connect, now};
use crate::args::{Connection, Paging};
use crate::client::{Call, Client};
use crate::config::Environment;
use crate::error::{CliError, CliResult, Exit};
use crate::output::{Output, Table, Tone, age, clip};

/// Look at the result cache, and purge it
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  taskloom cache list --handler report.build\n  \
    taskloom cache purge --handler report.build   shows what it would forget, and asks\n  taskloom cache purge --all --yes")]
pub(crate) struct Cache {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the calls it knows
    #[command(
        after_help = "Examples:\n  taskloom cache list\n  taskloom cache list --json | jq .requests.hit_rate"
    )]
    List {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        page: Paging,
        #[command(flatten)]
        connection: Connection,
    },
    /// Forget calls: the next of each makes a task
    #[command(after_help = "Examples:\n  taskloom cache purge --handler report.build --dry-run\n  \
        taskloom cache purge --signature 5d41… --yes")]
    Purge {
        #[command(flatten)]
        which: Which,
        /// Only show what it would forget
        #[arg(long, conflicts_with = "yes")]
        dry_run: bool,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        connection: Connection,
    },
}

/// Which calls.
#[derive(Debug, Clone, Args)]
struct Which {
    /// Only of this handler
    #[arg(long, value_name = "NAME")]
    handler: Option<String>,
    /// Only the call with this signature
    #[arg(long, value_name = "SHA256")]
    signature: Option<String>,
    /// Everybody's, for operators and admins
    #[arg(long)]
    all: bool,
}

impl Which {
    fn ask(&self, mut call: Call) -> Call {
        for (name, value) in [("handler", &self.handler), ("signature", &self.signature)] {
            if let Some(value) = value {
                call = call.query(name, value);
            }
        }
        if self.all { call.query("all", "true") } else { call }
    }
}

impl Cache {
    pub(crate) async fn run(self, environment: &Environment) -> CliResult {
        match self.action {
            Action::List { which, page, connection } => {
                let (client, out) = connect(&connection, environment)?;
                let body = client.call(page.of(which.ask(Call::get("/cache")))).await?;
                if out.json {
                    out.line(&body.0);
                } else {
                    show(&body.read()?, out);
                }
                Ok(Exit::Ok)
            }
            Action::Purge { which, dry_run, yes, connection } => {
                let (client, out) = connect(&connection, environment)?;
                purge(&client, out, &which, dry_run, yes).await
            }
        }
    }
}

async fn purge(client: &Client, out: Output, which: &Which, dry_run: bool, yes: bool) -> CliResult {
    if dry_run || !yes {
        let body = client.call(which.ask(Call::get("/cache")).query("limit", "10")).await?;
        let page: CachePage = body.read()?;
        match (out.json, dry_run) {
            (true, true) => out.line(&body.0),
            (true, false) => {}
            (false, _) => show(&page, out),
        }
        if dry_run || page.total == 0 && !out.json {
            return Ok(Exit::Ok);
        }
        if !confirm("Forget them?", out)? {
            return Ok(Exit::Failed);
        }
    }
    forget(client, out, which).await.map(|()| Exit::Ok)
}

async fn forget(client: &Client, out: Output, which: &Which) -> Result<(), CliError> {
    let body = client.call(which.ask(Call::delete("/cache"))).await?;
    if out.json {
        out.line(&body.0);
    } else {
        out.line(format!("{} forgotten", body.read::<CachePurged>()?.purged));
    }
    Ok(())
}

fn show(page: &CachePage, out: Output) {
    if page.items.is_empty() {
        out.note("the cache knows no such call");
    } else {
        table(&page.items).lines(out).into_iter().for_each(|line| out.line(line));
        let shown = page.items.len() as u64;
        if page.total > shown {
            out.note(format!("{shown} of {}", page.total));
        }
    }
    let asked = &page.requests;
    out.note(format!(
        "this server's calls: {} hits, {} joined, {} misses ({:.0} % answered)",
        asked.hit,
        asked.joined,
        asked.miss,
        asked.hit_rate * 100.0
    ));
}

fn table(entries: &[CacheEntry]) -> Table {
    let mut table = Table::new(&["SIGNATURE", "HANDLER", "TASK", "STATE", "EXPIRES"]);
    let now = now();
    for entry in entries {
        let state = entry.state.map_or_else(|| "live".to_owned(), |state| state.to_string());
        table.row(vec![
            (entry.signature.clone(), Some(Tone::Faint)),
            (clip(&entry.handler, 36), None),
            (entry.task_id.to_string(), None),
            (state, None),
            (entry.expires_at.map(|at| age(at, now)).unwrap_or_default(), None),
        ]);
    }
    table
}
