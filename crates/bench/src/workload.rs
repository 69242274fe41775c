//! The workloads, a file each.

mod both;
mod ceiling;
mod depth;
mod drain;
mod http;
mod latency;
mod mixed;
mod payload;
mod process;
mod prune;
mod schedules;
mod workers;
mod workflow;

use std::path::Path;

use crate::args::{BenchArgs, Sizes, Workload};
use crate::machine::Machine;
use crate::progress::Progress;
use crate::report::Recorder;
use crate::site::{Site, Target};
use crate::{BenchError, Report};

/// What every workload works with.
struct Bench<'a> {
    taskloom: &'a Path,
    /// Private; each workload makes a directory of its own below.
    dir: &'a Path,
    target: Target,
    sizes: Sizes,
    progress: Progress,
    recorder: Recorder,
}

/// Runs the chosen workloads in turn, as often as asked: what disturbs the machine for a while then disturbs one
/// repetition of each rather than all of one. The directory is private.
pub(crate) async fn run_all(args: &BenchArgs, taskloom: &Path, dir: &Path) -> Result<Report, BenchError> {
    let taskloom = taskloom.canonicalize().unwrap_or_else(|_| taskloom.to_owned());
    let machine = Machine::look(dir, args).await?;
    let sizes = args.sizes();
    let mut bench = Bench {
        taskloom: &taskloom,
        dir,
        target: target(args),
        progress: Progress::new(sizes.reps),
        recorder: Recorder::default(),
        sizes,
    };
    for _ in 0..bench.sizes.reps {
        bench.progress.next_rep();
        bench.run_once(args).await?;
    }
    let Bench { recorder, sizes, .. } = bench;
    Ok(recorder.report(machine, sizes, args.quick))
}

impl Bench<'_> {
    async fn run_once(&mut self, args: &BenchArgs) -> Result<(), BenchError> {
        let (submit, get) = (args.wants(Workload::HttpSubmit), args.wants(Workload::HttpGet));
        if submit || get {
            http::run(self, submit, get).await?;
        }
        if args.wants(Workload::Drain) {
            drain::run(self).await?;
        }
        if args.wants(Workload::Both) {
            both::run(self).await?;
        }
        if args.wants(Workload::Latency) {
            latency::run(self).await?;
        }
        if args.wants(Workload::Process) {
            process::run(self).await?;
        }
        if args.wants(Workload::Ceiling) {
            ceiling::run(self).await?;
        }
        if args.wants(Workload::Depth) {
            depth::run(self).await?;
        }
        if args.wants(Workload::Payload) {
            payload::run(self).await?;
        }
        if args.wants(Workload::Workers) {
            workers::run(self).await?;
        }
        if args.wants(Workload::Mixed) {
            mixed::run(self).await?;
        }
        if args.wants(Workload::Schedules) {
            schedules::run(self).await?;
        }
        if args.wants(Workload::Workflow) {
            workflow::run(self).await?;
        }
        if args.wants(Workload::Prune) {
            prune::run(self).await?;
        }
        Ok(())
    }

    /// A fresh place; what a workload before left in the directory is gone.
    async fn fresh(&self) -> Result<Site, BenchError> {
        Site::fresh(&self.dir.join("run"), &self.target).await
    }
}

fn target(args: &BenchArgs) -> Target {
    Target {
        durability: args.synchronous,
        database: args.database_url.as_ref().map(|url| url.0.clone()),
        database_text: args.database_url.as_ref().map(|url| url.1.clone()),
        redis: args.redis_url.clone(),
    }
}
