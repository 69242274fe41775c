//! An external worker whose handler writes down outside Taskloom when it starts and ends: tests kill it and compare.
//!
//! `ledger_worker --server URL --token TOKEN --ledger FILE [--name NAME] [--concurrency N]`
//!
//! Handler `ledger.write`, kwargs `{"work_ms": 50}`: appends `start <task_id> <epoch> <attempt> <pid>`, sleeps,
//! appends `end <task_id> <epoch> <attempt> <pid>`.

use std::collections::HashMap;
use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use taskloom_worker::{CancellationToken, Context, HandlerError, HttpWorkerApi, Kwargs, Registry, Worker};

#[derive(Deserialize)]
struct LedgerWrite {
    #[serde(default)]
    work_ms: u64,
}

async fn write(file: Arc<File>, ctx: Context, work: LedgerWrite) -> Result<u32, HandlerError> {
    line(&file, "start", &ctx)?;
    tokio::time::sleep(Duration::from_millis(work.work_ms)).await;
    line(&file, "end", &ctx)?;
    Ok(ctx.task().attempt)
}

/// One write in append mode, so that lines of several processes never mix.
fn line(mut file: &File, word: &str, ctx: &Context) -> std::io::Result<()> {
    let task = ctx.task();
    let line = format!("{word} {} {} {} {}\n", task.id, task.epoch, task.attempt, std::process::id());
    file.write_all(line.as_bytes())
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ledger_worker: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let options = options(std::env::args().skip(1))?;
    let required = |name: &str| options.get(name).ok_or_else(|| format!("--{name} is missing"));
    let (server, token) = (required("server")?, required("token")?);
    let file = Arc::new(OpenOptions::new().create(true).append(true).open(required("ledger")?)?);
    let handler = move |ctx: Context, Kwargs(work): Kwargs<LedgerWrite>| write(Arc::clone(&file), ctx, work);
    let registry = Registry::new().with("ledger.write", handler);
    let mut worker = Worker::builder(Arc::new(HttpWorkerApi::new(server, token)?), registry)
        .beat_api(Arc::new(HttpWorkerApi::new(server, token)?));
    if let Some(name) = options.get("name") {
        worker = worker.name(name);
    }
    if let Some(concurrency) = options.get("concurrency") {
        worker = worker.concurrency(concurrency.parse()?);
    }
    let shutdown = CancellationToken::new();
    tokio::spawn(stop_on_signal(shutdown.clone()));
    worker.build().run(shutdown).await?;
    Ok(())
}

/// `--name value` pairs.
fn options(mut args: impl Iterator<Item = String>) -> Result<HashMap<String, String>, String> {
    let mut options = HashMap::new();
    while let Some(arg) = args.next() {
        let name = arg.strip_prefix("--").ok_or_else(|| format!("unexpected {arg:?}"))?;
        if !matches!(name, "server" | "token" | "ledger" | "name" | "concurrency") {
            return Err(format!("unknown option {arg}"));
        }
        options.insert(name.to_owned(), args.next().ok_or_else(|| format!("{arg} needs a value"))?);
    }
    Ok(options)
}

async fn stop_on_signal(shutdown: CancellationToken) {
    #[cfg(unix)]
    {
        let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        else {
            return;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    }
    #[cfg(not(unix))]
    let _ = tokio::signal::ctrl_c().await;
    shutdown.cancel();
}
