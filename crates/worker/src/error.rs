//! How a handler says that it did not succeed.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use taskloom_protocol::{Outcome, TaskError, WorkerError, shorten};

use crate::limits::{MAX_KIND_BYTES, MAX_MESSAGE_BYTES, MAX_TRACEBACK_BYTES};

/// Why a handler did not succeed, and what should happen next.
///
/// Any [`std::error::Error`] turns into a retryable one through `?`, so that only decisions need words:
///
/// ```
/// use taskloom_worker::HandlerError;
///
/// fn parse(text: &str) -> Result<u16, HandlerError> {
///     if text.is_empty() {
///         return Err(HandlerError::fatal("empty", "there is nothing to parse"));
///     }
///     Ok(text.parse()?)
/// }
/// assert!(parse("").unwrap_err().is_fatal());
/// assert_eq!(parse("x").unwrap_err().kind(), "ParseIntError");
/// ```
///
/// Like `anyhow::Error` it does not implement [`std::error::Error`] itself: the conversion could not exist otherwise.
#[derive(Debug)]
pub struct HandlerError {
    next: Next,
    kind: String,
    message: String,
    traceback: Option<String>,
}

#[derive(Debug)]
enum Next {
    Retry,
    RetryIn(Duration),
    Fail,
    Snooze(Duration),
    Stopped,
}

impl HandlerError {
    /// A failure that another attempt may mend; the task's backoff says when.
    pub fn retryable(kind: impl Into<String>, message: impl fmt::Display) -> Self {
        Self::new(Next::Retry, kind.into(), message.to_string())
    }

    /// A failure that another attempt may mend, after `delay` instead of the task's backoff.
    pub fn retry_in(kind: impl Into<String>, message: impl fmt::Display, delay: Duration) -> Self {
        Self::new(Next::RetryIn(delay), kind.into(), message.to_string())
    }

    /// A failure that no attempt can mend.
    pub fn fatal(kind: impl Into<String>, message: impl fmt::Display) -> Self {
        Self::new(Next::Fail, kind.into(), message.to_string())
    }

    /// Nothing to do yet: run again after `delay`; the attempt does not count.
    pub fn snooze(delay: Duration) -> Self {
        Self::new(Next::Snooze(delay), "snooze".into(), String::new())
    }

    /// The handler stopped because it was told to.
    pub fn cancelled() -> Self {
        Self::new(Next::Stopped, "cancelled".into(), "the handler stopped as it was told to".into())
    }

    /// Adds where it happened, for the handler's author.
    pub fn with_traceback(mut self, traceback: impl Into<String>) -> Self {
        self.traceback = Some(shorten(traceback.into(), MAX_TRACEBACK_BYTES));
        self
    }

    /// The kind of error: a short word or a type's name, up to 200 bytes.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// What happened, up to 8 KiB.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether no attempt can mend it.
    pub fn is_fatal(&self) -> bool {
        matches!(self.next, Next::Fail)
    }

    /// Whether the handler stopped because it was told to.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.next, Next::Stopped)
    }

    /// When to run again, if the handler chose.
    pub fn delay(&self) -> Option<Duration> {
        match self.next {
            Next::RetryIn(delay) | Next::Snooze(delay) => Some(delay),
            Next::Retry | Next::Fail | Next::Stopped => None,
        }
    }

    fn new(next: Next, kind: String, message: String) -> Self {
        Self {
            next,
            kind: shorten(kind, MAX_KIND_BYTES),
            message: shorten(message, MAX_MESSAGE_BYTES),
            traceback: None,
        }
    }

    pub(crate) fn into_outcome(self) -> Outcome {
        let Self { next, kind, message, traceback } = self;
        let error = TaskError { kind, message, traceback };
        match next {
            Next::Retry => Outcome::Error { error, retry_in_ms: None },
            Next::RetryIn(delay) => Outcome::Error { error, retry_in_ms: Some(millis(delay)) },
            Next::Fail => Outcome::Fatal { error },
            Next::Snooze(delay) => Outcome::Snooze { delay_ms: millis(delay) },
            Next::Stopped => Outcome::Cancelled,
        }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl<E: Error> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self::retryable(short_name(std::any::type_name::<E>()), with_causes(&error))
    }
}

/// What a refused call of the worker protocol means for the handler that made it.
pub(crate) fn from_call(error: &WorkerError) -> HandlerError {
    match error {
        WorkerError::LeaseLost => HandlerError::cancelled(),
        WorkerError::Refused { code, detail } => HandlerError::fatal(code.code(), detail),
        WorkerError::UnknownSession | WorkerError::Unavailable(_) => {
            HandlerError::retryable("unavailable", error)
        }
    }
}

/// The error and what caused it, as far as the message does not say so already.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause
        && text.len() < MAX_MESSAGE_BYTES
    {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}

/// `core::num::error::ParseIntError` → `ParseIntError`; `std::io::error::Error` → `io::Error`.
fn short_name(path: &str) -> String {
    let path = path.split('<').next().unwrap_or(path);
    let mut parts = path.rsplit("::");
    let name = parts.next().unwrap_or(path);
    if name != "Error" {
        return name.to_owned();
    }
    match parts.find(|part| !matches!(*part, "error" | "err")) {
        Some(module) => format!("{module}::{name}"),
        None => name.to_owned(),
    }
}
