//! `taskloom prune`

use clap::Args;
use taskloom_protocol::{PruneAnswer, PruneCounts, PruneRequest};

use super::connect;
use crate::args::Connection;
use crate::client::{Call, Client};
use crate::config::Environment;
use crate::error::{CliError, CliResult, Exit};
use crate::output::{Output, Table};

/// Tasks in one call.
const STEP: u32 = 1_000;

/// Forget ended tasks that are past their retention; for admins
///
/// The servers do this by themselves every ten minutes. What is past its retention the section `retention` of their
/// configuration says.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  taskloom prune --dry-run          how many tasks would go, by status\n  \
    taskloom prune                    forget them, oldest first\n  \
    taskloom prune --json | jq .tasks"
)]
pub(crate) struct Prune {
    /// Only count
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Prune {
    pub(crate) async fn run(self, environment: &Environment) -> CliResult {
        let (client, out) = connect(&self.connection, environment)?;
        let expected = ask(&client, PruneRequest::default()).await?;
        if self.dry_run {
            show(expected, out);
            return Ok(Exit::Ok);
        }
        let request = PruneRequest { dry_run: Some(false), limit: Some(STEP) };
        let mut tasks = PruneCounts::default();
        loop {
            let answer = tokio::select! {
                answer = ask(&client, request) => answer?,
                _ = tokio::signal::ctrl_c() => return Ok(Exit::Interrupted),
            };
            add(&mut tasks, answer.tasks);
            if !answer.more || answer.tasks.total() == 0 {
                show(PruneAnswer { dry_run: false, tasks, more: answer.more }, out);
                return Ok(Exit::Ok);
            }
            out.note(format!("{} of {} tasks forgotten", tasks.total(), expected.tasks.total()));
        }
    }
}

async fn ask(client: &Client, request: PruneRequest) -> Result<PruneAnswer, CliError> {
    client.call(Call::post("/admin/prune").body(&request)?).await?.read()
}

fn add(to: &mut PruneCounts, more: PruneCounts) {
    to.succeeded += more.succeeded;
    to.failed += more.failed;
    to.revoked += more.revoked;
    to.deleted += more.deleted;
}

fn show(answer: PruneAnswer, out: Output) {
    if out.json {
        out.json(&answer);
        return;
    }
    let PruneCounts { succeeded, failed, revoked, deleted } = answer.tasks;
    let verb = if answer.dry_run { "would be forgotten" } else { "were forgotten" };
    let mut table = Table::new(&["STATUS", "TASKS"]);
    for (status, tasks) in
        [("succeeded", succeeded), ("failed", failed), ("revoked", revoked), ("deleted by users", deleted)]
    {
        table.row(vec![(status.to_owned(), None), (tasks.to_string(), None)]);
    }
    for line in table.lines(out) {
        out.line(line);
    }
    out.line(format!("{} tasks {verb}.", answer.tasks.total()));
}
