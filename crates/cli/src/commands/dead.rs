//! `taskloom dead`

use clap::{Args, Subcommand, ValueEnum};
use taskloom_model::{Reason, Timestamp};
use taskloom_protocol::{DeadFilter, DeadLetter, MoveDead, MovedDead, Page};
use uuid::Uuid;

use super::confirm::confirm;
use super::{connect, now};
use crate::args::{Connection, Paging};
use crate::client::{Call, Client};
use crate::config::Environment;
use crate::error::{CliError, CliResult, Exit};
use crate::output::{Output, Table, Tone, age, clip};

/// Tasks that one call moves: each answer is a sign of life.
const AT_ONCE: u32 = 1_000;
/// The widest an error is shown in a table, in columns.
const ERROR_COLUMNS: usize = 60;

/// List dead letters (tasks that failed on their own), run them again, or put them away
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  taskloom dead list --reason fatal\n  \
    taskloom dead retry --task report.build --error-type ConnectionError   shows what it would do, and asks\n  \
    taskloom dead discard --finished-before 2026-01-01T00:00:00Z --yes\n  taskloom dead retry --all --dry-run --json")]
pub(crate) struct Dead {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List them, the newest first
    #[command(
        after_help = "Examples:\n  taskloom dead list\n  taskloom dead list --error-type timeout --json"
    )]
    List {
        #[command(flatten)]
        page: Paging,
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        connection: Connection,
    },
    /// Run them again, with all their attempts
    #[command(
        after_help = "Examples:\n  taskloom dead retry --task report.build\n  taskloom dead retry --all --yes"
    )]
    Retry(Move),
    /// Put them away, as a delete does
    #[command(after_help = "Examples:\n  taskloom dead discard --reason poisoned\n  \
        taskloom dead discard --tag nightly --yes --json")]
    Discard(Move),
}

#[derive(Debug, Args)]
struct Move {
    /// All of them, instead of a filter
    #[arg(long)]
    all: bool,
    /// Only show what it would do
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    connection: Connection,
}

/// Which dead letters.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which")]
struct Which {
    /// Only of this handler
    #[arg(long, value_name = "NAME")]
    task: Option<String>,
    /// Only in this queue
    #[arg(long, value_name = "NAME")]
    queue: Option<String>,
    /// Only those that failed for this reason
    #[arg(long)]
    reason: Option<Why>,
    /// Only with an error of this type; timeout and lost are types too
    #[arg(long, value_name = "TYPE")]
    error_type: Option<String>,
    /// Only with this tag
    #[arg(long)]
    tag: Option<String>,
    /// Only of this user, by id
    #[arg(long, value_name = "ID")]
    user: Option<Uuid>,
    /// Only those that failed at or after this time
    #[arg(long, value_name = "RFC3339")]
    finished_after: Option<Timestamp>,
    /// Only those that failed before this time
    #[arg(long, value_name = "RFC3339")]
    finished_before: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Why {
    Error,
    Fatal,
    Timeout,
    Lost,
    Poisoned,
}

impl Why {
    fn reason(self) -> Reason {
        match self {
            Self::Error => Reason::Error,
            Self::Fatal => Reason::Fatal,
            Self::Timeout => Reason::Timeout,
            Self::Lost => Reason::Lost,
            Self::Poisoned => Reason::Poisoned,
        }
    }
}

/// What is done to them, in words.
struct Deed {
    path: &'static str,
    question: &'static str,
    done: &'static str,
}

impl Dead {
    pub(crate) async fn run(self, environment: &Environment) -> CliResult {
        match self.action {
            Action::List { which, page, connection } => {
                let (client, out) = connect(&connection, environment)?;
                list(&client, out, which, page).await
            }
            Action::Retry(args) => {
                let deed =
                    Deed { path: "/dead-letters/retry", question: "Run them again?", done: "run again" };
                args.run(environment, &deed).await
            }
            Action::Discard(args) => {
                let deed =
                    Deed { path: "/dead-letters/discard", question: "Put them away?", done: "put away" };
                args.run(environment, &deed).await
            }
        }
    }
}

impl Which {
    fn filter(self) -> DeadFilter {
        let Self { task, queue, reason, error_type, tag, user, finished_after, finished_before } = self;
        let reason = reason.map(Why::reason);
        DeadFilter { task, queue, reason, error_type, tag, user_id: user, finished_after, finished_before }
    }
}

async fn list(client: &Client, out: Output, which: Which, page: Paging) -> CliResult {
    let filter = which.filter();
    let mut call = page.of(Call::get("/dead-letters"));
    for (name, value) in [
        ("task", filter.task),
        ("queue", filter.queue),
        ("reason", filter.reason.map(|reason| reason.to_string())),
        ("error_type", filter.error_type),
        ("tag", filter.tag),
        ("user_id", filter.user_id.map(|id| id.to_string())),
        ("finished_after", filter.finished_after.map(|at| at.to_string())),
        ("finished_before", filter.finished_before.map(|at| at.to_string())),
    ] {
        if let Some(value) = value {
            call = call.query(name, value);
        }
    }
    let body = client.call(call).await?;
    if out.json {
        out.line(&body.0);
        return Ok(Exit::Ok);
    }
    let page: Page = body.read()?;
    let shown = page.items.len();
    if shown == 0 {
        out.note("no dead letters");
        return Ok(Exit::Ok);
    }
    let letters = page.items.into_iter().map(|task| DeadLetter {
        id: task.id,
        task: task.task,
        queue: task.queue,
        reason: task.reason,
        error: task.error,
        completed_at: task.completed_at,
    });
    table(letters).lines(out).into_iter().for_each(|line| out.line(line));
    if page.next_cursor.is_some() {
        out.note(format!("{shown} of {}; --limit shows more", page.total));
    }
    Ok(Exit::Ok)
}

fn table(letters: impl IntoIterator<Item = DeadLetter>) -> Table {
    let mut table = Table::new(&["ID", "TASK", "QUEUE", "REASON", "FAILED", "ERROR"]);
    let now = now();
    for letter in letters {
        let error = letter.error.map(|error| format!("{}: {}", error.kind, error.message));
        table.row(vec![
            (letter.id.to_string(), None),
            (clip(&letter.task, 36), None),
            (letter.queue, None),
            (letter.reason.map(|reason| reason.to_string()).unwrap_or_default(), Some(Tone::Bad)),
            (letter.completed_at.map(|at| age(at, now)).unwrap_or_default(), None),
            (clip(&error.unwrap_or_default(), ERROR_COLUMNS), None),
        ]);
    }
    table
}

impl Move {
    async fn run(self, environment: &Environment, deed: &Deed) -> CliResult {
        let filter = self.which.filter();
        if filter.is_empty() != self.all {
            return Err(CliError::usage(
                "say which: at least one filter, such as --task or --error-type, or --all instead",
            ));
        }
        let (client, out) = connect(&self.connection, environment)?;
        let request = MoveDead { filter, all: self.all, ..MoveDead::default() };
        let body = client.call(Call::post(deed.path).body(&request)?).await?;
        let would: MovedDead = body.read()?;
        if out.json && self.dry_run {
            out.line(&body.0);
            return Ok(Exit::Ok);
        }
        if !out.json {
            show(&would, out);
        }
        if self.dry_run || would.matched == 0 && !out.json {
            return Ok(Exit::Ok);
        }
        if !self.yes && !confirm(deed.question, out)? {
            return Ok(Exit::Failed);
        }
        let done = all(&client, out, &request, deed, would.matched).await?;
        if out.json {
            out.json(&done);
        } else {
            out.line(format!("{} {}", done.moved, deed.done));
            if done.refused > 0 {
                out.note(format!("{} were left: another task holds their unique key", done.refused));
            }
        }
        Ok(Exit::Ok)
    }
}

fn show(would: &MovedDead, out: Output) {
    if would.matched == 0 {
        out.note("no dead letters match");
        return;
    }
    table(would.sample.iter().cloned()).lines(out).into_iter().for_each(|line| out.line(line));
    let shown = would.sample.len() as u64;
    let more = if would.matched > shown { format!("; the newest {shown} are shown") } else { String::new() };
    out.note(format!("{} match{more}", would.matched));
}

/// Moves them call by call until none is left, and says how far it is.
async fn all(
    client: &Client,
    out: Output,
    request: &MoveDead,
    deed: &Deed,
    expected: u64,
) -> Result<MovedDead, CliError> {
    let mut request = MoveDead { dry_run: false, limit: AT_ONCE, ..request.clone() };
    let mut total = MovedDead::default();
    loop {
        let some: MovedDead = client.call(Call::post(deed.path).body(&request)?).await?.read()?;
        total.matched += some.matched;
        total.moved += some.moved;
        total.refused += some.refused;
        total.sample.extend(some.sample);
        total.sample.truncate(10);
        let Some(next) = some.next_cursor else { return Ok(total) };
        request.cursor = Some(next);
        out.note(format!("{} of {expected}", total.matched));
    }
}
