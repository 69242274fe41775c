//! Load on keep-alive connections: one thread, one task a connection, requests built beforehand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::LocalSet;

use crate::BenchError;
use crate::client::Connection;
use crate::proc_stat::Process;
use crate::stats::Latencies;

/// What to send.
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    /// Sent in turn; each connection begins at another one.
    pub(crate) requests: Arc<[Vec<u8>]>,
    /// Every answer must have this status.
    pub(crate) status: u16,
    pub(crate) connections: u32,
    /// Answers of this time do not count.
    pub(crate) warm_up: Duration,
    pub(crate) seconds: Duration,
    /// Whose processor time is of interest.
    pub(crate) server: Process,
}

/// What came of it.
pub(crate) struct Loaded {
    /// All answers, those of the warm-up included.
    pub(crate) all: u64,
    /// Answers that count.
    pub(crate) answers: u64,
    /// The time they took.
    pub(crate) elapsed: Duration,
    /// The server's processor time meanwhile.
    pub(crate) cpu: Option<Duration>,
    /// How long each took.
    pub(crate) latencies: Latencies,
}

impl Loaded {
    pub(crate) fn rate(&self) -> f64 {
        self.answers as f64 / self.elapsed.as_secs_f64()
    }

    pub(crate) fn cpu_per_1000(&self) -> Option<f64> {
        Some(self.cpu?.as_secs_f64() * 1_000.0 / self.answers.max(1) as f64)
    }
}

/// Runs the load on a thread of its own.
pub(crate) async fn run(load: Load) -> Result<Loaded, BenchError> {
    let limit = load.warm_up + load.seconds + Duration::from_secs(30);
    let (answer, loaded) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("bench-load".into()).spawn(move || {
        // Whoever waits may have been interrupted.
        let _ = answer.send(on_this_thread(load));
    })?;
    let loaded = tokio::time::timeout(limit, loaded).await;
    loaded.map_err(|_| BenchError::Stuck("the load"))?.map_err(|_| BenchError::Stuck("the load"))?
}

fn on_this_thread(load: Load) -> Result<Loaded, BenchError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, measure(load))
}

/// The time that counts.
#[derive(Clone, Copy)]
struct Window {
    begin: Instant,
    end: Instant,
}

/// What one connection saw.
#[derive(Default)]
struct Seen {
    all: u64,
    nanos: Vec<u64>,
}

async fn measure(load: Load) -> Result<Loaded, BenchError> {
    let mut connections = Vec::with_capacity(load.connections as usize);
    for _ in 0..load.connections {
        connections.push(Connection::open(load.address).await?);
    }
    let begin = Instant::now() + load.warm_up;
    let window = Window { begin, end: begin + load.seconds };
    let spread = load.requests.len() / connections.len().max(1);
    let spawn = |(at, connection)| {
        let requests = Arc::clone(&load.requests);
        tokio::task::spawn_local(one(connection, requests, at * spread, load.status, window))
    };
    let tasks: Vec<_> = connections.into_iter().enumerate().map(spawn).collect();
    tokio::time::sleep_until(window.begin.into()).await;
    let before = (Instant::now(), load.server.cpu());
    tokio::time::sleep_until(window.end.into()).await;
    let (elapsed, after) = (before.0.elapsed(), load.server.cpu());
    let mut total = Seen::default();
    for task in tasks {
        let seen = task.await.map_err(|_| BenchError::Stuck("the load"))??;
        total.all += seen.all;
        total.nanos.extend(seen.nanos);
    }
    let cpu = before.1.zip(after).map(|(before, after)| after.saturating_sub(before));
    let answers = total.nanos.len() as u64;
    Ok(Loaded { all: total.all, answers, elapsed, cpu, latencies: Latencies::new(total.nanos) })
}

/// Sends until the end; what is answered within the window counts.
async fn one(
    mut connection: Connection,
    requests: Arc<[Vec<u8>]>,
    first: usize,
    status: u16,
    window: Window,
) -> Result<Seen, BenchError> {
    let mut seen = Seen::default();
    let mut sent = Instant::now();
    for request in requests.iter().cycle().skip(first) {
        if sent >= window.end {
            break;
        }
        connection.send(request).await?.expect(status)?;
        let now = Instant::now();
        seen.all += 1;
        if now >= window.begin && now < window.end {
            seen.nanos.push(u64::try_from((now - sent).as_nanos()).unwrap_or(u64::MAX));
        }
        sent = now;
    }
    Ok(seen)
}
