//! Claims and finishes while ever more tasks wait, and then beside as many that have ended.

use super::Bench;
use super::ceiling::DRAINERS;
use crate::BenchError;
use crate::drainer::drain_by;
use crate::series::Curve;
use crate::stack::Stack;
use crate::stats::Latencies;

/// Tasks claimed in a round, which are filled up again before the next: every depth is held while it is looked at.
const ROUND: u32 = 10_000;
/// Rounds at each depth: the same number of tasks, so that checkpoints and caches weigh alike.
const ROUNDS: u32 = 5;

pub(super) async fn run(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let mut depths = bench.sizes.depths.clone();
    depths.sort_unstable();
    let stack = Stack::open(bench.fresh().await?).await?;
    let mut waiting = 0;
    for depth in &depths {
        bench.progress.step(&format!("fill up to {depth} waiting tasks"));
        stack.fill(depth.saturating_sub(waiting).max(1)).await?;
        waiting = *depth;
        settle(bench, &stack).await?;
        bench.progress.step(&format!("claim and finish beside {depth} that wait"));
        let (rate, claims) = rounds(&stack).await?;
        bench.recorder.add_point(Curve::Backlog, *depth, rate);
        bench.recorder.add_point(Curve::BacklogClaimP99, *depth, Latencies::new(claims).ms(0.99));
    }
    let Some(most) = depths.last() else { return stack.stop().await };
    bench.progress.step(&format!("work off {waiting} tasks"));
    drain_by(stack.engine.store(), DRAINERS, waiting + waiting % DRAINERS).await?;
    settle(bench, &stack).await?;
    bench.progress.step(&format!("claim and finish beside {most} that have ended"));
    let (rate, _) = rounds(&stack).await?;
    bench.recorder.add_point(Curve::History, *most, rate);
    stack.stop().await?;

    // The same from an empty history, to compare with.
    let stack = Stack::open(bench.fresh().await?).await?;
    settle(bench, &stack).await?;
    let (rate, _) = rounds(&stack).await?;
    bench.recorder.add_point(Curve::History, 0, rate);
    stack.stop().await
}

/// What is looked at is the depth, not what a server still has to do for millions of tasks that were written a moment ago.
async fn settle(bench: &Bench<'_>, stack: &Stack) -> Result<(), BenchError> {
    bench.progress.step("let the server settle");
    stack.settle().await
}

/// Tasks per second and the nanoseconds of each claim; what is filled in between does not count.
async fn rounds(stack: &Stack) -> Result<(f64, Vec<u64>), BenchError> {
    let (mut seconds, mut claims) = (0.0, Vec::new());
    for _ in 0..ROUNDS {
        stack.fill(ROUND).await?;
        let (rate, these) = drain_by(stack.engine.store(), DRAINERS, ROUND).await?;
        seconds += f64::from(ROUND) / rate;
        claims.extend(these);
    }
    Ok((f64::from(ROUND * ROUNDS) / seconds, claims))
}
