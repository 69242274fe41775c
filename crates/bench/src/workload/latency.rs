//! One task at a time on an idle system.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use taskloom_engine::{Caller, Engine};
use taskloom_model::State;
use taskloom_protocol::Task;

use super::Bench;
use crate::BenchError;
use crate::client::{Connection, get, post};
use crate::figure::Figure;
use crate::probe::Probe;
use crate::stack::{Stack, noop};
use crate::stats::Latencies;

/// Long enough for everything to fall idle.
const PAUSE: Duration = Duration::from_millis(5);
const WAIT: Duration = Duration::from_secs(10);
/// Tasks that do not count, until everything is warm.
const WARM_UP: u32 = 10;
/// The worker of an idle system is not what is measured.
const CONCURRENCY: u32 = 8;

/// Nanoseconds from submit to start and from submit to the visible result.
#[derive(Default)]
struct Spans {
    start: Vec<u64>,
    result: Vec<u64>,
}

impl Spans {
    fn note(&mut self, submitted: u64, probe: &Probe) {
        self.result.push(probe.now().saturating_sub(submitted));
        self.start.push(probe.last_start().saturating_sub(submitted));
    }
}

pub(super) async fn run(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let tasks = bench.sizes.latency_tasks;
    bench.progress.step(&format!("latency of {tasks} tasks in process"));
    let mut stack = Stack::open(bench.fresh().await?).await?;
    stack.work(CONCURRENCY);
    let (engine, caller, probe) = (stack.engine.clone(), stack.caller, Arc::clone(&stack.probe));
    let spans = spawned(in_process(engine, caller, probe, tasks)).await?;
    let figures = [Figure::StartP50, Figure::StartP99, Figure::ResultP50, Figure::ResultP99];
    record(bench, figures, spans);

    bench.progress.step(&format!("latency of {tasks} tasks over HTTP"));
    let address = stack.serve().await?;
    let spans = spawned(over_http(address, Arc::clone(&stack.probe), tasks)).await?;
    let figures = [Figure::HttpStartP50, Figure::HttpStartP99, Figure::HttpResultP50, Figure::HttpResultP99];
    record(bench, figures, spans);
    stack.expect_succeeded(2 * (tasks + WARM_UP)).await?;
    stack.stop().await
}

/// On the runtime's threads, where callers of an engine are.
async fn spawned(
    run: impl Future<Output = Result<Spans, BenchError>> + Send + 'static,
) -> Result<Spans, BenchError> {
    tokio::spawn(run).await.map_err(|_| BenchError::Stuck("the client"))?
}

async fn in_process(
    engine: Engine,
    caller: Caller,
    probe: Arc<Probe>,
    tasks: u32,
) -> Result<Spans, BenchError> {
    let mut spans = Spans::default();
    for number in 0..tasks + WARM_UP {
        let submitted = probe.now();
        let made = engine.submit(&caller, noop(number), None).await?;
        let ended = engine.wait(&caller, made.task.id, WAIT).await?;
        check(&ended)?;
        if number >= WARM_UP {
            spans.note(submitted, &probe);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(spans)
}

async fn over_http(address: SocketAddr, probe: Arc<Probe>, tasks: u32) -> Result<Spans, BenchError> {
    let mut connection = Connection::open(address).await?;
    let token = connection.login().await?;
    let mut spans = Spans::default();
    for number in 0..tasks + WARM_UP {
        let request = post("/api/v1/tasks", &token, &noop(number))?;
        let submitted = probe.now();
        let made: Task = connection.json(&request, 201).await?;
        let path = format!("/api/v1/tasks/{}?wait={}", made.id, WAIT.as_secs());
        let ended: Task = connection.json(&get(&path, &token), 200).await?;
        check(&ended)?;
        if number >= WARM_UP {
            spans.note(submitted, &probe);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(spans)
}

fn check(task: &Task) -> Result<(), BenchError> {
    match task.state {
        State::Succeeded => Ok(()),
        state => Err(BenchError::Answer(format!("a task ended as {}", state.name()))),
    }
}

fn record(bench: &mut Bench<'_>, [start50, start99, result50, result99]: [Figure; 4], spans: Spans) {
    let (start, result) = (Latencies::new(spans.start), Latencies::new(spans.result));
    bench.recorder.add(start50, start.ms(0.5));
    bench.recorder.add(start99, start.ms(0.99));
    bench.recorder.add(result50, result.ms(0.5));
    bench.recorder.add(result99, result.ms(0.99));
}
