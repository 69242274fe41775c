//! What the database gives at best: the store's claims and finishes in a loop.

use super::Bench;
use crate::BenchError;
use crate::drainer::drain_by;
use crate::error::expect;
use crate::figure::Figure;
use crate::stack::Stack;

/// Loops at once; with two processors more are slower.
pub(super) const DRAINERS: u32 = 2;

pub(super) async fn run(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let tasks = bench.sizes.drain_tasks / DRAINERS * DRAINERS;
    let stack = Stack::open(bench.fresh().await?).await?;
    bench.progress.step(&format!("queue {tasks} tasks"));
    stack.fill(tasks).await?;
    bench.progress.step(&format!("drain {tasks} tasks by the store's statements alone"));
    let (rate, _) = drain_by(stack.engine.store(), DRAINERS, tasks).await?;
    let counts = stack.engine.count(&stack.caller, taskloom_engine::TaskFilter::default()).await?;
    expect("succeeded tasks", u64::from(tasks), counts.succeeded)?;
    bench.recorder.add(Figure::CeilingRate, rate);
    stack.stop().await
}
