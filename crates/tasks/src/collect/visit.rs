//! One URL from the first try to its rows.

use std::sync::Arc;

use serde_json::Value;
use taskloom_worker::Context;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::cache::{Cache, Validators};
use super::decode::decode;
use super::extract::{Format, Limit, title};
use super::failure::Failure;
use super::fetch::{Fetched, Fetcher, Page};
use super::request::{Plan, Target};
use super::retry::delay;

/// How a URL ended.
#[derive(Debug)]
pub(crate) struct Visited {
    pub(crate) end: Result<Found, Failure>,
    pub(crate) retries: u32,
}

/// What a URL gave.
#[derive(Debug)]
pub(crate) enum Found {
    NotModified,
    Rows(Rows),
}

/// Rows as they go into the file.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) count: u64,
    pub(crate) encoded: Vec<u8>,
    pub(crate) validators: Option<Validators>,
}

/// What visits share beside the fetcher.
#[derive(Debug)]
pub(crate) struct Visitor<'a> {
    pub(crate) fetcher: Fetcher<'a>,
    pub(crate) plan: &'a Arc<Plan>,
    pub(crate) parsing: &'a Arc<Semaphore>,
    pub(crate) cache: Option<&'a Cache>,
    pub(crate) ctx: &'a Context,
}

impl Visitor<'_> {
    /// Visits the URL of this index, with retries.
    pub(crate) async fn visit(&self, index: usize) -> Visited {
        let target = &self.plan.targets[index];
        let known = self.known(target).await;
        let mut retries = 0;
        loop {
            let fetched = self.fetcher.fetch(&target.url, known.as_ref()).await;
            match fetched {
                Err(failure)
                    if retries < self.plan.retries && failure.is_passing(self.plan.is_repeatable()) =>
                {
                    retries += 1;
                    if let Some(asked) = failure.retry_after() {
                        self.fetcher.pacer.hold(target.url.authority(), asked);
                    }
                    sleep(delay(retries, failure.retry_after())).await;
                }
                Err(failure) => return Visited { end: Err(failure), retries },
                Ok(Fetched::NotModified) => return Visited { end: Ok(Found::NotModified), retries },
                Ok(Fetched::Page(page)) => return Visited { end: self.rows(index, page).await, retries },
            }
        }
    }

    async fn known(&self, target: &Target) -> Option<Validators> {
        let cache = self.cache?.clone();
        let url = target.url.to_string();
        self.ctx.blocking(move || cache.get(&url)).await.ok()?
    }

    /// Parses on a thread of its own: a large page takes long.
    async fn rows(&self, index: usize, page: Page) -> Result<Found, Failure> {
        let permit = Arc::clone(self.parsing).acquire_owned().await.map_err(|_| Failure::Aborted)?;
        let plan = Arc::clone(self.plan);
        let limit = Limit::start(Some(self.ctx.clone()));
        let work = move || {
            let _permit = permit;
            read(&plan, &plan.targets[index].source, page, limit)
        };
        self.ctx.blocking(work).await.map_err(|_| Failure::Aborted)?.map(Found::Rows)
    }
}

fn read(plan: &Plan, source: &str, page: Page, mut limit: Limit) -> Result<Rows, Failure> {
    let found = plan.format.or_else(|| Format::of(&page.content_type));
    let mut rows = Rows { validators: page.validators.clone(), ..Rows::default() };
    let Some(extract) = &plan.extract else {
        let record = record(source, found, &page, &mut limit)?;
        rows.count = 1;
        rows.encoded = plan.columns.row(&record);
        return Ok(rows);
    };
    let expected = extract.format();
    // A server that does not name the type, or names it plain text, is taken at its content.
    if !matches!(found, None | Some(Format::Text)) && found != Some(expected) {
        return Err(Failure::WrongType { expected: expected.name(), content_type: page.content_type });
    }
    let text = decode(&page.body, &page.content_type, expected == Format::Html);
    drop(page.body);
    extract.run(&text, &page.url, &mut limit, &mut |values| {
        let line: Vec<Value> = [Value::from(source)].into_iter().chain(values).collect();
        rows.encoded.extend(plan.columns.row(&line));
        rows.count += 1;
    })?;
    Ok(rows)
}

/// The values of a row that describes the response itself.
fn record(
    source: &str,
    format: Option<Format>,
    page: &Page,
    limit: &mut Limit,
) -> Result<[Value; 6], Failure> {
    let text = |html| decode(&page.body, &page.content_type, html);
    let (title, text) = match format {
        Some(Format::Html) => (title(&text(true), limit)?.into(), Value::Null),
        Some(Format::Json | Format::Text) => (Value::Null, text(false).into()),
        None => (Value::Null, Value::Null),
    };
    let content_type = page.content_type.as_str().into();
    Ok([source.into(), page.status.into(), content_type, page.body.len().into(), title, text])
}
