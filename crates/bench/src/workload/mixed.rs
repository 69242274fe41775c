//! Submits, reads and lists over HTTP while a worker works off what comes in.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use taskloom_protocol::Task;

use super::Bench;
use crate::BenchError;
use crate::client::{Connection, get, post};
use crate::figure::Figure;
use crate::stack::{Stack, noop};
use crate::stats::Latencies;

/// Connections that submit a task, read it, and go on.
const SUBMITTERS: u32 = 16;
/// How often a person's dashboard asks for a page.
const LIST_EVERY: Duration = Duration::from_millis(50);

pub(super) async fn run(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    bench.progress.step("submits, reads, lists and a worker at the same time");
    let mut stack = Stack::open(bench.fresh().await?).await?;
    stack.work(bench.sizes.concurrency);
    let address = stack.serve().await?;
    let token: Arc<str> = Connection::open(address).await?.login().await?.into();
    let (stop, submitted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let clients: Vec<_> = (0..SUBMITTERS)
        .map(|_| tokio::spawn(submit(address, Arc::clone(&token), Arc::clone(&stop), Arc::clone(&submitted))))
        .collect();
    let lists = tokio::spawn(list(address, Arc::clone(&token), Arc::clone(&stop)));
    let began = Instant::now();
    tokio::time::sleep(bench.sizes.load()).await;
    stop.store(true, Ordering::Relaxed);
    let seconds = began.elapsed().as_secs_f64();
    for client in clients {
        client.await.map_err(|_| BenchError::Stuck("a client"))??;
    }
    let lists = lists.await.map_err(|_| BenchError::Stuck("the list"))??;
    let submitted = submitted.load(Ordering::Relaxed);
    bench.recorder.add(Figure::MixedSubmitRate, submitted as f64 / seconds);
    let done = stack.probe.acknowledged();
    bench.recorder.add(Figure::MixedDrainRate, done as f64 / seconds);
    bench.recorder.add(Figure::MixedListP99, Latencies::new(lists).ms(0.99));
    stack.probe.wait_for(submitted).await?;
    stack.stop().await
}

async fn submit(
    address: SocketAddr,
    token: Arc<str>,
    stop: Arc<AtomicBool>,
    submitted: Arc<AtomicU64>,
) -> Result<(), BenchError> {
    let mut connection = Connection::open(address).await?;
    let request = post("/api/v1/tasks", &token, &noop(0))?;
    while !stop.load(Ordering::Relaxed) {
        let made: Task = connection.json(&request, 201).await?;
        submitted.fetch_add(1, Ordering::Relaxed);
        let _: Task = connection.json(&get(&format!("/api/v1/tasks/{}", made.id), &token), 200).await?;
    }
    Ok(())
}

async fn list(address: SocketAddr, token: Arc<str>, stop: Arc<AtomicBool>) -> Result<Vec<u64>, BenchError> {
    let mut connection = Connection::open(address).await?;
    let mut nanos = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        connection.send(&get("/api/v1/tasks?limit=50", &token)).await?.expect(200)?;
        nanos.push(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
        tokio::time::sleep(LIST_EVERY).await;
    }
    Ok(nanos)
}
