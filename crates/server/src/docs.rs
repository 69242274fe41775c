//! The interactive documentation: Swagger UI and ReDoc, whole in this binary. Nothing is loaded from elsewhere.

use std::sync::LazyLock;

use aide::redoc::Redoc;
use aide::swagger::Swagger;
use axum::Router;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, header};

use crate::auth::secret::sha256;
use crate::openapi;
use crate::state::App;

/// The logo that ReDoc would fetch for its footer.
const FOREIGN_LOGO: &str = "https://cdn.redoc.ly/redoc/logo-mini.svg";

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/", get(|| async { Redirect::temporary("/docs") }))
        .route("/docs", get(|| async { SWAGGER.response() }))
        .route("/redoc", get(|| async { REDOC.response() }))
        .route("/openapi.json", get(document))
        .route("/api/v1/openapi.json", get(document))
}

static SWAGGER: LazyLock<Page> =
    LazyLock::new(|| Page::new(&Swagger::new("/openapi.json").with_title("Taskloom API").html()));
static REDOC: LazyLock<Page> =
    LazyLock::new(|| Page::new(&Redoc::new("/openapi.json").with_title("Taskloom API").html()));
static DOCUMENT: LazyLock<Bytes> =
    LazyLock::new(|| serde_json::to_vec(&openapi::document()).unwrap_or_default().into());

async fn document() -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")];
    (headers, DOCUMENT.clone()).into_response()
}

/// A page and the policy that holds it to what it brought along.
struct Page {
    html: Bytes,
    policy: HeaderValue,
}

impl Page {
    fn new(html: &str) -> Self {
        let html = html.replace(FOREIGN_LOGO, "data:,");
        let mut scripts = String::new();
        for script in inline_scripts(&html) {
            scripts += " 'sha256-";
            scripts += &STANDARD.encode(sha256(script.as_bytes()));
            scripts.push('\'');
        }
        let policy = format!(
            "default-src 'none'; script-src{scripts}; style-src 'unsafe-inline'; img-src 'self' data:; font-src data:; \
             connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        let policy = HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
        Self { html: html.into(), policy }
    }

    fn response(&self) -> Response {
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        let cache = HeaderValue::from_static("private, max-age=3600");
        let headers = [
            (header::CONTENT_TYPE, html),
            (header::CONTENT_SECURITY_POLICY, self.policy.clone()),
            (header::CACHE_CONTROL, cache),
        ];
        (headers, self.html.clone()).into_response()
    }
}

/// What stands between `<script>` and `</script>`.
fn inline_scripts(html: &str) -> impl Iterator<Item = &str> {
    let mut rest = html;
    std::iter::from_fn(move || {
        let start = rest.find("<script>")? + "<script>".len();
        let length = rest[start..].find("</script>")?;
        let script = &rest[start..start + length];
        rest = &rest[start + length..];
        Some(script)
    })
}
