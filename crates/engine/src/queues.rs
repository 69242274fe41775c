//! Queues and limits, for those who run the installation.

use std::time::Duration;

use taskloom_model::Timestamp;
use taskloom_protocol::{FieldError, LimitInfo, QueueLimits, QueueStats, RateLimit, check_queue_name};
use taskloom_store::{GateInfo, QueueInfo};

use crate::{Engine, EngineError};

impl Engine {
    /// Every queue that is built in, served, paused, limited, or holds something; by name.
    pub async fn queues(&self) -> Result<Vec<QueueStats>, EngineError> {
        let all = self.inner.store.queue_list().await?.into_iter();
        // The engine serves some itself; they are nobody's to steer.
        Ok(all.filter(|queue| check_queue_name(&queue.name).is_ok()).map(stats).collect())
    }

    /// One queue; one that nobody has used is empty.
    pub async fn queue(&self, name: &str) -> Result<QueueStats, EngineError> {
        check_name(name)?;
        Ok(stats(self.inner.store.queue_get(name.to_owned()).await?))
    }

    /// Pauses a queue: nothing of it starts; what runs goes on.
    pub async fn pause_queue(&self, name: &str) -> Result<QueueStats, EngineError> {
        check_name(name)?;
        self.inner.store.queue_pause(name.to_owned(), true, self.now()).await?;
        tracing::info!(queue = name, "paused");
        self.queue(name).await
    }

    /// Lets a paused queue go on.
    pub async fn resume_queue(&self, name: &str) -> Result<QueueStats, EngineError> {
        check_name(name)?;
        self.inner.store.queue_pause(name.to_owned(), false, self.now()).await?;
        tracing::info!(queue = name, "resumed");
        self.open_queue(name);
        self.queue(name).await
    }

    /// Sets a queue's limits; a limit left out is none.
    pub async fn limit_queue(&self, name: &str, limits: QueueLimits) -> Result<QueueStats, EngineError> {
        check_name(name)?;
        let errors = limits.check();
        if !errors.is_empty() {
            return Err(EngineError::Fields(errors));
        }
        let rate = limits.rate_limit.map(|rate| (rate.count, micros(rate.seconds)));
        let set = taskloom_store::QueueLimits { max_running: limits.max_running, rate };
        self.inner.store.queue_limit(name.to_owned(), set, self.now()).await?;
        self.open_queue(name);
        self.queue(name).await
    }

    /// Up to `limit` limits that tasks named, behind this name.
    pub async fn limits(&self, after: Option<String>, limit: u32) -> Result<Vec<LimitInfo>, EngineError> {
        Ok(self.inner.store.gate_list(after, limit).await?.into_iter().map(limit_info).collect())
    }

    /// Wakes everybody who waits for this queue, now, and once more when every process has heard what has changed.
    fn open_queue(&self, queue: &str) {
        self.ring_everywhere(queue, usize::MAX);
        let (engine, queue) = (self.clone(), queue.to_owned());
        tokio::spawn(async move {
            tokio::time::sleep(HEARD).await;
            engine.ring_everywhere(&queue, usize::MAX);
        });
    }

    /// Wakes up to `count` of those who wait for this queue here, and some in other processes.
    pub(crate) fn ring_everywhere(&self, queue: &str, count: usize) {
        let ready = taskloom_dispatch::Ready {
            queue: queue.into(),
            priority: taskloom_model::Priority::Normal,
            // No task: whoever takes the hint finds nothing by it, and looks for itself.
            id: taskloom_model::TaskId::nil(),
        };
        self.inner.dispatcher.announce(&[ready]);
        self.inner.dispatcher.ring(queue, count, true);
    }
}

/// By then every process has looked again which queues are paused or limited.
const HEARD: Duration = Duration::from_millis(1_100);

/// A limit's time in microseconds.
pub(crate) fn micros(seconds: f64) -> u64 {
    (seconds * 1_000_000.0).ceil() as u64
}

fn rate_limit(count: u32, per_us: u64) -> RateLimit {
    RateLimit { count, seconds: Duration::from_micros(per_us).as_secs_f64() }
}

fn stats(info: QueueInfo) -> QueueStats {
    let QueueInfo { name, ready, running, oldest, paused_at, limits } = info;
    QueueStats {
        name,
        ready,
        running,
        oldest_at: oldest,
        paused: paused_at.is_some(),
        paused_at,
        limits: QueueLimits {
            max_running: limits.max_running,
            rate_limit: limits.rate.map(|(count, per_us)| rate_limit(count, per_us)),
        },
    }
}

pub(crate) fn limit_info(gate: GateInfo) -> LimitInfo {
    let GateInfo { limit, key, most, per_us, held, waiting, wake_at } = gate;
    let is_rate = per_us > 0;
    LimitInfo {
        kind: limit,
        key,
        concurrency_limit: (!is_rate).then_some(most),
        rate_limit: is_rate.then(|| rate_limit(most, per_us)),
        held,
        waiting,
        next_at: wake_at.filter(|at| *at > Timestamp::MIN),
    }
}

fn check_name(name: &str) -> Result<(), EngineError> {
    match check_queue_name(name) {
        Ok(()) => Ok(()),
        Err(rule) => {
            let mut error = FieldError::body("name", "bad_character", rule);
            error.loc = vec!["path".into(), "name".into()];
            Err(EngineError::Fields(vec![error]))
        }
    }
}
