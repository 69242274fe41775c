//! The table of routes: everything below `/api/v1`, health and documentation beside it.

use std::sync::Arc;

use axum::Router;
use http::{HeaderName, HeaderValue, Method, header};
use taskloom_engine::Engine;
use tower_http::cors::CorsLayer;
use utoipa_axum::router::OpenApiRouter;

use crate::config::ServerConfig;
use crate::middleware::Front;
use crate::state::{App, AppState};
use crate::{
    admin, api_keys, auth, cache, dead_letters, docs, health, metrics, openapi, queues, schedules, tasks,
    users, worker, workers, workflows,
};

/// Everything below `/api/v1`, with its description.
pub(crate) fn api() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::base())
        .nest("/api/v1", auth::routes())
        .nest("/api/v1", users::routes())
        .nest("/api/v1", api_keys::routes())
        .nest("/api/v1", tasks::routes())
        .nest("/api/v1", workflows::routes())
        .nest("/api/v1", queues::routes())
        .nest("/api/v1", schedules::routes())
        .nest("/api/v1", dead_letters::routes())
        .nest("/api/v1", cache::routes())
        .nest("/api/v1", metrics::routes())
        .nest("/api/v1", workers::routes())
        .nest("/api/v1", admin::routes())
        .nest("/api/v1", worker::routes())
        .nest("/api/v1", health::routes())
}

/// The whole HTTP surface over an engine, ready to be served.
///
/// Check the configuration first: [`ServerConfig::check`]. An origin that cannot stand in a header is left out.
pub fn router(engine: Engine, config: ServerConfig) -> Router {
    let timeout = config.request_timeout;
    let cors = cors(&config.cors_origins);
    let with_docs = config.docs;
    let (api, _) = api().split_for_parts();
    let mut router = api.merge(health::root_routes()).merge(metrics::root_routes());
    if with_docs {
        router = router.merge(docs::routes());
    }
    let router = router.with_state(Arc::new(AppState::new(engine, config)));
    let router = match cors {
        Some(cors) => router.layer(cors),
        None => router,
    };
    // Around the router, not in it: a path has to be trimmed before it is matched.
    Router::new().fallback_service(Front::new(router, timeout))
}

fn cors(origins: &[String]) -> Option<CorsLayer> {
    let origins: Vec<HeaderValue> = origins.iter().filter_map(|origin| origin.parse().ok()).collect();
    if origins.is_empty() {
        return None;
    }
    let headers = [
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        HeaderName::from_static("x-api-key"),
        HeaderName::from_static("x-request-id"),
        HeaderName::from_static("idempotency-key"),
        HeaderName::from_static("last-event-id"),
    ];
    let methods = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let exposed = [HeaderName::from_static("x-request-id"), header::RETRY_AFTER];
    Some(
        CorsLayer::new()
            .allow_origin(origins)
            .allow_headers(headers)
            .allow_methods(methods)
            .expose_headers(exposed),
    )
}
