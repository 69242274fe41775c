//! `taskloom worker`

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use taskloom_worker::{HttpWorkerApi, WorkerError};

use crate::args::ConfigFile;
use crate::client::{DEFAULT_SERVER, normalize};
use crate::config::{self, Config, Environment, Override};
use crate::dev::{settings, stop::Stop};
use crate::error::{CliError, CliResult, Exit};
use crate::logging;
use crate::output::Output;

/// Run a worker with the built-in handlers against a server
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  TASKLOOM_TOKEN=$(taskloom api-key create worker-1 --scope worker --json | jq -r .key) \
    \\\n    taskloom worker --server https://tasks.example.org\n  \
    taskloom worker --queues high_priority,default --concurrency 16 --name gpu-1\n\nCtrl-C lets running tasks finish \
    (at most worker.drain_seconds); a second one hands them back to their queue."
)]
pub(crate) struct Worker {
    /// The server [default: TASKLOOM_SERVER, else http://127.0.0.1:8000]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// An API key of scope worker [default: TASKLOOM_TOKEN, which other users of this machine cannot see]
    #[arg(long)]
    token: Option<String>,
    /// The queues to serve, in order [default: high_priority,default,low_priority]
    #[arg(long, value_name = "A,B")]
    queues: Option<String>,
    /// Tasks to run at once [default: 4 for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    concurrency: Option<u32>,
    /// A name for people [default: host:pid]
    #[arg(long)]
    name: Option<String>,
    /// Where running tasks keep their files [default: below the system's temporary directory]
    #[arg(long, value_name = "DIR")]
    work_dir: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigFile,
}

impl Worker {
    pub(crate) fn run(mut self, environment: &Environment) -> CliResult {
        let out = Output::new(false, environment);
        let flags = [
            self.queues.take().map(|text| Override { key: "worker.queues", text, flag: "--queues" }),
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
        let runtime = super::runtime()?;
        let ended = runtime.block_on(self.work(&loaded.config, environment, out));
        runtime.shutdown_timeout(Duration::from_secs(1));
        ended
    }

    async fn work(self, config: &Config, environment: &Environment, out: Output) -> CliResult {
        let server = self.server.as_deref().or_else(|| environment.get("TASKLOOM_SERVER"));
        let server = normalize(server.unwrap_or(DEFAULT_SERVER))?;
        let token = self.token.as_deref().or_else(|| environment.get("TASKLOOM_TOKEN")).ok_or_else(|| {
            CliError::usage("a worker needs a token: --token or TASKLOOM_TOKEN")
                .hint("make one: taskloom api-key create worker-1 --scope worker")
        })?;
        let connect = || HttpWorkerApi::new(&server, token).map_err(|e| refused(&server, &e));
        let registry = taskloom_tasks::registry(&settings::tasks(config, None)?);
        let stop = Stop::on_signals(out)?;
        let mut worker = taskloom_worker::Worker::builder(Arc::new(connect()?), registry)
            .beat_api(Arc::new(connect()?))
            .queues(config.worker.queues.iter().cloned())
            .concurrency(settings::concurrency(config.worker.concurrency))
            .drain_limit(Duration::from_secs(config.worker.drain_seconds))
            .kill(stop.kill.clone());
        if let Some(name) = self.name {
            worker = worker.name(name);
        }
        if let Some(dir) = self.work_dir {
            worker = worker.work_dir(dir);
        }
        let worker = worker.build();
        out.note(format!("working for {server}; Ctrl-C stops"));
        worker.run(stop.drain).await.map_err(|e| refused(&server, &e))?;
        Ok(Exit::Ok)
    }
}

fn refused(server: &str, error: &WorkerError) -> CliError {
    CliError::new(Exit::NoAccess, format!("{server} does not take this worker: {error}"))
        .hint("its token must be an API key of scope worker: taskloom api-key create worker-1 --scope worker")
}
