//! Submit and drain with arguments of several sizes.

use std::time::Instant;

use serde_json::value::to_raw_value;
use taskloom_protocol::SubmitTask;

use super::Bench;
use crate::BenchError;
use crate::probe::NOOP;
use crate::series::Curve;
use crate::stack::Stack;

/// Bytes of arguments.
const SIZES: [u32; 5] = [100, 1_024, 4_096, 16_384, 65_536];
/// Bytes of all tasks of a size together, at most.
const TOTAL: u32 = 200 << 20;
/// Bytes of one batch, at most.
const BATCH: u32 = 8 << 20;

pub(super) async fn run(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    for size in SIZES {
        let tasks = (TOTAL / size).min(bench.sizes.drain_tasks).min(50_000);
        bench.progress.step(&format!("submit and drain {tasks} tasks of {size} bytes"));
        let mut stack = Stack::open(bench.fresh().await?).await?;
        let kwargs = to_raw_value(&serde_json::json!({"text": "x".repeat(size as usize)}))
            .map_err(std::io::Error::from)?;
        let task = SubmitTask { task: NOOP.into(), kwargs: Some(kwargs), ..SubmitTask::default() };
        let batch = (BATCH / size).clamp(1, 1_000);
        let began = Instant::now();
        let mut left = tasks;
        while left > 0 {
            let now = left.min(batch);
            stack.engine.submit_batch(&stack.caller, vec![task.clone(); now as usize], None).await?;
            left -= now;
        }
        bench.recorder.add_point(
            Curve::PayloadSubmit,
            size,
            f64::from(tasks) / began.elapsed().as_secs_f64(),
        );
        stack.work(bench.sizes.concurrency);
        stack.probe.wait_for(u64::from(tasks)).await?;
        let nanos = stack.probe.last_acknowledged().saturating_sub(stack.probe.first_start());
        stack.expect_succeeded(tasks).await?;
        bench.recorder.add_point(Curve::PayloadDrain, size, f64::from(tasks) * 1e9 / nanos.max(1) as f64);
        stack.stop().await?;
    }
    Ok(())
}
