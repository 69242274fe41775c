//! What the commands that start a process share: their flags, and the start itself.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::runtime::Handle;

use crate::args::ConfigFile;
use crate::config::{self, Environment, Override};
use crate::error::{CliError, CliResult};
use crate::logging;
use crate::output::Output;
use crate::process::Launch;

/// What still runs when a process ends has been asked to end and given its time.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// What a process works on, and how it is set up.
#[derive(Debug, Args)]
pub(super) struct Setting {
    /// The database, such as postgres://host/taskloom [default: DATABASE_URL, which hides the password from others]
    #[arg(long, value_name = "URL")]
    pub(super) database_url: Option<String>,
    /// Redis, if it is to hand out the work [default: REDIS_URL]
    #[arg(long, value_name = "URL")]
    redis_url: Option<String>,
    /// The data directory [default: TASKLOOM_DATA, else ./data]
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
    #[command(flatten)]
    file: ConfigFile,
}

/// Where a server listens.
#[derive(Debug, Args)]
pub(super) struct Listen {
    /// The address to listen on [default: 127.0.0.1]
    #[arg(long)]
    host: Option<String>,
    /// The port, or auto for a free one [default: 8000]
    #[arg(long, value_name = "PORT|auto", value_parser = port)]
    port: Option<String>,
}

/// `auto` is port 0.
fn port(text: &str) -> Result<String, String> {
    if text == "auto" {
        return Ok("0".into());
    }
    text.parse::<u16>().map(|port| port.to_string()).map_err(|_| "a port from 0 to 65535, or auto".into())
}

impl Listen {
    pub(super) fn overrides(self) -> impl Iterator<Item = Override> {
        let host = self.host.map(|text| Override { key: "server.host", text, flag: "--host" });
        let port = self.port.map(|text| Override { key: "server.port", text, flag: "--port" });
        host.into_iter().chain(port)
    }
}

/// Tasks at once, as a flag.
pub(super) fn concurrency(tasks: Option<u32>) -> Option<Override> {
    let key = "worker.concurrency";
    tasks.map(|n| Override { key, text: n.to_string(), flag: "--concurrency" })
}

impl Setting {
    /// Reads the configuration with these flags and more, warns about it, and starts to log.
    pub(super) fn load(
        self,
        more: impl IntoIterator<Item = Override>,
        environment: &Environment,
    ) -> Result<Launch<'_>, CliError> {
        let out = Output::new(false, environment);
        let url = |key, text: Option<String>, flag| text.map(|text| Override { key, text, flag });
        let own = [
            url("database.url", self.database_url, "--database-url"),
            url("redis.url", self.redis_url, "--redis-url"),
        ];
        let overrides: Vec<Override> = own.into_iter().flatten().chain(more).collect();
        let loaded = config::load(self.file.file.as_deref(), environment, &overrides)?;
        loaded.warnings.iter().for_each(|warning| out.warn(warning));
        logging::start(&loaded.config.log, environment);
        let dir = super::data_dir(self.data, environment);
        Ok(Launch { config: loaded.config, dir, environment, out })
    }
}

/// Runs a process to its end.
pub(super) fn run(process: impl Future<Output = CliResult>) -> CliResult {
    let runtime = super::runtime()?;
    let ended = runtime.block_on(process);
    runtime.shutdown_timeout(LAST_MOMENT);
    ended
}

/// The same with threads for handlers apart: one that blocks them blocks nothing else.
pub(super) fn run_with_handlers<F: Future<Output = CliResult>>(
    process: impl FnOnce(Handle) -> F,
) -> CliResult {
    let handlers = super::runtime()?;
    let ended = run(process(handlers.handle().clone()));
    handlers.shutdown_timeout(LAST_MOMENT);
    ended
}
