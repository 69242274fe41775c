//! What a handler can say and ask while it runs.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use serde_json::value::to_raw_value;
use taskloom_protocol::{Artifact, ArtifactPut, Json, LogLevel, Spawn, SubmitTask, Task, WorkerError};
use tokio_util::sync::CancellationToken;

use crate::attempt::{Attempt, Flag};
use crate::error::from_call;
use crate::limits::MAX_DETAIL_BYTES;
use crate::{HandlerError, StopReason, TaskInfo};

/// A handler's line to its worker; cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct Context(Arc<Attempt>);

impl Context {
    pub(crate) fn new(attempt: Arc<Attempt>) -> Self {
        Self(attempt)
    }

    /// Which task and attempt this is.
    pub fn task(&self) -> &TaskInfo {
        &self.0.info
    }

    /// Reports progress in per cent. Values outside 0 to 100 are clamped; NaN changes nothing. Cheap to call often:
    /// only the latest value travels, a few times a second.
    pub fn progress(&self, percent: f64) {
        self.report(percent, None);
    }

    /// [`Context::progress`] with anything that serialises to say about it, up to 16 KiB of JSON; a longer or
    /// unserialisable detail is left out.
    pub fn progress_with(&self, percent: f64, detail: impl Serialize) {
        let detail = to_raw_value(&detail).ok().filter(|json| json.get().len() <= MAX_DETAIL_BYTES);
        if detail.is_none() {
            tracing::debug!(task = %self.0.info.id, "left out a progress detail that is too long or no JSON");
        }
        self.report(percent, detail);
    }

    /// Writes a line into the task's log: up to 8 KiB each; up to 1,000 lines or 1 MiB wait to be sent, more are
    /// dropped and counted.
    pub fn log(&self, level: LogLevel, message: impl fmt::Display) {
        let announce = self.0.news().log(level, message.to_string());
        self.announce(announce);
    }

    /// A line for the handler's author.
    pub fn debug(&self, message: impl fmt::Display) {
        self.log(LogLevel::Debug, message);
    }

    /// A line for everybody.
    pub fn info(&self, message: impl fmt::Display) {
        self.log(LogLevel::Info, message);
    }

    /// A line about something to look at.
    pub fn warn(&self, message: impl fmt::Display) {
        self.log(LogLevel::Warning, message);
    }

    /// A line about something that failed.
    pub fn error(&self, message: impl fmt::Display) {
        self.log(LogLevel::Error, message);
    }

    /// Fires when the handler should stop; [`Context::stop_reason`] says why.
    pub fn token(&self) -> CancellationToken {
        self.0.token().clone()
    }

    /// Whether the handler should stop.
    pub fn is_cancelled(&self) -> bool {
        self.0.stop_reason().is_some()
    }

    /// Waits until the handler should stop.
    pub async fn cancelled(&self) {
        self.0.token().cancelled().await;
    }

    /// Why the handler should stop; the gravest reason if there are several.
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.0.stop_reason()
    }

    /// Whether the soft time limit has passed: the handler should bring what it has to an end before [`Context::deadline`].
    pub fn soft_timeout_reached(&self) -> bool {
        self.0.has(Flag::SOFT_TIMEOUT)
    }

    /// When the attempt is aborted, if it has a time limit.
    pub fn deadline(&self) -> Option<Instant> {
        self.0.deadline
    }

    /// When the handler is asked to finish, if the task has a soft time limit.
    pub fn soft_deadline(&self) -> Option<Instant> {
        self.0.soft_deadline
    }

    /// A directory for this attempt alone, empty at first, removed when the attempt ends.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn artifacts_dir(&self) -> io::Result<&Path> {
        self.0.artifacts_dir()
    }

    /// Keeps the file `name` of [`Context::artifacts_dir`] with the task. A name is 1 to 100 letters, digits, `.`,
    /// `_` or `-` and does not start with a dot; keeping a name again replaces the file.
    ///
    /// # Errors
    /// Fatal `bad_artifact` if the name breaks the rule or names no file; otherwise what the server answers.
    pub async fn keep_artifact(
        &self,
        name: impl Into<String>,
        content_type: impl Into<String>,
    ) -> Result<Artifact, HandlerError> {
        let name = name.into();
        if !is_artifact_name(&name) {
            let rule = "1 to 100 letters, digits, '.', '_' or '-', not starting with a dot";
            return Err(HandlerError::fatal(
                "bad_artifact",
                format_args!("{name:?} is no artifact's name: {rule}"),
            ));
        }
        let file = self.artifacts_dir()?.join(&name);
        match tokio::fs::symlink_metadata(&file).await {
            Ok(found) if found.is_file() => {}
            _ => {
                let problem =
                    format_args!("there is no file {name:?} in the artifacts directory").to_string();
                return Err(HandlerError::fatal("bad_artifact", problem));
            }
        }
        let task = self.0.task_ref();
        let put =
            ArtifactPut { session: self.0.shared.session(), task, name, content_type: content_type.into() };
        let kept = self.0.shared.api.put_artifact(put, &file).await;
        kept.map_err(|error| self.refused(&error))
    }

    /// Submits a task on behalf of this one; the same user owns it.
    ///
    /// Another attempt of this task submits it again unless its `unique_key` says that it is the same.
    ///
    /// # Errors
    /// What the server answers: fatal if the task breaks a rule, retryable if the server is away.
    pub async fn spawn(&self, task: SubmitTask) -> Result<Task, HandlerError> {
        let mut tasks = self.spawn_many(vec![task]).await?;
        tasks.pop().ok_or_else(|| HandlerError::retryable("unavailable", "the server answered with no task"))
    }

    /// [`Context::spawn`] for several tasks: all are submitted or none; the answer is in order.
    ///
    /// # Errors
    /// As for [`Context::spawn`].
    pub async fn spawn_many(&self, tasks: Vec<SubmitTask>) -> Result<Vec<Task>, HandlerError> {
        if tasks.is_empty() {
            return Ok(Vec::new());
        }
        let spawn = Spawn { session: self.0.shared.session(), parent: self.0.task_ref(), tasks };
        self.0.shared.api.spawn(spawn).await.map_err(|error| self.refused(&error))
    }

    /// Runs code that computes long or blocks on a thread of its own, away from the async handlers.
    ///
    /// Aborting the attempt cannot stop such code: let it look at [`Context::is_cancelled`] now and then.
    ///
    /// # Errors
    /// Retryable `panic` if the code panics, `cancelled` if the worker's runtime is shutting down.
    pub async fn blocking<R, F>(&self, code: F) -> Result<R, HandlerError>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        tokio::task::spawn_blocking(code).await.map_err(|error| match error.try_into_panic() {
            Ok(panic) => HandlerError::retryable("panic", crate::drive::panic_message(&*panic)),
            Err(_) => HandlerError::cancelled(),
        })
    }

    fn report(&self, percent: f64, detail: Option<Json>) {
        let announce = self.0.news().progress(percent, detail);
        self.announce(announce);
    }

    fn announce(&self, announce: bool) {
        // After the end the finish has taken all news; there is nobody left to tell.
        if announce && !self.0.has_ended() {
            self.0.shared.announce(&self.0);
        }
    }

    /// The server's refusal as the handler's error; a lost lease stops the attempt at once.
    fn refused(&self, error: &WorkerError) -> HandlerError {
        if *error == WorkerError::LeaseLost {
            self.0.set(crate::attempt::Flag::LOST);
        }
        from_call(error)
    }
}

fn is_artifact_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=100).contains(&name.len()) && !name.starts_with('.') && name.chars().all(allowed)
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("task", &self.0.info).finish_non_exhaustive()
    }
}
