//! Follows one task to its end: by its event stream, and by polling where that does not work.

mod view;

use std::time::Duration;

use taskloom_client::sse::{Parser, ServerEvent};
use taskloom_protocol::{Task, TaskEvent};
use tokio::time::Instant;

use crate::client::{Call, Client, pause};
use crate::error::{CliError, Exit};

pub(crate) use view::View;

/// How long one long-poll waits.
const POLL_WAIT: Duration = Duration::from_secs(10);
/// Failures in a row before we give up: about a minute.
const MOST_FAILURES: u32 = 15;

/// How watching ended.
pub(crate) enum Watched {
    /// The task has ended; itself, and as the server wrote it.
    Ended(Box<Task>, String),
    /// The time to wait is over.
    TimeIsUp,
    /// Ctrl-C.
    Interrupted,
}

/// Watches the task with this id (already escaped) for at most `limit`.
pub(crate) async fn watch(
    client: &Client,
    id: &str,
    mut view: View,
    limit: Option<Duration>,
) -> Result<Watched, CliError> {
    let time_is_up = async {
        match limit.and_then(|limit| Instant::now().checked_add(limit)) {
            Some(end) => tokio::time::sleep_until(end).await,
            None => std::future::pending().await,
        }
    };
    let watched = tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => Ok(Watched::Interrupted),
        ended = follow(client, id, &mut view) => ended,
        () = time_is_up => Ok(Watched::TimeIsUp),
    };
    view.close();
    watched
}

async fn follow(client: &Client, id: &str, view: &mut View) -> Result<Watched, CliError> {
    let path = format!("/tasks/{id}");
    let mut follower = Follower { client, path, streams: true };
    let mut failures = 0;
    loop {
        match follower.step(view).await {
            Ok(Some(watched)) => return Ok(watched),
            Ok(None) => failures = 0,
            // What the server refused it refuses again; everything else may pass.
            Err(error) if error.exit == Exit::Refused => return Err(error),
            Err(error) => {
                failures += 1;
                // The first call of all fails at once: most likely nobody is there.
                if failures > MOST_FAILURES || view.saw_nothing() {
                    return Err(error);
                }
                view.waiting(&error.message);
                tokio::time::sleep(pause(failures, None)).await;
            }
        }
    }
}

struct Follower<'a> {
    client: &'a Client,
    path: String,
    /// Until the server turns out to have no streams for us.
    streams: bool,
}

impl Follower<'_> {
    /// Looks at the task, then follows it until the stream ends; `None`: not ended, go on.
    async fn step(&mut self, view: &mut View) -> Result<Option<Watched>, CliError> {
        let mut call = Call::get(&self.path);
        if !self.streams {
            call = call.query("wait", POLL_WAIT.as_secs().to_string()).longer(POLL_WAIT);
        }
        let asked = Instant::now();
        let body = self.client.call(call).await?;
        let task: Task = body.read()?;
        view.snapshot(&task);
        if task.has_ended() {
            return Ok(Some(Watched::Ended(Box::new(task), body.0)));
        }
        if self.streams {
            let opened = Instant::now();
            let ended = self.stream(view).await?;
            if !ended && opened.elapsed() < Duration::from_secs(1) {
                // Streams that are cut at once must not be opened without end.
                tokio::time::sleep(pause(1, None)).await;
            }
        } else if asked.elapsed() < Duration::from_millis(200) {
            // A server that does not wait must not be flooded.
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Ok(None)
    }

    /// Follows the stream to its end; whether the task has ended.
    async fn stream(&mut self, view: &mut View) -> Result<bool, CliError> {
        let call = Call::get(format!("{}/events", self.path)).streaming("text/event-stream").tries(1);
        let mut answer = match self.client.open(&call).await {
            Ok(answer) => answer,
            Err(error) if !self.reachable().await => return Err(error),
            // Such as a proxy that does not let streams through, or no room for one more.
            Err(_) => {
                self.streams = false;
                return Ok(false);
            }
        };
        let mut parser = Parser::default();
        let mut said_something = false;
        loop {
            let Ok(Some(chunk)) = answer.chunk().await else {
                // The end, a broken connection or silence: look at the task, then connect again.
                self.streams = said_something;
                return Ok(false);
            };
            said_something = true;
            for event in parser.feed(&chunk) {
                if show(&event, view) {
                    return Ok(true);
                }
            }
        }
    }

    async fn reachable(&self) -> bool {
        self.client.call(Call::get(&self.path)).await.is_ok()
    }
}

/// Shows an event; whether it says that the task has ended.
fn show(event: &ServerEvent, view: &mut View) -> bool {
    let Some(event) = event.of_task() else { return false };
    view.event(&event);
    matches!(event, TaskEvent::State { state, .. } if state.is_terminal())
}
