//! Everything in one process: API, engine, loops and a worker over one data directory.

mod admin;
mod banner;
pub(crate) mod data_dir;
mod listen;
pub(crate) mod settings;
pub(crate) mod stop;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use taskloom_engine::{Engine, SystemClock};
use taskloom_store::Store;
use taskloom_worker::{Worker, WorkerError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Config, Environment, Secret};
use crate::credentials::private_file;
use crate::error::{CliError, CliResult, Exit};
use crate::output::Output;
use admin::FirstPassword;
use data_dir::DataDir;
use stop::Stop;

/// Calls that run when the worker has drained may take so long to end.
const HTTP_DRAIN: Duration = Duration::from_secs(5);
/// The same when the user is in a hurry.
const HTTP_HURRY: Duration = Duration::from_millis(200);

/// What has to be there before the runtime starts; a start that cannot succeed fails here.
pub(crate) struct Dev {
    config: Config,
    data: DataDir,
    secret_key: Secret,
    listener: TcpListener,
    address: SocketAddr,
    store: Store,
}

/// What scripts read from `server.json`.
#[derive(Serialize)]
struct ServerJson<'a> {
    url: &'a str,
    host: String,
    port: u16,
    pid: u32,
    version: &'static str,
}

impl Dev {
    /// Takes the data directory and the port, and opens the store.
    pub(crate) fn prepare(config: Config, dir: &Path) -> Result<Self, CliError> {
        let database = data_dir::database_path(&config, dir)?;
        let data = DataDir::take(dir, &database)?;
        let (listener, address) = listen::bind(&config.server.host, config.server.port)?;
        let secret_key = data.secret_key(&config.auth.secret_key)?;
        make_private(&database)?;
        let store = Store::open(&settings::store(&config, &database))
            .map_err(|e| CliError::failed(format!("cannot open the database {}: {e}", database.display())))?;
        Ok(Self { config, data, secret_key, listener, address, store })
    }

    /// Runs until a signal, then drains.
    pub(crate) async fn run(self, environment: &Environment, out: Output) -> CliResult {
        let stop = Stop::on_signals(out)?;
        let first_password = admin::create_if_first(&self.store, environment).await?;
        let engine_config = settings::engine(&self.config, self.data.path());
        let engine = Engine::new(self.store.clone(), engine_config, Arc::new(SystemClock));
        recover(&engine).await?;
        let ending = CancellationToken::new();
        let loops = engine.start(&ending);
        let worker = self.worker(&engine, &stop)?;
        let running = Running { http: self.serve(&engine, &ending)?, worker, loops, ending };
        self.tell(&first_password, out)?;
        let ended = running.until_stopped(&stop).await;
        self.data.withdraw();
        ended.map(|()| Exit::Ok)
    }

    fn worker(&self, engine: &Engine, stop: &Stop) -> Result<JoinHandle<Result<(), WorkerError>>, CliError> {
        let cache = self.data.path().join("collect-cache");
        let registry = taskloom_tasks::registry(&settings::tasks(&self.config, Some(&cache))?);
        let worker = Worker::builder(Arc::new(engine.clone()), registry)
            .queues(self.config.worker.queues.iter().cloned())
            .concurrency(settings::concurrency(self.config.worker.concurrency))
            .work_dir(self.data.path().join("work"))
            .drain_limit(Duration::from_secs(self.config.worker.drain_seconds))
            .kill(stop.kill.clone())
            .build();
        engine.embed(worker.session());
        Ok(tokio::spawn(worker.run(stop.drain.clone())))
    }

    fn serve(
        &self,
        engine: &Engine,
        ending: &CancellationToken,
    ) -> Result<JoinHandle<taskloom_server::DrainReport>, CliError> {
        let listener = self.listener.try_clone().and_then(tokio::net::TcpListener::from_std);
        let listener = listener.map_err(|e| CliError::failed(format!("cannot listen: {e}")))?;
        let config = settings::server(&self.config, &self.secret_key)?;
        let router = taskloom_server::router(engine.clone(), config);
        Ok(tokio::spawn(taskloom_server::serve(listener, router, ending.clone(), HTTP_DRAIN)))
    }

    fn tell(&self, first_password: &FirstPassword, out: Output) -> Result<(), CliError> {
        let url = listen::url(self.address);
        let (host, port) = (self.address.ip().to_string(), self.address.port());
        let version = env!("CARGO_PKG_VERSION");
        self.data.announce(&ServerJson { url: &url, host, port, pid: std::process::id(), version })?;
        let ready = banner::Ready {
            url: &url,
            docs: self.config.server.docs,
            data: self.data.path(),
            first_password,
            open: !self.address.ip().is_loopback(),
        };
        banner::print(&ready, out);
        Ok(())
    }
}

/// SQLite gives its other files the rights of the first.
fn make_private(database: &Path) -> Result<(), CliError> {
    if database.exists() {
        return Ok(());
    }
    let made = private_file(database, false);
    made.map(drop).map_err(|e| CliError::failed(format!("cannot create {}: {e}", database.display())))
}

/// What the last process held when it ended without a drain is free again.
async fn recover(engine: &Engine) -> Result<(), CliError> {
    let recovered = engine.recover_embedded().await;
    let tasks =
        recovered.map_err(|e| CliError::failed(format!("cannot take over from the last run: {e}")))?;
    if tasks > 0 {
        tracing::warn!(tasks, "the last run ended without a drain; its running tasks are free again");
    }
    Ok(())
}

/// The parts that run.
struct Running {
    worker: JoinHandle<Result<(), WorkerError>>,
    http: JoinHandle<taskloom_server::DrainReport>,
    loops: TaskTracker,
    ending: CancellationToken,
}

impl Running {
    /// Worker first, so that watchers see their tasks end; then HTTP, then the loops.
    async fn until_stopped(mut self, stop: &Stop) -> Result<(), CliError> {
        let mut worker_ended = None;
        tokio::select! {
            () = stop.drain.cancelled() => {}
            ended = &mut self.worker => {
                worker_ended = Some(ended);
                tracing::warn!("the built-in worker has left; the API goes on");
                stop.drain.cancelled().await;
            }
        }
        let worker_ended = match worker_ended {
            Some(ended) => ended,
            None => (&mut self.worker).await,
        };
        self.ending.cancel();
        let hurry = async {
            stop.kill.cancelled().await;
            tokio::time::sleep(HTTP_HURRY).await;
        };
        tokio::select! {
            _ = &mut self.http => {}
            () = hurry => self.http.abort(),
        }
        self.loops.wait().await;
        match worker_ended {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(CliError::failed(format!("the built-in worker: {error}"))),
            Err(_) => Err(CliError::failed("the built-in worker stopped unexpectedly; the log says why")),
        }
    }
}
