//! The commands, a file each.

pub(crate) mod api_key;
pub(crate) mod artifacts;
pub(crate) mod bench;
pub(crate) mod cache;
pub(crate) mod cancel;
pub(crate) mod change;
pub(crate) mod completions;
pub(crate) mod config;
mod confirm;
pub(crate) mod dead;
pub(crate) mod delete;
pub(crate) mod dev;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod get;
pub(crate) mod health;
mod json;
pub(crate) mod list;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod logs;
pub(crate) mod migrate;
pub(crate) mod migrate_data;
mod process;
pub(crate) mod prune;
pub(crate) mod queue;
pub(crate) mod retry;
pub(crate) mod schedule;
pub(crate) mod scheduler;
pub(crate) mod serve;
mod store;
pub(crate) mod submit;
mod task_flags;
pub(crate) mod user;
pub(crate) mod wait;
pub(crate) mod worker;
pub(crate) mod workflow;

use std::future::Future;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;
use taskloom_model::Timestamp;

use crate::args::{Cli, Command, Connection};
use crate::client::{Body, Client};
use crate::config::Environment;
use crate::error::{CliError, CliResult, Exit};
use crate::output::Output;

/// Runs a command to its end and tells what went wrong.
pub(crate) fn run(cli: Cli) -> Exit {
    let environment = Environment::read();
    let out = Output::new(false, environment.as_ref().unwrap_or(&Environment::default()));
    let ended = environment.map_err(CliError::from).and_then(|environment| choose(cli.command, &environment));
    ended.unwrap_or_else(|error| {
        out.error(&error);
        error.exit
    })
}

fn choose(command: Command, environment: &Environment) -> CliResult {
    match command {
        Command::Dev(args) => args.run(environment),
        Command::Serve(args) => args.run(environment),
        Command::Scheduler(args) => args.run(environment),
        Command::Worker(args) => args.run(environment),
        Command::Doctor(args) => args.run(environment),
        Command::User(args) => args.run(environment),
        Command::Bench(args) => bench::run(&args, environment),
        Command::Submit(args) => online(args.run(environment)),
        Command::List(args) => online(args.run(environment)),
        Command::Get(args) => online(args.run(environment)),
        Command::Wait(args) => online(args.run(environment)),
        Command::Artifacts(args) => online(args.run(environment)),
        Command::Explain(args) => online(args.run(environment)),
        Command::Logs(args) => online(args.run(environment)),
        Command::Prune(args) => online(args.run(environment)),
        Command::Cancel(args) => online(args.run(environment)),
        Command::Retry(args) => online(args.run(environment)),
        Command::Change(args) => online(args.run(environment)),
        Command::Delete(args) => online(args.run(environment)),
        Command::Workflow(args) => online(args.run(environment)),
        Command::Schedule(args) => online(args.run(environment)),
        Command::Cache(args) => online(args.run(environment)),
        Command::Dead(args) => online(args.run(environment)),
        Command::Login(args) => online(args.run(environment)),
        Command::Logout(args) => online(args.run(environment)),
        Command::ApiKey(args) => online(args.run(environment)),
        Command::Queue(args) => online(args.run(environment)),
        Command::Health(args) => online(args.run(environment)),
        Command::Config(args) => args.run(environment),
        Command::Migrate(args) => args.run(environment),
        Command::MigrateData(args) => args.run(environment),
        Command::Completions(args) => Ok(args.run()),
    }
}

/// Runs a command that talks to a server: one thread is enough.
fn online(command: impl Future<Output = CliResult>) -> CliResult {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| CliError::failed(format!("cannot start: {e}")))?;
    runtime.block_on(command)
}

/// The runtime of servers and workers.
fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| CliError::failed(format!("cannot start: {e}")))
}

/// The data directory: the flag, else `TASKLOOM_DATA`, else `./data`.
fn data_dir(flag: Option<PathBuf>, environment: &Environment) -> PathBuf {
    flag.or_else(|| environment.get("TASKLOOM_DATA").map(PathBuf::from)).unwrap_or_else(|| "data".into())
}

/// What a client's command works with.
fn connect(connection: &Connection, environment: &Environment) -> Result<(Client, Output), CliError> {
    let out = Output::new(connection.json, environment);
    Ok((Client::new(connection.server.as_deref(), environment)?, out))
}

/// Tells an answer: to programs as it is, to people in words.
fn tell<T: DeserializeOwned>(body: &Body, out: Output, words: impl FnOnce(T) -> String) -> CliResult {
    if out.json {
        out.line(&body.0);
    } else {
        out.line(words(body.read()?));
    }
    Ok(Exit::Ok)
}

/// This machine's clock, for ages.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::MIN.plus(since)
}
