//! What an attempt leaves behind besides its state.

use taskloom_protocol::{Json, TaskError};

/// What an attempt leaves behind besides its state.
#[derive(Debug, Clone, Default)]
pub struct Note {
    /// The handler's answer.
    pub result: Option<Json>,
    /// Why it failed.
    pub error: Option<TaskError>,
    /// The last progress, 0 to 100.
    pub progress: Option<f64>,
    /// The handler's last word about its progress.
    pub detail: Option<Json>,
}

impl Note {
    /// The error as the store keeps it.
    pub(crate) fn error_text(&self) -> Option<String> {
        self.error.as_ref().and_then(|error| serde_json::to_string(error).ok())
    }
}
