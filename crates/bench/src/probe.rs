//! Sees what the worker does, without traffic of its own.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use taskloom_engine::Engine;
use taskloom_protocol::{
    Artifact, ArtifactPut, Beat, BeatAnswer, ClaimRequest, Claimed, DrainAnswer, DrainRequest, FinishAnswer,
    FinishRequest, Register, Registered, Spawn, Task, WorkerApi, WorkerError,
};
use taskloom_worker::{Context, HandlerError, Registry};
use tokio::sync::Notify;

use crate::BenchError;

/// The handler that does nothing; `taskloom dev` has one of the same name.
pub(crate) const NOOP: &str = "demo.noop";
/// Nothing moved for so long: it never will.
const STUCK: Duration = Duration::from_secs(30);

/// Start and end of work, in nanoseconds since the probe was made.
pub(crate) struct Probe {
    base: Instant,
    first_start: AtomicU64,
    last_start: AtomicU64,
    acknowledged: AtomicU64,
    last_acknowledged: AtomicU64,
    moved: Notify,
}

impl Probe {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            base: Instant::now(),
            first_start: AtomicU64::new(u64::MAX),
            last_start: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            last_acknowledged: AtomicU64::new(0),
            moved: Notify::new(),
        })
    }

    /// Nanoseconds since the probe was made.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.base.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// When the first handler began.
    pub(crate) fn first_start(&self) -> u64 {
        self.first_start.load(Ordering::Acquire)
    }

    /// When the latest handler began.
    pub(crate) fn last_start(&self) -> u64 {
        self.last_start.load(Ordering::Acquire)
    }

    /// When the store acknowledged the latest finish.
    pub(crate) fn last_acknowledged(&self) -> u64 {
        self.last_acknowledged.load(Ordering::Acquire)
    }

    /// Finishes that the store has acknowledged.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Acquire)
    }

    /// Waits until the store has acknowledged so many finishes.
    pub(crate) async fn wait_for(&self, finishes: u64) -> Result<(), BenchError> {
        while self.acknowledged() < finishes {
            let moved = tokio::time::timeout(STUCK, self.moved.notified()).await;
            moved.map_err(|_| BenchError::Stuck("the drain"))?;
        }
        Ok(())
    }

    /// The registry with the one handler.
    pub(crate) fn registry(self: &Arc<Self>) -> Registry {
        let probe = Arc::clone(self);
        Registry::new().with(NOOP, move |_: Context| {
            let now = probe.now();
            probe.first_start.fetch_min(now, Ordering::AcqRel);
            probe.last_start.store(now, Ordering::Release);
            async { Ok::<_, HandlerError>(()) }
        })
    }

    fn finished(&self, tasks: usize) {
        self.last_acknowledged.store(self.now(), Ordering::Release);
        self.acknowledged.fetch_add(tasks as u64, Ordering::AcqRel);
        self.moved.notify_one();
    }
}

/// The engine as the worker sees it, with the probe on the finishes.
pub(crate) struct Probed {
    pub(crate) engine: Engine,
    pub(crate) probe: Arc<Probe>,
}

#[async_trait]
impl WorkerApi for Probed {
    async fn register(&self, hello: Register) -> Result<Registered, WorkerError> {
        self.engine.register(hello).await
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Vec<Claimed>, WorkerError> {
        self.engine.claim(request).await
    }

    async fn beat(&self, beat: Beat) -> Result<BeatAnswer, WorkerError> {
        self.engine.beat(beat).await
    }

    async fn finish(&self, request: FinishRequest) -> Result<FinishAnswer, WorkerError> {
        let tasks = request.tasks.len();
        let answer = self.engine.finish(request).await?;
        self.probe.finished(tasks.saturating_sub(answer.lost.len()));
        Ok(answer)
    }

    async fn drain(&self, request: DrainRequest) -> Result<DrainAnswer, WorkerError> {
        self.engine.drain(request).await
    }

    async fn spawn(&self, spawn: Spawn) -> Result<Vec<Task>, WorkerError> {
        self.engine.spawn(spawn).await
    }

    async fn put_artifact(&self, put: ArtifactPut, file: &Path) -> Result<Artifact, WorkerError> {
        self.engine.put_artifact(put, file).await
    }
}
