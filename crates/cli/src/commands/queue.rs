//! `taskloom queue`

use clap::{Args, Subcommand};
use taskloom_protocol::{LimitList, QueueLimits, QueueList, QueueStats, RateLimit};

use super::{connect, now};
use crate::args::Connection;
use crate::client::{Body, Call, segment};
use crate::config::Environment;
use crate::duration::parse_seconds;
use crate::error::{CliError, CliResult, Exit};
use crate::output::{Output, Table, Tone, age};

/// See, pause and limit queues (operators)
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
#[command(after_help = "Examples:\n  taskloom queue list\n  taskloom queue pause reports\n  \
    taskloom queue limit ai --max-running 4              at most 4 at once, on all workers together\n  \
    taskloom queue limit mail --rate 100/60s             100 starts a minute, at most 100 of them together\n  \
    taskloom queue limit ai --none                       no limits\n  \
    taskloom queue keys                                  limits that tasks named by key")]
pub(crate) struct Queue {
    #[command(subcommand)]
    command: QueueCommand,
}

#[derive(Debug, Subcommand)]
enum QueueCommand {
    /// Every queue: what waits, what runs, what holds it
    List {
        #[command(flatten)]
        connection: Connection,
    },
    /// Start nothing of a queue any more; what runs goes on
    Pause(Named),
    /// Let a paused queue go on
    Resume(Named),
    /// Set a queue's limits across all workers; limits not given are removed
    Limit(SetLimits),
    /// The limits that tasks named with `concurrency_key` and `rate_key`
    Keys {
        #[command(flatten)]
        connection: Connection,
    },
}

#[derive(Debug, Args)]
struct Named {
    /// The queue
    name: String,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  taskloom queue limit ai --max-running 4\n  \
    taskloom queue limit mail --rate 100/60s\n  taskloom queue limit mail --none\n\n\
    --rate is a token bucket. It holds COUNT tokens and begins full; every start takes one, also that of a further \
    attempt, and one comes back every TIME/COUNT. With 100/60s at most 100 tasks start together, then one every 0.6 s; \
    after a minute without starts the bucket is full again.")]
struct SetLimits {
    /// The queue
    name: String,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    connection: Connection,
}

/// At least one of these.
#[derive(Debug, Args)]
#[group(id = "limits", required = true)]
struct Limits {
    /// Tasks that run at once
    #[arg(long, value_name = "N")]
    max_running: Option<u32>,
    /// Tasks that start in a time, as a token bucket: COUNT/TIME, such as 100/60s or 5/1h
    #[arg(long, value_name = "COUNT/TIME", value_parser = rate)]
    rate: Option<RateLimit>,
    /// Remove all limits
    #[arg(long, conflicts_with_all = ["max_running", "rate"])]
    none: bool,
}

/// Reads `100/60s`.
pub(crate) fn rate(text: &str) -> Result<RateLimit, String> {
    let rule = "COUNT/TIME, such as 100/60s or 5/1h";
    let (count, span) = text.split_once('/').ok_or(rule)?;
    let count = count.trim().parse().map_err(|_| rule)?;
    let seconds = parse_seconds(span).map_err(|_| rule)?;
    Ok(RateLimit { count, seconds })
}

impl Queue {
    pub(crate) async fn run(self, environment: &Environment) -> CliResult {
        match self.command {
            QueueCommand::List { connection } => list(&connection, environment).await,
            QueueCommand::Keys { connection } => keys(&connection, environment).await,
            QueueCommand::Pause(named) => named.post("pause", environment).await,
            QueueCommand::Resume(named) => named.post("resume", environment).await,
            QueueCommand::Limit(limits) => limits.run(environment).await,
        }
    }
}

impl Named {
    async fn post(&self, verb: &str, environment: &Environment) -> CliResult {
        let (client, out) = connect(&self.connection, environment)?;
        let body = client.call(Call::post(format!("/queues/{}/{verb}", segment(&self.name)))).await?;
        one(&body, out)
    }
}

impl SetLimits {
    async fn run(&self, environment: &Environment) -> CliResult {
        let (client, out) = connect(&self.connection, environment)?;
        let limits = QueueLimits { max_running: self.limits.max_running, rate_limit: self.limits.rate };
        let call = Call::put(format!("/queues/{}/limits", segment(&self.name))).body(&limits)?;
        let body = client.call(call).await?;
        one(&body, out)
    }
}

async fn list(connection: &Connection, environment: &Environment) -> CliResult {
    let (client, out) = connect(connection, environment)?;
    let body = client.call(Call::get("/queues")).await?;
    if out.json {
        out.line(body.0);
    } else {
        show(&body.read::<QueueList>()?.items, out);
    }
    Ok(Exit::Ok)
}

fn one(body: &Body, out: Output) -> CliResult {
    if out.json {
        out.line(&body.0);
    } else {
        show(&[body.read::<QueueStats>()?], out);
    }
    Ok(Exit::Ok)
}

fn show(queues: &[QueueStats], out: Output) {
    let mut table = Table::new(&["QUEUE", "READY", "RUNNING", "OLDEST", "STATE", "LIMITS"]);
    for queue in queues {
        let (state, tone) = if queue.paused { ("paused", Some(Tone::Warn)) } else { ("open", None) };
        let more = if queue.ready >= 10_000 { "+" } else { "" };
        table.row(vec![
            (queue.name.clone(), None),
            (format!("{}{more}", queue.ready), None),
            (queue.running.to_string(), None),
            (queue.oldest_at.map_or("-".to_owned(), |at| age(at, now())), None),
            (state.to_owned(), tone),
            (limits(&queue.limits), None),
        ]);
    }
    table.lines(out).into_iter().for_each(|line| out.line(line));
}

fn limits(limits: &QueueLimits) -> String {
    let running = limits.max_running.map(|most| format!("{most} at once"));
    let rate = limits.rate_limit.map(spell);
    let all: Vec<String> = running.into_iter().chain(rate).collect();
    if all.is_empty() { "-".to_owned() } else { all.join(", ") }
}

fn spell(rate: RateLimit) -> String {
    format!("{} in {} s", rate.count, rate.seconds)
}

async fn keys(connection: &Connection, environment: &Environment) -> CliResult {
    const MOST_PAGES: usize = 1_000;
    let (client, out) = connect(connection, environment)?;
    let mut table = Table::new(&["KIND", "KEY", "LIMIT", "HELD", "WAITING", "NEXT"]);
    let mut after: Option<String> = None;
    let mut seen = 0;
    for _ in 0..MOST_PAGES {
        let mut call = Call::get("/limits");
        if let Some(after) = &after {
            call = call.query("after", after);
        }
        let body = client.call(call).await?;
        if out.json {
            out.line(&body.0);
        }
        let page: LimitList = body.read()?;
        for limit in &page.items {
            seen += 1;
            let most = limit.concurrency_limit.map(|most| format!("{most} at once"));
            table.row(vec![
                (limit.kind.reason().name().to_owned(), None),
                (limit.key.clone(), None),
                (most.or(limit.rate_limit.map(spell)).unwrap_or_default(), None),
                (limit.held.to_string(), None),
                (limit.waiting.to_string(), None),
                (limit.next_at.map_or("-".to_owned(), |at| at.to_string()), None),
            ]);
        }
        after = page.next_after;
        if after.is_none() {
            break;
        }
    }
    if out.json {
        return Ok(Exit::Ok);
    }
    if seen == 0 {
        out.note("no task has named a limit");
        return Ok(Exit::Ok);
    }
    table.lines(out).into_iter().for_each(|line| out.line(line));
    if after.is_some() {
        return Err(CliError::failed(format!("stopped after {MOST_PAGES} pages")));
    }
    Ok(Exit::Ok)
}
