//! Engine, loops, worker and API in this process, put together as `taskloom dev` does.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use taskloom_engine::{Caller, Engine, TaskFilter};
use taskloom_model::Role;
use taskloom_protocol::{Counts, SubmitTask, WorkerError};
use taskloom_server::{DrainReport, ServerConfig};
use taskloom_store::NewUser;
use taskloom_worker::Worker;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::BenchError;
use crate::error::expect;
use crate::probe::{NOOP, Probe, Probed};
use crate::site::Site;

/// The first user's name; `taskloom dev` gives it the same.
pub(crate) const ADMIN: &str = "admin";
/// The first user's password. The data is private and short-lived.
pub(crate) const PASSWORD: &str = "bench-password";
/// Tasks queued at once where nothing is measured but the fill itself.
const FILL: u32 = 10_000;
/// Calls that run at the end may take so long.
const HTTP_DRAIN: Duration = Duration::from_secs(5);

/// The parts that run.
pub(crate) struct Stack {
    pub(crate) engine: Engine,
    pub(crate) probe: Arc<Probe>,
    pub(crate) caller: Caller,
    loops: TaskTracker,
    ending: CancellationToken,
    drain: CancellationToken,
    worker: Option<JoinHandle<Result<(), WorkerError>>>,
    http: Option<JoinHandle<DrainReport>>,
    site: Option<Site>,
}

impl Stack {
    /// Engine and loops at a fresh site, with its first user; neither worker nor API yet.
    pub(crate) async fn open(site: Site) -> Result<Self, BenchError> {
        let data = site.dir.clone();
        Self::open_at(site, &data).await
    }

    /// The same with its data in this directory.
    pub(crate) async fn open_at(site: Site, data: &Path) -> Result<Self, BenchError> {
        let engine = site.engine(data).await?;
        let caller = Caller { user_id: create_admin(&engine).await?, all: true };
        let ending = CancellationToken::new();
        let loops = engine.start(&ending);
        let (drain, probe) = (CancellationToken::new(), Probe::new());
        Ok(Self { engine, probe, caller, loops, ending, drain, worker: None, http: None, site: Some(site) })
    }

    /// Lets a server do now what it would do after much was written.
    pub(crate) async fn settle(&self) -> Result<(), BenchError> {
        match &self.site {
            Some(site) => site.settle().await,
            None => Ok(()),
        }
    }

    /// The private database's URL for another process.
    pub(crate) fn database_url(&self) -> Option<String> {
        self.site.as_ref()?.database_url()
    }

    /// What the keys in Redis begin with.
    pub(crate) fn prefix(&self) -> Option<&str> {
        self.site.as_ref().map(|site| site.prefix.as_str())
    }

    /// Starts the worker.
    pub(crate) fn work(&mut self, concurrency: u32) {
        let api = Probed { engine: self.engine.clone(), probe: Arc::clone(&self.probe) };
        let worker = Worker::builder(Arc::new(api), self.probe.registry())
            .concurrency(concurrency as usize)
            .drain_limit(Duration::from_secs(5))
            .build();
        if self.engine.store().is_exclusive() {
            self.engine.embed(worker.session());
        }
        self.worker = Some(tokio::spawn(worker.run(self.drain.clone())));
    }

    /// Starts the API on a free port.
    pub(crate) async fn serve(&mut self) -> Result<SocketAddr, BenchError> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = taskloom_server::router(self.engine.clone(), ServerConfig::default());
        let serving = taskloom_server::serve(listener, router, self.ending.clone(), HTTP_DRAIN);
        self.http = Some(tokio::spawn(serving));
        Ok(address)
    }

    /// Queues tasks that do nothing, and gives the first and the last id.
    pub(crate) async fn fill(&self, tasks: u32) -> Result<(Uuid, Uuid), BenchError> {
        let mut ends = None;
        let mut left = tasks;
        while left > 0 {
            let now = left.min(FILL);
            let made = self.engine.submit_batch(&self.caller, noops(now), None).await?;
            let batch = made.first().zip(made.last()).map(|(first, last)| (first.id, last.id));
            ends = batch.map(|(first, last)| (ends.map_or(first, |(first, _)| first), last));
            left -= now;
        }
        ends.ok_or_else(|| BenchError::Answer("an empty batch".into()))
    }

    /// Checks that there are so many tasks and that all have succeeded.
    pub(crate) async fn expect_succeeded(&self, tasks: u32) -> Result<(), BenchError> {
        expect_succeeded(self.engine.count(&self.caller, TaskFilter::default()).await?, tasks)
    }

    /// Ends everything in order and removes the site's database.
    pub(crate) async fn stop(self) -> Result<(), BenchError> {
        self.leave().await?.remove().await
    }

    /// Ends everything in order; the store is closed when this returns, and its data stays.
    pub(crate) async fn leave(mut self) -> Result<Site, BenchError> {
        self.drain.cancel();
        if let Some(worker) = self.worker.take() {
            worker.await.map_err(|_| BenchError::Stuck("the worker"))??;
        }
        self.ending.cancel();
        if let Some(http) = self.http.take() {
            http.await.map_err(|_| BenchError::Stuck("the API"))?;
        }
        self.loops.wait().await;
        self.site.take().ok_or(BenchError::Stuck("the site"))
    }
}

impl Drop for Stack {
    /// A run that failed half-way leaves nothing running.
    fn drop(&mut self) {
        self.drain.cancel();
        self.ending.cancel();
    }
}

/// Checks that these are so many tasks and that all have succeeded.
pub(crate) fn expect_succeeded(counts: Counts, tasks: u32) -> Result<(), BenchError> {
    expect("tasks", u64::from(tasks), counts.total)?;
    expect("succeeded tasks", u64::from(tasks), counts.succeeded)
}

/// A task that does nothing, with a payload as small as a peer's.
pub(crate) fn noop(number: u32) -> SubmitTask {
    let args = serde_json::value::to_raw_value(&[number]).ok();
    SubmitTask { task: NOOP.into(), args, ..SubmitTask::default() }
}

/// So many of them.
pub(crate) fn noops(tasks: u32) -> Vec<SubmitTask> {
    (0..tasks).map(noop).collect()
}

pub(crate) async fn create_admin(engine: &Engine) -> Result<Uuid, BenchError> {
    let password_hash =
        taskloom_server::hash_password(PASSWORD).map_err(|error| BenchError::Server(error.to_string()))?;
    let user = NewUser {
        id: Uuid::now_v7(),
        username: ADMIN.into(),
        email: None,
        password_hash,
        role: Role::Admin,
        created_at: engine.clock().now(),
    };
    let id = user.id;
    engine.store().user_create(user).await?;
    Ok(id)
}
