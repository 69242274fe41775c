//! A worker: beside the database, or with nothing but a server's URL and a token.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use taskloom_engine::Engine;
use taskloom_store::StoreOptions;
use taskloom_worker::{HttpWorkerApi, Registry, Worker, WorkerApi, WorkerBuilder, WorkerError};
use tokio::runtime::Handle;

use super::backend::{Backend, Loops};
use super::running::{self, Running};
use super::stop::{Goal, Stop};
use super::{Launch, settings};
use crate::config::{Config, Secret};
use crate::error::{CliError, CliResult, Exit};

/// What a worker is, wherever its tasks come from.
pub(crate) struct Setup {
    handlers: Registry,
    queues: Vec<String>,
    concurrency: usize,
    drain_limit: Duration,
    name: Option<String>,
    work_dir: Option<PathBuf>,
}

impl Setup {
    /// As configured. `data` is where handlers may keep what helps later tasks.
    pub(crate) fn new(config: &Config, data: Option<&Path>) -> Result<Self, CliError> {
        let cache = data.map(|dir| dir.join("collect-cache"));
        let worker = &config.worker;
        Ok(Self {
            handlers: taskloom_tasks::registry(&settings::tasks(config, cache.as_deref())?),
            queues: worker.queues.clone(),
            concurrency: settings::concurrency(worker.concurrency),
            drain_limit: Duration::from_secs(worker.drain_seconds),
            name: None,
            work_dir: None,
        })
    }

    /// Its name for people.
    pub(crate) fn name(self, name: Option<String>) -> Self {
        Self { name, ..self }
    }

    /// Where running tasks keep their files.
    pub(crate) fn work_dir(self, work_dir: Option<PathBuf>) -> Self {
        Self { work_dir, ..self }
    }

    /// The worker, with its tasks from the engine of this process.
    pub(super) fn beside(self, engine: &Engine, stop: &Stop) -> Worker {
        self.builder(Arc::new(engine.clone()), stop).build()
    }

    fn builder(self, api: Arc<dyn WorkerApi>, stop: &Stop) -> WorkerBuilder {
        let mut builder = Worker::builder(api, self.handlers)
            .queues(self.queues)
            .concurrency(self.concurrency)
            .drain_limit(self.drain_limit)
            .kill(stop.kill.clone());
        if let Some(name) = self.name {
            builder = builder.name(name);
        }
        if let Some(dir) = self.work_dir {
            builder = builder.work_dir(dir);
        }
        builder
    }
}

/// Works beside the database until a signal. `threads` are the handlers': one that blocks them does not block the
/// store.
pub(crate) async fn beside_database(
    launch: Launch<'_>,
    database: StoreOptions,
    setup: Setup,
    threads: &Handle,
) -> CliResult {
    let Launch { config, dir, out, .. } = launch;
    running::run(Goal::Tasks, out, async |stop| {
        let mut backend = Backend::open(&config, &database, &dir).await?;
        backend.start(Loops::Own);
        let worker = setup.beside(&backend.engine, stop);
        let worker = threads.spawn(worker.run(stop.drain.clone()));
        out.note(format!("working on {database}; Ctrl-C stops"));
        Ok(Running { worker: Some(worker), ..Running::of(backend) })
    })
    .await
}

/// Works for a server until a signal.
pub(crate) async fn over_http(launch: Launch<'_>, server: &str, token: &Secret, setup: Setup) -> CliResult {
    let out = launch.out;
    let connect = || HttpWorkerApi::new(server, token.expose()).map_err(|e| refused(server, &e));
    let stop = Stop::on_signals(Goal::Tasks, out)?;
    // Heartbeats leave from a runtime of their own, and a client belongs to one.
    let worker = setup.builder(Arc::new(connect()?), &stop).beat_api(Arc::new(connect()?)).build();
    out.note(format!("working for {server}; Ctrl-C stops"));
    worker.run(stop.drain).await.map_err(|e| refused(server, &e))?;
    Ok(Exit::Ok)
}

fn refused(server: &str, error: &WorkerError) -> CliError {
    CliError::new(Exit::NoAccess, format!("{server} does not take this worker: {error}"))
        .hint("its token must be an API key of scope worker: taskloom api-key create worker-1 --scope worker")
}
