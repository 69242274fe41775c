//! A worker in the engine's process works off what is queued.

use std::time::Instant;

use super::Bench;
use crate::BenchError;
use crate::figure::Figure;
use crate::proc_stat::Process;
use crate::stack::Stack;

pub(super) async fn run(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let tasks = bench.sizes.drain_tasks;
    let mut stack = Stack::open(bench.fresh().await?).await?;
    bench.progress.step(&format!("queue {tasks} tasks"));
    let filling = Instant::now();
    stack.fill(tasks).await?;
    bench.recorder.add(Figure::FillRate, f64::from(tasks) / filling.elapsed().as_secs_f64());

    bench.progress.step(&format!("drain {tasks} tasks"));
    let before = Process::own().cpu();
    stack.work(bench.sizes.concurrency);
    stack.probe.wait_for(u64::from(tasks)).await?;
    let nanos = stack.probe.last_acknowledged().saturating_sub(stack.probe.first_start());
    let used = Process::own().cpu().zip(before).map(|(after, before)| after.saturating_sub(before));
    stack.expect_succeeded(tasks).await?;
    bench.recorder.add(Figure::DrainRate, f64::from(tasks) * 1e9 / nanos.max(1) as f64);
    bench
        .recorder
        .add_some(Figure::DrainCpu, used.map(|used| used.as_secs_f64() * 1_000.0 / f64::from(tasks)));
    stack.stop().await
}
