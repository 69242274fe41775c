//! `taskloom submit`

mod many;
mod one;

use clap::Args;
use taskloom_model::{CacheOutcome, Status};
use taskloom_protocol::Task;

use self::one::OneTask;
use super::connect;
use super::task_flags::TaskFlags;
use crate::args::Connection;
use crate::client::{Call, Client};
use crate::config::Environment;
use crate::error::{CliResult, EXIT_HELP, Exit};
use crate::output::{Output, Tone, duration, plain};
use crate::watch::{self, View, Watched};

/// Submit a task, or many from a file
#[derive(Debug, Args)]
#[command(after_help = format!("Examples:\n  \
    taskloom submit demo.echo --args '[\"hello\"]'\n  \
    taskloom submit collect.http --kwargs '{{\"url\":\"https://example.org\"}}' --watch\n  \
    taskloom submit collect.http --kwargs @job.json --name 数据处理任务 --priority high\n  \
    taskloom submit demo.sleep --kwarg seconds=60 --delay 5m --tag nightly\n  \
    taskloom submit report.build --unique-key today --on-conflict replace\n  \
    taskloom submit report.build --kwarg month=3 --cache-ttl 1h --retry-on ConnectionError\n  \
    taskloom submit report.build --max-attempts 8 --backoff exponential:2s..10m\n  \
    taskloom submit report.mail --depends-on 0199… --on-parent-failure continue\n  \
    generate | taskloom submit --file -   a JSON list of tasks, or one on each line\n  \
    id=$(taskloom submit demo.sleep --kwarg seconds=5 --json | jq -r .id)\n\n\
    Ctrl-C while watching leaves the task running.\n\n{EXIT_HELP}"))]
// Beside these, one task needs another flag; a schedule may have its value already.
#[command(
    mut_arg("concurrency_limit", |arg| arg.requires("concurrency_key")),
    mut_arg("rate_key", |arg| arg.requires("rate_limit")),
    mut_arg("rate_limit", |arg| arg.requires("rate_key")),
    mut_arg("unique_ttl", |arg| arg.requires("unique_key")),
    mut_arg("on_conflict", |arg| arg.requires("unique_key"))
)]
pub(crate) struct Submit {
    #[command(flatten)]
    flags: TaskFlags,
    #[command(flatten)]
    one: OneTask,
    /// Many tasks: a JSON list, or one task on each line, as POST /tasks takes it; - for standard input
    // Of flags in two groups: clap leaves the group of a struct empty that flattens another, and then nothing conflicts.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["task_flags", "one_task", "watch"])]
    file: Option<String>,
    /// Submitting again with the same key answers with the same task, or tasks
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Watch it to its end; the exit status is the task's
    #[arg(long, short)]
    watch: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Submit {
    pub(crate) async fn run(self, environment: &Environment) -> CliResult {
        if let Some(file) = &self.file {
            return many::run(file, self.idempotency_key.clone(), &self.connection, environment).await;
        }
        let task = self.one.task(&self.flags)?;
        let (client, out) = connect(&self.connection, environment)?;
        let call = Call::post("/tasks").body(&task)?.once(self.idempotency_key.clone(), crate::client::KEYS);
        let body = client.call(call).await?;
        let submitted: Task = body.read()?;
        let id = submitted.id.to_string();
        if !self.watch {
            return Ok(say_submitted(&submitted, &body.0, out));
        }
        let view = if out.json { View::silent() } else { View::new(out) };
        if !out.json {
            out.note(format!("{} {id}", out.paint_note(Tone::Faint, "task")));
        }
        let watched = watch::watch(&client, &id, view, None).await?;
        Ok(conclude(&client, watched, &id, out))
    }
}

pub(super) fn say_submitted(task: &Task, body: &str, out: Output) -> Exit {
    if out.json {
        out.line(body);
        return Exit::Ok;
    }
    out.line(task.id.to_string());
    let news = match (task.cache, task.deduplicated_by) {
        (Some(CacheOutcome::Hit), _) => "answered from the cache",
        (Some(CacheOutcome::Joined), _) => "joined a task that works on the same call",
        (_, Some(_)) => "this task was there already",
        _ => "submitted",
    };
    out.note(format!("{news}: {}; watch it with `taskloom wait {}`", task.state, task.id));
    if let Some(replaced) = task.replaced {
        out.note(format!("it takes the place of {replaced}"));
    }
    Exit::Ok
}

/// Says how the watched task ended and turns it into the exit status.
pub(super) fn conclude(client: &Client, watched: Watched, id: &str, out: Output) -> Exit {
    let (task, body) = match watched {
        Watched::Ended(task, body) => (task, body),
        Watched::TimeIsUp => {
            out.note(format!("the task goes on; wait again with `taskloom wait {id}`"));
            return Exit::Unfinished;
        }
        Watched::Interrupted => {
            let server = client.server();
            out.note(format!(
                "\nstopped watching; the task goes on\n  watch again:  taskloom wait {id} --server {server}\n  \
                 cancel it:    taskloom cancel {id} --server {server}"
            ));
            return Exit::Interrupted;
        }
    };
    if out.json {
        out.line(body);
        return Exit::of_task(task.status);
    }
    let took = task.run_time(task.created_at).map(|t| format!(" in {}", duration(t))).unwrap_or_default();
    match task.status {
        Status::Succeeded => {
            out.note(format!("{}{took}", out.paint_note(Tone::Good, "succeeded")));
            out.line(plain(task.result.get()));
        }
        Status::Failed => {
            out.note(format!("{}{took}, attempt {}", out.paint_note(Tone::Bad, "failed"), task.attempt));
            if let Some(error) = &task.error {
                out.note(plain(&format!("{}: {}", error.kind, error.message)));
            }
        }
        _ => {
            let reason = task.reason.map(|r| format!(" ({r})")).unwrap_or_default();
            out.note(format!("{}{reason}", out.paint_note(Tone::Warn, task.status.name())));
        }
    }
    Exit::of_task(task.status)
}
