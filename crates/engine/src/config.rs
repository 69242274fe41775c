//! What an operator sets.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use taskloom_protocol::Limits;

/// The engine's settings.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// How long a claim holds without a heartbeat.
    pub lease: Duration,
    /// How often a worker sends one; well below `lease`.
    pub heartbeat: Duration,
    /// How long a handler may take to stop after a cancel, and a worker to report a timeout itself.
    pub cancel_grace: Duration,
    /// How long ended tasks are kept whose status has no age of its own in `keep`.
    pub retention: Duration,
    /// What is kept of each status.
    pub keep: Retention,
    /// How long an idempotency key is remembered.
    pub idempotency_retention: Duration,
    /// Attempts of a task that names none.
    pub default_max_attempts: u32,
    /// Names that users know → handlers.
    pub aliases: HashMap<String, String>,
    /// What a submission may carry.
    pub limits: Limits,
    /// Log lines kept of one attempt.
    pub log_lines: u64,
    /// Where artifacts are kept.
    pub artifacts_dir: PathBuf,
    /// The longest artifact in bytes.
    pub max_artifact_bytes: u64,
    /// A task that waits for longer gets a share of the claims before more urgent ones, one in eight.
    pub aging: Duration,
    /// The longest a waiting claim goes without looking for itself.
    pub poll: Duration,
}

/// What is kept of one status: whatever is older, or beyond the count, is forgotten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keep {
    /// How long; [`EngineConfig::retention`] if absent, [`Duration::MAX`] for ever.
    pub age: Option<Duration>,
    /// How many at most.
    pub count: Option<u64>,
}

/// What is kept of ended tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Of those that succeeded.
    pub succeeded: Keep,
    /// Of those that failed.
    pub failed: Keep,
    /// Of those that were revoked.
    pub revoked: Keep,
    /// How long those are kept that users deleted.
    pub deleted: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        let keep = Keep::default();
        Self { succeeded: keep, failed: keep, revoked: keep, deleted: Duration::from_secs(7 * 86_400) }
    }
}

impl EngineConfig {
    /// The defaults, with artifacts kept below this directory.
    pub fn new(artifacts_dir: impl Into<PathBuf>) -> Self {
        Self {
            lease: Duration::from_secs(15),
            heartbeat: Duration::from_secs(2),
            cancel_grace: Duration::from_secs(10),
            retention: Duration::from_secs(30 * 86_400),
            keep: Retention::default(),
            idempotency_retention: Duration::from_secs(86_400),
            default_max_attempts: 3,
            aliases: HashMap::new(),
            limits: Limits::default(),
            log_lines: 10_000,
            artifacts_dir: artifacts_dir.into(),
            max_artifact_bytes: 1 << 30,
            aging: Duration::from_secs(300),
            poll: Duration::from_secs(2),
        }
    }
}
