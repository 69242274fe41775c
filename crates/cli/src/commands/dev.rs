//! `taskloom dev`

use std::path::PathBuf;

use clap::Args;

use crate::args::ConfigFile;
use crate::config::{self, Environment, Override};
use crate::dev;
use crate::error::{CliResult, Exit};
use crate::logging;
use crate::output::Output;

/// Run everything on this machine: API, engine and a worker in one process
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  taskloom dev                          http://127.0.0.1:8000, data in ./data\n  \
    taskloom dev --data /srv/taskloom --port auto\n  \
    TASKLOOM_ADMIN_PASSWORD=… taskloom dev   sets the first user's password\n\nThe first start creates the user admin \
    and shows its password once. DIR/server.json tells scripts the address.\nCtrl-C lets running tasks finish (at \
    most worker.drain_seconds); a second one hands them back to their queue."
)]
pub(crate) struct Dev {
    /// Where everything is kept [default: TASKLOOM_DATA, else ./data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The address to listen on [default: 127.0.0.1]
    #[arg(long)]
    host: Option<String>,
    /// The port, or auto for a free one [default: 8000]
    #[arg(long, value_name = "PORT|auto", value_parser = port)]
    port: Option<String>,
    /// Tasks that the worker runs at once [default: 4 for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    concurrency: Option<u32>,
    #[command(flatten)]
    config: ConfigFile,
}

/// `auto` is port 0.
fn port(text: &str) -> Result<String, String> {
    if text == "auto" {
        return Ok("0".into());
    }
    text.parse::<u16>().map(|port| port.to_string()).map_err(|_| "a port from 0 to 65535, or auto".into())
}

impl Dev {
    pub(crate) fn run(self, environment: &Environment) -> CliResult {
        let out = Output::new(false, environment);
        let flags = [
            self.host.map(|text| Override { key: "server.host", text, flag: "--host" }),
            self.port.map(|text| Override { key: "server.port", text, flag: "--port" }),
            self.concurrency.map(|n| Override {
                key: "worker.concurrency",
                text: n.to_string(),
                flag: "--concurrency",
            }),
        ];
        let flags: Vec<Override> = flags.into_iter().flatten().collect();
        let loaded = config::load(self.config.file.as_deref(), environment, &flags)?;
        loaded.warnings.iter().for_each(|warning| out.warn(warning));
        logging::start(&loaded.config.log, environment);
        let dir = super::data_dir(self.data, environment);
        let dev = dev::Dev::prepare(loaded.config, &dir)?;
        let runtime = super::runtime()?;
        // Handlers have threads of their own: one that blocks them does not block the API.
        let handlers = super::runtime()?;
        let ended = runtime.block_on(dev.run(handlers.handle(), environment, out));
        // What still runs has been asked to end and given its time.
        handlers.shutdown_timeout(std::time::Duration::from_secs(1));
        runtime.shutdown_timeout(std::time::Duration::from_secs(1));
        ended.map(|_| Exit::Ok)
    }
}
