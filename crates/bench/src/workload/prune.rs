//! A long history is cut down to its tenth.

use std::time::Instant;

use taskloom_engine::{EngineConfig, Keep, StoreClock};

use super::Bench;
use super::ceiling::DRAINERS;
use crate::BenchError;
use crate::drainer::drain_by;
use crate::error::expect;
use crate::figure::Figure;
use crate::stack::Stack;

pub(super) async fn run(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let tasks = bench.sizes.drain_tasks / DRAINERS * DRAINERS;
    let stack = Stack::open(bench.fresh().await?).await?;
    bench.progress.step(&format!("work off {tasks} tasks"));
    stack.fill(tasks).await?;
    drain_by(stack.engine.store(), DRAINERS, tasks).await?;
    let site = stack.leave().await?;

    let kept = u64::from(tasks) / 10;
    let store = site.store(&site.dir).await?;
    let clock = StoreClock::start(&store).await?;
    let mut config = EngineConfig::new(site.dir.join("artifacts"));
    config.keep.succeeded = Keep { age: None, count: Some(kept) };
    let engine = site.engine_with(store, clock, config)?;
    bench.progress.step(&format!("forget all but {kept}"));
    let began = Instant::now();
    let forgotten = engine.prune().await?;
    let took = began.elapsed();
    expect("forgotten tasks", u64::from(tasks) - kept, forgotten as u64)?;
    bench.recorder.add(Figure::PruneRate, forgotten as f64 / took.as_secs_f64());
    drop(engine);
    site.remove().await
}
