//! `taskloom workflow`

use std::io::Read;
use std::time::Duration;

use clap::{Args, Subcommand};
use taskloom_protocol::{
    RetryWorkflow, SubmitWorkflow, Workflow, WorkflowPage, WorkflowSubmitted, WorkflowVerdict,
};

use super::{connect, now, tell};
use crate::args::Connection;
use crate::client::{Body, Call, Client, segment};
use crate::config::Environment;
use crate::error::{CliError, CliResult, EXIT_HELP, Exit};
use crate::output::{Output, counted, describe_workflow, plain, workflow_table};

/// The largest file or standard input that is read, in bytes.
const MOST_BYTES: u64 = 256 << 20;
/// Between two looks at a workflow that is waited for.
const LOOK: Duration = Duration::from_millis(500);

/// Submit, follow, cancel and rerun workflows: tasks tied by dependencies
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  taskloom workflow submit nightly.json --watch\n  taskloom workflow get 0199…\n  \
    taskloom workflow retry 0199… --from load\n  taskloom workflow list --json | jq -r '.items[].id'"
)]
pub(crate) struct WorkflowCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Submit a workflow: `{"name": …, "tasks": [{"key": …, "task": …, "depends_on": [keys]}, …]}`
    #[command(after_help = format!("Examples:\n  taskloom workflow submit nightly.json\n  \
        generate | taskloom workflow submit - --watch\n  \
        id=$(taskloom workflow submit nightly.json --json | jq -r .id)\n\n{EXIT_HELP}"))]
    Submit {
        /// A file, or - for standard input
        file: String,
        /// Submitting again with the same key answers with the same workflow
        #[arg(long, value_name = "KEY")]
        idempotency_key: Option<String>,
        /// Wait for its end; the exit status is the workflow's
        #[arg(long, short)]
        watch: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// Show a workflow as a tree
    #[command(after_help = "Examples:\n  taskloom workflow get 0199…\n  \
        taskloom workflow get 0199… --json | jq '.tasks.extract.id'")]
    Get {
        /// The workflow's id
        id: String,
        /// All of its nodes, however many
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// Wait for a workflow's end; the exit status is the workflow's
    #[command(after_help = format!("Examples:\n  taskloom workflow wait 0199… && echo done\n\n{EXIT_HELP}"))]
    Wait {
        /// The workflow's id
        id: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// List workflows, the newest first
    #[command(after_help = "Examples:\n  taskloom workflow list --limit 50")]
    List {
        /// How many at most, 1 to 100
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
        limit: u32,
        /// Go on where a page's next_cursor points
        #[arg(long)]
        cursor: Option<String>,
        #[command(flatten)]
        connection: Connection,
    },
    /// Cancel all tasks of a workflow that have not ended
    #[command(
        after_help = "Examples:\n  taskloom workflow cancel 0199…\n  taskloom workflow cancel 0199… --force"
    )]
    Cancel {
        /// The workflow's id
        id: String,
        /// Revoke what runs at once, without waiting for its workers
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// Run what failed or was revoked again; or a node and all that depends on it
    #[command(
        after_help = "Examples:\n  taskloom workflow retry 0199…\n  taskloom workflow retry 0199… --from load"
    )]
    Retry {
        /// The workflow's id
        id: String,
        /// From this node on, whatever became of it
        #[arg(long, value_name = "KEY")]
        from: Option<String>,
        #[command(flatten)]
        connection: Connection,
    },
}

impl WorkflowCommand {
    pub(crate) async fn run(self, environment: &Environment) -> CliResult {
        match self.action {
            Action::Submit { file, idempotency_key, watch, connection } => {
                let workflow: SubmitWorkflow = read(&file)?;
                let (client, out) = connect(&connection, environment)?;
                submit(&client, &workflow, idempotency_key, watch, out).await
            }
            Action::Get { id, all, connection } => {
                let (client, out) = connect(&connection, environment)?;
                let body = client.call(Call::get(path(&id, ""))).await?;
                tell(&body, out, |workflow: Workflow| describe_workflow(&workflow, all, out, now()))
            }
            Action::Wait { id, connection } => {
                let (client, out) = connect(&connection, environment)?;
                wait(&client, &id, out).await
            }
            Action::List { limit, cursor, connection } => {
                let (client, out) = connect(&connection, environment)?;
                let mut call = Call::get("/workflows").query("limit", limit.to_string());
                if let Some(cursor) = cursor {
                    call = call.query("cursor", cursor);
                }
                list(&client.call(call).await?, out)
            }
            Action::Cancel { id, force, connection } => {
                let (client, out) = connect(&connection, environment)?;
                let mut call = Call::post(path(&id, "/cancel"));
                if force {
                    call = call.query("force", "true");
                }
                tell(&client.call(call).await?, out, |said: WorkflowVerdict| verdict(&said))
            }
            Action::Retry { id, from, connection } => {
                let (client, out) = connect(&connection, environment)?;
                let call = Call::post(path(&id, "/retry")).body(&RetryWorkflow { from })?;
                tell(&client.call(call).await?, out, |said: WorkflowVerdict| verdict(&said))
            }
        }
    }
}

fn path(id: &str, what: &str) -> String {
    format!("/workflows/{}{what}", segment(id))
}

fn read(file: &str) -> Result<SubmitWorkflow, CliError> {
    let unread = |e: std::io::Error| CliError::usage(format!("{file}: cannot be read: {e}"));
    let mut text = String::new();
    let read = match file {
        "-" => std::io::stdin().lock().take(MOST_BYTES).read_to_string(&mut text),
        _ => std::fs::File::open(file).map_err(unread)?.take(MOST_BYTES).read_to_string(&mut text),
    };
    read.map_err(unread)?;
    serde_json::from_str(&text).map_err(|e| {
        CliError::usage(format!("{file} is no workflow: {e}"))
            .hint(r#"such as {"name": "nightly", "tasks": [{"key": "a", "task": "demo.echo"}]}"#)
    })
}

async fn submit(
    client: &Client,
    workflow: &SubmitWorkflow,
    key: Option<String>,
    watch: bool,
    out: Output,
) -> CliResult {
    let body = client.call(Call::post("/workflows").body(workflow)?.once(key, crate::client::KEYS)).await?;
    let made: WorkflowSubmitted = body.read()?;
    if watch {
        return wait(client, &made.id.to_string(), out).await;
    }
    if out.json {
        out.line(body.0);
        return Ok(Exit::Ok);
    }
    out.line(made.id.to_string());
    let news = if made.deduplicated { "this workflow was there already" } else { "submitted" };
    let (tasks, id) = (made.tasks.0.len(), made.id);
    out.note(format!("{news}: {tasks} tasks; see it with `taskloom workflow get {id}`"));
    Ok(Exit::Ok)
}

/// Looks until it has ended.
async fn wait(client: &Client, id: &str, out: Output) -> CliResult {
    let mut told = String::new();
    loop {
        let body = client.call(Call::get(path(id, "")).query("tasks", "false")).await?;
        let workflow: Workflow = body.read()?;
        let news = format!("{}: {}", workflow.status, counted(&workflow.counts));
        if !out.json && news != told {
            out.note(&news);
            told = news;
        }
        if !matches!(workflow.status, taskloom_model::Status::Pending | taskloom_model::Status::Running) {
            if out.json {
                out.line(body.0);
            }
            return Ok(Exit::of_task(workflow.status));
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn list(body: &Body, out: Output) -> CliResult {
    if out.json {
        out.line(&body.0);
        return Ok(Exit::Ok);
    }
    let page: WorkflowPage = body.read()?;
    if page.items.is_empty() {
        out.note("no workflows");
        return Ok(Exit::Ok);
    }
    workflow_table(&page.items, now()).lines(out).into_iter().for_each(|line| out.line(line));
    if let Some(cursor) = page.next_cursor {
        out.note(format!("there are more: --cursor {cursor}"));
    }
    Ok(Exit::Ok)
}

fn verdict(verdict: &WorkflowVerdict) -> String {
    format!("{}: {} tasks", plain(&verdict.message), verdict.tasks)
}
