//! The workloads, a file each.

mod both;
mod drain;
mod http;
mod latency;
mod process;

use std::path::{Path, PathBuf};

use crate::args::{BenchArgs, Durability, Sizes, Workload};
use crate::machine::Machine;
use crate::progress::Progress;
use crate::report::Recorder;
use crate::{BenchError, Report};

/// What every workload works with.
struct Bench<'a> {
    taskloom: &'a Path,
    /// Private; each workload makes a directory of its own below.
    dir: &'a Path,
    durability: Durability,
    sizes: Sizes,
    progress: Progress,
    recorder: Recorder,
}

/// Runs the chosen workloads in turn, as often as asked: what disturbs the machine for a while then disturbs one
/// repetition of each rather than all of one.
pub(crate) async fn run_all(args: &BenchArgs, taskloom: &Path) -> Result<Report, BenchError> {
    let taskloom = taskloom.canonicalize().unwrap_or_else(|_| taskloom.to_owned());
    let dir = tempfile::Builder::new().prefix("data-bench-").tempdir_in(&args.dir)?;
    let machine = Machine::look(dir.path(), args.synchronous)?;
    let sizes = args.sizes();
    let mut bench = Bench {
        taskloom: &taskloom,
        dir: dir.path(),
        durability: args.synchronous,
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
        Ok(())
    }

    /// A fresh directory; what a workload before left is gone.
    fn fresh(&self) -> Result<PathBuf, BenchError> {
        let dir = self.dir.join("run");
        match std::fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        std::fs::create_dir(&dir)?;
        Ok(dir)
    }
}
