//! `taskloom migrate`

use clap::{Args, Subcommand};
use serde_json::json;
use taskloom_store::{MigrationStatus, Store, StoreError};

use super::store::{Place, missing};
use crate::config::Environment;
use crate::dev::data_dir::DataDir;
use crate::error::{CliError, CliResult, Exit};
use crate::output::{Output, Table, Tone};

/// Show or apply the database's migrations; `taskloom dev` applies them by itself
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  taskloom migrate status\n  taskloom migrate up --data /srv/taskloom\n  \
    taskloom migrate status --database-url sqlite:///srv/taskloom.db --json"
)]
pub(crate) struct Migrate {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show which migrations are applied and which are not
    #[command(after_help = "Examples:\n  taskloom migrate status --json | jq .pending")]
    Status(Place),
    /// Apply what is missing; the server must not run meanwhile
    #[command(after_help = "Examples:\n  taskloom migrate up --data /srv/taskloom")]
    Up(Place),
}

impl Migrate {
    pub(crate) fn run(self, environment: &Environment) -> CliResult {
        match self.action {
            Action::Status(place) => {
                let out = Output::new(place.json, environment);
                let (_, options) = place.resolve(environment)?;
                if !options.path.is_file() {
                    return Err(missing(&options));
                }
                show(&Store::migration_status(&options).map_err(|e| failed(&e))?, out);
            }
            Action::Up(place) => {
                let out = Output::new(place.json, environment);
                let (dir, options) = place.resolve(environment)?;
                let _held = DataDir::take(&dir, &options.path)?;
                drop(Store::open(&options).map_err(|e| failed(&e))?);
                show(&Store::migration_status(&options).map_err(|e| failed(&e))?, out);
            }
        }
        Ok(Exit::Ok)
    }
}

fn failed(error: &StoreError) -> CliError {
    CliError::failed(format!("the database: {error}"))
}

fn show(status: &MigrationStatus, out: Output) {
    if out.json {
        let entry = |(version, name): &(u32, String)| json!({"version": version, "name": name});
        let list = |migrations: &[(u32, String)]| migrations.iter().map(entry).collect::<Vec<_>>();
        out.json(&json!({"applied": list(&status.applied), "pending": list(&status.pending)}));
        return;
    }
    let mut table = Table::new(&["VERSION", "NAME", "STATE"]);
    let applied = status.applied.iter().map(|m| (m, "applied", Tone::Good));
    let pending = status.pending.iter().map(|m| (m, "pending", Tone::Warn));
    for ((version, name), state, tone) in applied.chain(pending) {
        table.row(vec![(version.to_string(), None), (name.clone(), None), (state.into(), Some(tone))]);
    }
    table.lines(out).into_iter().for_each(|line| out.line(line));
}
