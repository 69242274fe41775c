//! Copies of answers that several processes share.

use std::time::Duration;

use async_trait::async_trait;

use crate::fanout::Alone;

/// Keeps bytes for a while where all processes find them.
///
/// It decides nothing: whoever asks knows from the database that what the key names never changes and still holds.
#[async_trait]
pub trait Shelf: Send + Sync + 'static {
    /// What stands there; nothing as well if the shelf cannot be reached.
    async fn shelf_get(&self, key: &str) -> Option<Vec<u8>>;

    /// Puts it there for `ttl`, at least 1 ms. Losing it is harmless.
    async fn shelf_put(&self, key: &str, bytes: Vec<u8>, ttl: Duration);

    /// Whether putting anything there is of use.
    fn is_shelf(&self) -> bool;
}

#[async_trait]
impl Shelf for Alone {
    async fn shelf_get(&self, _key: &str) -> Option<Vec<u8>> {
        None
    }

    async fn shelf_put(&self, _key: &str, _bytes: Vec<u8>, _ttl: Duration) {}

    fn is_shelf(&self) -> bool {
        false
    }
}
