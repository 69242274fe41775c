//! `taskloom dev` as a process: its start, its memory, its processor time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use taskloom_model::Timestamp;
use taskloom_protocol::{Counts, Page, Task};
use tokio::time::sleep;
use uuid::Uuid;

use super::Bench;
use crate::BenchError;
use crate::child::{Server, Start, data_dir};
use crate::client::{Connection, get};
use crate::figure::Figure;
use crate::stack::{Stack, expect_succeeded};

/// How often to look whether the backlog is done; each look costs the server a little.
const LOOK: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(600);

pub(super) async fn run(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let start_up = idle(bench).await?;
    backlog(bench, start_up).await
}

/// A start on an empty directory; gives the processor time of the start.
async fn idle(bench: &mut Bench<'_>) -> Result<Option<Duration>, BenchError> {
    bench.progress.step("start and idle memory");
    let site = bench.fresh().await?;
    let start = Start { taskloom: bench.taskloom, site: &site, concurrency: None };
    let server = start.run().await?;
    bench.recorder.add(Figure::LiveSeconds, server.live.as_secs_f64());
    sleep(bench.sizes.idle()).await;
    let process = server.process();
    bench.recorder.add_some(Figure::RssIdle, process.rss_mib());
    bench.recorder.add_some(Figure::PssIdle, process.pss_mib());
    let cpu = process.cpu();
    server.stop().await?;
    site.remove().await?;
    Ok(cpu)
}

/// A start on a backlog, which is worked off.
async fn backlog(bench: &mut Bench<'_>, start_up: Option<Duration>) -> Result<(), BenchError> {
    let (site, tasks) = (bench.fresh().await?, bench.sizes.drain_tasks);
    bench.progress.step(&format!("queue {tasks} tasks for taskloom dev"));
    let data = data_dir(&site.dir);
    let stack = Stack::open_at(site, &data).await?;
    let (first, last) = stack.fill(tasks).await?;
    let site = stack.leave().await?;

    bench.progress.step(&format!("start on {tasks} tasks and drain"));
    let concurrency = Some(bench.sizes.concurrency);
    let exec = now();
    let start = Start { taskloom: bench.taskloom, site: &site, concurrency };
    let server = start.run().await?;
    let mut connection = server.connect().await?;
    let token = connection.login().await?;
    let counts = until_done(&mut connection, &token, last).await?;
    expect_succeeded(counts, tasks)?;
    record(bench, &server, start_up);
    let (began, ended) = span(&mut connection, &token, first).await?;
    bench.recorder.add(Figure::FirstTaskSeconds, began.since(exec).as_secs_f64());
    let seconds = ended.since(began).as_secs_f64().max(1e-6);
    bench.recorder.add(Figure::DevDrainRate, f64::from(tasks) / seconds);
    server.stop().await?;
    site.remove().await
}

fn record(bench: &mut Bench<'_>, server: &Server, start_up: Option<Duration>) {
    let process = server.process();
    bench.recorder.add_some(Figure::RssLoaded, process.rss_mib());
    bench.recorder.add_some(Figure::PssLoaded, process.pss_mib());
    let used = process.cpu().zip(start_up).map(|(all, start_up)| all.saturating_sub(start_up).as_secs_f64());
    let per_1000 = used.map(|used| used * 1_000.0 / f64::from(bench.sizes.drain_tasks));
    bench.recorder.add_some(Figure::DevDrainCpu, per_1000);
}

/// Looks at the last task, which is cheap, and counts once that one has ended.
async fn until_done(connection: &mut Connection, token: &str, last: Uuid) -> Result<Counts, BenchError> {
    let question = get(&format!("/api/v1/tasks/{last}"), token);
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let task: Task = connection.json(&question, 200).await?;
        if task.has_ended() {
            let counts: Counts = connection.json(&get("/api/v1/tasks/count", token), 200).await?;
            if counts.pending + counts.running == 0 {
                return Ok(counts);
            }
        }
        sleep(LOOK).await;
    }
    Err(BenchError::Stuck("the drain of taskloom dev"))
}

/// When the first task was claimed and when the last one ended.
async fn span(
    connection: &mut Connection,
    token: &str,
    first: Uuid,
) -> Result<(Timestamp, Timestamp), BenchError> {
    let missing = || BenchError::Answer("a task without its times".into());
    let task: Task = connection.json(&get(&format!("/api/v1/tasks/{first}"), token), 200).await?;
    let last = "/api/v1/tasks?order_by=completed_at&order_desc=true&limit=1";
    let page: Page = connection.json(&get(last, token), 200).await?;
    let ended = page.items.first().and_then(|task| task.completed_at).ok_or_else(missing)?;
    Ok((task.started_at.ok_or_else(missing)?, ended))
}

/// The system's clock, which is the server's as well.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::MIN.plus(since)
}
