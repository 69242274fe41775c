//! `taskloom submit TASK`: one task, from flags.

use clap::Args;
use taskloom_model::{ParentPolicy, Timestamp};
use taskloom_protocol::SubmitTask;
use uuid::Uuid;

use crate::commands::task_flags::TaskFlags;
use crate::duration::parse_seconds;
use crate::error::CliError;

/// What can be said about one task that no schedule makes.
#[derive(Debug, Args)]
#[group(id = "one_task")]
pub(super) struct OneTask {
    /// The handler's name, such as demo.sleep, or an alias of one
    #[arg(required_unless_present = "file")]
    task: Option<String>,
    /// A name for people
    #[arg(long)]
    name: Option<String>,
    /// Not before so long from now, such as 90, 30s or 5m
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    delay: Option<f64>,
    /// Not before this time, such as 2026-01-31T08:00:00Z
    #[arg(long, value_name = "RFC3339", conflicts_with = "delay")]
    run_at: Option<Timestamp>,
    /// Revoked if it has not started by this time
    #[arg(long, value_name = "RFC3339")]
    expires_at: Option<Timestamp>,
    /// A task that must succeed first; may be repeated
    #[arg(long, value_name = "ID")]
    depends_on: Vec<Uuid>,
    /// If one of them does not: skip (revoked), fail or continue [default: skip]
    #[arg(long, value_name = "POLICY", requires = "depends_on")]
    on_parent_failure: Option<ParentPolicy>,
}

impl OneTask {
    /// The task, if the mistakes that can be seen from here are not made.
    pub(super) fn task(&self, flags: &TaskFlags) -> Result<SubmitTask, CliError> {
        Ok(SubmitTask {
            task: self.task.clone().unwrap_or_default(),
            name: self.name.clone(),
            delay: self.delay,
            run_at: self.run_at,
            expires_at: self.expires_at,
            depends_on: self.depends_on.clone(),
            on_parent_failure: self.on_parent_failure,
            ..flags.submit_task()?
        })
    }
}
