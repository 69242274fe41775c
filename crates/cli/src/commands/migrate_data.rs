//! `taskloom migrate-data`

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use taskloom_store::{Progress, Store, StoreError, StoreOptions, TableRows, TransferPlan};

use crate::config::{Database, Environment, parse_database_url};
use crate::error::{CliError, CliResult, Exit};
use crate::output::{Output, Table, Tone};
use crate::process::data_dir;

/// Move everything from one database to another, of any kinds: first a dry run, then with --yes
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  taskloom migrate-data --from sqlite:///srv/taskloom/taskloom.db --to postgres://me@db/taskloom\n  \
    taskloom migrate-data --from sqlite:///srv/taskloom/taskloom.db --to postgres://me@db/taskloom --yes\n\n\
    Stop every server, scheduler and worker first. Without --yes it only shows what it would copy. A copy that is broken \
    off goes on where it was when the command is run again; until it is finished no server opens the target. At the end \
    every table is counted and compared by checksum. The source is only read. Artifacts are files: copy their directory \
    as well."
)]
pub(crate) struct MigrateData {
    /// The database to read, such as sqlite:///srv/taskloom/taskloom.db
    #[arg(long, value_name = "URL")]
    from: String,
    /// The empty database to fill, such as postgres://user:password@host/taskloom
    #[arg(long, value_name = "URL")]
    to: String,
    /// Copy; without it nothing is changed but for the target's empty tables
    #[arg(long)]
    yes: bool,
    /// Print JSON on one line, for programs
    #[arg(long)]
    json: bool,
}

impl MigrateData {
    pub(crate) fn run(self, environment: &Environment) -> CliResult {
        let out = Output::new(self.json, environment);
        let (from, to) = (options("--from", &self.from)?, options("--to", &self.to)?);
        if from.to_string() == to.to_string() {
            return Err(CliError::usage("--from and --to name the same database"));
        }
        if let StoreOptions::Sqlite { path, .. } = &from
            && !path.exists()
        {
            return Err(CliError::failed(format!("--from: there is no file {}", path.display())));
        }
        if let StoreOptions::Sqlite { path, .. } = &to
            && let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty())
            && !folder.is_dir()
        {
            return Err(CliError::failed(format!("--to: there is no directory {}", folder.display())));
        }
        // A server that holds a file would write to it meanwhile.
        let _held = [lock(&from)?, lock(&to)?];
        super::runtime()?.block_on(self.transfer(&from, &to, out))
    }

    async fn transfer(&self, from: &StoreOptions, to: &StoreOptions, out: Output) -> CliResult {
        let source = Store::open_as_is(from).await.map_err(|e| failed("--from", &e))?;
        refuse_live(&source).await?;
        let target = Store::open_target(to).await.map_err(|e| failed("--to", &e))?;
        let origin = from.to_string();
        let plan = source.transfer_plan(&target, &origin).await.map_err(|e| failed("the transfer", &e))?;
        if !self.yes {
            tell_plan(&plan, out);
            return Ok(Exit::Ok);
        }
        let bar = bar(out);
        let moved = source.transfer_to(&target, &origin, |progress| show(&bar, progress)).await;
        bar.finish_and_clear();
        let rows = moved.map_err(|e| failed("the transfer", &e))?;
        if out.json {
            out.json(&json!({"moved": true, "rows": rows, "tables": plan.tables.len(), "compared": true}));
        } else {
            out.line(out.paint(
                Tone::Good,
                &format!("moved {rows} rows of {} tables; both sides are equal", plan.tables.len()),
            ));
            out.note(
                "next: point the servers at the new database (DATABASE_URL) and copy the artifacts directory",
            );
        }
        Ok(Exit::Ok)
    }
}

/// The options of a database's URL.
fn options(flag: &str, url: &str) -> Result<StoreOptions, CliError> {
    match parse_database_url(url).map_err(|e| CliError::usage(format!("{flag}: {e}")))? {
        Database::Sqlite(path) => Ok(StoreOptions::sqlite(path)),
        Database::Network(url) => Ok(StoreOptions::network(url)),
    }
}

/// Takes a file for this process.
fn lock(options: &StoreOptions) -> Result<Option<std::fs::File>, CliError> {
    match options {
        StoreOptions::Sqlite { path, .. } => data_dir::lock_database(path).map(Some),
        StoreOptions::Network { .. } => Ok(None),
    }
}

/// Workers that were heard of lately would go on writing.
async fn refuse_live(source: &Store) -> Result<(), CliError> {
    let lease = std::time::Duration::from_secs(15);
    // By the clock that the workers are seen by.
    let time = source.time().await.map_err(|e| failed("--from", &e))?;
    let workers =
        source.worker_list(lease, time.unwrap_or_else(super::now)).await.map_err(|e| failed("--from", &e))?;
    match workers.iter().filter(|worker| worker.alive).count() {
        0 => Ok(()),
        alive => Err(CliError::failed(format!("{alive} workers are at work on the source"))
            .hint("stop every server, scheduler and worker, and wait 15 seconds if one was killed")),
    }
}

fn failed(what: &str, error: &StoreError) -> CliError {
    let wrong = CliError::failed(format!("{what}: {error}"));
    match error {
        StoreError::NotEmpty(_) => wrong.hint(
            "the target has to be a new, empty database; a transfer that was finished before need not be run again",
        ),
        StoreError::OtherOrigin(_) => wrong.hint(
            "finish that one, with --from written as it was then, or start anew with an empty target",
        ),
        StoreError::Differs(_) => wrong.hint(
            "something writes to one of the two, or the copy was changed: stop it, and start anew with an empty target",
        ),
        _ => wrong,
    }
}

fn tell_plan(plan: &TransferPlan, out: Output) {
    if out.json {
        let table = |t: &TableRows| json!({"table": t.table, "source": t.source, "target": t.target});
        let tables: Vec<_> = plan.tables.iter().map(table).collect();
        out.json(&json!({"moved": false, "resumes": plan.resumes, "tables": tables}));
        return;
    }
    let mut table = Table::new(&["TABLE", "ROWS", "ALREADY THERE"]);
    for row in &plan.tables {
        table.row(vec![
            (row.table.clone(), None),
            (row.source.to_string(), None),
            (row.target.to_string(), None),
        ]);
    }
    table.lines(out).into_iter().for_each(|line| out.line(line));
    let what = if plan.resumes { "a dry run of a transfer that was broken off" } else { "a dry run" };
    out.note(format!("{what}: nothing was copied; add --yes to copy"));
    out.note("a server leaves no trace in a database: see yourself that none runs on either");
}

fn bar(out: Output) -> ProgressBar {
    if !out.live {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{prefix:<10} {bar:30} {pos}/{len} rows {msg} {eta}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn show(bar: &ProgressBar, progress: &Progress) {
    bar.set_length(progress.all);
    bar.set_position(progress.done);
    bar.set_prefix(if progress.comparing { "comparing" } else { "copying" });
    bar.set_message(progress.table.clone());
}
