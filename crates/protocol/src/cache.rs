//! The result cache as its users see it.

use serde::{Deserialize, Serialize};
use taskloom_model::{State, Timestamp};
use utoipa::ToSchema;
use uuid::Uuid;

/// A call that the cache knows.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, ToSchema)]
pub struct CacheEntry {
    /// What tells the call from others: SHA-256 of the handler and its arguments.
    pub signature: String,
    /// The handler.
    pub handler: String,
    /// The task that answers the call.
    pub task_id: Uuid,
    /// Whose it is; nobody else is answered with it.
    pub user_id: Uuid,
    /// How that task ended; null while it lives, and equal calls join it. Only `succeeded` answers.
    #[schema(value_type = Option<String>, example = "succeeded")]
    pub state: Option<State>,
    /// Seconds it answers after the latest call, or after its end if that came later.
    pub ttl: f64,
    /// When a call was answered last, or made the task.
    #[schema(value_type = String, format = DateTime)]
    pub refreshed_at: Timestamp,
    /// When it answers no longer; null while the task lives.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
}

/// A page of the cache.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
pub struct CachePage {
    /// The calls.
    pub items: Vec<CacheEntry>,
    /// Sent as `cursor`, gives the next page; null on the last.
    pub next_cursor: Option<String>,
    /// Calls that match.
    pub total: u64,
    /// How this server has answered since it started, everybody's calls.
    pub requests: CacheRequests,
}

/// How calls with a `cache_ttl` were answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, Serialize, ToSchema)]
pub struct CacheRequests {
    /// With a result that was there.
    pub hit: u64,
    /// With a task that worked on the same call already.
    pub joined: u64,
    /// With a new task.
    pub miss: u64,
    /// Hits and joined calls among all, 0 to 1; 0 if there were none.
    pub hit_rate: f64,
}

impl CacheRequests {
    /// The counts with their rate.
    pub fn new(hit: u64, joined: u64, miss: u64) -> Self {
        let all = hit + joined + miss;
        let hit_rate = if all == 0 { 0.0 } else { (hit + joined) as f64 / all as f64 };
        Self { hit, joined, miss, hit_rate }
    }
}

/// What a purge has forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct CachePurged {
    /// Calls; the next of each makes a task.
    pub purged: u64,
}
