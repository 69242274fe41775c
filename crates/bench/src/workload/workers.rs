//! A backlog worked off by several worker processes beside the database.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use taskloom_engine::TaskFilter;
use taskloom_model::Status;
use taskloom_protocol::SubmitTask;
use tokio::time::sleep;

use super::Bench;
use crate::BenchError;
use crate::error::expect;
use crate::series::Curve;
use crate::stack::Stack;

const PROCESSES: [u32; 4] = [1, 2, 4, 8];
/// A handler that every `taskloom worker` has.
const HANDLER: &str = "demo.noop";
/// How often to look whether the backlog is done.
const LOOK: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(600);

pub(super) async fn run(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    if bench.target.database.is_none() {
        return Err(BenchError::Server(
            "the workload workers needs --database-url: a SQLite file has one process".into(),
        ));
    }
    let tasks = bench.sizes.drain_tasks;
    for processes in PROCESSES {
        let stack = Stack::open(bench.fresh().await?).await?;
        bench.progress.step(&format!("drain {tasks} tasks by {processes} processes"));
        let mut left = tasks;
        while left > 0 {
            let now = left.min(10_000);
            let batch = vec![SubmitTask::new(HANDLER); now as usize];
            stack.engine.submit_batch(&stack.caller, batch, None).await?;
            left -= now;
        }
        let workers: Vec<Running> = (0..processes).map(|_| start(bench, &stack)).collect::<Result<_, _>>()?;
        let rate = until_done(&stack, tasks).await?;
        bench.recorder.add_point(Curve::Workers, processes, rate);
        drop(workers);
        stack.stop().await?;
    }
    Ok(())
}

/// A worker that ends with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(bench: &Bench<'_>, stack: &Stack) -> Result<Running, BenchError> {
    let url = stack.database_url().ok_or(BenchError::Stuck("the database's address"))?;
    let mut command = Command::new(bench.taskloom);
    command
        .args(["worker", "--concurrency", &bench.sizes.concurrency.to_string()])
        .env("DATABASE_URL", &url)
        .env_remove("TASKLOOM_TOKEN")
        .env_remove("REDIS_URL")
        .current_dir(bench.dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let (Some(redis), Some(prefix)) = (&bench.target.redis, stack.prefix()) {
        command.env("REDIS_URL", redis).env("TASKLOOM_REDIS__PREFIX", prefix);
    }
    Ok(Running(command.spawn()?))
}

/// Tasks per second from the first end to the last.
async fn until_done(stack: &Stack, tasks: u32) -> Result<f64, BenchError> {
    let ended = || async {
        let depth = stack.engine.store().task_depth().await?;
        Ok::<u64, BenchError>(u64::from(tasks).saturating_sub(depth.ready + depth.running))
    };
    let began = Instant::now();
    let mut first = None;
    loop {
        let done = ended().await?;
        if done > 0 && first.is_none() {
            first = Some((Instant::now(), done));
        }
        if done == u64::from(tasks) {
            break;
        }
        if began.elapsed() > PATIENCE {
            return Err(BenchError::Stuck("the workers"));
        }
        sleep(LOOK).await;
    }
    let (start, before) = first.unwrap_or((began, 0));
    let seconds = start.elapsed().as_secs_f64().max(1e-3);
    let filter = TaskFilter { status: Some(Status::Succeeded), ..TaskFilter::default() };
    expect("succeeded tasks", u64::from(tasks), stack.engine.count(&stack.caller, filter).await?.total)?;
    Ok((f64::from(tasks) - before as f64) / seconds)
}
