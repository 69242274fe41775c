//! What the flags say about a schedule's task.

use clap::Args;
use taskloom_protocol::{ChangeSchedule, CreateSchedule, Given, RunSchedule};

use crate::commands::task_flags::TaskFlags;
use crate::duration::parse_seconds;
use crate::error::CliError;

/// What can be said about the task.
#[derive(Debug, Args)]
#[command(next_help_heading = "Its task")]
// Where a submission is answered with another task, a tick is skipped.
#[command(
    mut_arg("unique_key", |arg| arg.help("While a task with this key lives, there is no second one: the tick is skipped")),
    mut_arg("cache_ttl", |arg| arg.help(
        "Not again while the result of the same call is younger, such as 90, 30s or 5m: the tick is skipped"
    ))
)]
pub(super) struct TaskArgs {
    #[command(flatten)]
    flags: TaskFlags,
    /// Revoked if it has not started so long after its tick, such as 90, 30s or 5m
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    expires_in: Option<f64>,
}

impl TaskArgs {
    pub(super) fn create_schedule(&self) -> Result<CreateSchedule, CliError> {
        Ok(CreateSchedule { expires_in: self.expires_in, ..self.flags.create_schedule()? })
    }

    pub(super) fn change_schedule(&self) -> Result<ChangeSchedule, CliError> {
        Ok(ChangeSchedule { expires_in: Given::from(self.expires_in), ..self.flags.change_schedule()? })
    }

    pub(super) fn run_schedule(&self) -> Result<RunSchedule, CliError> {
        Ok(RunSchedule { expires_in: self.expires_in, ..self.flags.run_schedule()? })
    }
}
