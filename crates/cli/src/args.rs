//! The command line as a whole; each command's own arguments stand in its file.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::client::Call;
use crate::commands::{
    api_key, artifacts, cache, cancel, change, completions, config, dead, delete, dev, doctor, explain, get,
    health, list, login, logout, logs, migrate, migrate_data, prune, queue, retry, schedule, scheduler,
    serve, submit, user, wait, worker, workflow,
};
use crate::error::EXIT_HELP;

/// Background tasks in one binary: an API that takes them, a queue that keeps them, workers that run them.
#[derive(Debug, Parser)]
#[command(name = "taskloom", version, after_help = FIRST_STEPS, after_long_help = format!("{FIRST_STEPS}\n\n{EXIT_HELP}"))]
#[command(arg_required_else_help = true, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const FIRST_STEPS: &str = "Examples:\n  taskloom dev                                          start everything on this machine\n  \
    taskloom login --username admin                       in another shell\n  \
    taskloom submit demo.sleep --kwarg seconds=5 --watch  run a task and watch it";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Dev(dev::Dev),
    Serve(serve::Serve),
    Scheduler(scheduler::Scheduler),
    Worker(worker::Worker),
    Submit(Box<submit::Submit>),
    List(list::List),
    Get(get::Get),
    Wait(wait::Wait),
    Explain(explain::Explain),
    Logs(logs::Logs),
    Artifacts(artifacts::Artifacts),
    Cancel(cancel::Cancel),
    Retry(retry::Retry),
    Change(change::Change),
    Delete(delete::Delete),
    Schedule(schedule::Schedule),
    Dead(dead::Dead),
    Cache(cache::Cache),
    Login(login::Login),
    Logout(logout::Logout),
    ApiKey(api_key::ApiKey),
    Queue(queue::Queue),
    Workflow(workflow::WorkflowCommand),
    Health(health::Health),
    Config(config::Config),
    Migrate(migrate::Migrate),
    MigrateData(migrate_data::MigrateData),
    Doctor(doctor::Doctor),
    Prune(prune::Prune),
    User(user::User),
    Bench(taskloom_bench::BenchArgs),
    Completions(completions::Completions),
}

/// What every command of the API's client takes.
#[derive(Debug, Args)]
pub(crate) struct Connection {
    /// The server [default: TASKLOOM_SERVER, else the last login's, else http://127.0.0.1:8000]
    #[arg(long, value_name = "URL", help_heading = "Connection")]
    pub(crate) server: Option<String>,
    /// Print JSON on one line, for programs
    // Not under the heading of what stands before it.
    #[arg(long, help_heading = None::<&'static str>)]
    pub(crate) json: bool,
}

/// Which page of a list.
#[derive(Debug, Args)]
pub(crate) struct Paging {
    /// How many at most, 1 to 500
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) limit: u32,
    /// Go on where a page's next_cursor points
    #[arg(long)]
    pub(crate) cursor: Option<String>,
}

impl Paging {
    /// Asks for this page of what the call lists.
    pub(crate) fn of(self, call: Call) -> Call {
        let call = call.query("limit", self.limit.to_string());
        match self.cursor {
            Some(cursor) => call.query("cursor", cursor),
            None => call,
        }
    }
}

/// Where settings come from.
#[derive(Debug, Args)]
pub(crate) struct ConfigFile {
    /// The configuration file [default: TASKLOOM_CONFIG, else ./taskloom.toml if it is there]
    #[arg(long = "config", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

/// Reads the command line; help and mistakes end the program here, mistakes with status 2.
pub(crate) fn parse() -> Cli {
    Cli::parse()
}
