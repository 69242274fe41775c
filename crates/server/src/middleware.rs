//! The one layer around the router: request ids, trailing slashes, security headers, problems, panics, time limits.
//!
//! One hand-written service instead of a stack of layers, since each of those boxes its future on the hot path.

use std::any::Any;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use tower_service::Service;
use tracing::Instrument;
use uuid::Uuid;

use crate::problem::ApiError;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What no page needs from an API: nothing may be loaded, framed or run.
const API_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// Long-polls and uploads may take so much longer than other calls.
const LONG_POLL: Duration = Duration::from_mins(1);
const UPLOAD: Duration = Duration::from_hours(1);

/// The layer, around a finished router.
#[derive(Clone)]
pub(crate) struct Front {
    inner: Router,
    timeout: Duration,
}

impl Front {
    pub(crate) fn new(inner: Router, timeout: Duration) -> Self {
        Self { inner, timeout }
    }
}

impl Service<Request<Body>> for Front {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        trim_slash(request.uri_mut());
        let id = request_id(request.headers());
        let limit = self.timeout + allowance(request.method(), request.uri());
        let mut inner = self.inner.clone();
        // One line for each call would cost more than most calls do, so only who asks for it gets it.
        let call = tracing::enabled!(tracing::Level::DEBUG).then(|| Call::of(&request));
        let span = tracing::info_span!("request", id = id.to_str().unwrap_or_default());
        let answer = async move {
            let has_body = has_long_body(request.headers());
            let mut response = answer(inner.call(request), id, limit).await;
            if has_body && response.status().is_client_error() {
                // A refused body is left unread, and the connection with it: say so before a pool uses it again.
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            if let Some(call) = call {
                call.log(&response);
            }
            Ok(response)
        };
        Box::pin(answer.instrument(span))
    }
}

/// What the log says of a request; never its query, which may hold what a user searched for.
struct Call {
    method: Method,
    path: String,
    start: Instant,
}

impl Call {
    fn of(request: &Request<Body>) -> Self {
        let path = request.uri().path().chars().take(200).collect();
        Self { method: request.method().clone(), path, start: Instant::now() }
    }

    fn log(&self, response: &Response) {
        let status = response.status().as_u16();
        let micros = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        tracing::debug!(method = %self.method, path = %self.path, status, micros, "answered");
    }
}

async fn answer<F>(inner: F, id: HeaderValue, limit: Duration) -> Response
where
    F: Future<Output = Result<Response, Infallible>>,
{
    let guarded = AssertUnwindSafe(inner).catch_unwind();
    let response = match tokio::time::timeout(limit, guarded).await {
        Ok(Ok(Ok(response))) => response,
        Ok(Err(panic)) => {
            ApiError::internal(format!("a handler panicked: {}", words(&*panic))).into_response()
        }
        Err(_) => ApiError::unavailable("the call took too long").into_response(),
    };
    finish(response, id)
}

/// Writes the problem, if it is one, and the headers every answer carries.
fn finish(mut response: Response, id: HeaderValue) -> Response {
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        response = as_problem(response, id.to_str().unwrap_or_default());
    }
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID.clone(), id);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(API_POLICY));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn as_problem(mut response: Response, id: &str) -> Response {
    let error = match response.extensions_mut().remove::<ApiError>() {
        Some(error) => error,
        None if response.headers().get(header::CONTENT_TYPE).is_some_and(|t| t == "application/json") => {
            return response;
        }
        None => ApiError::of_status(response.status()),
    };
    if error.problem.status >= 500 {
        let cause = error.cause.as_deref().unwrap_or_default();
        tracing::error!(request_id = id, code = error.problem.code.code(), cause, "request failed");
    }
    error.write(id, std::mem::take(response.headers_mut()))
}

/// Whether a body is sent that may not be read to its end.
fn has_long_body(headers: &HeaderMap) -> bool {
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    headers.contains_key(header::TRANSFER_ENCODING) || length.is_some_and(|length| length > 8 << 10)
}

/// The client's id if it is sane, so that its log and ours meet; else a fresh one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    if let Some(id) = headers.get(&REQUEST_ID) {
        let sane = |b: &u8| b.is_ascii_alphanumeric() || b"._-".contains(b);
        if (1..=64).contains(&id.len()) && id.as_bytes().iter().all(sane) {
            return id.clone();
        }
    }
    let mut buffer = Uuid::encode_buffer();
    let text = Uuid::new_v4().as_hyphenated().encode_lower(&mut buffer);
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("-"))
}

/// `/tasks/` means `/tasks`.
fn trim_slash(uri: &mut Uri) {
    let path = uri.path();
    if path.len() < 2 || !path.ends_with('/') {
        return;
    }
    let path = path.trim_end_matches('/');
    let path = if path.is_empty() { "/" } else { path };
    let trimmed = match uri.query() {
        Some(query) => format!("{path}?{query}").parse::<PathAndQuery>(),
        None => path.parse(),
    };
    let mut parts = std::mem::take(uri).into_parts();
    if let Ok(trimmed) = trimmed {
        parts.path_and_query = Some(trimmed);
    }
    *uri = Uri::from_parts(parts).unwrap_or_default();
}

/// How much longer than others this call may take.
fn allowance(method: &Method, uri: &Uri) -> Duration {
    let path = uri.path();
    if method == Method::PUT && path.contains("/worker/artifacts/") {
        UPLOAD
    } else if path.ends_with("/worker/claim") || uri.query().is_some_and(|q| q.contains("wait=")) {
        LONG_POLL
    } else {
        Duration::ZERO
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without words")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trimmed(uri: &str) -> String {
        let mut uri = uri.parse().unwrap();
        trim_slash(&mut uri);
        uri.to_string()
    }

    #[test]
    fn a_trailing_slash_is_optional() {
        assert_eq!(
            trimmed("/api/v1/tasks/?status=running&limit=10"),
            "/api/v1/tasks?status=running&limit=10"
        );
        assert_eq!(trimmed("/api/v1/tasks//"), "/api/v1/tasks");
        for same in ["/", "/a", "/a?b=/", "http://h/a"] {
            assert_eq!(trimmed(same), same);
        }
        assert_eq!(trimmed("///"), "/");
    }

    #[test]
    fn takes_only_sane_request_ids() {
        let id = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(&REQUEST_ID, text.parse().unwrap());
            request_id(&headers)
        };
        assert_eq!(id("trace-1.a_B"), "trace-1.a_B");
        for bad in ["", "a b", "<script>", &"a".repeat(65)] {
            assert_eq!(id(bad).len(), 36, "{bad}");
        }
    }

    #[tokio::test]
    async fn a_panic_is_a_problem() {
        let router =
            Router::new().route("/", axum::routing::get(|| async { panic!("secret words") as &str }));
        let mut front = Front::new(router, Duration::from_secs(5));
        let response = front.call(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status(), 500);
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        let text = std::str::from_utf8(&body).unwrap();
        assert!(text.contains("\"code\":\"internal\"") && !text.contains("secret"), "{text}");
    }
}
