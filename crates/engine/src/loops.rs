//! The background loops. Each pass is idempotent, so any number of processes may run them.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use taskloom_model::Timestamp;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::{Engine, EngineError};

/// How long it sleeps at least.
const LEAST: Duration = Duration::from_millis(1);
/// Tasks one pass moves at most, so that it never holds the writer for long.
pub(crate) const PASS: u32 = 500;
/// Gates that one pass opens at most.
const GATES: u32 = 100;
/// How often it looks for workflows whose cancel was left half done.
const LOOK_FOR_CANCELS: Duration = Duration::from_secs(5);
/// How long a loop may sleep although nothing is known to be due.
const IDLE: Duration = Duration::from_secs(1);

impl Engine {
    /// Starts all loops; they end when `shutdown` fires.
    pub fn start(&self, shutdown: &CancellationToken) -> TaskTracker {
        let tracker = self.attend(shutdown);
        tracker.spawn(run("promote", self.clone(), shutdown.clone(), Engine::promote_pass));
        tracker.spawn(run("admit", self.clone(), shutdown.clone(), Engine::admit_pass));
        tracker.spawn(run("expire", self.clone(), shutdown.clone(), Engine::expire_pass));
        tracker.spawn(run("fire", self.clone(), shutdown.clone(), Engine::fire_pass));
        tracker.spawn(run("prune", self.clone(), shutdown.clone(), Engine::prune_pass));
        tracker.spawn(run("cancel", self.clone(), shutdown.clone(), Engine::cancel_pass));
        tracker.spawn(self.clone().reap_loop(shutdown.clone()));
        tracker.spawn(self.clone().expand_loop(shutdown.clone()));
        tracker
    }

    /// Starts only the loops that wake this process's own claimers and watchers: for processes that leave the tasks of
    /// time to others.
    pub fn attend(&self, shutdown: &CancellationToken) -> TaskTracker {
        let tracker = TaskTracker::new();
        tracker.spawn(self.clone().hear_queues(shutdown.clone()));
        tracker.spawn(self.clone().hear_events(shutdown.clone()));
        tracker.spawn(self.clone().sweep(shutdown.clone()));
        tracker.spawn(self.clone().write_progress(shutdown.clone()));
        tracker.close();
        tracker
    }

    /// Takes over after a process that had this store to itself is gone: its own workers' tasks are free at once.
    /// Gives how many.
    pub async fn recover_embedded(&self) -> Result<usize, EngineError> {
        let steps = self.inner.store.task_reap_embedded(self.now(), rand::random).await?;
        self.announce(&steps);
        Ok(steps.len())
    }

    async fn reap_loop(self, shutdown: CancellationToken) {
        // A worker across the network could not renew its leases while this server was away: give it the chance.
        let lease = self.inner.config.lease;
        if shutdown.run_until_cancelled(tokio::time::sleep(lease)).await.is_some() {
            let pulse = Arc::new(Mutex::new(Pulse::new(self.now())));
            run("reap", self, shutdown, move |engine| engine.reap_pass(Arc::clone(&pulse))).await;
        }
    }

    /// T2 once: makes due tasks ready. Gives how many.
    pub async fn promote(&self) -> Result<usize, EngineError> {
        let steps = self.inner.store.task_promote(self.now(), PASS).await?;
        self.announce(&steps);
        Ok(steps.len())
    }

    /// T15 once: lets in tasks whose limit was a matter of time. Gives how many.
    pub async fn admit(&self) -> Result<usize, EngineError> {
        let steps = self.inner.store.task_admit(self.now(), GATES).await?;
        self.announce(&steps);
        Ok(steps.len())
    }

    /// T8 once: takes tasks from workers that are lost or over time. Gives how many.
    pub async fn reap(&self) -> Result<usize, EngineError> {
        self.reap_at(self.now()).await
    }

    async fn reap_at(&self, now: Timestamp) -> Result<usize, EngineError> {
        let grace = self.inner.config.cancel_grace;
        let steps = self.inner.store.task_reap(now, grace, PASS, rand::random).await?;
        for step in &steps {
            tracing::warn!(task = %step.id, state = %step.life.state(), "took a task from a lost worker");
        }
        self.announce(&steps);
        Ok(steps.len())
    }

    /// T6 once: revokes tasks that waited too long. Gives how many.
    pub async fn expire(&self) -> Result<usize, EngineError> {
        let steps = self.inner.store.task_expire(self.now(), PASS).await?;
        self.announce(&steps);
        Ok(steps.len())
    }

    async fn promote_pass(self) -> Result<Duration, EngineError> {
        if self.promote().await? >= PASS as usize {
            return Ok(Duration::ZERO);
        }
        let due = self.inner.store.task_next_due().await?;
        let sleep = due.map_or(IDLE, |due| due.since(self.now()).clamp(LEAST, IDLE));
        // A task scheduled meanwhile may be due sooner.
        let _ = tokio::time::timeout(sleep, self.inner.promote_bell.notified()).await;
        Ok(Duration::ZERO)
    }

    async fn admit_pass(self) -> Result<Duration, EngineError> {
        if self.admit().await? > 0 {
            return Ok(Duration::ZERO);
        }
        let due = self.inner.store.task_next_admission().await?;
        let sleep = due.map_or(IDLE, |due| due.since(self.now()).clamp(LEAST, IDLE));
        // A task that came to a gate meanwhile may be let in sooner.
        let _ = tokio::time::timeout(sleep, self.inner.gate_bell.notified()).await;
        Ok(Duration::ZERO)
    }

    async fn fire_pass(self) -> Result<Duration, EngineError> {
        self.fire().await?;
        let due = self.inner.store.schedule_next_due().await?;
        let sleep = due.map_or(IDLE, |due| due.since(self.now()).clamp(LEAST, IDLE));
        // A schedule made or changed meanwhile may be due sooner.
        let _ = tokio::time::timeout(sleep, self.inner.schedule_bell.notified()).await;
        Ok(Duration::ZERO)
    }

    async fn cancel_pass(self) -> Result<Duration, EngineError> {
        self.finish_cancels().await?;
        Ok(LOOK_FOR_CANCELS)
    }

    async fn expire_pass(self) -> Result<Duration, EngineError> {
        let full = self.expire().await? >= PASS as usize;
        Ok(if full { Duration::ZERO } else { IDLE })
    }

    async fn reap_pass(self, pulse: Arc<Mutex<Pulse>>) -> Result<Duration, EngineError> {
        let lease = self.inner.config.lease;
        // One look at the clock for both: it may be set in between.
        let mut now = self.now();
        let skipped = pulse.lock().unwrap_or_else(PoisonError::into_inner).has_skipped(now, lease / 2);
        // Also after the store was away: who could not renew a lease is not lost.
        if skipped || self.inner.store_failed.swap(false, Ordering::Relaxed) {
            tracing::warn!("the clock, this process or the store stood still: leases get another chance");
            // The time spent here is no skip.
            tokio::time::sleep(lease).await;
            now = self.now();
            *pulse.lock().unwrap_or_else(PoisonError::into_inner) = Pulse::new(now);
        }
        let full = self.reap_at(now).await? >= PASS as usize;
        Ok(if full { Duration::ZERO } else { (self.inner.config.lease / 10).min(IDLE) })
    }

    async fn prune_pass(self) -> Result<Duration, EngineError> {
        self.prune().await?;
        Ok(Duration::from_secs(600))
    }
}

/// Notices that time did not pass as it should: then leases ended that nobody could renew.
struct Pulse {
    wall: Timestamp,
    steady: Instant,
}

impl Pulse {
    fn new(now: Timestamp) -> Self {
        Self { wall: now, steady: Instant::now() }
    }

    /// Whether, since the last call, the clock went on by more than `most`. Passes are far shorter apart.
    fn has_skipped(&mut self, now: Timestamp, most: Duration) -> bool {
        let last = std::mem::replace(self, Self::new(now));
        now.since(last.wall) > most || last.steady.elapsed() > most
    }
}

/// Repeats a pass until shutdown; a failed one is logged and tried again later.
async fn run<F>(
    name: &'static str,
    engine: Engine,
    shutdown: CancellationToken,
    pass: impl Fn(Engine) -> F + Send,
) where
    F: Future<Output = Result<Duration, EngineError>>,
{
    let mut failures = 0u32;
    while !shutdown.is_cancelled() {
        let Some(result) = shutdown.run_until_cancelled(pass(engine.clone())).await else { return };
        let sleep = match result {
            Ok(sleep) => {
                failures = 0;
                sleep
            }
            Err(error) => {
                failures += 1;
                tracing::error!(name, failures, %error, "a background pass failed");
                Duration::from_secs(30)
                    .min(Duration::from_millis(100) * 2u32.pow(failures.min(10)))
                    .mul_f64(0.5 + rand::random::<f64>() / 2.0)
            }
        };
        if !sleep.is_zero() && shutdown.run_until_cancelled(tokio::time::sleep(sleep)).await.is_none() {
            return;
        }
    }
}
