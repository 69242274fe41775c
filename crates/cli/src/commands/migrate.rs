//! `taskloom migrate`

use clap::{Args, Subcommand};
use serde_json::json;
use taskloom_store::{MigrationStatus, Store, StoreOptions};

use super::store::Place;
use crate::config::Environment;
use crate::error::{CliError, CliResult, Exit};
use crate::output::{Output, Table, Tone};
use crate::process::data_dir::DataDir;

/// Show or apply the database's migrations; servers, workers and schedulers apply them by themselves
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  taskloom migrate status\n  taskloom migrate up --data /srv/taskloom\n  \
    DATABASE_URL=postgres://… taskloom migrate up\n  \
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
    /// Apply what is missing
    #[command(after_help = "Examples:\n  taskloom migrate up --data /srv/taskloom\n  \
        DATABASE_URL=postgres://… taskloom migrate up\n\nA SQLite file must not be in use meanwhile. Status 1 if another \
        program migrates the database right now,\nor if its schema is newer than this program: nothing is changed then.")]
    Up(Place),
}

impl Migrate {
    pub(crate) fn run(self, environment: &Environment) -> CliResult {
        let (Action::Status(place) | Action::Up(place)) = &self.action;
        let out = Output::new(place.json, environment);
        let status = match self.action {
            Action::Status(place) => {
                let options = place.existing(environment)?;
                super::runtime()?.block_on(status(&options))?
            }
            Action::Up(place) => {
                let (dir, options) = place.resolve(environment)?;
                let _held = match options {
                    StoreOptions::Sqlite { .. } => Some(DataDir::take(&dir, &options)?),
                    StoreOptions::Network { .. } => None,
                };
                super::runtime()?.block_on(up(&options))?
            }
        };
        show(&status, out);
        Ok(Exit::Ok)
    }
}

async fn status(database: &StoreOptions) -> Result<MigrationStatus, CliError> {
    Store::migration_status(database).await.map_err(|e| CliError::of_database(database, &e))
}

async fn up(database: &StoreOptions) -> Result<MigrationStatus, CliError> {
    Store::migrate(database).await.map_err(|e| CliError::of_database(database, &e))?;
    status(database).await
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
