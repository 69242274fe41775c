//! Tasks for people.

use std::time::Duration;

use taskloom_model::{Status, Timestamp};
use taskloom_protocol::{Json, Task};

use super::{Output, Table, Tone, brief, clip, plain};

/// The widest a name or a handler's name is shown in a table, in columns.
const NAME_COLUMNS: usize = 36;

/// A table of tasks, one line for each.
pub(crate) fn task_table(tasks: &[Task], now: Timestamp) -> Table {
    let mut table = Table::new(&["ID", "TASK", "NAME", "STATUS", "PROGRESS", "ATTEMPT", "QUEUE", "CREATED"]);
    for task in tasks {
        table.row(vec![
            (task.id.to_string(), None),
            (clip(&task.task, NAME_COLUMNS), None),
            (clip(task.name.as_deref().unwrap_or("-"), NAME_COLUMNS), None),
            (standing(task), Some(tone(task.status))),
            (format!("{:.0}%", task.progress), None),
            (format!("{}/{}", task.attempt, task.max_attempts), None),
            (task.queue.clone(), None),
            (age(task.created_at, now), None),
        ]);
    }
    table
}

/// `pending (retry)`: the status, and the reason where there is one.
fn standing(task: &Task) -> String {
    match task.reason {
        Some(reason) => format!("{} ({reason})", task.status),
        None => task.status.to_string(),
    }
}

fn tone(status: Status) -> Tone {
    match status {
        Status::Pending => Tone::Faint,
        Status::Running => Tone::Busy,
        Status::Succeeded => Tone::Good,
        Status::Failed => Tone::Bad,
        Status::Revoked => Tone::Warn,
    }
}

/// All that matters of one task, a line for each fact.
pub(crate) fn describe_task(task: &Task, out: Output, now: Timestamp) -> String {
    let status = out.paint(tone(task.status), &standing(task));
    let mut lines = vec![fact(out, "id", &task.id.to_string()), fact(out, "status", &status)];
    let mut add = |name: &str, value: String| lines.push(fact(out, name, &plain(&value)));
    if let Some(name) = &task.name {
        add("name", name.clone());
    }
    add("task", task.task.clone());
    add("progress", format!("{:.0}%{}", task.progress, detail(task.progress_detail.as_deref())));
    add("attempt", format!("{} of {}", task.attempt, task.max_attempts));
    add("queue", format!("{}, priority {}", task.queue, task.priority));
    add("args", task.args.get().to_owned());
    add("kwargs", task.kwargs.get().to_owned());
    if let Some(worker) = &task.worker {
        add("worker", worker.clone());
    }
    if !task.tags.is_empty() {
        add("tags", task.tags.join(", "));
    }
    add("created", format!("{} ({})", task.created_at, age(task.created_at, now)));
    if let Some(at) = task.scheduled_at {
        add("scheduled", at.to_string());
    }
    if let Some(at) = task.started_at {
        add("started", at.to_string());
    }
    if let Some(at) = task.completed_at {
        let took = task.run_time(now).map(|time| format!(" (ran {})", duration(time))).unwrap_or_default();
        add("completed", format!("{at}{took}"));
    }
    if let Some(error) = &task.error {
        add("error", format!("{}: {}", error.kind, error.message));
        if let Some(traceback) = &error.traceback {
            add("traceback", format!("\n{traceback}"));
        }
    }
    if task.status == Status::Succeeded {
        add("result", pretty(&task.result));
    }
    lines.join("\n")
}

pub(super) fn fact(out: Output, name: &str, value: &str) -> String {
    format!("{} {value}", out.paint(Tone::Faint, &format!("{name:<10}")))
}

fn detail(json: Option<&serde_json::value::RawValue>) -> String {
    json.map(|json| format!("  {}", clip(&brief(json.get()), 80))).unwrap_or_default()
}

/// JSON on several lines where that reads better.
fn pretty(json: &Json) -> String {
    let text = json.get();
    if text.len() < 60 {
        return text.to_owned();
    }
    serde_json::from_str::<serde_json::Value>(text)
        .and_then(|value| serde_json::to_string_pretty(&value))
        .unwrap_or_else(|_| text.to_owned())
}

/// `just now`, `5.0s ago`, `in 3m`.
pub(crate) fn age(at: Timestamp, now: Timestamp) -> String {
    let apart = at.since(now).max(now.since(at));
    if apart < Duration::from_secs(1) {
        "just now".into()
    } else if at > now {
        format!("in {}", duration(apart))
    } else {
        format!("{} ago", duration(apart))
    }
}

/// `0.4s`, `12s`, `3m 5s`, `2h 10m`, `4d 2h`.
pub(crate) fn duration(span: Duration) -> String {
    let seconds = span.as_secs();
    let two = |big: u64, unit: &str, small: u64, rest: &str| match small {
        0 => format!("{big}{unit}"),
        _ => format!("{big}{unit} {small}{rest}"),
    };
    match seconds {
        0..=9 => format!("{:.1}s", span.as_secs_f64()),
        10..=59 => format!("{seconds}s"),
        60..=3599 => two(seconds / 60, "m", seconds % 60, "s"),
        3600..=86_399 => two(seconds / 3600, "h", seconds % 3600 / 60, "m"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_well() {
        for (seconds, text) in
            [(0.4, "0.4s"), (12.7, "12s"), (60.0, "1m"), (185.0, "3m 5s"), (90_000.0, "1d 1h")]
        {
            assert_eq!(duration(Duration::from_secs_f64(seconds)), text);
        }
    }

    #[test]
    fn a_task_cannot_colour_the_terminal() {
        let mut task = Task::blank(uuid::Uuid::nil(), "demo.echo".into(), uuid::Uuid::nil(), Timestamp::MIN);
        task.name = Some("\x1b[2Jx".into());
        let out = Output { json: false, color: false, err_color: false, live: false };
        assert!(!describe_task(&task, out, Timestamp::MIN).contains('\x1b'));
    }
}
