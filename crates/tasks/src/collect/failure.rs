//! Why a URL gave nothing.

use std::error::Error;
use std::time::Duration;

use super::allow::Refused;
use super::extract::ExtractError;
use super::retry::is_passing;

/// Why a URL gave nothing. The words name no address beyond what the user sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    #[error("refused: {0}")]
    Refused(#[from] Refused),
    #[error("redirected to a target that is refused: {0}")]
    RedirectRefused(Refused),
    #[error("redirected more than {0} times")]
    Redirects(usize),
    #[error("redirected to no URL")]
    BadRedirect,
    #[error("answered with status {status}")]
    Status { status: u16, retry_after: Option<Duration> },
    #[error("took longer than {} seconds", .0.as_secs_f64())]
    Timeout(Duration),
    #[error("cannot connect")]
    Connect,
    #[error("the connection broke")]
    Broken,
    #[error("the answer has more than {0} bytes")]
    TooLarge(u64),
    #[error("the answers of this task have more than {0} bytes together")]
    TotalTooLarge(u64),
    #[error("expected {expected}, the answer is {content_type:?}")]
    WrongType { expected: &'static str, content_type: String },
    #[error(transparent)]
    Extract(#[from] ExtractError),
    #[error("the extraction was stopped")]
    Aborted,
}

impl Failure {
    /// Sorts an error of the client; its own words may name inner addresses and are dropped.
    pub(crate) fn of(error: &reqwest::Error, timeout: Duration, redirected: bool) -> Self {
        if let Some(refused) = refused_in(error) {
            return if redirected { Self::RedirectRefused(refused) } else { Self::Refused(refused) };
        }
        match error {
            error if error.is_timeout() => Self::Timeout(timeout),
            error if error.is_connect() => Self::Connect,
            _ => Self::Broken,
        }
    }

    /// Whether another try may help. `repeatable`: the request may reach the server twice without harm.
    pub(crate) fn is_passing(&self, repeatable: bool) -> bool {
        match self {
            Self::Status { status, .. } => is_passing(*status, repeatable),
            Self::Connect => true,
            Self::Timeout(_) | Self::Broken => repeatable,
            _ => false,
        }
    }

    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

fn refused_in(error: &reqwest::Error) -> Option<Refused> {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(inner) = cause {
        if let Some(refused) = inner.downcast_ref::<Refused>() {
            return Some(*refused);
        }
        cause = inner.source();
    }
    None
}
