//! All URLs of one task: in parallel, into one file, in order.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::json;
use taskloom_worker::{Context, HandlerError};
use tokio::fs::File;
use tokio::io::{AsyncWriteExt, BufWriter};
use tokio::time::Instant;

use super::Collector;
use super::cache::{Cache, Remembered};
use super::client::Clients;
use super::fetch::{Fetcher, Total};
use super::pacer::Pacer;
use super::request::Plan;
use super::summary::Summary;
use super::visit::{Found, Visited, Visitor};

/// Rows that wait for those of an earlier URL; beyond so many bytes no further URL is begun until it has answered.
const MAX_WAITING_BYTES: usize = 64 << 20;
/// Failures written to the task's log; the count of all is in the result.
const MAX_LOGGED: usize = 200;

pub(crate) async fn run(
    collector: &Collector,
    clients: &Clients,
    ctx: &Context,
    plan: &Arc<Plan>,
) -> Result<Summary, HandlerError> {
    let start = Instant::now();
    let config = &collector.config;
    let cache_dir = config.cache_dir.as_deref().filter(|_| plan.etag);
    // What one user has fetched is no news of another's: each has a cache of their own.
    let spec = format!("{} {}", ctx.task().user_id, plan.fingerprint);
    let cache = cache_dir.map(|dir| Cache::new(dir, ctx.task().id.to_string(), &spec));
    let fetcher = Fetcher {
        plan,
        clients,
        guard: &collector.guard,
        pacer: Pacer::new(plan.rate_per_host),
        total: Total::new(config.max_total_bytes),
        max_redirects: config.max_redirects,
    };
    let visitor = Visitor { fetcher, plan, parsing: &collector.parsing, cache: cache.as_ref(), ctx };
    let file = Sink::create(&ctx.artifacts_dir()?.join(&plan.filename), &plan.columns.header()).await?;
    let (mut summary, remembered) = Line::new(&visitor, file).drain().await?;
    let artifact = ctx.keep_artifact(&plan.filename, plan.columns.output.content_type()).await?;
    summary.artifact = Some(artifact.into());
    summary.bytes = visitor.fetcher.total.used();
    summary.elapsed_seconds = start.elapsed().as_secs_f64();
    let summary = summary.judge(plan.fail_on)?;
    // Only now: had the task failed, its next attempt would get "not modified" for rows that nobody has.
    if let Some(cache) = cache {
        remember(ctx, cache, remembered).await;
    }
    Ok(summary)
}

async fn remember(ctx: &Context, cache: Cache, remembered: Vec<Remembered>) {
    let kept = ctx.blocking(move || cache.put_all(remembered)).await;
    if !matches!(kept, Ok(Ok(()))) {
        ctx.warn("the ETags could not be kept; the next run fetches everything anew");
        tracing::warn!(?kept, "collect.http cannot write its cache");
    }
}

/// The file with the rows.
struct Sink(BufWriter<File>);

impl Sink {
    async fn create(path: &Path, header: &[u8]) -> Result<Self, HandlerError> {
        let mut sink = Self(BufWriter::new(File::create(path).await?));
        sink.0.write_all(header).await?;
        Ok(sink)
    }
}

/// URLs in work, and those that are done but wait for an earlier one.
struct Line<'a> {
    visitor: &'a Visitor<'a>,
    file: Sink,
    waiting: BTreeMap<usize, Visited>,
    waiting_bytes: usize,
    /// The next URL whose rows go into the file.
    next: usize,
    done: usize,
    failed: usize,
    summary: Summary,
    remembered: Vec<Remembered>,
}

impl<'a> Line<'a> {
    fn new(visitor: &'a Visitor<'a>, file: Sink) -> Self {
        let summary = Summary { urls: visitor.plan.targets.len(), ..Summary::default() };
        Self {
            visitor,
            file,
            waiting: BTreeMap::new(),
            waiting_bytes: 0,
            next: 0,
            done: 0,
            failed: 0,
            summary,
            remembered: Vec::new(),
        }
    }

    /// URLs are begun in order, so the one that all others wait for is always among those in work.
    async fn drain(mut self) -> Result<(Summary, Vec<Remembered>), HandlerError> {
        let visitor = self.visitor;
        let mut indices = 0..visitor.plan.targets.len();
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < visitor.plan.concurrency && self.waiting_bytes < MAX_WAITING_BYTES {
                let Some(index) = indices.next() else { break };
                running.push(async move { (index, visitor.visit(index).await) });
            }
            let Some((index, visited)) = running.next().await else { break };
            self.arrived(index, visited);
            self.write_ready().await?;
        }
        self.file.0.flush().await?;
        Ok((self.summary, self.remembered))
    }

    fn arrived(&mut self, index: usize, visited: Visited) {
        self.done += 1;
        if let Err(failure) = &visited.end {
            self.failed += 1;
            self.log(index, &failure.to_string());
        }
        let urls = self.summary.urls;
        let bytes = self.visitor.fetcher.total.used();
        let detail = json!({"done": self.done, "total": urls, "failed": self.failed, "bytes": bytes});
        self.visitor.ctx.progress_with(100.0 * self.done as f64 / urls as f64, detail);
        self.waiting_bytes += bytes_of(&visited);
        self.waiting.insert(index, visited);
    }

    fn log(&self, index: usize, failure: &str) {
        let Visitor { ctx, plan, .. } = self.visitor;
        if self.failed <= MAX_LOGGED {
            // The parsed URL has its control characters escaped.
            ctx.warn(format_args!("{}: {failure}", plan.targets[index].url));
        } else if self.failed == MAX_LOGGED + 1 {
            ctx.warn("further failures are only counted");
        }
    }

    async fn write_ready(&mut self) -> Result<(), HandlerError> {
        while let Some(visited) = self.waiting.remove(&self.next) {
            self.waiting_bytes -= bytes_of(&visited);
            self.write(visited).await?;
            self.next += 1;
        }
        Ok(())
    }

    async fn write(&mut self, visited: Visited) -> Result<(), HandlerError> {
        let plan = self.visitor.plan;
        let target = &plan.targets[self.next];
        self.summary.retries += u64::from(visited.retries);
        match visited.end {
            Err(failure) => self.summary.note_failure(&target.source, &failure, plan.is_repeatable()),
            Ok(Found::NotModified) => self.summary.not_modified += 1,
            Ok(Found::Rows(rows)) => {
                self.summary.ok += 1;
                self.summary.rows += rows.count;
                self.file.0.write_all(&rows.encoded).await?;
                let url = target.url.to_string();
                self.remembered.extend(rows.validators.map(|validators| Remembered { url, validators }));
            }
        }
        Ok(())
    }
}

fn bytes_of(visited: &Visited) -> usize {
    match &visited.end {
        Ok(Found::Rows(rows)) => rows.encoded.len(),
        _ => 0,
    }
}
