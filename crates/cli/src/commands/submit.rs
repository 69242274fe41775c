//! `taskloom submit`

use std::io::Read;

use clap::{Args, ValueEnum};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use taskloom_model::{CacheOutcome, Priority, Status, Timestamp};
use taskloom_protocol::{Json, RateLimit, SubmitTask, Task, UniqueConflict};

use super::connect;
use crate::args::Connection;
use crate::client::{Call, Client};
use crate::config::Environment;
use crate::duration::parse_seconds;
use crate::error::{CliError, CliResult, EXIT_HELP, Exit};
use crate::output::{Output, Tone, duration, plain};
use crate::watch::{self, View, Watched};

/// The largest file or standard input that is read as JSON, in bytes.
const MOST_BYTES: u64 = 64 << 20;

/// Submit a task
#[derive(Debug, Args)]
#[command(after_help = format!("Examples:\n  \
    taskloom submit demo.echo --args '[\"hello\"]'\n  \
    taskloom submit collect.http --kwargs '{{\"url\":\"https://example.org\"}}' --watch\n  \
    taskloom submit collect.http --kwargs @job.json --name 数据处理任务 --priority high\n  \
    taskloom submit demo.sleep --kwarg seconds=60 --delay 5m --tag nightly\n  \
    taskloom submit report.build --unique-key today --on-conflict replace\n  \
    taskloom submit report.build --kwarg month=3 --cache-ttl 1h --retry-on ConnectionError\n  \
    id=$(taskloom submit demo.sleep --kwarg seconds=5 --json | jq -r .id)\n\n\
    Ctrl-C while watching leaves the task running.\n\n{EXIT_HELP}"))]
pub(crate) struct Submit {
    /// The handler's name, such as demo.sleep, or an alias of one
    task: String,
    /// Positional arguments: a JSON list, @FILE, or - for standard input
    #[arg(long, value_name = "JSON")]
    args: Option<String>,
    /// Named arguments: a JSON object, @FILE, or - for standard input
    #[arg(long, value_name = "JSON")]
    kwargs: Option<String>,
    /// One named argument; JSON if it reads as JSON, else text; may be repeated
    #[arg(long = "kwarg", value_name = "KEY=VALUE")]
    pairs: Vec<String>,
    /// A name for people
    #[arg(long)]
    name: Option<String>,
    /// The queue [default: default]
    #[arg(long)]
    queue: Option<String>,
    /// low, normal, high, critical or 1 to 4 [default: normal]
    #[arg(long)]
    priority: Option<Priority>,
    /// Not before so long from now, such as 90, 30s or 5m
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    delay: Option<f64>,
    /// Not before this time, such as 2026-01-31T08:00:00Z
    #[arg(long, value_name = "RFC3339", conflicts_with = "delay")]
    run_at: Option<Timestamp>,
    /// Revoked if it has not started by this time
    #[arg(long, value_name = "RFC3339")]
    expires_at: Option<Timestamp>,
    /// Time limit of one attempt, such as 90, 30s or 5m
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    timeout: Option<f64>,
    /// After so long the handler is asked to finish; below --timeout
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    soft_timeout: Option<f64>,
    /// Attempts before it fails
    #[arg(long, value_name = "N")]
    max_attempts: Option<u32>,
    /// At most --concurrency-limit tasks with this key run at once, on all workers
    #[arg(long, value_name = "KEY")]
    concurrency_key: Option<String>,
    /// With --concurrency-key [default: 1]
    #[arg(long, value_name = "N", requires = "concurrency_key")]
    concurrency_limit: Option<u32>,
    /// Tasks with this key start at --rate at most, on all workers
    #[arg(long, value_name = "KEY", requires = "rate_limit")]
    rate_key: Option<String>,
    /// With --rate-key: COUNT/TIME, such as 100/60s or 5/1h
    #[arg(long = "rate", value_name = "COUNT/TIME", value_parser = super::queue::rate, requires = "rate_key")]
    rate_limit: Option<RateLimit>,
    /// Only after errors of this type is another attempt worth it; may be repeated
    #[arg(long, value_name = "TYPE")]
    retry_on: Vec<String>,
    /// While a task with this key lives, there is no second one
    #[arg(long, value_name = "KEY")]
    unique_key: Option<String>,
    /// Nor for so long from now, even if it has ended, such as 90, 30s or 5m
    #[arg(long, value_name = "TIME", value_parser = parse_seconds, requires = "unique_key")]
    unique_ttl: Option<f64>,
    /// If another task has the key: answer with it, refuse this one, or cancel that one [default: return]
    #[arg(long, value_name = "WHAT", requires = "unique_key")]
    on_conflict: Option<Conflict>,
    /// Answer with the result of the same call if it is younger, such as 90, 30s or 5m
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    cache_ttl: Option<f64>,
    /// A word to filter by; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Submitting again with the same key answers with the same task
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Watch it to its end; the exit status is the task's
    #[arg(long, short)]
    watch: bool,
    #[command(flatten)]
    connection: Connection,
}

/// What becomes of the task if another one has its unique key.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Conflict {
    Return,
    Reject,
    Replace,
}

impl Conflict {
    pub(super) fn wish(self) -> UniqueConflict {
        match self {
            Self::Return => UniqueConflict::Return,
            Self::Reject => UniqueConflict::Reject,
            Self::Replace => UniqueConflict::Replace,
        }
    }
}

impl Submit {
    pub(crate) async fn run(self, environment: &Environment) -> CliResult {
        let task = self.task()?;
        let (client, out) = connect(&self.connection, environment)?;
        let call = Call::post("/tasks").body(&task)?.once(self.idempotency_key.clone(), crate::client::KEYS);
        let body = client.call(call).await?;
        let submitted: Task = body.read()?;
        let id = submitted.id.to_string();
        if !self.watch {
            return Ok(say_submitted(&submitted, &body.0, out));
        }
        let view = if out.json { View::silent() } else { View::new(out) };
        if !out.json {
            out.note(format!("{} {id}", out.paint_note(Tone::Faint, "task")));
        }
        let watched = watch::watch(&client, &id, view, None).await?;
        Ok(conclude(&client, watched, &id, out))
    }

    fn task(&self) -> Result<SubmitTask, CliError> {
        if self.args.as_deref() == Some("-") && self.kwargs.as_deref() == Some("-") {
            return Err(CliError::usage("only one of --args and --kwargs can come from standard input"));
        }
        Ok(SubmitTask {
            args: self.args.as_deref().map(list).transpose()?,
            kwargs: named(self.kwargs.as_deref(), &self.pairs)?,
            name: self.name.clone(),
            queue: self.queue.clone(),
            priority: self.priority,
            delay: self.delay,
            run_at: self.run_at,
            expires_at: self.expires_at,
            timeout: self.timeout,
            soft_timeout: self.soft_timeout,
            max_attempts: self.max_attempts,
            concurrency_key: self.concurrency_key.clone(),
            concurrency_limit: self.concurrency_limit,
            rate_key: self.rate_key.clone(),
            rate_limit: self.rate_limit,
            retry_on: self.retry_on.clone(),
            unique_key: self.unique_key.clone(),
            unique_ttl: self.unique_ttl,
            unique_conflict: self.on_conflict.map(Conflict::wish),
            cache_ttl: self.cache_ttl,
            tags: self.tags.clone(),
            ..SubmitTask::new(&self.task)
        })
    }
}

/// Positional arguments.
pub(super) fn list(text: &str) -> Result<Json, CliError> {
    json("--args", text, '[', "a list")
}

/// `--kwargs` and the `--kwarg`s together; a pair wins.
pub(super) fn named(kwargs: Option<&str>, pairs: &[String]) -> Result<Option<Json>, CliError> {
    let whole = kwargs.map(|text| json("--kwargs", text, '{', "an object")).transpose()?;
    if pairs.is_empty() {
        return Ok(whole);
    }
    let mut object: Map<String, Value> = match &whole {
        Some(json) => {
            serde_json::from_str(json.get()).map_err(|e| CliError::usage(format!("--kwargs: {e}")))?
        }
        None => Map::new(),
    };
    for pair in pairs {
        let (key, value) = pair.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(|| {
            CliError::usage(format!("--kwarg {pair}: expected KEY=VALUE, such as seconds=5"))
        })?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.into()));
        object.insert(key.into(), value);
    }
    let raw = serde_json::value::to_raw_value(&object);
    raw.map(Some).map_err(|e| CliError::usage(format!("--kwarg: {e}")))
}

/// Reads JSON from the argument itself, from `@FILE`, or from standard input.
fn json(flag: &str, text: &str, opening: char, what: &str) -> Result<Json, CliError> {
    let unread = |e: std::io::Error| CliError::usage(format!("{flag} {text}: cannot be read: {e}"));
    let mut source = String::new();
    let read = match text.strip_prefix('@') {
        Some(path) => std::fs::File::open(path).map_err(unread)?.take(MOST_BYTES).read_to_string(&mut source),
        None if text == "-" => std::io::stdin().lock().take(MOST_BYTES).read_to_string(&mut source),
        None => {
            text.clone_into(&mut source);
            Ok(0)
        }
    };
    read.map_err(unread)?;
    let value = RawValue::from_string(source.trim().to_owned())
        .map_err(|e| CliError::usage(format!("{flag} is not JSON: {e}")).hint(quoting(what)))?;
    if value.get().starts_with(opening) {
        return Ok(value);
    }
    Err(CliError::usage(format!("{flag} must be {what}")).hint(quoting(what)))
}

fn quoting(what: &str) -> &'static str {
    if what == "a list" {
        "in a shell, quote it: --args '[1, \"two\"]'"
    } else {
        "in a shell, quote it: --kwargs '{\"url\": \"https://example.org\"}', or use --kwarg url=https://example.org"
    }
}

pub(super) fn say_submitted(task: &Task, body: &str, out: Output) -> Exit {
    if out.json {
        out.line(body);
        return Exit::Ok;
    }
    out.line(task.id.to_string());
    let news = match (task.cache, task.deduplicated_by) {
        (Some(CacheOutcome::Hit), _) => "answered from the cache",
        (Some(CacheOutcome::Joined), _) => "joined a task that works on the same call",
        (_, Some(_)) => "this task was there already",
        _ => "submitted",
    };
    out.note(format!("{news}: {}; watch it with `taskloom wait {}`", task.state, task.id));
    if let Some(replaced) = task.replaced {
        out.note(format!("it takes the place of {replaced}"));
    }
    Exit::Ok
}

/// Says how the watched task ended and turns it into the exit status.
pub(super) fn conclude(client: &Client, watched: Watched, id: &str, out: Output) -> Exit {
    let (task, body) = match watched {
        Watched::Ended(task, body) => (task, body),
        Watched::TimeIsUp => {
            out.note(format!("the task goes on; wait again with `taskloom wait {id}`"));
            return Exit::Unfinished;
        }
        Watched::Interrupted => {
            let server = client.server();
            out.note(format!(
                "\nstopped watching; the task goes on\n  watch again:  taskloom wait {id} --server {server}\n  \
                 cancel it:    taskloom cancel {id} --server {server}"
            ));
            return Exit::Interrupted;
        }
    };
    if out.json {
        out.line(body);
        return Exit::of_task(task.status);
    }
    let took = task.run_time(task.created_at).map(|t| format!(" in {}", duration(t))).unwrap_or_default();
    match task.status {
        Status::Succeeded => {
            out.note(format!("{}{took}", out.paint_note(Tone::Good, "succeeded")));
            out.line(plain(task.result.get()));
        }
        Status::Failed => {
            out.note(format!("{}{took}, attempt {}", out.paint_note(Tone::Bad, "failed"), task.attempt));
            if let Some(error) = &task.error {
                out.note(plain(&format!("{}: {}", error.kind, error.message)));
            }
        }
        _ => {
            let reason = task.reason.map(|r| format!(" ({r})")).unwrap_or_default();
            out.note(format!("{}{reason}", out.paint_note(Tone::Warn, task.status.name())));
        }
    }
    Exit::of_task(task.status)
}

#[cfg(test)]
mod tests {

    fn named(kwargs: Option<&str>, pairs: &[&str]) -> Result<String, String> {
        let argv = ["taskloom", "submit", "x"].into_iter().map(str::to_owned);
        let kwargs = kwargs.into_iter().flat_map(|k| ["--kwargs".to_owned(), k.to_owned()]);
        let pairs = pairs.iter().flat_map(|p| ["--kwarg".to_owned(), (*p).to_owned()]);
        let cli =
            <crate::args::Cli as clap::Parser>::try_parse_from(argv.chain(kwargs).chain(pairs)).unwrap();
        let crate::args::Command::Submit(submit) = cli.command else { panic!("not submit") };
        super::named(submit.kwargs.as_deref(), &submit.pairs)
            .map(|json| json.unwrap().get().to_owned())
            .map_err(|e| e.message)
    }

    #[test]
    fn pairs_are_json_or_text_and_win() {
        assert_eq!(
            named(Some(r#"{"a":1}"#), &["a=2", "b=two", "c=[1]", "d=", "e=x=y"]).unwrap(),
            r#"{"a":2,"b":"two","c":[1],"d":"","e":"x=y"}"#
        );
        // Untouched, the object passes through as it was written.
        assert_eq!(named(Some(r#"{"big": 1e400 }"#), &[]).unwrap(), r#"{"big": 1e400 }"#);
    }

    #[test]
    fn mistakes_are_named() {
        assert!(named(Some("{"), &[]).unwrap_err().starts_with("--kwargs is not JSON"));
        assert_eq!(named(Some("[1]"), &[]).unwrap_err(), "--kwargs must be an object");
        assert_eq!(named(None, &["x"]).unwrap_err(), "--kwarg x: expected KEY=VALUE, such as seconds=5");
        assert!(named(Some("@/does/not/exist"), &[]).unwrap_err().contains("cannot be read"));
    }
}
