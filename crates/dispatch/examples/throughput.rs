//! How fast ids go through Redis, in batches of 200, one process that announces and one that takes:
//! `cargo run --release -p taskloom-dispatch --example throughput`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use taskloom_dispatch::{Bells, Dispatcher, Home as _, Ready, RedisHome, RedisOptions};
use taskloom_model::{Priority, TaskId};
use taskloom_testkit::Redis;

const IDS: usize = 200_000;
const BATCH: usize = 200;

async fn process(options: &RedisOptions) -> Dispatcher {
    let bells = Bells::default();
    let home = RedisHome::connect(options, bells.clone()).unwrap();
    while !home.status().ok {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Dispatcher::new(home, bells)
}

fn told(what: &str, count: usize, took: Duration) {
    let each = took.as_secs_f64() / count as f64;
    println!("{what}: {:.0} ids/s, {:.2} µs per id", 1.0 / each, each * 1e6);
}

/// Announces all at the pace at which they are taken, and takes until nothing is left; the time it took.
async fn announce_and_take(from: &Dispatcher, to: &Dispatcher, queue: &Arc<str>) -> Duration {
    let began = Instant::now();
    let (queues, mut taken, mut said) = (vec![queue.to_string()], 0, 0);
    while taken < IDS {
        // About ten batches are on their way at any time.
        while said < IDS && said - taken < 10 * BATCH {
            let ready =
                |_| Ready { queue: Arc::clone(queue), priority: Priority::Normal, id: TaskId::now_v7() };
            from.announce(&(0..BATCH).map(ready).collect::<Vec<_>>());
            said += BATCH;
        }
        let waiter = to.listen(&queues);
        let tickets = to.take(&queues, BATCH).await;
        if tickets.is_empty() {
            waiter.wait(Duration::from_millis(100)).await;
        }
        taken += tickets.len();
        to.done(tickets);
    }
    began.elapsed()
}

/// From the announcement of one task to its ticket in another process, which waits.
async fn latency(from: &Dispatcher, to: &Dispatcher, queue: &Arc<str>) -> Duration {
    let queues = [queue.to_string()];
    let waiter = to.listen(&queues);
    let began = Instant::now();
    from.announce(&[Ready { queue: Arc::clone(queue), priority: Priority::Normal, id: TaskId::now_v7() }]);
    waiter.wait(Duration::from_secs(1)).await;
    let tickets = to.take(&queues, 1).await;
    let took = began.elapsed();
    to.done(tickets);
    took
}

/// The processor time Redis has used.
fn redis_seconds(redis: &Redis) -> f64 {
    let told = redis.cli(&["INFO", "cpu"]).unwrap();
    let used = |line: &str| line.strip_prefix("used_cpu_")?.split_once(':')?.1.trim().parse::<f64>().ok();
    told.lines().filter(|line| line.contains("_sys:") || line.contains("_user:")).filter_map(used).sum()
}

#[tokio::main]
async fn main() {
    let redis = Redis::start().unwrap();
    let options = RedisOptions::new(redis.url());
    let (from, to) = (process(&options).await, process(&options).await);
    let queue: Arc<str> = "default".into();
    for _ in 0..3 {
        told("announce, take, done", IDS, announce_and_take(&from, &to, &queue).await);
    }
    println!("processor time of Redis: {:.2} µs per id", redis_seconds(&redis) / (3 * IDS) as f64 * 1e6);
    let mut times = Vec::new();
    for _ in 0..1_000 {
        times.push(latency(&from, &to, &queue).await);
    }
    times.sort_unstable();
    println!("one task to a waiting process: p50 {:?}, p99 {:?}", times[500], times[990]);
}
