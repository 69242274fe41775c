//! Counters that several processes share, for limits that hold across servers.

use std::time::Duration;

use async_trait::async_trait;

use crate::fanout::Alone;

/// Counts within a window of time, across processes.
///
/// Every answer is `None` when the counters cannot be reached: the caller then counts in its own process.
#[async_trait]
pub trait Counters: Send + Sync + 'static {
    /// Adds one; the count in the window that began with the first. `window`: at least 1 ms.
    async fn count(&self, key: &str, window: Duration) -> Option<u64>;

    /// The count and how long its window still lasts; zeros if nothing was counted.
    async fn count_get(&self, key: &str) -> Option<(u64, Duration)>;

    /// Forgets the count. Losing this is harmless: the window ends by itself.
    async fn count_reset(&self, key: &str);
}

#[async_trait]
impl Counters for Alone {
    async fn count(&self, _key: &str, _window: Duration) -> Option<u64> {
        None
    }

    async fn count_get(&self, _key: &str) -> Option<(u64, Duration)> {
        None
    }

    async fn count_reset(&self, _key: &str) {}
}
