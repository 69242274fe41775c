//! Everything in one process: API, engine, loops and a worker over one data directory.

pub(crate) mod admin;
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
use taskloom_server::{DrainReport, ServerConfig};
use taskloom_store::Store;
use taskloom_worker::{Registry, Worker, WorkerError};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Config, Environment};
use crate::credentials::private_file;
use crate::error::{CliError, CliResult, Exit};
use crate::output::Output;
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
    http: ServerConfig,
    handlers: Registry,
    listener: TcpListener,
    address: SocketAddr,
    store: Store,
}

/// What scripts read from `server.json`.
#[derive(Serialize)]
struct ServerJson {
    url: String,
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
        // One that was killed left its address behind.
        data.withdraw();
        let (listener, address) = listen::bind(&config.server.host, config.server.port)?;
        let http = settings::server(&config, &data.secret_key(&config.auth.secret_key)?)?;
        let cache = data.path().join("collect-cache");
        let handlers = taskloom_tasks::registry(&settings::tasks(&config, Some(&cache))?);
        make_private(&database)?;
        let store = Store::open(&settings::store(&config, &database))
            .map_err(|e| CliError::failed(format!("cannot open the database {}: {e}", database.display())))?;
        Ok(Self { config, data, http, handlers, listener, address, store })
    }

    /// Runs until a signal, then drains.
    pub(crate) async fn run(self, threads: &Handle, environment: &Environment, out: Output) -> CliResult {
        let Self { config, data, http, handlers, listener, address, store } = self;
        let stop = Stop::on_signals(out)?;
        let engine = Engine::new(store, settings::engine(&config, data.path()), Arc::new(SystemClock));
        recover(&engine).await?;
        // Late, so that what can fail has failed before; but before anybody else can register.
        let first_password = admin::create_if_first(engine.store(), environment).await?;
        let ending = CancellationToken::new();
        let loops = engine.start(&ending);
        let worker = threads.spawn(worker(handlers, &config, &data, &engine, &stop));
        let http = serve(http, listener, engine, ending.clone())?;
        let ready = banner::Ready {
            url: &listen::url(address),
            docs: config.server.docs,
            data: data.path(),
            first_password: &first_password,
            open: !address.ip().is_loopback(),
        };
        announce(&data, address)?;
        banner::print(&ready, out);
        let ended = Running { worker, http, loops, ending }.until_stopped(&stop).await;
        data.withdraw();
        ended.map(|()| Exit::Ok)
    }
}

fn worker(
    handlers: Registry,
    config: &Config,
    data: &DataDir,
    engine: &Engine,
    stop: &Stop,
) -> impl Future<Output = Result<(), WorkerError>> + use<> {
    let work_dir = data.path().join("work");
    // What attempts of a killed process left there; the lock says that nobody else works here.
    let _ = std::fs::remove_dir_all(&work_dir);
    let worker = Worker::builder(Arc::new(engine.clone()), handlers)
        .queues(config.worker.queues.iter().cloned())
        .concurrency(settings::concurrency(config.worker.concurrency))
        .work_dir(work_dir)
        .drain_limit(Duration::from_secs(config.worker.drain_seconds))
        .kill(stop.kill.clone())
        .build();
    engine.embed(worker.session());
    worker.run(stop.drain.clone())
}

fn serve(
    config: ServerConfig,
    listener: TcpListener,
    engine: Engine,
    ending: CancellationToken,
) -> Result<JoinHandle<DrainReport>, CliError> {
    let listener = tokio::net::TcpListener::from_std(listener);
    let listener = listener.map_err(|e| CliError::failed(format!("cannot listen: {e}")))?;
    let router = taskloom_server::router(engine, config);
    Ok(tokio::spawn(taskloom_server::serve(listener, router, ending, HTTP_DRAIN)))
}

fn announce(data: &DataDir, address: SocketAddr) -> Result<(), CliError> {
    let (url, host) = (listen::url(address), address.ip().to_string());
    let (pid, version) = (std::process::id(), env!("CARGO_PKG_VERSION"));
    data.announce(&ServerJson { url, host, port: address.port(), pid, version })
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
    http: JoinHandle<DrainReport>,
    loops: TaskTracker,
    ending: CancellationToken,
}

impl Running {
    /// Worker first, so that watchers see their tasks end; then HTTP, then the loops.
    async fn until_stopped(mut self, stop: &Stop) -> Result<(), CliError> {
        let early = tokio::select! {
            () = stop.drain.cancelled() => None,
            ended = &mut self.worker => Some(ended),
        };
        let worker_ended = match early {
            Some(ended) => {
                tracing::warn!(?ended, "the built-in worker has left; the API goes on");
                stop.drain.cancelled().await;
                ended
            }
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
