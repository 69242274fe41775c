//! What the flags say about a schedule's task.

use clap::Args;
use taskloom_model::Priority;
use taskloom_protocol::{ChangeSchedule, CreateSchedule, Given, Json, RunSchedule};

use crate::commands::submit::{list, named};
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
    /// A word to filter by; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
}

impl TaskArgs {
    fn args(&self) -> Result<Option<Json>, CliError> {
        self.args.as_deref().map(list).transpose()
    }

    fn kwargs(&self) -> Result<Option<Json>, CliError> {
        if self.args.as_deref() == Some("-") && self.kwargs.as_deref() == Some("-") {
            return Err(CliError::usage("only one of --args and --kwargs can come from standard input"));
        }
        named(self.kwargs.as_deref(), &self.pairs)
    }

    fn tags(&self) -> Option<Vec<String>> {
        (!self.tags.is_empty()).then(|| self.tags.clone())
    }

    pub(super) fn create_schedule(&self) -> Result<CreateSchedule, CliError> {
        Ok(CreateSchedule {
            kwargs: self.kwargs()?,
            args: self.args()?,
            queue: self.queue.clone(),
            priority: self.priority,
            timeout: self.timeout,
            max_attempts: self.max_attempts,
            tags: self.tags(),
            ..CreateSchedule::default()
        })
    }

    pub(super) fn change_schedule(&self) -> Result<ChangeSchedule, CliError> {
        Ok(ChangeSchedule {
            kwargs: Given::from(self.kwargs()?),
            args: Given::from(self.args()?),
            queue: Given::from(self.queue.clone()),
            priority: Given::from(self.priority),
            timeout: Given::from(self.timeout),
            max_attempts: Given::from(self.max_attempts),
            tags: Given::from(self.tags()),
            ..ChangeSchedule::default()
        })
    }

    pub(super) fn run_schedule(&self) -> Result<RunSchedule, CliError> {
        Ok(RunSchedule {
            kwargs: self.kwargs()?,
            args: self.args()?,
            queue: self.queue.clone(),
            priority: self.priority,
            timeout: self.timeout,
            max_attempts: self.max_attempts,
            tags: self.tags(),
            ..RunSchedule::default()
        })
    }
}
