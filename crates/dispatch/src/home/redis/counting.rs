//! Counters that all processes on one Redis share.

use std::time::Duration;

use async_trait::async_trait;

use super::RedisHome;
use crate::counters::Counters;

#[async_trait]
impl Counters for RedisHome {
    async fn count(&self, key: &str, window: Duration) -> Option<u64> {
        let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX).clamp(1, WINDOW_MS_AT_MOST);
        let mut call = self.shared.scripts.count.key(self.shared.keys.counter(key));
        call.arg(window_ms);
        self.shared.run(|mut connection| async move { call.invoke_async(&mut connection).await }).await
    }

    async fn count_get(&self, key: &str) -> Option<(u64, Duration)> {
        let key = self.shared.keys.counter(key);
        let mut pipeline = redis::pipe();
        pipeline.cmd("GET").arg(&key).cmd("PTTL").arg(&key);
        let answer =
            self.shared.run(|mut connection| async move { pipeline.query_async(&mut connection).await });
        let (count, left_ms): (Option<u64>, i64) = answer.await?;
        // Without a counter the time left is negative.
        Some((count.unwrap_or_default(), Duration::from_millis(u64::try_from(left_ms).unwrap_or_default())))
    }

    async fn count_reset(&self, key: &str) {
        let mut delete = redis::cmd("DEL");
        delete.arg(self.shared.keys.counter(key));
        self.shared.run(|mut connection| async move { delete.exec_async(&mut connection).await }).await;
    }
}

/// A year, in ms.
const WINDOW_MS_AT_MOST: u64 = 365 * 24 * 3_600 * 1_000;
