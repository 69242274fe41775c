//! Forgetting what is past its retention.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What to forget. An empty object asks how many tasks there are.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PruneRequest {
    /// Only count; true if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(default = true)]
    pub dry_run: Option<bool>,
    /// Forget about so many at most, 1 to 10,000; 1,000 if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 10_000, default = 1_000)]
    pub limit: Option<u32>,
}

/// Tasks in each status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct PruneCounts {
    /// That succeeded.
    pub succeeded: u64,
    /// That failed.
    pub failed: u64,
    /// That were revoked.
    pub revoked: u64,
    /// That users deleted, in whatever status.
    pub deleted: u64,
}

impl PruneCounts {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.succeeded + self.failed + self.revoked + self.deleted
    }
}

/// What was forgotten, or would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct PruneAnswer {
    /// Whether they were only counted. A deleted task that is also past the retention of its status counts twice then.
    pub dry_run: bool,
    /// How many tasks.
    pub tasks: PruneCounts,
    /// Whether there may be more: send it again.
    pub more: bool,
}
