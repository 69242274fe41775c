//! A bounded buffer between those who must not wait and one task that may.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Many put without waiting, one takes in batches. What does not fit is left out.
pub(crate) struct Buffer<T> {
    items: Mutex<VecDeque<T>>,
    limit: usize,
    filled: Notify,
}

impl<T> Buffer<T> {
    /// A buffer of at most `limit` items.
    pub(crate) fn new(limit: usize) -> Self {
        Self { items: Mutex::default(), limit, filled: Notify::new() }
    }

    /// Puts as many as fit, in order; how many were left out.
    pub(crate) fn put(&self, items: impl ExactSizeIterator<Item = T>) -> usize {
        let offered = items.len();
        let mut held = self.lock();
        let fits = self.limit.saturating_sub(held.len()).min(offered);
        held.extend(items.take(fits));
        drop(held);
        self.filled.notify_one();
        offered - fits
    }

    /// Waits until there is something; then takes up to `most`, in order.
    pub(crate) async fn next(&self, most: usize) -> Vec<T> {
        loop {
            let batch = self.take(most);
            if !batch.is_empty() {
                return batch;
            }
            self.filled.notified().await;
        }
    }

    /// Takes up to `most` of what there is, in order.
    pub(crate) fn take(&self, most: usize) -> Vec<T> {
        let mut held = self.lock();
        let count = held.len().min(most);
        held.drain(..count).collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<T>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn keeps_order_takes_batches_and_leaves_out_what_does_not_fit() {
        let buffer = Buffer::new(3);
        assert_eq!(buffer.put([1, 2].into_iter()), 0);
        assert_eq!(buffer.put([3, 4, 5].into_iter()), 2);
        assert_eq!(buffer.next(2).await, [1, 2]);
        assert_eq!(buffer.next(2).await, [3]);
    }

    #[tokio::test(start_paused = true)]
    async fn waits_while_empty() {
        let buffer = std::sync::Arc::new(Buffer::new(3));
        let taker = tokio::spawn({
            let buffer = std::sync::Arc::clone(&buffer);
            async move { buffer.next(2).await }
        });
        tokio::task::yield_now().await;
        assert!(!taker.is_finished());
        buffer.put([7].into_iter());
        assert_eq!(taker.await.unwrap(), [7]);
    }
}
