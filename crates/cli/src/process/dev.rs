//! Everything in one process: API, loops and a worker over one data directory.

use taskloom_engine::Engine;
use taskloom_store::StoreOptions;
use tokio::runtime::Handle;

use super::announce::Announcement;
use super::backend::{Backend, Loops};
use super::banner::Banner;
use super::data_dir::DataDir;
use super::http::Http;
use super::running::{self, Running};
use super::stop::{Goal, Stop};
use super::worker::Setup;
use super::{Launch, admin, settings};
use crate::credentials::private_file;
use crate::error::{CliError, CliResult};

/// Runs until a signal, then drains. `threads` are the handlers': one that blocks them does not block the API.
pub(crate) async fn run(launch: Launch<'_>, threads: &Handle) -> CliResult {
    running::run(Goal::Tasks, launch.out, async |stop| start(launch, threads, stop).await).await
}

async fn start(launch: Launch<'_>, threads: &Handle, stop: &Stop) -> Result<Running, CliError> {
    let Launch { config, dir, environment, out } = launch;
    let database = settings::store(&config, &dir)?;
    let data = DataDir::take(&dir, &database)?;
    // One that was killed left its address behind.
    Announcement::clear(data.path());
    let http = Http::bind(&config, &data.secret_key(&config.auth.secret_key)?)?;
    let worker = Setup::new(&config, Some(data.path()))?;
    make_private(&database)?;
    let mut backend = Backend::open(&config, &database, data.path()).await?;
    let exclusive = backend.engine.store().is_exclusive();
    if exclusive {
        recover(&backend.engine).await?;
    }
    // Late, so that what can fail has failed before; but before anybody else can register.
    let first_password = admin::create_if_first(backend.engine.store(), environment).await?;
    backend.start(Loops::All);
    let work_dir = data.path().join("work");
    // What attempts of a killed process left there; the lock says that nobody else works here.
    let _ = std::fs::remove_dir_all(&work_dir);
    let worker = worker.work_dir(Some(work_dir)).beside(&backend.engine, stop);
    if exclusive {
        backend.engine.embed(worker.session());
    }
    let worker = threads.spawn(worker.run(stop.drain.clone()));
    let address = http.address();
    let http = http.start(backend.engine.clone(), backend.ending.clone())?;
    let announcement = Announcement::publish(data.path(), address)?;
    Banner::new("is ready", address, config.server.docs)
        .fact("data", data.path().display())
        .shared(&config, &database)
        .print(&first_password, true, out);
    Ok(Running {
        http: Some(http),
        worker: Some(worker),
        announcement: Some(announcement),
        data: Some(data),
        ..Running::of(backend)
    })
}

/// SQLite gives its other files the rights of the first.
fn make_private(database: &StoreOptions) -> Result<(), CliError> {
    let StoreOptions::Sqlite { path, .. } = database else { return Ok(()) };
    if path.exists() {
        return Ok(());
    }
    let made = private_file(path, false);
    made.map(drop).map_err(|e| CliError::failed(format!("cannot create {}: {e}", path.display())))
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
