//! Claims and finishes while ever more tasks wait, and then beside as many that have ended.

use super::Bench;
use super::ceiling::DRAINERS;
use crate::BenchError;
use crate::drainer::{BATCH, drain_by};
use crate::series::Curve;
use crate::stack::Stack;
use crate::stats::Latencies;

/// Tasks claimed at each depth.
const LOOK: u32 = 50_000;

pub(super) async fn run(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let mut depths = bench.sizes.depths.clone();
    depths.sort_unstable();
    let stack = Stack::open(bench.fresh().await?).await?;
    let store = stack.engine.store().clone();
    let mut waiting = 0;
    for depth in &depths {
        let look = LOOK.min(*depth / 2 / BATCH * BATCH).max(BATCH);
        bench.progress.step(&format!("fill up to {depth} waiting tasks"));
        stack.fill((depth + look).saturating_sub(waiting)).await?;
        bench.progress.step(&format!("claim and finish {look} tasks beside {depth}"));
        let (rate, claims) = drain_by(&store, DRAINERS, look).await?;
        bench.recorder.add_point(Curve::Backlog, *depth, rate);
        bench.recorder.add_point(Curve::BacklogClaimP99, *depth, Latencies::new(claims).ms(0.99));
        waiting = *depth;
    }
    let (Some(least), Some(most)) = (depths.first(), depths.last()) else { return stack.stop().await };
    bench.progress.step(&format!("work off {waiting} tasks"));
    drain_by(&store, DRAINERS, waiting / DRAINERS * DRAINERS).await?;
    let look = LOOK.min(*least);
    stack.fill(look).await?;
    bench.progress.step(&format!("claim and finish {look} tasks beside {most} that have ended"));
    let (rate, _) = drain_by(&store, DRAINERS, look).await?;
    bench.recorder.add_point(Curve::History, *most, rate);
    stack.stop().await?;

    // The same from an empty history, to compare with.
    let stack = Stack::open(bench.fresh().await?).await?;
    stack.fill(look).await?;
    let (rate, _) = drain_by(stack.engine.store(), DRAINERS, look).await?;
    bench.recorder.add_point(Curve::History, 0, rate);
    stack.stop().await
}
