//! `taskloom explain`

use clap::Args;
use taskloom_protocol::{Cause, Explanation, Serving};

use super::connect;
use crate::args::Connection;
use crate::client::{Call, segment};
use crate::config::Environment;
use crate::error::{CliResult, Exit};
use crate::output::{Output, Tone, plain};

/// Say why a task is where it is, and what would help
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  taskloom explain 0199…\n  \
    taskloom explain 0199… --json | jq -r .cause   a stable code, such as waits_for_parents or no_worker_for_queue")]
pub(crate) struct Explain {
    /// The task's id
    id: String,
    #[command(flatten)]
    connection: Connection,
}

impl Explain {
    pub(crate) async fn run(self, environment: &Environment) -> CliResult {
        let (client, out) = connect(&self.connection, environment)?;
        let body = client.call(Call::get(format!("/tasks/{}/explain", segment(&self.id)))).await?;
        if out.json {
            out.line(&body.0);
        } else {
            for_people(&body.read()?, out);
        }
        Ok(Exit::Ok)
    }
}

fn for_people(told: &Explanation, out: Output) {
    let tone = match told.cause {
        Cause::Running | Cause::Starting => Tone::Busy,
        Cause::NoWorkerForQueue | Cause::NoWorkerForHandler | Cause::QueuePaused => Tone::Bad,
        Cause::Ended => Tone::Strong,
        _ => Tone::Warn,
    };
    out.line(format!("{}  {}", out.paint(tone, told.state.name()), plain(&told.summary)));
    for detail in &told.details {
        out.line(format!("  {}", plain(detail)));
    }
    if let Some(Serving { serving, knowing, slots, busy }) = &told.workers {
        let line = format!(
            "  workers: {serving} serve its queue, {knowing} know its handler; {busy} of {slots} slots busy"
        );
        out.line(out.paint(Tone::Faint, &line));
    }
    if let Some(command) = &told.suggestion {
        out.line(format!("  try: {}", out.paint(Tone::Strong, &plain(command))));
    }
}
