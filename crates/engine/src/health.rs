//! Whether everything works.

use std::time::{Duration, Instant};

use taskloom_store::QueueDepth;

use crate::Engine;

/// One part's state.
#[derive(Debug, Clone)]
pub struct Check {
    /// Whether it works.
    pub ok: bool,
    /// How long it took to answer.
    pub latency: Duration,
    /// What is wrong, in words fit for clients.
    pub detail: Option<String>,
}

/// The whole's state.
#[derive(Debug, Clone)]
pub struct Health {
    /// Whether the database takes a write and a read.
    pub database: Check,
    /// What hands out the work beside the database, where something does. Without it everything goes on, slower.
    pub dispatch: Option<Check>,
    /// How many tasks stand where, and whether that could be counted.
    pub queue: Check,
    /// The counts.
    pub depth: QueueDepth,
    /// Whether the workers could be listed.
    pub workers: Check,
    /// Live workers.
    pub alive_workers: u32,
}

impl Engine {
    /// Whether the database takes a write and a read.
    pub async fn is_ready(&self) -> bool {
        timed(self.inner.store.ping()).await.0.ok
    }

    /// Looks at every part, at all at once: a database that is silent is told of before those who ask give up.
    pub async fn health(&self) -> Health {
        let ((database, _), (queue, depth), (workers, list)) = tokio::join!(
            timed(self.inner.store.ping()),
            timed(self.inner.store.task_depth()),
            timed(self.inner.store.worker_list(self.inner.config.lease, self.now())),
        );
        let alive = list.unwrap_or_default().iter().filter(|worker| worker.alive).count();
        let dispatch = self.dispatch_check();
        Health {
            database,
            dispatch,
            queue,
            depth: depth.unwrap_or_default(),
            workers,
            alive_workers: alive as u32,
        }
    }
}

impl Engine {
    /// Whether what hands out the work does so.
    pub fn dispatch_is_ok(&self) -> bool {
        self.inner.dispatcher.status().ok
    }

    fn dispatch_check(&self) -> Option<Check> {
        let status = self.inner.dispatcher.status();
        let latency = status.latency.unwrap_or_default();
        (status.home != "store").then_some(Check { ok: status.ok, latency, detail: status.detail })
    }
}

async fn timed<T>(call: impl Future<Output = taskloom_store::Result<T>>) -> (Check, Option<T>) {
    let start = Instant::now();
    let result = tokio::time::timeout(Duration::from_secs(5), call).await;
    let latency = start.elapsed();
    match result {
        Ok(Ok(value)) => (Check { ok: true, latency, detail: None }, Some(value)),
        Ok(Err(error)) => {
            tracing::warn!(%error, "a health check failed");
            (Check { ok: false, latency, detail: Some("does not answer as it should".into()) }, None)
        }
        Err(_) => (Check { ok: false, latency, detail: Some("did not answer within 5 s".into()) }, None),
    }
}
