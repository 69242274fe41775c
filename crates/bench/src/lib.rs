//! What `taskloom bench` runs.
//!
//! Every workload runs on a private data directory on the file system that the user names, never on a default port, and
//! checks by count that what it measured did happen. Rates come from whole repetitions; the report shows the median
//! and the range, and the settings that the figures depend on.

mod args;
mod child;
mod client;
mod drainer;
mod error;
mod figure;
mod load;
mod machine;
mod probe;
mod proc_stat;
mod progress;
mod report;
mod series;
mod site;
mod stack;
mod stats;
mod workload;

use std::path::Path;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

pub use args::{BenchArgs, Durability, Sizes, Workload};
pub use error::BenchError;
pub use figure::{Figure, Goal};
pub use machine::Machine;
pub use report::{Measure, Report};
pub use series::{Point, Series};

/// Runs the chosen workloads and writes the JSON file if one is wanted.
///
/// `taskloom` is the program whose `dev` command serves the workloads over HTTP and the process figures.
///
/// # Errors
/// A directory that cannot be used, a server that does not start, an answer that is none, a count that is not what
/// was measured, or Ctrl-C or SIGTERM. The private data is removed in every case.
pub fn run(args: &BenchArgs, taskloom: &Path) -> Result<Report, BenchError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // Before there is anything to remove: a signal that nobody listens for ends the process at once.
    let [mut interrupt, mut terminate] = {
        let _context = runtime.enter();
        [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?]
    };
    let dir = tempfile::Builder::new().prefix("data-bench-").tempdir_in(&args.dir)?;
    let ended = runtime.block_on(async {
        tokio::select! {
            ended = workload::run_all(args, taskloom, dir.path()) => ended,
            _ = interrupt.recv() => Err(BenchError::Interrupted),
            _ = terminate.recv() => Err(BenchError::Interrupted),
        }
    });
    // A load thread of an interrupted run is left to the end of the process.
    runtime.shutdown_timeout(Duration::from_secs(2));
    // Only now does nobody write there any more.
    drop(dir);
    let report = ended?;
    if let Some(file) = &args.json {
        let mut text = serde_json::to_string_pretty(&report).map_err(std::io::Error::from)?;
        text.push('\n');
        std::fs::write(file, text)?;
    }
    Ok(report)
}
