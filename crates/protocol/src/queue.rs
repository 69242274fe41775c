//! Queues and limits on the wire.

use serde::{Deserialize, Serialize};
use taskloom_model::{Limit, Timestamp};
use utoipa::ToSchema;

use crate::{FieldError, RateLimit};

/// What a queue lets its workers do, across all of them; what is left out or null is not limited.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QueueLimits {
    /// Tasks that run at once, 1 to 100,000.
    #[schema(minimum = 1, maximum = 100_000)]
    pub max_running: Option<u32>,
    /// Tasks that start in a time.
    pub rate_limit: Option<RateLimit>,
}

impl QueueLimits {
    /// Every rule that a field breaks; empty if none.
    pub fn check(&self) -> Vec<FieldError> {
        let mut found = Vec::new();
        if self.max_running.is_some_and(|most| !(1..=100_000).contains(&most)) {
            let rule = "1 to 100000; to let nothing start, pause the queue";
            found.push(FieldError::body("max_running", "out_of_range", rule));
        }
        if let Some(rate) = self.rate_limit {
            found.extend(rate.check("rate_limit"));
        }
        found
    }
}

impl RateLimit {
    /// Every rule that it breaks, as part of this field.
    pub fn check(&self, field: &str) -> Vec<FieldError> {
        let mut found = Vec::new();
        if !(1..=1_000_000).contains(&self.count) {
            found.push(FieldError::body(&format!("{field}.count"), "out_of_range", "1 to 1000000"));
        }
        if !(0.001..=31_536_000.0).contains(&self.seconds) {
            let rule = "seconds from 0.001 to 31536000";
            found.push(FieldError::body(&format!("{field}.seconds"), "out_of_range", rule));
        }
        found
    }
}

/// A queue as it stands.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, ToSchema)]
pub struct QueueStats {
    /// Its name.
    pub name: String,
    /// Tasks that wait for a worker, counted up to 10,000.
    pub ready: u64,
    /// Tasks that run.
    pub running: u64,
    /// When the task that is next was submitted.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub oldest_at: Option<Timestamp>,
    /// Whether nothing of it starts.
    pub paused: bool,
    /// Since when.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub paused_at: Option<Timestamp>,
    /// Its limits.
    pub limits: QueueLimits,
}

/// All queues.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct QueueList {
    /// By name.
    pub items: Vec<QueueStats>,
}

/// A limit that tasks named with `concurrency_key` or `rate_key`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, ToSchema)]
pub struct LimitInfo {
    /// `concurrency` or `rate`.
    #[schema(value_type = String)]
    pub kind: Limit,
    /// What is limited.
    pub key: String,
    /// Tasks at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency_limit: Option<u32>,
    /// Tasks in a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// Tasks that hold a permit: they run, or are next.
    pub held: u32,
    /// Tasks that wait for one, counted up to 10,000.
    pub waiting: u64,
    /// When the next may start, if that is a matter of time.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_at: Option<Timestamp>,
}

/// Limits, by kind and key.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct LimitList {
    /// Up to the page's size.
    pub items: Vec<LimitInfo>,
    /// Sent as `after`, gives the next page; null on the last.
    pub next_after: Option<String>,
}
