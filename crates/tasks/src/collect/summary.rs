//! What a task of `collect.http` returns.

use serde::Serialize;
use taskloom_protocol::Artifact;
use taskloom_worker::HandlerError;

use super::failure::Failure;
use super::request::FailOn;

const MAX_ERRORS: usize = 20;
/// An error shows this much of its URL, so that a result stays small.
const MAX_SHOWN_URL: usize = 500;

/// The result.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Summary {
    pub(crate) urls: usize,
    pub(crate) ok: usize,
    pub(crate) failed: usize,
    pub(crate) not_modified: usize,
    pub(crate) rows: u64,
    /// Bytes of all answers, decompressed.
    pub(crate) bytes: u64,
    pub(crate) retries: u64,
    pub(crate) elapsed_seconds: f64,
    pub(crate) artifact: Option<Kept>,
    /// The first of them, in the order of the URLs.
    pub(crate) errors: Vec<UrlError>,
    /// Whether any of the failures may pass.
    #[serde(skip)]
    pub(crate) may_pass: bool,
}

/// The file with the rows.
#[derive(Debug, Serialize)]
pub(crate) struct Kept {
    name: String,
    bytes: u64,
    sha256: String,
}

impl From<Artifact> for Kept {
    fn from(artifact: Artifact) -> Self {
        Self { name: artifact.name, bytes: artifact.bytes, sha256: artifact.sha256 }
    }
}

/// Why one URL failed.
#[derive(Debug, Serialize)]
pub(crate) struct UrlError {
    url: String,
    error: String,
    status: Option<u16>,
}

impl Summary {
    pub(crate) fn note_failure(&mut self, source: &str, failure: &Failure, repeatable: bool) {
        self.failed += 1;
        self.may_pass |= failure.is_passing(repeatable);
        if self.errors.len() < MAX_ERRORS {
            let shown = &source[..source.floor_char_boundary(MAX_SHOWN_URL)];
            self.errors.push(UrlError {
                url: shown.into(),
                error: failure.to_string(),
                status: failure.status(),
            });
        }
    }

    /// The task's end. Another attempt makes sense only if some failure may pass.
    pub(crate) fn judge(self, fail_on: FailOn) -> Result<Self, HandlerError> {
        let fails = match fail_on {
            FailOn::All => self.failed == self.urls,
            FailOn::Any => self.failed > 0,
            FailOn::None => false,
        };
        if !fails {
            return Ok(self);
        }
        let first =
            self.errors.first().map(|e| format!("; first {}: {}", e.url, e.error)).unwrap_or_default();
        let message = format!("{} of {} URLs failed{first}", self.failed, self.urls);
        Err(if self.may_pass {
            HandlerError::retryable("collect_failed", message)
        } else {
            HandlerError::fatal("collect_failed", message)
        })
    }
}
