//! Waiting for a task's end.

use std::time::Duration;

use serde::de::DeserializeOwned;
use taskloom_model::Status;
use taskloom_protocol::Task;
use tokio::time::{Instant, sleep, timeout_at};
use uuid::Uuid;

use crate::tasks::path;
use crate::transport::Call;
use crate::{Error, Tasks};

/// How long one long-poll waits: less than proxies do.
const POLL: Duration = Duration::from_secs(30);
/// Between two questions to a server, or a proxy, that does not wait.
const AT_LEAST: Duration = Duration::from_millis(200);
/// A limit that is as good as none: ten years.
pub(crate) const LONGEST: Duration = Duration::from_secs(315_360_000);
/// For an answer that is under way when the time is over.
const MARGIN: Duration = Duration::from_secs(5);
/// Tries while the server is away: about a minute.
pub(crate) const TRIES_AWAY: u32 = 15;

impl Tasks<'_> {
    /// Waits until the task ends, for as long as it takes or at most `limit`, and gives it whatever it came to. The server
    /// answers as soon as it has ended; one that is away for up to a minute is waited for.
    ///
    /// # Errors
    /// Those of a call; [`Error::Unfinished`] when the time is over, [`Error::TimedOut`] if the server was away meanwhile.
    pub async fn wait(&self, id: Uuid, limit: impl Into<Option<Duration>>) -> Result<Task, Error> {
        let end = limit.into().map(|limit| Instant::now() + limit.min(LONGEST));
        loop {
            let asked = Instant::now();
            let left = end.map_or(POLL, |end| end.saturating_duration_since(asked).min(POLL));
            let call = Call::get(path(id, ""))
                .query("wait", left.as_secs().to_string())
                .longer(left)
                .tries(TRIES_AWAY);
            let task: Task = match end {
                Some(end) => {
                    let late = |_| Error::TimedOut { server: self.0.server().to_owned() };
                    timeout_at(end + MARGIN, self.0.call(call)).await.map_err(late)??
                }
                None => self.0.call(call).await?,
            };
            if task.has_ended() {
                return Ok(task);
            }
            if end.is_some_and(|end| end <= Instant::now()) {
                return Err(Error::Unfinished(Box::new(task)));
            }
            if asked.elapsed() < AT_LEAST {
                let until_end = end.map_or(AT_LEAST, |end| end.saturating_duration_since(Instant::now()));
                sleep(AT_LEAST.min(until_end)).await;
            }
        }
    }

    /// Waits as [`Tasks::wait`] does, for a task that succeeds, and reads its result.
    ///
    /// # Errors
    /// Those of [`Tasks::wait`]; [`Error::NotSucceeded`] if it failed or was revoked; [`Error::Unreadable`] if its result
    /// is no `T`.
    pub async fn wait_for<T: DeserializeOwned>(
        &self,
        id: Uuid,
        limit: impl Into<Option<Duration>>,
    ) -> Result<T, Error> {
        let task = self.wait(id, limit).await?;
        if task.status != Status::Succeeded {
            return Err(Error::NotSucceeded(Box::new(task)));
        }
        serde_json::from_str(task.result.get())
            .map_err(|e| Error::Unreadable(format!("has a result of task {id} that is of another type: {e}")))
    }
}
