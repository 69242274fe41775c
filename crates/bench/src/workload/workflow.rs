//! A workflow of as many nodes as one may have: all of it moves at once.

use std::time::{Duration, Instant};

use taskloom_engine::{Caller, Engine};
use taskloom_model::Status;
use taskloom_protocol::{SubmitTask, SubmitWorkflow, Workflow};

use super::Bench;
use crate::BenchError;
use crate::drainer::drain;
use crate::error::expect;
use crate::figure::Figure;
use crate::probe::NOOP;
use crate::stack::create_admin;

const ROOT: &str = "root";

/// A root, and nodes that all wait for it: submitted, their root is cancelled, they run again, it succeeds, and all that
/// is ready then is cancelled.
pub(super) async fn run(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let nodes = bench.sizes.nodes;
    let site = bench.fresh().await?;
    let engine = site.engine(&site.dir).await?;
    let caller = Caller { user_id: create_admin(&engine).await?, all: true };
    let graph = fan(nodes);

    bench.progress.step(&format!("submit a workflow of {nodes} nodes"));
    let (made, took) = timed(engine.submit_workflow(&caller, graph, None)).await;
    let made = made?;
    bench.recorder.add(Figure::WorkflowSubmit, took.as_secs_f64());
    let root = made.tasks.0.iter().find(|(key, _)| key == ROOT).map(|(_, id)| *id);
    let root = root.ok_or_else(|| BenchError::Answer("no root".into()))?;

    bench.progress.step("its root ends, the others follow");
    let (ended, took) = timed(engine.cancel(&caller, root, false)).await;
    ended?;
    expect("tasks that followed", u64::from(nodes), look(&engine, &caller, &made.id).await?.counts.revoked)?;
    bench.recorder.add(Figure::WorkflowFollow, took.as_secs_f64());

    bench.progress.step("all of it runs again");
    let (again, took) = timed(engine.retry_workflow(&caller, made.id, None)).await;
    expect("tasks that run again", u64::from(nodes), again?.tasks)?;
    bench.recorder.add(Figure::WorkflowRetry, took.as_secs_f64());

    bench.progress.step("its root succeeds, the others are ready");
    let (released, took) = timed(drain(engine.store().clone(), 1)).await;
    expect("roots", 1, u64::from(released?.tasks))?;
    bench.recorder.add(Figure::WorkflowRelease, took.as_secs_f64());

    bench.progress.step("all of it is cancelled");
    let (cancelled, took) = timed(engine.cancel_workflow(&caller, made.id, false)).await;
    expect("cancelled tasks", u64::from(nodes) - 1, cancelled?.tasks)?;
    let left = look(&engine, &caller, &made.id).await?;
    if left.status != Status::Revoked {
        return Err(BenchError::Answer(format!("the workflow is {}", left.status)));
    }
    bench.recorder.add(Figure::WorkflowCancel, took.as_secs_f64());
    drop(engine);
    site.remove().await
}

fn fan(nodes: u32) -> SubmitWorkflow {
    let graph = SubmitWorkflow::new("fan").node(ROOT, SubmitTask::new(NOOP));
    (1..nodes)
        .fold(graph, |graph, number| graph.node_after(format!("n{number}"), SubmitTask::new(NOOP), [ROOT]))
}

async fn look(
    engine: &Engine,
    caller: &Caller,
    id: &taskloom_model::WorkflowId,
) -> Result<Workflow, BenchError> {
    Ok(engine.workflow(caller, *id, false).await?)
}

async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let began = Instant::now();
    (work.await, began.elapsed())
}
