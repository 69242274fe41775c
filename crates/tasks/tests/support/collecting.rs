//! Workers that collect.

use serde_json::{Value, json};
use taskloom_tasks::{CollectConfig, TasksConfig};

use crate::harness::{Harness, Seen};
use crate::site::Site;

/// A worker that may reach these sites, by address and port, and nothing else that is private.
pub(crate) fn worker(sites: &[&Site]) -> Harness {
    worker_with(sites, |_| {})
}

pub(crate) fn worker_with(sites: &[&Site], change: impl FnOnce(&mut CollectConfig)) -> Harness {
    let allow_private = sites.iter().map(|site| site.address.to_string().parse().unwrap()).collect();
    let mut collect = CollectConfig { allow_private, ..CollectConfig::default() };
    change(&mut collect);
    Harness::start(&TasksConfig { collect })
}

pub(crate) async fn collect(harness: &Harness, kwargs: Value) -> Seen {
    harness.run("collect.http", &json!([]), &kwargs).await
}

/// The counts of a summary.
pub(crate) fn numbers(summary: &Value) -> Value {
    let names = ["urls", "ok", "failed", "not_modified", "rows", "retries"];
    names
        .into_iter()
        .map(|name| (name.to_owned(), summary[name].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}
