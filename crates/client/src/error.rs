//! How a call can fail.

use std::fmt;
use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;
use taskloom_protocol::{Code, FieldError, Task};

/// Why there is no answer, or not the one that was hoped for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection, or it broke before the answer was whole.
    #[error("{} {server}: {cause}", if *.sent { "lost" } else { "cannot reach" })]
    Unreachable {
        /// The server's URL.
        server: String,
        /// What happened, in words.
        cause: String,
        /// Whether the request may have arrived: then it is not known whether it was carried out.
        sent: bool,
    },
    /// No answer in time; it is not known whether the request was carried out.
    #[error("{server} did not answer in time")]
    TimedOut {
        /// The server's URL.
        server: String,
    },
    /// The server refused.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// A refusal that is none of Taskloom's: another program at this address, or a proxy in between.
    #[error("{server} answered {status}, not as Taskloom would")]
    Foreign {
        /// The server's URL.
        server: String,
        /// The HTTP status.
        status: StatusCode,
    },
    /// An answer that cannot be read: too large, broken, or of another version.
    #[error("the server's answer {0}")]
    Unreadable(String),
    /// The request cannot be made: a bad URL or token, a value that does not serialise.
    #[error("{0}")]
    Invalid(String),
    /// The task that was waited for failed or was revoked; its `error` and `reason` say why.
    #[error("task {} {}{}", .0.id, .0.status.name(), told(.0))]
    NotSucceeded(Box<Task>),
    /// The task that was waited for has not ended in the time to wait; it goes on.
    #[error("task {} has not ended in time, it is {}", .0.id, .0.status.name())]
    Unfinished(Box<Task>),
    /// What was downloaded cannot be written.
    #[error("cannot write: {0}")]
    Write(#[from] std::io::Error),
}

fn told(task: &Task) -> String {
    task.error.as_ref().map(|error| format!(": {}: {}", error.kind, error.message)).unwrap_or_default()
}

impl Error {
    /// The problem, if the server refused.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            _ => None,
        }
    }

    /// The stable code of the refusal; `None` for other errors, and for codes that this version does not know.
    pub fn code(&self) -> Option<Code> {
        self.problem()?.known_code()
    }

    /// Whether the same call may succeed in a while: nobody answered, or the server was busy.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } => true,
            Self::Problem(problem) => matches!(problem.status, 429 | 503),
            Self::Foreign { status, .. } => matches!(status.as_u16(), 429 | 502..=504),
            _ => false,
        }
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.problem()?.retry_after
    }

    pub(crate) fn unreadable(error: &serde_json::Error) -> Self {
        Self::Unreadable(format!("cannot be read: {error}"))
    }

    /// What `error` of a call to `server` means.
    pub(crate) fn of_http(server: &str, error: &reqwest::Error) -> Self {
        if error.is_builder() {
            return Self::Invalid(format!("the request cannot be made: {}", root_cause(error)));
        }
        let server = server.to_owned();
        if error.is_timeout() && !error.is_connect() {
            return Self::TimedOut { server };
        }
        Self::Unreachable { server, cause: root_cause(error), sent: !error.is_connect() }
    }
}

/// The last error of the chain says what happened.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

/// A refusal of the server: RFC 9457 `application/problem+json`.
///
/// It is read more leniently than [`taskloom_protocol::Problem`] is written: a newer server may have codes that this
/// version does not know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// What kind of problem it is, in words.
    pub title: String,
    /// What happened, in words.
    pub detail: String,
    /// The stable code, such as `validation` or `task_ended`.
    pub code: String,
    /// The id under which the server's log has the request.
    pub request_id: Option<String>,
    /// The fields that break a rule.
    pub errors: Vec<FieldError>,
    /// When the server asks to come back.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
}

impl Problem {
    /// The code, if this version knows it.
    pub fn known_code(&self) -> Option<Code> {
        Code::ALL.iter().copied().find(|code| code.code() == self.code)
    }

    /// Reads the body of an answer with this status; `None` if it is none of Taskloom's.
    pub(crate) fn read(status: StatusCode, text: &str, retry_after: Option<Duration>) -> Option<Self> {
        let problem: Self = serde_json::from_str(text).ok()?;
        let is_told = !(problem.detail.is_empty() && problem.title.is_empty());
        is_told.then_some(Self { status: status.as_u16(), retry_after, ..problem })
    }
}

impl fmt::Display for Problem {
    /// Each field that breaks a rule on a line of its own; without any, what happened.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.errors.is_empty() {
            return f.write_str(if self.detail.is_empty() { &self.title } else { &self.detail });
        }
        for (index, field) in self.errors.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            let is_part = |part: &&String| ["body", "query", "path"].contains(&part.as_str());
            let place: Vec<&str> = field.loc.iter().skip_while(is_part).map(String::as_str).collect();
            if !place.is_empty() {
                write!(f, "{}: ", place.join("."))?;
            }
            f.write_str(&field.msg)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_named() {
        let text = r#"{"title":"t","detail":"2 fields","code":"validation","errors":[
            {"loc":["body","timeout"],"msg":"must be above 0","type":"x"},
            {"loc":["body","tags","3"],"msg":"too long","type":"y"}]}"#;
        let problem = Problem::read(StatusCode::UNPROCESSABLE_ENTITY, text, None).unwrap();
        assert_eq!(problem.to_string(), "timeout: must be above 0\ntags.3: too long");
        assert_eq!((problem.status, problem.known_code()), (422, Some(Code::Validation)));
    }

    #[test]
    fn a_code_of_tomorrow_is_kept_as_text() {
        let text = r#"{"title":"t","status":409,"code":"moon_is_full","detail":"come back tomorrow"}"#;
        let problem = Problem::read(StatusCode::CONFLICT, text, None).unwrap();
        assert_eq!((problem.code.as_str(), problem.known_code()), ("moon_is_full", None));
        assert_eq!(problem.to_string(), "come back tomorrow");
    }

    #[test]
    fn what_is_not_taskloom_is_none() {
        for text in ["<html>", "", "{}", "[]"] {
            assert_eq!(Problem::read(StatusCode::BAD_GATEWAY, text, None), None, "{text}");
        }
    }
}
