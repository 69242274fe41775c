//! What a task leaves behind: attempts, log lines, files.

use serde::{Deserialize, Serialize};
use taskloom_model::{AttemptOutcome, Timestamp};
use utoipa::ToSchema;

use crate::TaskError;

/// One attempt of a task.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
pub struct Attempt {
    /// From 1.
    pub attempt: u32,
    /// The fence of its claim.
    pub epoch: u32,
    /// Who ran it.
    pub worker: Option<String>,
    /// When it began.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    /// When it ended; null while it runs.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
    /// `succeeded`, `failed`, `timed_out`, `snoozed`, `cancelled`, `lost`, `drained`; null while it runs.
    #[schema(value_type = Option<String>)]
    pub outcome: Option<AttemptOutcome>,
    /// Why it failed.
    pub error: Option<TaskError>,
}

/// A task's attempts.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
pub struct Attempts {
    /// The attempts, first to last.
    pub items: Vec<Attempt>,
}

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// For the handler's author.
    Debug,
    /// For everybody.
    #[default]
    Info,
    /// Something to look at.
    Warning,
    /// Something failed.
    Error,
}

impl LogLevel {
    /// Every level.
    pub const ALL: [Self; 4] = [Self::Debug, Self::Info, Self::Warning, Self::Error];

    /// The name on the wire and in the store.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl std::str::FromStr for LogLevel {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|l| l.name() == text).ok_or("one of debug, info, warning, error")
    }
}

/// A line a handler wrote.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct LogLine {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// How much it matters.
    #[serde(default)]
    pub level: LogLevel,
    /// The line, up to 8 KiB.
    pub message: String,
}

/// A line of a task's log, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct KeptLine {
    /// Its position: rises from line to line of a task, with gaps.
    pub seq: u64,
    /// The line.
    #[serde(flatten)]
    pub line: LogLine,
}

/// Lines that a task's handlers wrote.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
pub struct Logs {
    /// The lines, oldest first.
    pub items: Vec<KeptLine>,
    /// Sent as `after`, gives what came since.
    pub next_after: u64,
}

/// A file that a task made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct Artifact {
    /// The file's name, unique within the task.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// The SHA-256 of its content, in hex.
    pub sha256: String,
    /// Its media type.
    pub content_type: String,
    /// When it was stored.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// A task's files.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
pub struct Artifacts {
    /// The files, by name.
    pub items: Vec<Artifact>,
}
