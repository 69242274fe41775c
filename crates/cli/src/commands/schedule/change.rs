//! `taskloom schedule create` and `taskloom schedule update`

use clap::Args;
use serde_json::Value;
use taskloom_model::{Misfire, Overlap, Timestamp, Zone};
use taskloom_protocol::{ChangeSchedule, CreateSchedule, Given, Schedule};

use super::plan::PlanArgs;
use super::task::TaskArgs;
use super::{path, show};
use crate::args::Connection;
use crate::client::Call;
use crate::commands::connect;
use crate::config::Environment;
use crate::duration::parse_seconds;
use crate::error::{CliError, CliResult, Exit};

/// How it fires.
#[derive(Debug, Args)]
#[command(next_help_heading = "How")]
pub(super) struct HowArgs {
    /// The IANA zone of its local times, such as Asia/Shanghai [default: UTC]
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// While a task of it has not ended: allow, skip, queue or replace [default: allow]
    #[arg(long, value_name = "POLICY")]
    overlap: Option<Overlap>,
    /// Ticks that were missed: skip, run_once or run_all [default: run_once]
    #[arg(long, value_name = "POLICY")]
    misfire: Option<Misfire>,
    /// With run_all, how long ago a tick may have been missed [default: 1h]
    #[arg(long, value_name = "SPAN", value_parser = parse_seconds)]
    catch_up: Option<f64>,
    /// Each task runs up to so much later than its tick
    #[arg(long, value_name = "SPAN", value_parser = parse_seconds)]
    jitter: Option<f64>,
    /// No tick before this time
    #[arg(long, value_name = "RFC3339")]
    start: Option<Timestamp>,
    /// No tick after this time
    #[arg(long, value_name = "RFC3339")]
    end: Option<Timestamp>,
}

/// Create a schedule
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    taskloom schedule create --name \"weekly report\" --task reports.build --weekly 1,3,5@14:30 --timezone Asia/Shanghai\n  \
    taskloom schedule create --name sync --task collect.http --kwarg url=https://example.org --every 5m --overlap skip\n  \
    taskloom schedule create --name close --task books.close --monthly 1,15,-1@09:00 --misfire run_all --catch-up 1d\n  \
    taskloom schedule create --name greet --task demo.echo --at '2026-12-25 10:00'\n  \
    taskloom schedule create --name cleanup --task demo.echo --cron '0 3 * * SUN' --jitter 10m --backoff linear:5s..1m\n  \
    taskloom schedule create --name saved --task demo.echo --kwarg a=1 --manual")]
pub(super) struct Create {
    /// A name for people; its tasks bear it too
    #[arg(long)]
    name: String,
    /// The handler's name, such as demo.echo, or an alias of one
    #[arg(long, value_name = "HANDLER")]
    task: String,
    // What has no heading of its own stands before the groups that have one: it would come under the last of them.
    /// Do not fire until it is resumed
    #[arg(long)]
    paused: bool,
    /// Creating again with the same key answers with the same schedule
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    how: HowArgs,
    #[command(flatten)]
    what: TaskArgs,
    #[command(flatten)]
    connection: Connection,
}

/// Change a schedule; what is left out stays
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    taskloom schedule update 0199… --daily 08:30\n  \
    taskloom schedule update 0199… --overlap queue --kwarg rows=100\n  \
    taskloom schedule update 0199… --max-attempts 8 --backoff exponential:2s..10m\n  \
    taskloom schedule update 0199… --unset end_at --unset queue")]
pub(super) struct Update {
    /// The schedule's id
    id: String,
    /// The new name
    #[arg(long)]
    name: Option<String>,
    /// The new handler
    #[arg(long, value_name = "HANDLER")]
    task: Option<String>,
    /// Take a field back to its default, such as end_at or queue; may be repeated
    #[arg(long, value_name = "FIELD")]
    unset: Vec<String>,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    how: HowArgs,
    #[command(flatten)]
    what: TaskArgs,
    #[command(flatten)]
    connection: Connection,
}

impl Create {
    pub(super) async fn run(self, environment: &Environment) -> CliResult {
        let (kind, config) = self.plan.read()?.ok_or_else(|| {
            CliError::usage(
                "say when: --cron, --every, --daily, --weekly, --monthly, --at, --now or --manual",
            )
        })?;
        let ask = CreateSchedule {
            name: self.name,
            task: self.task,
            schedule_type: Some(kind),
            schedule_config: Some(config),
            timezone: self.how.timezone,
            overlap: self.how.overlap,
            misfire: self.how.misfire,
            catch_up: self.how.catch_up.map(|seconds| seconds.ceil() as u64),
            jitter: self.how.jitter,
            enabled: self.paused.then_some(false),
            start_at: self.how.start,
            end_at: self.how.end,
            ..self.what.create_schedule()?
        };
        let (client, out) = connect(&self.connection, environment)?;
        let body = client
            .call(Call::post("/schedules").body(&ask)?.once(self.idempotency_key, crate::client::KEYS))
            .await?;
        if out.json {
            out.line(body.0);
            return Ok(Exit::Ok);
        }
        let schedule: Schedule = body.read()?;
        out.line(schedule.id.to_string());
        let news = if schedule.deduplicated_by.is_some() { "it was there already" } else { "created" };
        out.note(match schedule.next_run_at {
            Some(at) => {
                let zone = Zone::named(&schedule.timezone).unwrap_or(Zone::UTC);
                format!("{news}; it fires next at {}", zone.show(at))
            }
            None => format!("{news}; run it with `taskloom schedule run {}`", schedule.id),
        });
        Ok(Exit::Ok)
    }
}

impl Update {
    pub(super) async fn run(self, environment: &Environment) -> CliResult {
        let body = self.body()?;
        let (client, out) = connect(&self.connection, environment)?;
        show(&client, Call::patch(path(&self.id, "")).body(&body)?, out).await
    }

    fn body(&self) -> Result<Value, CliError> {
        let (kind, config) = self.plan.read()?.unzip();
        let change = ChangeSchedule {
            name: Given::from(self.name.clone()),
            task: Given::from(self.task.clone()),
            schedule_type: Given::from(kind),
            schedule_config: Given::from(config),
            timezone: Given::from(self.how.timezone.clone()),
            overlap: Given::from(self.how.overlap),
            misfire: Given::from(self.how.misfire),
            catch_up: Given::from(self.how.catch_up.map(|seconds| seconds.ceil() as u64)),
            jitter: Given::from(self.how.jitter),
            start_at: Given::from(self.how.start),
            end_at: Given::from(self.how.end),
            ..self.what.change_schedule()?
        };
        let failed = |e: serde_json::Error| CliError::failed(format!("cannot write the request: {e}"));
        let mut body = serde_json::to_value(&change).map_err(failed)?;
        for field in &self.unset {
            // The server names a field that it does not know.
            body[field] = Value::Null;
        }
        Ok(body)
    }
}
