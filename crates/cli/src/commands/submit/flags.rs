//! What the flags say about one task.

use clap::{Args, ValueEnum};
use taskloom_model::{Backoff, ParentPolicy, Priority, Timestamp};
use taskloom_protocol::{RateLimit, SubmitTask, UniqueConflict};
use uuid::Uuid;

use crate::backoff::parse_backoff;
use crate::commands::json::{list, metadata, named, one_reads_stdin};
use crate::commands::queue::rate;
use crate::duration::parse_seconds;
use crate::error::CliError;

/// One task.
#[derive(Debug, Args)]
#[group(id = "one_task")]
pub(super) struct TaskFlags {
    /// The handler's name, such as demo.sleep, or an alias of one
    #[arg(required_unless_present = "file")]
    task: Option<String>,
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
    /// The wait between attempts: fixed:5s, linear:5s or exponential:2s..10m
    #[arg(long, value_name = "WAIT", value_parser = parse_backoff)]
    backoff: Option<Backoff>,
    /// A task that must succeed first; may be repeated
    #[arg(long, value_name = "ID")]
    depends_on: Vec<Uuid>,
    /// If one of them does not: skip (revoked), fail or continue [default: skip]
    #[arg(long, value_name = "POLICY", requires = "depends_on")]
    on_parent_failure: Option<ParentPolicy>,
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
    #[arg(long = "rate", value_name = "COUNT/TIME", value_parser = rate, requires = "rate_key")]
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
pub(in crate::commands) enum Conflict {
    Return,
    Reject,
    Replace,
}

impl Conflict {
    pub(in crate::commands) fn wish(self) -> UniqueConflict {
        match self {
            Self::Return => UniqueConflict::Return,
            Self::Reject => UniqueConflict::Reject,
            Self::Replace => UniqueConflict::Replace,
        }
    }
}

impl TaskFlags {
    /// The task, if the mistakes that can be seen from here are not made.
    pub(super) fn task(&self) -> Result<SubmitTask, CliError> {
        one_reads_stdin(&[self.args.as_deref(), self.kwargs.as_deref(), self.metadata.as_deref()])?;
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
            backoff: self.backoff,
            depends_on: self.depends_on.clone(),
            on_parent_failure: self.on_parent_failure,
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
            task_type: self.task_type.clone(),
            model_id: self.model_id.clone(),
            metadata: self.metadata.as_deref().map(metadata).transpose()?,
            ..SubmitTask::new(self.task.as_deref().unwrap_or_default())
        })
    }
}
