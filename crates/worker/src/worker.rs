//! A worker from its configuration to its last call.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use taskloom_model::BUILT_IN_QUEUES;
use taskloom_protocol::{PROTOCOL_VERSION, Register, WorkerApi};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::Registry;

/// A worker: claims tasks for its free slots and runs their handlers.
pub struct Worker {
    pub(crate) api: Arc<dyn WorkerApi>,
    pub(crate) beat_api: Arc<dyn WorkerApi>,
    pub(crate) registry: Registry,
    pub(crate) hello: Register,
    pub(crate) work_dir: PathBuf,
    pub(crate) drain_limit: Duration,
    pub(crate) kill: CancellationToken,
}

impl Worker {
    /// A worker that speaks to `api` and knows the handlers of `registry`.
    pub fn builder(api: Arc<dyn WorkerApi>, registry: Registry) -> WorkerBuilder {
        WorkerBuilder {
            beat_api: None,
            name: String::new(),
            queues: Vec::new(),
            concurrency: std::thread::available_parallelism().map_or(4, |cores| cores.get() * 4),
            work_dir: std::env::temp_dir().join("taskloom-worker"),
            drain_limit: Duration::from_secs(30),
            kill: CancellationToken::new(),
            api,
            registry,
        }
    }

    /// The session that this worker will register: a fresh UUID for each worker built.
    pub fn session(&self) -> Uuid {
        self.hello.session
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("hello", &self.hello)
            .field("handlers", &self.registry)
            .finish_non_exhaustive()
    }
}

/// Settings of a [`Worker`].
#[must_use]
pub struct WorkerBuilder {
    api: Arc<dyn WorkerApi>,
    beat_api: Option<Arc<dyn WorkerApi>>,
    registry: Registry,
    name: String,
    queues: Vec<String>,
    concurrency: usize,
    work_dir: PathBuf,
    drain_limit: Duration,
    kill: CancellationToken,
}

impl WorkerBuilder {
    /// The api for the heartbeat's own runtime; the worker's api if left out. A client that is bound to the runtime it
    /// is used on, as HTTP clients are, needs a second one here.
    pub fn beat_api(mut self, api: Arc<dyn WorkerApi>) -> Self {
        self.beat_api = Some(api);
        self
    }

    /// A name for people, up to 200 characters; `host:pid` if left out or empty.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The queues it serves, in order, up to 100; the built-in ones if left out or empty.
    pub fn queues<Q: Into<String>>(mut self, queues: impl IntoIterator<Item = Q>) -> Self {
        self.queues = queues.into_iter().map(Into::into).collect();
        self
    }

    /// How many tasks it runs at once, held within 1 to 100,000; four for each core if left out.
    pub fn concurrency(mut self, tasks: usize) -> Self {
        self.concurrency = tasks;
        self
    }

    /// Where attempts have their directories; below the system's temporary directory if left out.
    pub fn work_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.work_dir = dir.into();
        self
    }

    /// How long running handlers may go on after the shutdown began; 30 s if left out.
    pub fn drain_limit(mut self, limit: Duration) -> Self {
        self.drain_limit = limit;
        self
    }

    /// A token that ends the wait of a drain: handlers are aborted and their tasks given back at once.
    pub fn kill(mut self, kill: CancellationToken) -> Self {
        self.kill = kill;
        self
    }

    /// The worker, not running yet.
    pub fn build(self) -> Worker {
        let concurrency = u32::try_from(self.concurrency.clamp(1, 100_000)).unwrap_or(100_000);
        let hello = Register {
            protocol: PROTOCOL_VERSION,
            session: Uuid::now_v7(),
            name: if self.name.is_empty() { default_name() } else { self.name.chars().take(200).collect() },
            queues: if self.queues.is_empty() { built_in_queues() } else { self.queues },
            handlers: self.registry.names().map(str::to_owned).collect(),
            concurrency,
            version: concat!("taskloom/", env!("CARGO_PKG_VERSION")).to_owned(),
            defaults: Some(self.registry.defaults().clone()),
        };
        Worker {
            beat_api: self.beat_api.unwrap_or_else(|| Arc::clone(&self.api)),
            api: self.api,
            registry: self.registry,
            hello,
            work_dir: self.work_dir,
            drain_limit: self.drain_limit,
            kill: self.kill,
        }
    }
}

impl fmt::Debug for WorkerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerBuilder")
            .field("name", &self.name)
            .field("queues", &self.queues)
            .finish_non_exhaustive()
    }
}

fn built_in_queues() -> Vec<String> {
    BUILT_IN_QUEUES.map(str::to_owned).to_vec()
}

fn default_name() -> String {
    format!("{}:{}", host_name(), std::process::id())
}

fn host_name() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = kernel.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "worker".to_owned() } else { name.chars().take(150).collect() }
}
