//! A web site with good and bad pages, on a free port of the loopback interface.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::pending;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use tokio::net::TcpListener;
use tokio::sync::Barrier;

/// Requests that the gate holds back until all of them are there.
pub(crate) const GATE: usize = 8;
/// Rows of the big page.
pub(crate) const BIG: usize = 5_000;

/// What the server measured.
#[derive(Default)]
struct Measured {
    hits: HashMap<String, u32>,
    in_flight: usize,
    most_in_flight: usize,
}

struct Inner {
    measured: Mutex<Measured>,
    gate: Barrier,
    version: Mutex<u32>,
}

/// The site.
#[derive(Clone)]
pub(crate) struct Site {
    inner: Arc<Inner>,
    pub(crate) address: SocketAddr,
}

impl Site {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Inner { measured: Mutex::default(), gate: Barrier::new(GATE), version: Mutex::new(1) };
        let site = Self { inner: Arc::new(inner), address };
        let app = routes().with_state(site.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        site
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Requests for a path so far.
    pub(crate) fn hits(&self, path: &str) -> u32 {
        self.inner.measured.lock().unwrap().hits.get(path).copied().unwrap_or(0)
    }

    pub(crate) fn all_hits(&self) -> u32 {
        self.inner.measured.lock().unwrap().hits.values().sum()
    }

    /// The most requests that were being answered at one moment.
    pub(crate) fn most_in_flight(&self) -> usize {
        self.inner.measured.lock().unwrap().most_in_flight
    }

    /// Changes what `/tagged` pages say.
    pub(crate) fn change(&self) {
        *self.inner.version.lock().unwrap() += 1;
    }

    /// Counts a request; returns which one for its path this is, from 1.
    fn hit(&self, path: String) -> u32 {
        let mut measured = self.inner.measured.lock().unwrap();
        let hits = measured.hits.entry(path).or_default();
        *hits += 1;
        *hits
    }

    fn enter(&self) -> InFlight {
        let mut measured = self.inner.measured.lock().unwrap();
        measured.in_flight += 1;
        measured.most_in_flight = measured.most_in_flight.max(measured.in_flight);
        InFlight(self.clone())
    }
}

struct InFlight(Site);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.inner.measured.lock().unwrap().in_flight -= 1;
    }
}

fn routes() -> Router<Site> {
    Router::new()
        .route("/page/{n}", get(page))
        .route("/gate/{n}", get(gate))
        .route("/flaky/{n}", get(flaky))
        .route("/busy/{n}", get(busy))
        .route("/missing/{n}", get(missing))
        .route("/slow/{n}", get(slow))
        .route("/endless/{n}", get(endless))
        .route("/bomb/{n}", get(bomb))
        .route("/gzip/{n}", get(gzip))
        .route("/tagged/{n}", get(tagged))
        .route("/json/{n}", get(json))
        .route("/loop", get(looping))
        .route("/big", get(big))
        .route("/brotli", get(brotli))
        .route("/formula", get(formula))
        .route("/to", get(to))
        .route("/seen", get(seen))
        .route("/form", post(form))
}

fn html(body: impl Into<String>) -> Response {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], body.into()).into_response()
}

/// Three rows.
fn shop(n: u32) -> String {
    let rows = [0, 1, 2]
        .map(|k| format!("<li><a href='/item/{n}-{k}'>Item {n}-{k}</a> <b>{k}.50</b></li>"))
        .concat();
    format!("<!doctype html><title>Page {n}</title><ul>{rows}</ul>")
}

async fn page(State(site): State<Site>, Path(n): Path<u32>) -> Response {
    let _in_flight = site.enter();
    site.hit(format!("/page/{n}"));
    tokio::task::yield_now().await;
    html(shop(n))
}

async fn gate(State(site): State<Site>, Path(n): Path<u32>) -> Response {
    let _in_flight = site.enter();
    site.hit(format!("/gate/{n}"));
    site.inner.gate.wait().await;
    html(shop(n))
}

async fn flaky(State(site): State<Site>, Path(n): Path<u32>) -> Response {
    match site.hit(format!("/flaky/{n}")) {
        1 => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        _ => html(shop(n)),
    }
}

async fn busy(State(site): State<Site>, Path(n): Path<u32>) -> Response {
    match site.hit(format!("/busy/{n}")) {
        1 => (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "1")]).into_response(),
        _ => html(shop(n)),
    }
}

async fn missing(State(site): State<Site>, Path(n): Path<u32>) -> StatusCode {
    site.hit(format!("/missing/{n}"));
    StatusCode::NOT_FOUND
}

async fn slow(State(site): State<Site>, Path(n): Path<u32>) -> Response {
    site.hit(format!("/slow/{n}"));
    pending().await
}

async fn endless(State(site): State<Site>, Path(n): Path<u32>) -> Response {
    site.hit(format!("/endless/{n}"));
    let chunk = Bytes::from(vec![b'x'; 16 << 10]);
    let body = Body::from_stream(stream::repeat_with(move || Ok::<_, Infallible>(chunk.clone())));
    ([(header::CONTENT_TYPE, "text/html")], body).into_response()
}

fn zipped(content: &[u8]) -> Response {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).unwrap();
    let body = encoder.finish().unwrap();
    ([(header::CONTENT_TYPE, "text/html"), (header::CONTENT_ENCODING, "gzip")], body).into_response()
}

async fn bomb(State(site): State<Site>, Path(n): Path<u32>) -> Response {
    site.hit(format!("/bomb/{n}"));
    zipped(&vec![b'x'; 20 << 20])
}

async fn gzip(State(site): State<Site>, Path(n): Path<u32>, headers: HeaderMap) -> Response {
    site.hit(format!("/gzip/{n}"));
    assert!(headers[header::ACCEPT_ENCODING].to_str().unwrap().contains("gzip"));
    zipped(shop(n).as_bytes())
}

async fn tagged(State(site): State<Site>, Path(n): Path<u32>, headers: HeaderMap) -> Response {
    site.hit(format!("/tagged/{n}"));
    // Only the first page ever changes.
    let version = if n == 0 { *site.inner.version.lock().unwrap() } else { 1 };
    let tag = format!("\"{n}-{version}\"");
    if headers.get(header::IF_NONE_MATCH).is_some_and(|asked| asked == tag.as_str()) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    ([(header::CONTENT_TYPE, "text/html"), (header::ETAG, &tag)], shop(n * 100 + version)).into_response()
}

async fn json(State(site): State<Site>, Path(n): Path<u32>) -> Response {
    site.hit(format!("/json/{n}"));
    let body = format!(r#"{{"page":{n},"items":[{{"id":{n},"tags":["a","b"]}},{{"id":-{n}}}]}}"#);
    ([(header::CONTENT_TYPE, "application/vnd.api+json")], body).into_response()
}

async fn looping(State(site): State<Site>) -> Redirect {
    site.hit("/loop".into());
    Redirect::permanent("/loop")
}

async fn brotli(State(site): State<Site>) -> Response {
    site.hit("/brotli".into());
    ([(header::CONTENT_TYPE, "text/html"), (header::CONTENT_ENCODING, "br")], "not really").into_response()
}

async fn big(State(site): State<Site>) -> Response {
    site.hit("/big".into());
    let rows: Vec<_> = (0..BIG).map(|n| format!("<li><a href=/{n}>Row {n}</a><b>{n}</b></li>\n")).collect();
    html(format!("<ul>{}</ul>", rows.concat()))
}

async fn formula(State(site): State<Site>) -> Response {
    site.hit("/formula".into());
    html("<ul><li><a>=1+1</a><b>a,\"b\"</b></li><li><a>数据</a></li></ul>")
}

async fn to(State(site): State<Site>, Query(query): Query<HashMap<String, String>>) -> Response {
    site.hit("/to".into());
    Redirect::temporary(&query["url"]).into_response()
}

/// The headers that arrived, as JSON.
async fn seen(State(site): State<Site>, headers: HeaderMap) -> Response {
    site.hit("/seen".into());
    let seen: HashMap<_, _> =
        headers.iter().map(|(k, v)| (k.to_string(), v.to_str().unwrap().to_owned())).collect();
    ([(header::CONTENT_TYPE, "application/json")], serde_json::to_string(&seen).unwrap()).into_response()
}

async fn form(State(site): State<Site>, headers: HeaderMap, body: String) -> Response {
    // Not repeatable: the collector must not send it twice.
    let hits = site.hit("/form".into());
    if body == "break" {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let kind = headers.get(header::CONTENT_TYPE).map(|v| v.to_str().unwrap().to_owned());
    let answer = serde_json::json!({"hits": hits, "body": body, "type": kind});
    ([(header::CONTENT_TYPE, "application/json")], answer.to_string()).into_response()
}
