//! `collect.http`: fetches URLs, extracts rows and keeps them as an artifact.
//!
//! Rows stand in the artifact in the order of the URLs, whichever answers first, so that the same pages give the same file.
//! A request reaches only the public internet and what the operator lists; every redirect and every address that a
//! name resolves to is judged, and what was judged is what is dialled.

mod address;
mod allow;
mod cache;
mod client;
mod decode;
mod extract;
mod failure;
mod fetch;
mod output;
mod pacer;
mod request;
mod retry;
mod run;
mod summary;
mod visit;

use std::sync::Arc;
use std::thread::available_parallelism;

use taskloom_worker::{Context, HandlerError, Kwargs, Registry};
use tokio::sync::Semaphore;

pub use allow::{AllowRule, BadAllowRule};

use crate::CollectConfig;
use allow::Guard;
use client::Clients;
use request::{Arguments, Plan};
use summary::Summary;

/// What all tasks of this handler share.
#[derive(Debug)]
struct Collector {
    config: CollectConfig,
    guard: Arc<Guard>,
    /// None if no client can be made; each task then says so.
    clients: Option<Clients>,
    /// Parsing multiplies a page's memory, so only as many pages are parsed at once as there are cores.
    parsing: Arc<Semaphore>,
}

impl Collector {
    fn new(config: &CollectConfig) -> Self {
        let guard = Arc::new(Guard::new(&config.allow_private));
        let clients = Clients::new(config, &guard);
        if let Err(error) = &clients {
            tracing::error!(%error, "collect.http cannot make an HTTP client");
        }
        let cores = available_parallelism().map_or(1, usize::from);
        Self {
            config: config.clone(),
            guard,
            clients: clients.ok(),
            parsing: Arc::new(Semaphore::new(cores)),
        }
    }

    async fn collect(&self, ctx: Context, arguments: Arguments) -> Result<Summary, HandlerError> {
        let plan = Arc::new(Plan::new(arguments, &self.config)?);
        let no_client =
            || HandlerError::fatal("no_client", "this worker cannot make HTTP requests; see its log");
        let clients = self.clients.as_ref().ok_or_else(no_client)?;
        tokio::select! {
            biased;
            () = ctx.cancelled() => Err(HandlerError::cancelled()),
            summary = run::run(self, clients, &ctx, &plan) => summary,
        }
    }
}

pub(crate) fn register(registry: &mut Registry, config: &CollectConfig) {
    let collector = Arc::new(Collector::new(config));
    registry.register("collect.http", move |ctx: Context, Kwargs(arguments): Kwargs<Arguments>| {
        let collector = Arc::clone(&collector);
        async move { collector.collect(ctx, arguments).await }
    });
}
