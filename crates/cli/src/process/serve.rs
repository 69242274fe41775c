//! The API, one of any number behind a load balancer.

use std::net::SocketAddr;
use std::path::Path;

use super::announce::Announcement;
use super::backend::{Backend, Loops};
use super::banner::Banner;
use super::http::Http;
use super::running::{self, Running};
use super::stop::Goal;
use super::{Launch, admin, settings};
use crate::config::{Config, Secret};
use crate::credentials::private_dir;
use crate::error::{CliError, CliResult};

/// What `taskloom serve` is told beside its configuration.
pub(crate) struct Serve {
    /// Leave the tasks of time to other processes.
    pub(crate) no_scheduler: bool,
    /// Write `server.json` into the data directory.
    pub(crate) announce: bool,
}

/// Serves until a signal, then drains.
pub(crate) async fn run(launch: Launch<'_>, serve: Serve) -> CliResult {
    running::run(Goal::Calls, launch.out, async |_| start(launch, serve).await).await
}

async fn start(launch: Launch<'_>, serve: Serve) -> Result<Running, CliError> {
    let Launch { config, dir, environment, out } = launch;
    let database = settings::shared_store(&config, "serve")?;
    let http = Http::bind(&config, secret_key(&config)?)?;
    let mut backend = Backend::open(&config, &database, &dir).await?;
    let first_password = admin::create_if_first(backend.engine.store(), environment).await?;
    backend.start(if serve.no_scheduler { Loops::Own } else { Loops::All });
    let address = http.address();
    let http = http.start(backend.engine.clone(), backend.ending.clone())?;
    let announcement = if serve.announce { Some(announce(&dir, address)?) } else { None };
    Banner::new("serves", address, config.server.docs)
        .shared(&config, &database)
        .fact("artifacts", settings::artifacts_dir(&config, &dir).display())
        .print(&first_password, false, out);
    Ok(Running { http: Some(http), announcement, ..Running::of(backend) })
}

/// The key with which all servers sign: a token that one has issued counts at every other.
fn secret_key(config: &Config) -> Result<&Secret, CliError> {
    if config.auth.secret_key.is_empty() {
        return Err(CliError::usage(
            "auth.secret_key is not set: all servers sign access tokens with the same key",
        )
        .hint("make one with `openssl rand -hex 32`, and set SECRET_KEY to it for every server"));
    }
    Ok(&config.auth.secret_key)
}

fn announce(dir: &Path, address: SocketAddr) -> Result<Announcement, CliError> {
    private_dir(dir).map_err(|e| CliError::failed(format!("cannot use {}: {e}", dir.display())))?;
    Announcement::publish(dir, address)
}
