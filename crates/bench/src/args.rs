//! The command line of `taskloom bench`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;
use taskloom_store::{DatabaseUrl, Synchronous};

/// Measure this machine: submits, reads, drain, latency, start-up, memory
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  taskloom bench                                    everything, three times, about two minutes\n  \
    taskloom bench --quick                            a smoke run of some seconds\n  \
    taskloom bench --only drain,both --reps 5         two workloads\n  \
    taskloom bench --only http-submit --connections 128 --seconds 10\n  \
    taskloom bench --dir /mnt/disk --json figures.json  on another file system; figures for programs\n  \
    taskloom bench --database-url postgres://me@db/postgres --redis-url redis://cache\n  \
    taskloom bench --only depth --depths 10000,5000000 --reps 1   how a long queue slows it down\n\n\
    Figures of a busy machine, of a RAM disk or of a debug build mean little. Compare systems in one session only."
)]
pub struct BenchArgs {
    /// Only these workloads, separated by commas [default: all]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WORKLOAD")]
    pub only: Vec<Workload>,
    /// How often each workload runs; the report shows the median and the range
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub reps: u32,
    /// Seconds of load for http-submit and http-get, after a second to warm up
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub seconds: u32,
    /// Keep-alive connections for http-submit and http-get
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub connections: u32,
    /// Tasks that the worker runs at once in drain, both and process
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub concurrency: u32,
    /// Queued tasks for drain, process and prune
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub drain_tasks: u32,
    /// Tasks for both
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub both_tasks: u32,
    /// Tasks in one batch for both
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub batch: u32,
    /// Tasks for latency, one at a time
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub latency_tasks: u32,
    /// Waiting tasks, rising, for depth
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [10_000, 100_000, 1_000_000, 5_000_000],
        value_parser = clap::value_parser!(u32).range(1_000..=50_000_000))]
    pub depths: Vec<u32>,
    /// Schedules that are due at one instant, for schedules
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub schedules: u32,
    /// Nodes of the workflow, for workflow
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub nodes: u32,
    /// When a commit counts: full survives a power cut, normal a killed process
    #[arg(long, value_enum, default_value_t = Durability::Full)]
    pub synchronous: Durability,
    /// Measure on this server instead of SQLite: postgres://… or mysql://…; private databases are made on it and removed
    #[arg(long, value_name = "URL")]
    pub database_url: Option<ServerUrl>,
    /// Let Redis hand out the work: redis://…; keys get a private prefix
    #[arg(long, value_name = "URL")]
    pub redis_url: Option<String>,
    /// Where the private data directory is made; its file system is what is measured
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Write the figures to this file as well
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Tiny sizes and one repetition: shows that everything works, the figures mean nothing
    #[arg(long)]
    pub quick: bool,
}

/// A server's URL, checked, and as it was written for the processes that are started.
#[derive(Debug, Clone)]
pub struct ServerUrl(pub(crate) DatabaseUrl, pub(crate) String);

impl std::str::FromStr for ServerUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(text.parse()?, text.to_owned()))
    }
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// POST /api/v1/tasks with a JWT, one task a request, into a queue that no worker serves
    HttpSubmit,
    /// GET one of 1,000 known tasks with a JWT
    HttpGet,
    /// A worker in the engine's process works off queued tasks that do nothing
    Drain,
    /// Submit in batches and work off at the same time: in process, and over /tasks/batch
    Both,
    /// One task at a time on an idle system: in process, and over HTTP with ?wait=
    Latency,
    /// Start-up, memory and processor time of `taskloom dev`
    Process,
    /// The store's own statements in a loop, without engine, worker and API: what the database gives at best
    Ceiling,
    /// Claims and finishes while --depths tasks wait, then with as many rows of history. Only when asked for: it takes long
    Depth,
    /// Submit and drain with arguments of 100 B to 64 KiB. Only when asked for
    Payload,
    /// Drain by 1, 2, 4 and 8 `taskloom worker` processes; needs --database-url. Only when asked for
    Workers,
    /// Submits, reads, lists and a worker at the same time. Only when asked for
    Mixed,
    /// Schedules that are due at one instant fire. Only when asked for
    Schedules,
    /// A workflow of --nodes nodes: submitted, its root ends, it runs again, it is cancelled. Only when asked for
    Workflow,
    /// Of --drain-tasks tasks that have ended all but a tenth are forgotten. Only when asked for
    Prune,
}

impl Workload {
    /// Whether it runs only when it is named.
    fn is_long(self) -> bool {
        !matches!(
            self,
            Self::HttpSubmit
                | Self::HttpGet
                | Self::Drain
                | Self::Both
                | Self::Latency
                | Self::Process
                | Self::Ceiling
        )
    }
}

/// When a commit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Durability {
    /// It survives a power cut
    Full,
    /// It survives a killed process
    Normal,
}

impl Durability {
    pub(crate) fn synchronous(self) -> Synchronous {
        match self {
            Self::Full => Synchronous::Full,
            Self::Normal => Synchronous::Normal,
        }
    }

    /// The word of the configuration.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Normal => "normal",
        }
    }
}

/// How much of everything.
#[derive(Debug, Clone, Serialize)]
pub struct Sizes {
    /// Repetitions.
    pub reps: u32,
    /// Seconds of load, without the warm-up.
    pub seconds: f64,
    /// Seconds to warm up.
    pub warm_up: f64,
    /// Connections.
    pub connections: u32,
    /// Ids that http-get reads.
    pub known_ids: u32,
    /// Tasks that the worker runs at once.
    pub concurrency: u32,
    /// Tasks queued for drain, process and prune.
    pub drain_tasks: u32,
    /// Tasks for both.
    pub both_tasks: u32,
    /// Tasks in a batch.
    pub batch: u32,
    /// Tasks for latency.
    pub latency_tasks: u32,
    /// Waiting tasks for depth, rising.
    pub depths: Vec<u32>,
    /// Schedules that are due at one instant.
    pub schedules: u32,
    /// Nodes of the workflow.
    pub nodes: u32,
    /// Seconds until an idle process is looked at.
    pub idle: f64,
}

impl BenchArgs {
    /// The sizes that the flags ask for.
    pub fn sizes(&self) -> Sizes {
        let asked = Sizes {
            reps: self.reps,
            seconds: f64::from(self.seconds),
            warm_up: 1.0,
            connections: self.connections,
            known_ids: 1_000,
            concurrency: self.concurrency,
            drain_tasks: self.drain_tasks,
            both_tasks: self.both_tasks,
            batch: self.batch,
            latency_tasks: self.latency_tasks,
            depths: self.depths.clone(),
            schedules: self.schedules,
            nodes: self.nodes,
            idle: 2.0,
        };
        if !self.quick {
            return asked;
        }
        Sizes {
            reps: 1,
            seconds: 0.3,
            warm_up: 0.1,
            known_ids: 50,
            drain_tasks: asked.drain_tasks.min(2_000),
            both_tasks: asked.both_tasks.min(1_000),
            batch: asked.batch.min(100),
            latency_tasks: asked.latency_tasks.min(5),
            depths: vec![1_000, 2_000],
            schedules: asked.schedules.min(300),
            nodes: asked.nodes.min(300),
            idle: 0.2,
            ..asked
        }
    }

    /// Whether the workload was asked for.
    pub fn wants(&self, workload: Workload) -> bool {
        (self.only.is_empty() && !workload.is_long()) || self.only.contains(&workload)
    }
}

impl Sizes {
    pub(crate) fn warm_up(&self) -> Duration {
        Duration::from_secs_f64(self.warm_up)
    }

    pub(crate) fn load(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    pub(crate) fn idle(&self) -> Duration {
        Duration::from_secs_f64(self.idle)
    }
}
