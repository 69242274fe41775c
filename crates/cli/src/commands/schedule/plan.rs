//! What the flags say about when a schedule fires, and `taskloom schedule preview`.

use clap::Args;
use serde_json::{Value, json};
use taskloom_model::{ScheduleType, Timestamp};
use taskloom_protocol::{Json, Preview as Times, PreviewSchedule};

use super::{path, wrong};
use crate::args::Connection;
use crate::client::Call;
use crate::commands::connect;
use crate::config::Environment;
use crate::error::{CliError, CliResult, Exit};
use crate::output::Table;

/// When it fires: one of these.
#[derive(Debug, Args)]
#[command(next_help_heading = "When (one of these)")]
#[group(id = "plan", multiple = false)]
pub(super) struct PlanArgs {
    /// A cron expression of 5 fields, or 6 with the seconds first, or @daily and its like
    #[arg(long, value_name = "EXPRESSION")]
    cron: Option<String>,
    /// Every so often, in real time, such as 30s, 5m, 2h, 1d or 1w
    #[arg(long, value_name = "SPAN")]
    every: Option<String>,
    /// Every day at this time, such as 09:00
    #[arg(long, value_name = "TIME")]
    daily: Option<String>,
    /// On weekdays at a time, Monday is 1, such as 1,3,5@14:30
    #[arg(long, value_name = "DAYS@TIME")]
    weekly: Option<String>,
    /// On dates of the month at a time, -1 is the last day, such as 1,15,-1@09:00
    #[arg(long, value_name = "DATES@TIME", allow_hyphen_values = true)]
    monthly: Option<String>,
    /// Once: a local time such as "2026-12-25 10:00", or RFC 3339
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Once, at once
    #[arg(long)]
    now: bool,
    /// Only by hand: `taskloom schedule run`
    #[arg(long)]
    manual: bool,
}

impl PlanArgs {
    /// The type and its config; nothing if no flag says so.
    pub(super) fn read(&self) -> Result<Option<(ScheduleType, Json)>, CliError> {
        let some = |kind, config: Value| raw(&config).map(|config| Some((kind, config)));
        if let Some(expression) = &self.cron {
            return some(ScheduleType::Cron, json!({"cron_expression": expression}));
        }
        if let Some(span) = &self.every {
            let (count, unit) = every(span)?;
            return some(ScheduleType::Interval, json!({"interval": count, "unit": unit}));
        }
        if let Some(time) = &self.daily {
            return some(ScheduleType::Daily, json!({"time": time}));
        }
        if let Some(text) = &self.weekly {
            let (days, time) = days_at("--weekly", text, "days and a time, such as 1,3,5@14:30")?;
            return some(ScheduleType::Weekly, json!({"days": days, "time": time}));
        }
        if let Some(text) = &self.monthly {
            let (dates, time) = days_at("--monthly", text, "dates and a time, such as 1,15,-1@09:00")?;
            return some(ScheduleType::Monthly, json!({"dates": dates, "time": time}));
        }
        if let Some(time) = &self.at {
            return some(ScheduleType::Scheduled, json!({"datetime": time}));
        }
        match (self.now, self.manual) {
            (true, _) => some(ScheduleType::Immediate, json!({})),
            (_, true) => some(ScheduleType::Manual, json!({})),
            _ => Ok(None),
        }
    }
}

fn raw(config: &Value) -> Result<Json, CliError> {
    serde_json::value::to_raw_value(config).map_err(|e| CliError::failed(e.to_string()))
}

/// `5m`: a whole number and a unit.
fn every(span: &str) -> Result<(u64, &'static str), CliError> {
    let units = [("s", "seconds"), ("m", "minutes"), ("h", "hours"), ("d", "days"), ("w", "weeks")];
    let read = units.into_iter().find_map(|(suffix, unit)| {
        span.trim().strip_suffix(suffix).and_then(|count| count.parse().ok()).map(|count| (count, unit))
    });
    read.ok_or_else(|| wrong("--every", "a whole number and a unit, such as 30s, 5m, 2h, 1d or 1w"))
}

/// `1,3,5@14:30`
fn days_at<'t>(flag: &str, text: &'t str, expected: &str) -> Result<(Vec<i64>, &'t str), CliError> {
    let read = || {
        let (days, time) = text.split_once('@')?;
        let days = days.split(',').map(|day| day.trim().parse().ok()).collect::<Option<Vec<i64>>>()?;
        Some((days, time.trim()))
    };
    read().ok_or_else(|| wrong(flag, expected))
}

/// Show when a schedule would fire, in UTC and as its zone's clocks show it
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    taskloom schedule preview 0199…\n  \
    taskloom schedule preview --cron '0 9 * * MON-FRI' --timezone Europe/Berlin --count 5\n  \
    taskloom schedule preview --daily 02:30 --timezone America/New_York --after 2026-03-07T12:00:00Z")]
pub(super) struct Preview {
    /// A schedule's id; or say when below
    #[arg(conflicts_with_all = ["plan", "timezone", "after"], required_unless_present = "plan")]
    id: Option<String>,
    /// The IANA zone of its local times [default: UTC]
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// After this time instead of now
    #[arg(long, value_name = "RFC3339")]
    after: Option<Timestamp>,
    /// How many, 1 to 100
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    count: u32,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    connection: Connection,
}

impl Preview {
    pub(super) async fn run(self, environment: &Environment) -> CliResult {
        let (client, out) = connect(&self.connection, environment)?;
        let call = match &self.id {
            Some(id) => Call::get(path(id, "/preview")).query("count", self.count.to_string()),
            None => Call::post("/schedules/preview").body(&self.asked()?)?,
        };
        let body = client.call(call).await?;
        if out.json {
            out.line(body.0);
            return Ok(Exit::Ok);
        }
        let times: Times = body.read()?;
        if times.times.is_empty() {
            out.note("it does not fire any more");
            return Ok(Exit::Ok);
        }
        let mut table = Table::new(&["UTC", "LOCAL"]);
        for time in times.times {
            table.row(vec![(time.utc.to_string(), None), (time.local, None)]);
        }
        table.lines(out).into_iter().for_each(|line| out.line(line));
        Ok(Exit::Ok)
    }

    fn asked(&self) -> Result<PreviewSchedule, CliError> {
        let (kind, config) = self.plan.read()?.unzip();
        Ok(PreviewSchedule {
            schedule_type: kind,
            schedule_config: config,
            timezone: self.timezone.clone(),
            after: self.after,
            count: Some(self.count),
            ..PreviewSchedule::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_days_are_read() {
        for (text, expected) in [("30s", (30, "seconds")), ("5m", (5, "minutes")), ("1w", (1, "weeks"))] {
            assert_eq!(every(text).unwrap(), expected);
        }
        for text in ["5", "m", "1.5h", "-1d", "5 years", ""] {
            assert!(every(text).is_err(), "{text}");
        }
        assert_eq!(days_at("--monthly", "1,15,-1@09:00", "").unwrap(), (vec![1, 15, -1], "09:00"));
        for text in ["1,3", "@09:00", "mon@09:00", "1,@09:00"] {
            assert!(days_at("--weekly", text, "").is_err(), "{text}");
        }
    }
}
