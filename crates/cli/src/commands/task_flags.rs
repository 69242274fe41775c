//! What the flags say about a task, whether it is submitted or a schedule makes it.

use std::convert::identity;

use clap::{Args, ValueEnum};
use taskloom_model::{Backoff, Priority};
use taskloom_protocol::{
    ChangeSchedule, CreateSchedule, Given, RateLimit, RunSchedule, SubmitTask, UniqueConflict,
};

use super::json::{list, metadata, named, one_reads_stdin};
use super::queue::rate;
use crate::backoff::parse_backoff;
use crate::duration::parse_seconds;
use crate::error::CliError;

// None of them requires another: a schedule that has a key can be given another limit alone. What one task needs beside
// what, `submit` adds.
/// What can be said about any task.
#[derive(Debug, Args)]
#[group(id = "task_flags")]
pub(super) struct TaskFlags {
    /// Positional arguments: a JSON list, @FILE, or - for standard input
    #[arg(long, value_name = "JSON")]
    args: Option<String>,
    /// Named arguments: a JSON object, @FILE, or - for standard input
    #[arg(long, value_name = "JSON")]
    kwargs: Option<String>,
    /// One named argument; JSON if it reads as JSON, else text; may be repeated
    #[arg(long = "kwarg", value_name = "KEY=VALUE")]
    pairs: Vec<String>,
    /// The queue [default: default]
    #[arg(long)]
    queue: Option<String>,
    /// low, normal, high, critical or 1 to 4 [default: normal]
    #[arg(long)]
    priority: Option<Priority>,
    /// Time limit of one attempt, such as 90, 30s or 5m
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    timeout: Option<f64>,
    /// After so long the handler is asked to finish; below --timeout
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    soft_timeout: Option<f64>,
    /// Attempts before it fails
    #[arg(long, value_name = "N")]
    max_attempts: Option<u32>,
    /// The wait between attempts: fixed:5s, linear:5s or exponential:2s..10m
    #[arg(long, value_name = "WAIT", value_parser = parse_backoff)]
    backoff: Option<Backoff>,
    /// Only after errors of this type is another attempt worth it; may be repeated
    #[arg(long, value_name = "TYPE")]
    retry_on: Vec<String>,
    /// At most --concurrency-limit tasks with this key run at once, on all workers
    #[arg(long, value_name = "KEY")]
    concurrency_key: Option<String>,
    /// With --concurrency-key [default: 1]
    #[arg(long, value_name = "N")]
    concurrency_limit: Option<u32>,
    /// Tasks with this key start at --rate at most, on all workers
    #[arg(long, value_name = "KEY")]
    rate_key: Option<String>,
    /// With --rate-key: COUNT/TIME, such as 100/60s or 5/1h
    #[arg(long = "rate", value_name = "COUNT/TIME", value_parser = rate)]
    rate_limit: Option<RateLimit>,
    /// While a task with this key lives, there is no second one
    #[arg(long, value_name = "KEY")]
    unique_key: Option<String>,
    /// Nor for so long from its making, even if it has ended, such as 90, 30s or 5m
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    unique_ttl: Option<f64>,
    /// If another task has the key: answer with it, refuse this one, or cancel that one [default: return]
    #[arg(long, value_name = "WHAT")]
    on_conflict: Option<Conflict>,
    /// Answer with the result of the same call if it is younger, such as 90, 30s or 5m
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    cache_ttl: Option<f64>,
    /// A word to filter by; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// A label to filter by
    #[arg(long, value_name = "LABEL")]
    task_type: Option<String>,
    /// The model that it runs, to filter by
    #[arg(long, value_name = "MODEL")]
    model_id: Option<String>,
    /// What is kept with it: a JSON object, @FILE, or - for standard input
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,
}

/// What becomes of the task if another one has its unique key.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Conflict {
    Return,
    Reject,
    Replace,
}

impl Conflict {
    fn wish(self) -> UniqueConflict {
        match self {
            Self::Return => UniqueConflict::Return,
            Self::Reject => UniqueConflict::Reject,
            Self::Replace => UniqueConflict::Replace,
        }
    }
}

// The requests name the same fields. They differ in how one of them, and a list, says that it is left out.
macro_rules! said {
    ($flags:ident, $request:ident, $field:expr, $list:expr) => {{
        one_reads_stdin(&[$flags.args.as_deref(), $flags.kwargs.as_deref(), $flags.metadata.as_deref()])?;
        Ok($request {
            args: $field($flags.args.as_deref().map(list).transpose()?),
            kwargs: $field(named($flags.kwargs.as_deref(), &$flags.pairs)?),
            queue: $field($flags.queue.clone()),
            priority: $field($flags.priority),
            timeout: $field($flags.timeout),
            soft_timeout: $field($flags.soft_timeout),
            max_attempts: $field($flags.max_attempts),
            backoff: $field($flags.backoff),
            retry_on: $list(&$flags.retry_on),
            concurrency_key: $field($flags.concurrency_key.clone()),
            concurrency_limit: $field($flags.concurrency_limit),
            rate_key: $field($flags.rate_key.clone()),
            rate_limit: $field($flags.rate_limit),
            unique_key: $field($flags.unique_key.clone()),
            unique_ttl: $field($flags.unique_ttl),
            unique_conflict: $field($flags.on_conflict.map(Conflict::wish)),
            cache_ttl: $field($flags.cache_ttl),
            tags: $list(&$flags.tags),
            task_type: $field($flags.task_type.clone()),
            model_id: $field($flags.model_id.clone()),
            metadata: $field($flags.metadata.as_deref().map(metadata).transpose()?),
            ..$request::default()
        })
    }};
}

// Each fails at the mistakes that can be seen from here.
impl TaskFlags {
    pub(super) fn submit_task(&self) -> Result<SubmitTask, CliError> {
        said!(self, SubmitTask, identity, <[String]>::to_vec)
    }

    pub(super) fn create_schedule(&self) -> Result<CreateSchedule, CliError> {
        said!(self, CreateSchedule, identity, some)
    }

    pub(super) fn change_schedule(&self) -> Result<ChangeSchedule, CliError> {
        said!(self, ChangeSchedule, Given::from, given)
    }

    pub(super) fn run_schedule(&self) -> Result<RunSchedule, CliError> {
        said!(self, RunSchedule, identity, some)
    }
}

/// A list, if there is something in it.
fn some(list: &[String]) -> Option<Vec<String>> {
    (!list.is_empty()).then(|| list.to_vec())
}

/// The same of a change, which has no flag for an empty list: `--unset` takes it back.
fn given(list: &[String]) -> Given<Vec<String>> {
    Given::from(some(list))
}
