//! Copies that all processes on one Redis share.

use std::time::Duration;

use async_trait::async_trait;

use super::RedisHome;
use crate::shelf::Shelf;

/// A day, in ms: whatever is asked for.
const TTL_MS_AT_MOST: u64 = 24 * 3_600 * 1_000;

#[async_trait]
impl Shelf for RedisHome {
    async fn shelf_get(&self, key: &str) -> Option<Vec<u8>> {
        let mut get = redis::cmd("GET");
        get.arg(self.shared.keys.shelf(key));
        let found = self.shared.run(|mut connection| async move { get.query_async(&mut connection).await });
        found.await.flatten()
    }

    async fn shelf_put(&self, key: &str, bytes: Vec<u8>, ttl: Duration) {
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).clamp(1, TTL_MS_AT_MOST);
        let mut set = redis::cmd("SET");
        set.arg(self.shared.keys.shelf(key)).arg(bytes).arg("PX").arg(ttl_ms);
        self.shared.run(|mut connection| async move { set.exec_async(&mut connection).await }).await;
    }

    fn is_shelf(&self) -> bool {
        true
    }
}
