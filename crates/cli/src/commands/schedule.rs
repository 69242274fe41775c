//! `taskloom schedule`

mod change;
mod plan;
mod task;

use clap::{Args, Subcommand};
use taskloom_protocol::{Schedule as Row, SchedulePage, Task, TickPage};

use self::change::{Create, Update};
use self::plan::Preview;
use self::task::TaskArgs;
use super::confirm::confirm;
use super::submit::say_submitted;
use super::{connect, now, tell};
use crate::args::{Connection, Paging};
use crate::client::{Call, Client, segment};
use crate::config::Environment;
use crate::duration::parse_seconds;
use crate::error::{CliError, CliResult, Exit};
use crate::output::{Output, describe_schedule, plain, schedule_table, tick_table};

/// Run tasks by the clock: by cron, every so often, on days and dates, once, or by hand
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    taskloom schedule create --name \"weekly report\" --task reports.build --weekly 1,3,5@14:30 --timezone Asia/Shanghai\n  \
    taskloom schedule preview --cron '0 9 * * MON-FRI' --timezone Europe/Berlin\n  \
    taskloom schedule list\n  taskloom schedule run 0199… --kwarg day=2026-12-24\n  taskloom schedule ticks 0199…")]
pub(crate) struct Schedule {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Create(Box<Create>),
    /// List schedules, the newest first
    #[command(after_help = "Examples:\n  taskloom schedule list --paused\n  \
        taskloom schedule list --json | jq -r '.items[] | .id + \" \" + .name'")]
    List(List),
    /// Show a schedule
    #[command(after_help = "Examples:\n  taskloom schedule get 0199…")]
    Get(One),
    Update(Box<Update>),
    /// Delete a schedule; tasks that it made stay
    #[command(after_help = "Examples:\n  taskloom schedule delete 0199… --yes")]
    Delete(Delete),
    /// Run a schedule's task now, whether or not it is paused
    #[command(after_help = "Examples:\n  taskloom schedule run 0199…\n  \
        taskloom schedule run 0199… --kwarg day=2026-12-24 --priority high")]
    Run(Box<Run>),
    /// Let a schedule fire no more
    #[command(after_help = "Examples:\n  taskloom schedule pause 0199…")]
    Pause(One),
    /// Let a schedule fire again, from now on
    #[command(after_help = "Examples:\n  taskloom schedule resume 0199…")]
    Resume(One),
    /// Show what became of a schedule's ticks
    #[command(after_help = "Examples:\n  taskloom schedule ticks 0199… --skipped")]
    Ticks(Ticks),
    Preview(Box<Preview>),
}

#[derive(Debug, Args)]
struct One {
    /// The schedule's id
    id: String,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
#[command(mut_arg("limit", |arg| arg.default_value("50")))]
struct List {
    /// cron, interval, daily, weekly, monthly, scheduled, immediate or manual
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Only schedules of this handler
    #[arg(long, value_name = "NAME")]
    task: Option<String>,
    /// Only schedules of this name
    #[arg(long)]
    name: Option<String>,
    /// Only those that are paused
    #[arg(long)]
    paused: bool,
    #[command(flatten)]
    page: Paging,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
struct Delete {
    /// The schedule's id
    id: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
// There is no tick: it is answered as a submission is.
#[command(
    mut_arg("unique_key", |arg| arg.help("While a task with this key lives, there is no second one")),
    mut_arg("cache_ttl", |arg| arg.help(
        "Answer with the result of the same call if it is younger, such as 90, 30s or 5m"
    )),
    mut_arg("expires_in", |arg| arg.help("Revoked if it has not started so long from now, such as 90, 30s or 5m"))
)]
struct Run {
    /// The schedule's id
    id: String,
    /// Not before so long from now, such as 90, 30s or 5m
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    delay: Option<f64>,
    /// Running again with the same key answers with the same task
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    task: TaskArgs,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
struct Ticks {
    /// The schedule's id
    id: String,
    /// Only those that were skipped
    #[arg(long)]
    skipped: bool,
    #[command(flatten)]
    page: Paging,
    #[command(flatten)]
    connection: Connection,
}

impl Schedule {
    pub(crate) async fn run(self, environment: &Environment) -> CliResult {
        match self.action {
            Action::Create(args) => args.run(environment).await,
            Action::List(args) => args.run(environment).await,
            Action::Get(args) => args.call(environment, Call::get, "").await,
            Action::Update(args) => args.run(environment).await,
            Action::Delete(args) => args.run(environment).await,
            Action::Run(args) => args.run(environment).await,
            Action::Pause(args) => args.call(environment, Call::post, "/pause").await,
            Action::Resume(args) => args.call(environment, Call::post, "/resume").await,
            Action::Ticks(args) => args.run(environment).await,
            Action::Preview(args) => args.run(environment).await,
        }
    }
}

/// The path of a schedule.
fn path(id: &str, tail: &str) -> String {
    format!("/schedules/{}{tail}", segment(id))
}

/// Makes a call that answers with the schedule, and shows it.
async fn show(client: &Client, call: Call, out: Output) -> CliResult {
    tell(&client.call(call).await?, out, |schedule: Row| describe_schedule(&schedule, out, now()))
}

impl One {
    async fn call(self, environment: &Environment, call: fn(String) -> Call, tail: &str) -> CliResult {
        let (client, out) = connect(&self.connection, environment)?;
        show(&client, call(path(&self.id, tail)), out).await
    }
}

impl List {
    async fn run(self, environment: &Environment) -> CliResult {
        let (client, out) = connect(&self.connection, environment)?;
        let mut call = self.page.of(Call::get("/schedules"));
        let enabled = self.paused.then(|| "false".to_owned());
        for (name, value) in
            [("schedule_type", self.kind), ("task", self.task), ("name", self.name), ("enabled", enabled)]
        {
            if let Some(value) = value {
                call = call.query(name, value);
            }
        }
        let body = client.call(call).await?;
        if out.json {
            out.line(body.0);
            return Ok(Exit::Ok);
        }
        let page: SchedulePage = body.read()?;
        if page.items.is_empty() {
            out.note("no schedules");
            return Ok(Exit::Ok);
        }
        schedule_table(&page.items, now()).lines(out).into_iter().for_each(|line| out.line(line));
        if page.next_cursor.is_some() {
            out.note(format!("{} of {}; --limit shows more", page.items.len(), page.total));
        }
        Ok(Exit::Ok)
    }
}

impl Delete {
    async fn run(self, environment: &Environment) -> CliResult {
        let (client, out) = connect(&self.connection, environment)?;
        if !self.yes {
            let schedule: Row = client.call(Call::get(path(&self.id, ""))).await?.read()?;
            if !confirm(&format!("Delete the schedule {}?", plain(&schedule.name)), out)? {
                return Ok(Exit::Failed);
            }
        }
        client.call(Call::delete(path(&self.id, ""))).await?;
        if out.json {
            out.line("{}");
        } else {
            out.line("deleted");
        }
        Ok(Exit::Ok)
    }
}

impl Run {
    async fn run(self, environment: &Environment) -> CliResult {
        let mut over = self.task.run_schedule()?;
        over.delay = self.delay;
        let (client, out) = connect(&self.connection, environment)?;
        let call =
            Call::post(path(&self.id, "/run")).body(&over)?.once(self.idempotency_key, crate::client::KEYS);
        let body = client.call(call).await?;
        Ok(say_submitted(&body.read::<Task>()?, &body.0, out))
    }
}

impl Ticks {
    async fn run(self, environment: &Environment) -> CliResult {
        let (client, out) = connect(&self.connection, environment)?;
        let mut call = self.page.of(Call::get(path(&self.id, "/ticks")));
        if self.skipped {
            call = call.query("outcome", "skipped");
        }
        let body = client.call(call).await?;
        if out.json {
            out.line(body.0);
            return Ok(Exit::Ok);
        }
        let page: TickPage = body.read()?;
        if page.items.is_empty() {
            out.note("no ticks yet");
        } else {
            tick_table(&page.items).lines(out).into_iter().for_each(|line| out.line(line));
        }
        Ok(Exit::Ok)
    }
}

/// A mistake in an argument.
fn wrong(flag: &str, expected: &str) -> CliError {
    CliError::usage(format!("{flag}: expected {expected}"))
}
