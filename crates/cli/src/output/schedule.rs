//! Schedules and their ticks for people.

use taskloom_model::{TickOutcome, Timestamp, Zone};
use taskloom_protocol::{Schedule, Tick};

use super::task::fact;
use super::{Output, Table, Tone, age, brief, clip, plain};

/// The widest a name or a plan is shown in a table, in columns.
const COLUMNS: usize = 36;

/// A table of schedules, one line for each.
pub(crate) fn schedule_table(schedules: &[Schedule], now: Timestamp) -> Table {
    let mut table = Table::new(&["ID", "NAME", "TASK", "WHEN", "STATE", "NEXT", "LAST"]);
    for schedule in schedules {
        let (state, tone) = state(schedule);
        let when = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| age(at, now));
        table.row(vec![
            (schedule.id.to_string(), None),
            (clip(&schedule.name, COLUMNS), None),
            (clip(&schedule.task, COLUMNS), None),
            (clip(&plan(schedule), COLUMNS), None),
            (state.to_owned(), Some(tone)),
            (when(schedule.next_run_at), None),
            (when(schedule.last_run_at), None),
        ]);
    }
    table
}

fn state(schedule: &Schedule) -> (&'static str, Tone) {
    match (schedule.enabled, schedule.next_run_at) {
        (false, _) => ("paused", Tone::Warn),
        (true, Some(_)) => ("active", Tone::Good),
        (true, None) => ("idle", Tone::Faint),
    }
}

/// `every 5 minutes`, `cron 0 9 * * MON-FRI`, `weekly days [1,3,5], time 14:30:00`
fn plan(schedule: &Schedule) -> String {
    let text = schedule.schedule_config.get();
    let Ok(fields) = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text) else {
        return format!("{} {}", schedule.schedule_type, brief(text));
    };
    let word = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if let (Some(interval), Some(unit)) = (fields.get("interval"), fields.get("unit")) {
        return format!("every {} {}", word(interval), word(unit));
    }
    if let Some(expression) = fields.get("cron_expression") {
        return format!("cron {}", word(expression));
    }
    let config: Vec<_> = fields.iter().map(|(key, value)| format!("{key} {}", word(value))).collect();
    format!("{} {}", schedule.schedule_type, config.join(", ")).trim_end().to_owned()
}

/// All that matters of one schedule, a line for each fact.
pub(crate) fn describe_schedule(schedule: &Schedule, out: Output, now: Timestamp) -> String {
    let (state, tone) = state(schedule);
    let zone = Zone::named(&schedule.timezone).unwrap_or(Zone::UTC);
    let shown = |at: Timestamp| format!("{} ({})", zone.show(at), age(at, now));
    let mut lines =
        vec![fact(out, "id", &schedule.id.to_string()), fact(out, "state", &out.paint(tone, state))];
    let mut add = |name: &str, value: String| lines.push(fact(out, name, &plain(&value)));
    add("name", schedule.name.clone());
    add("task", schedule.task.clone());
    add("args", schedule.args.get().to_owned());
    add("kwargs", schedule.kwargs.get().to_owned());
    add("queue", format!("{}, priority {}", schedule.queue, schedule.priority));
    add("when", format!("{}, {}", plan(schedule), schedule.timezone));
    add("overlap", schedule.overlap.to_string());
    add("misfire", format!("{}, catch-up {} s", schedule.misfire, schedule.catch_up));
    if schedule.jitter > 0.0 {
        add("jitter", format!("{} s", schedule.jitter));
    }
    if let Some(seconds) = schedule.expires_in {
        add("expires", format!("{seconds} s after its tick"));
    }
    if let Some(key) = &schedule.unique_key {
        add("unique", key.clone());
    }
    if let Some(seconds) = schedule.cache_ttl {
        add("cache", format!("{seconds} s"));
    }
    for (name, at) in [("start", schedule.start_at), ("end", schedule.end_at)] {
        if let Some(at) = at {
            add(name, zone.show(at));
        }
    }
    if let Some(at) = schedule.next_run_at {
        add("next", shown(at));
    }
    if let Some(at) = schedule.last_run_at {
        let task = schedule.last_task_id.map(|id| format!(", task {id}")).unwrap_or_default();
        add("last", format!("{}{task}", shown(at)));
    }
    add("ticks", format!("{} fired, {} skipped", schedule.counts.fired, schedule.counts.skipped));
    add("created", shown(schedule.created_at));
    lines.join("\n")
}

/// A table of ticks, one line for each.
pub(crate) fn tick_table(ticks: &[Tick]) -> Table {
    let mut table = Table::new(&["TICK", "LOCAL", "OUTCOME", "REASON", "TASK"]);
    for tick in ticks {
        let tone = if tick.outcome == TickOutcome::Fired { Tone::Good } else { Tone::Warn };
        table.row(vec![
            (tick.at.to_string(), None),
            (tick.local.clone(), None),
            (tick.outcome.to_string(), Some(tone)),
            (tick.reason.map_or_else(|| "-".to_owned(), |reason| reason.to_string()), None),
            (tick.task_id.map_or_else(|| "-".to_owned(), |id| id.to_string()), None),
        ]);
    }
    table
}
