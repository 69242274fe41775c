//! `taskloom submit --file`: many tasks, in batches.

use std::io::Read;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::value::RawValue;
use taskloom_model::CacheOutcome;
use taskloom_protocol::{BatchAnswer, SubmitTask, Task};
use uuid::Uuid;

use crate::args::Connection;
use crate::client::{Body, Call, Client, KEYS};
use crate::commands::connect;
use crate::config::Environment;
use crate::error::{CliError, CliResult, Exit};
use crate::output::Output;

/// The largest file or standard input that is read, in bytes.
const MOST_BYTES: u64 = 256 << 20;
/// Tasks in one batch.
const BATCH_TASKS: usize = 10_000;
/// Bytes of the tasks of one batch: half of what a server takes that nobody has configured.
const BATCH_BYTES: usize = 4 << 20;

/// A batch, its tasks as they were written.
#[derive(Serialize)]
struct Batch<'a> {
    tasks: &'a [&'a RawValue],
}

/// Submits the tasks of a file; the batch with the number `n` goes under the key `KEY-n`.
pub(super) async fn run(
    file: &str,
    key: Option<String>,
    connection: &Connection,
    environment: &Environment,
) -> CliResult {
    let text = read(file)?;
    let tasks = parse(file, &text)?;
    let (client, out) = connect(connection, environment)?;
    let key = key.unwrap_or_else(|| format!("{KEYS}-{}", Uuid::new_v4()));
    let bar = bar(tasks.len(), out);
    let (mut done, mut known) = (0, 0);
    for (number, batch) in (1..).zip(batches(&tasks)) {
        let sent = tokio::select! {
            sent = send(&client, batch, format!("{key}-{number}")) => sent,
            _ = tokio::signal::ctrl_c() => {
                bar.finish_and_clear();
                out.note(format!("{done} of {} tasks are submitted; {}", tasks.len(), go_on(&key)));
                return Ok(Exit::Interrupted);
            }
        };
        let body = sent.inspect_err(|_| bar.finish_and_clear());
        let body = body.map_err(|error| broken_off(error, done, batch.len(), tasks.len(), &key))?;
        let answer: BatchAnswer = body.read()?;
        bar.suspend(|| show(&answer, &body, out));
        done += batch.len();
        known += answer.items.iter().filter(|task| was_there(task)).count();
        bar.set_position(done as u64);
    }
    bar.finish_and_clear();
    if !out.json {
        let there = if known > 0 { format!("; {known} of them were there already") } else { String::new() };
        out.note(format!("{done} tasks submitted{there}"));
    }
    Ok(Exit::Ok)
}

fn read(file: &str) -> Result<String, CliError> {
    let unread = |e: std::io::Error| CliError::usage(format!("{file}: cannot be read: {e}"));
    let mut text = String::new();
    let read = match file {
        "-" => std::io::stdin().lock().take(MOST_BYTES + 1).read_to_string(&mut text),
        _ => std::fs::File::open(file).map_err(unread)?.take(MOST_BYTES + 1).read_to_string(&mut text),
    };
    if read.map_err(unread)? as u64 > MOST_BYTES {
        return Err(CliError::usage(format!("{file} is larger than 256 MiB: split it")));
    }
    Ok(text)
}

/// The tasks of a JSON list, or of JSON lines. All are looked at before the first is sent.
fn parse<'t>(file: &str, text: &'t str) -> Result<Vec<&'t RawValue>, CliError> {
    let wrong = |what: String| {
        CliError::usage(format!("{file}: {what}"))
            .hint(r#"expected [{"task": "demo.echo", "args": [1]}, …], or one such task on each line"#)
    };
    let tasks: Result<Vec<&RawValue>, _> = if text.trim_start().starts_with('[') {
        serde_json::from_str(text)
    } else {
        serde_json::Deserializer::from_str(text).into_iter::<&RawValue>().collect()
    };
    let tasks = tasks.map_err(|e| wrong(format!("not JSON: {e}")))?;
    if tasks.is_empty() {
        return Err(wrong("no task is in it".into()));
    }
    for (number, task) in (1..).zip(&tasks) {
        // serde would read a list as a task's fields in order.
        if !task.get().starts_with('{') {
            return Err(wrong(format!("task {number} is no object")));
        }
        serde_json::from_str::<SubmitTask>(task.get()).map_err(|e| wrong(format!("task {number}: {e}")))?;
    }
    Ok(tasks)
}

/// The tasks in batches that a server takes.
fn batches<'a, 't>(tasks: &'a [&'t RawValue]) -> Vec<&'a [&'t RawValue]> {
    let mut batches = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (place, task) in tasks.iter().enumerate() {
        let more = task.get().len() + 1;
        if place > start && (place - start == BATCH_TASKS || bytes + more > BATCH_BYTES) {
            batches.push(&tasks[start..place]);
            (start, bytes) = (place, 0);
        }
        bytes += more;
    }
    batches.push(&tasks[start..]);
    batches
}

async fn send(client: &Client, tasks: &[&RawValue], key: String) -> Result<Body, CliError> {
    client.call(Call::post("/tasks/batch").body(&Batch { tasks })?.idempotency_key(key)).await
}

/// The answer as it is, or the ids.
fn show(answer: &BatchAnswer, body: &Body, out: Output) {
    if out.json {
        out.line(&body.0);
    } else {
        let ids: Vec<String> = answer.items.iter().map(|task| task.id.to_string()).collect();
        out.line(ids.join("\n"));
    }
}

fn was_there(task: &Task) -> bool {
    let is_answered = matches!(task.cache, Some(CacheOutcome::Hit | CacheOutcome::Joined));
    task.deduplicated_by.is_some() || is_answered
}

fn go_on(key: &str) -> String {
    format!("the same command with --idempotency-key {key} goes on and submits none twice")
}

/// Says which tasks were not taken, and what to do about those that were.
fn broken_off(error: CliError, done: usize, batch: usize, all: usize, key: &str) -> CliError {
    if batch == all {
        return error;
    }
    let (first, last) = (done + 1, done + batch);
    let message = format!("tasks {first} to {last} of {all}: {}", error.message);
    let told = CliError { message, ..error };
    if done == 0 {
        return told;
    }
    let next = format!("the {done} before them are submitted; {}", go_on(key));
    let hint = told.hint.as_ref().map_or_else(|| next.clone(), |hint| format!("{hint}\n  {next}"));
    told.hint(hint)
}

fn bar(tasks: usize, out: Output) -> ProgressBar {
    if !out.live {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("submitting {bar:30} {pos}/{len} tasks {eta}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(tasks as u64).with_style(style)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        parse("tasks.json", text).unwrap_err().message
    }

    #[test]
    fn a_list_and_lines_are_read() {
        for text in [
            r#"[{"task": "a"}, {"task": "b"}]"#,
            "\n [\n{\"task\": \"a\"},\n{\"task\": \"b\"}]\n",
            "{\"task\": \"a\"}\n{\"task\": \"b\"}\n",
            "{\n\"task\": \"a\"\n}\n\n{\"task\": \"b\"}",
        ] {
            let tasks = parse("-", text).unwrap();
            let names = tasks.iter().map(|task| serde_json::from_str::<SubmitTask>(task.get()).unwrap().task);
            assert_eq!(names.collect::<Vec<_>>(), ["a", "b"], "{text}");
        }
    }

    #[test]
    fn mistakes_name_the_task() {
        assert!(told("[{\"task\": \"a\"}").starts_with("tasks.json: not JSON"));
        assert!(told("{\"task\": \"a\"}\nb").contains("line 2"));
        assert!(told("{\"task\": \"a\"}\n{\"tsk\": \"b\"}").contains("task 2: unknown field `tsk`"));
        assert_eq!(told("[[\"a\"]]"), "tasks.json: task 1 is no object");
        for text in ["", "[]", " \n"] {
            assert_eq!(told(text), "tasks.json: no task is in it", "{text:?}");
        }
    }

    #[test]
    fn batches_are_bounded_by_tasks_and_bytes() {
        let sizes = |text: &str| {
            let tasks: Vec<&RawValue> = serde_json::from_str(text).unwrap();
            batches(&tasks).iter().map(|batch| batch.len()).collect::<Vec<_>>()
        };
        assert_eq!(sizes(&format!("[{}{{}}]", "{},".repeat(24_999))), [10_000, 10_000, 5_000]);
        assert_eq!(sizes("[{}]"), [1]);
        let large = format!("\"{}\"", "x".repeat(BATCH_BYTES / 2));
        let larger = format!("\"{}\"", "x".repeat(BATCH_BYTES));
        assert_eq!(sizes(&format!("[{larger},{large},1,{large},{larger}]")), [1, 2, 1, 1]);
    }

    #[test]
    fn a_break_says_what_was_submitted() {
        let error = || CliError::failed("lost").hint("look");
        assert_eq!(broken_off(error(), 0, 5, 5, "k").to_string(), "lost\n  look");
        let told = broken_off(error(), 10_000, 5_000, 15_000, "k").to_string();
        assert!(told.starts_with("tasks 10001 to 15000 of 15000"), "{told}");
        assert!(
            told.contains("look\n  the 10000 before them") && told.contains("--idempotency-key k"),
            "{told}"
        );
    }
}
