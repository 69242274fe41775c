//! Submit and work off at the same time, from an idle start to the last acknowledged finish.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use taskloom_engine::{Caller, Engine};
use taskloom_protocol::Batch;
use tokio::task::JoinSet;

use super::Bench;
use crate::BenchError;
use crate::client::{Connection, post};
use crate::figure::Figure;
use crate::stack::{Stack, noop, noops};

/// Batches on their way at once.
const SUBMITTERS: u32 = 4;

pub(super) async fn run(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let tasks = bench.sizes.both_tasks;
    bench.progress.step(&format!("submit and drain {tasks} tasks in process"));
    let stack = open(bench).await?;
    let (engine, caller) = (stack.engine.clone(), stack.caller);
    let seconds = measure(bench, stack, |batches| in_process(engine.clone(), caller, batches)).await?;
    bench.recorder.add(Figure::BothSeconds, seconds);

    bench.progress.step(&format!("submit and drain {tasks} tasks over HTTP"));
    let mut stack = open(bench).await?;
    let address = stack.serve().await?;
    let token: Arc<str> = Connection::open(address).await?.login().await?.into();
    let seconds = measure(bench, stack, |batches| over_http(address, Arc::clone(&token), batches)).await?;
    bench.recorder.add(Figure::BothHttpSeconds, seconds);
    Ok(())
}

/// A stack whose worker has done a task and is idle.
async fn open(bench: &Bench<'_>) -> Result<Stack, BenchError> {
    let mut stack = Stack::open(bench.fresh().await?).await?;
    stack.work(bench.sizes.concurrency);
    stack.engine.submit(&stack.caller, noop(0), None).await?;
    stack.probe.wait_for(1).await?;
    Ok(stack)
}

async fn measure<F>(
    bench: &Bench<'_>,
    stack: Stack,
    submitter: impl Fn(Arc<Batches>) -> F,
) -> Result<f64, BenchError>
where
    F: Future<Output = Result<(), BenchError>> + Send + 'static,
{
    let tasks = bench.sizes.both_tasks;
    let batches = Arc::new(Batches { left: AtomicU32::new(tasks), size: bench.sizes.batch });
    let start = stack.probe.now();
    let mut submitters = JoinSet::new();
    for _ in 0..SUBMITTERS {
        submitters.spawn(submitter(Arc::clone(&batches)));
    }
    while let Some(ended) = submitters.join_next().await {
        ended.map_err(|_| BenchError::Stuck("a submitter"))??;
    }
    stack.probe.wait_for(u64::from(tasks) + 1).await?;
    let nanos = stack.probe.last_acknowledged().saturating_sub(start);
    stack.expect_succeeded(tasks + 1).await?;
    stack.stop().await?;
    Ok(nanos as f64 / 1e9)
}

/// Tasks not submitted yet, for several submitters.
struct Batches {
    left: AtomicU32,
    size: u32,
}

impl Batches {
    /// The size of the next batch, 0 if there is none.
    fn next(&self) -> u32 {
        let take = |left: u32| Some(left.saturating_sub(self.size));
        let before = self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, take);
        before.unwrap_or_default().min(self.size)
    }
}

async fn in_process(engine: Engine, caller: Caller, batches: Arc<Batches>) -> Result<(), BenchError> {
    loop {
        let size = batches.next();
        if size == 0 {
            return Ok(());
        }
        engine.submit_batch(&caller, noops(size), None).await?;
    }
}

async fn over_http(address: SocketAddr, token: Arc<str>, batches: Arc<Batches>) -> Result<(), BenchError> {
    let mut connection = Connection::open(address).await?;
    loop {
        let size = batches.next();
        if size == 0 {
            return Ok(());
        }
        let request = post("/api/v1/tasks/batch", &token, &Batch { tasks: noops(size) })?;
        connection.send(&request).await?.expect(201)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_add_up() {
        let batches = Batches { left: AtomicU32::new(7), size: 3 };
        assert_eq!([batches.next(), batches.next(), batches.next(), batches.next()], [3, 3, 1, 0]);
    }
}
