//! Metrics in Prometheus' text form: counters of this process, which cost a scrape nothing.

use std::fmt::Write as _;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header;
use taskloom_model::CacheOutcome;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::App;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(metrics))
}

/// The same at the root, where scrapers look for it; not in the document twice.
pub(crate) fn root_routes() -> Router<App> {
    Router::new().route("/metrics", get(metrics))
}

/// Metrics of this process, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "health", operation_id = "metrics", security(()),
    responses((status = 200, description = "Metrics in the text form of Prometheus", body = String, content_type = "text/plain")))]
async fn metrics(State(app): State<App>) -> Response {
    let requests = app.engine.cache_requests();
    let mut text = String::with_capacity(512);
    head(
        &mut text,
        "taskloom_cache_requests_total",
        "counter",
        "Submissions with a cache_ttl, by how they were answered.",
    );
    for (outcome, count) in CacheOutcome::ALL.into_iter().zip([requests.hit, requests.joined, requests.miss])
    {
        // Writing to a string does not fail.
        let _ = writeln!(text, "taskloom_cache_requests_total{{outcome=\"{}\"}} {count}", outcome.name());
    }
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, text).into_response()
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}
