//! Why a URL gave nothing.

use std::error::Error;
use std::io;
use std::time::Duration;

use super::allow::Refused;
use super::client::Unresolved;
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
    #[error("the host's name cannot be resolved")]
    Unresolved,
    #[error("TLS failed: the server's certificate or protocol is not acceptable")]
    Tls,
    #[error("cannot connect")]
    Connect,
    #[error("the connection broke")]
    Broken,
    #[error("the answer is compressed in a way that was not asked for")]
    Coding,
    #[error("the answer has more than {0} bytes")]
    TooLarge(u64),
    #[error("the answers of this task have more than {0} bytes together")]
    TotalTooLarge(u64),
    #[error("expected {expected}, the answer is {content_type:?}")]
    WrongType { expected: &'static str, content_type: String },
    #[error(transparent)]
    Extract(#[from] ExtractError),
    #[error("the extraction broke off")]
    Aborted,
}

impl Failure {
    /// Sorts an error of the client; its own words may name inner addresses and are dropped.
    pub(crate) fn of(error: &reqwest::Error, timeout: Duration, redirected: bool) -> Self {
        if let Some(&refused) = cause::<Refused>(error) {
            return if redirected { Self::RedirectRefused(refused) } else { Self::Refused(refused) };
        }
        match error {
            error if cause::<Unresolved>(error).is_some() => Self::Unresolved,
            error if cause::<rustls::Error>(error).is_some() => Self::Tls,
            error if error.is_timeout() => Self::Timeout(timeout),
            error if error.is_connect() => Self::Connect,
            _ => Self::Broken,
        }
    }

    /// Whether another try may help. `repeatable`: the request may reach the server twice without harm.
    pub(crate) fn is_passing(&self, repeatable: bool) -> bool {
        match self {
            Self::Status { status, .. } => is_passing(*status, repeatable),
            Self::Connect | Self::Unresolved => true,
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

/// The cause of this type, however deep it lies.
fn cause<E: Error + 'static>(error: &reqwest::Error) -> Option<&E> {
    let mut next: Option<&(dyn Error + 'static)> = error.source();
    while let Some(inner) = next {
        if let Some(found) = inner.downcast_ref() {
            return Some(found);
        }
        // An I/O error does not list the error it wraps among its sources.
        let wrapped = inner.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => inner.source(),
        };
    }
    None
}
