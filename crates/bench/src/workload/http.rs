//! Submits and reads over HTTP, against `taskloom dev` as a process of its own.

use std::sync::Arc;

use serde::Deserialize;
use taskloom_protocol::{Batch, Counts, SubmitTask};
use uuid::Uuid;

use super::Bench;
use crate::BenchError;
use crate::child::{Server, Start};
use crate::client::{get, post};
use crate::error::expect;
use crate::figure::Figure;
use crate::load::{self, Load, Loaded};
use crate::probe::NOOP;

/// No worker serves it.
const QUEUE: &str = "bench-idle";

#[derive(Deserialize)]
struct Known {
    items: Vec<Identified>,
}

#[derive(Deserialize)]
struct Identified {
    id: Uuid,
}

pub(super) async fn run(bench: &mut Bench<'_>, submit: bool, get: bool) -> Result<(), BenchError> {
    let site = bench.fresh().await?;
    let start = Start { taskloom: bench.taskloom, site: &site, concurrency: None };
    let server = start.run().await?;
    let token = server.connect().await?.login().await?;
    if submit {
        bench.progress.step("submit over HTTP");
        submits(bench, &server, &token).await?;
    }
    if get {
        bench.progress.step("get over HTTP");
        gets(bench, &server, &token).await?;
    }
    server.stop().await?;
    site.remove().await
}

async fn submits(bench: &mut Bench<'_>, server: &Server, token: &str) -> Result<(), BenchError> {
    let request = post("/api/v1/tasks", token, &task()?)?;
    let loaded = load::run(load(bench, server, vec![request], 201)).await?;
    let counts: Counts = server.connect().await?.json(&get("/api/v1/tasks/count", token), 200).await?;
    expect("submitted tasks", loaded.all, counts.total)?;
    let figures = [Figure::HttpSubmitP50, Figure::HttpSubmitP99, Figure::HttpSubmitCpu];
    record(bench, Figure::HttpSubmitRate, figures, &loaded);
    Ok(())
}

async fn gets(bench: &mut Bench<'_>, server: &Server, token: &str) -> Result<(), BenchError> {
    let tasks = vec![task()?; bench.sizes.known_ids as usize];
    let batch = post("/api/v1/tasks/batch", token, &Batch { tasks })?;
    let known: Known = server.connect().await?.json(&batch, 201).await?;
    let requests = known.items.iter().map(|task| get(&format!("/api/v1/tasks/{}", task.id), token)).collect();
    let loaded = load::run(load(bench, server, requests, 200)).await?;
    let figures = [Figure::HttpGetP50, Figure::HttpGetP99, Figure::HttpGetCpu];
    record(bench, Figure::HttpGetRate, figures, &loaded);
    Ok(())
}

/// A task with a payload as web applications send it.
fn task() -> Result<SubmitTask, BenchError> {
    let kwargs = r#"{"i":1,"kind":"email","to":"user@example.com"}"#.to_owned();
    let kwargs = serde_json::value::RawValue::from_string(kwargs).map_err(std::io::Error::from)?;
    Ok(SubmitTask {
        task: NOOP.into(),
        queue: Some(QUEUE.into()),
        kwargs: Some(kwargs),
        ..SubmitTask::default()
    })
}

fn load(bench: &Bench<'_>, server: &Server, requests: Vec<Vec<u8>>, status: u16) -> Load {
    Load {
        address: server.address,
        requests: Arc::from(requests),
        status,
        connections: bench.sizes.connections,
        warm_up: bench.sizes.warm_up(),
        seconds: bench.sizes.load(),
        server: server.process(),
    }
}

fn record(bench: &mut Bench<'_>, rate: Figure, [p50, p99, cpu]: [Figure; 3], loaded: &Loaded) {
    bench.recorder.add(rate, loaded.rate());
    bench.recorder.add(p50, loaded.latencies.ms(0.5));
    bench.recorder.add(p99, loaded.latencies.ms(0.99));
    bench.recorder.add_some(cpu, loaded.cpu_per_1000());
}
