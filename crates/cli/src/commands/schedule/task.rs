//! What the flags say about a schedule's task.

use clap::Args;
use taskloom_model::{Backoff, Priority};
use taskloom_protocol::{ChangeSchedule, CreateSchedule, Given, Json, RateLimit, RunSchedule};

use crate::backoff::parse_backoff;
use crate::commands::json::{list, metadata, named, one_reads_stdin};
use crate::commands::queue::rate;
use crate::commands::submit::Conflict;
use crate::duration::parse_seconds;
use crate::error::CliError;

/// What can be said about the task.
#[derive(Debug, Args)]
#[command(next_help_heading = "Its task")]
pub(super) struct TaskArgs {
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
    /// Attempts before it fails
    #[arg(long, value_name = "N")]
    max_attempts: Option<u32>,
    /// The wait between attempts: fixed:5s, linear:5s or exponential:2s..10m
    #[arg(long, value_name = "WAIT", value_parser = parse_backoff)]
    backoff: Option<Backoff>,
    /// After so long the handler is asked to finish; below --timeout
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    soft_timeout: Option<f64>,
    /// Revoked if it has not started so long after its tick, such as 90, 30s or 5m
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    expires_in: Option<f64>,
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
    /// Only after errors of this type is another attempt worth it; may be repeated
    #[arg(long, value_name = "TYPE")]
    retry_on: Vec<String>,
    /// While a task with this key lives, there is no second one: the tick is skipped
    #[arg(long, value_name = "KEY")]
    unique_key: Option<String>,
    /// Nor for so long from its making, even if it has ended, such as 90, 30s or 5m
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    unique_ttl: Option<f64>,
    /// If another task has the key: answer with it, refuse this one, or cancel that one [default: return]
    #[arg(long, value_name = "WHAT")]
    on_conflict: Option<Conflict>,
    /// Not again while the result of the same call is younger, such as 90, 30s or 5m: the tick is skipped
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

// The three differ in how a field says that it is left out.
macro_rules! said {
    ($args:ident, $name:ident, $field:expr) => {
        Ok($name {
            kwargs: $field($args.kwargs()?),
            args: $field($args.args()?),
            queue: $field($args.queue.clone()),
            priority: $field($args.priority),
            timeout: $field($args.timeout),
            soft_timeout: $field($args.soft_timeout),
            expires_in: $field($args.expires_in),
            max_attempts: $field($args.max_attempts),
            backoff: $field($args.backoff),
            concurrency_key: $field($args.concurrency_key.clone()),
            concurrency_limit: $field($args.concurrency_limit),
            rate_key: $field($args.rate_key.clone()),
            rate_limit: $field($args.rate_limit),
            retry_on: $field(some(&$args.retry_on)),
            unique_key: $field($args.unique_key.clone()),
            unique_ttl: $field($args.unique_ttl),
            unique_conflict: $field($args.on_conflict.map(Conflict::wish)),
            cache_ttl: $field($args.cache_ttl),
            tags: $field(some(&$args.tags)),
            task_type: $field($args.task_type.clone()),
            model_id: $field($args.model_id.clone()),
            metadata: $field($args.metadata()?),
            ..$name::default()
        })
    };
}

impl TaskArgs {
    fn args(&self) -> Result<Option<Json>, CliError> {
        self.args.as_deref().map(list).transpose()
    }

    fn kwargs(&self) -> Result<Option<Json>, CliError> {
        one_reads_stdin(&[self.args.as_deref(), self.kwargs.as_deref(), self.metadata.as_deref()])?;
        named(self.kwargs.as_deref(), &self.pairs)
    }

    fn metadata(&self) -> Result<Option<Json>, CliError> {
        self.metadata.as_deref().map(metadata).transpose()
    }

    pub(super) fn create_schedule(&self) -> Result<CreateSchedule, CliError> {
        said!(self, CreateSchedule, std::convert::identity)
    }

    pub(super) fn change_schedule(&self) -> Result<ChangeSchedule, CliError> {
        said!(self, ChangeSchedule, Given::from)
    }

    pub(super) fn run_schedule(&self) -> Result<RunSchedule, CliError> {
        said!(self, RunSchedule, std::convert::identity)
    }
}

/// A list, if there is something in it.
fn some(list: &[String]) -> Option<Vec<String>> {
    (!list.is_empty()).then(|| list.to_vec())
}
