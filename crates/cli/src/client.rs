//! The client of Taskloom's HTTP API: who we are, what to repeat, and errors that people can read.

mod auth;
mod problem;
mod server_url;
mod sse;
mod url_path;

use std::time::Duration;

use rand::RngExt;
use reqwest::header::{self, HeaderMap};
use reqwest::{Method, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

pub(crate) use auth::{log_in, log_out};
pub(crate) use server_url::{DEFAULT_SERVER, normalize};
pub(crate) use sse::{Parser, ServerEvent};
pub(crate) use url_path::segment;

use crate::config::Environment;
use crate::error::{CliError, Exit};
use auth::Auth;

/// An ordinary call may take so long; long-polls add what they wait.
const CALL_TIMEOUT: Duration = Duration::from_secs(40);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A server that is well answers a question for its health sooner.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a call that may be repeated is made at most.
const TRIES: u32 = 4;
/// The largest answer we read, in bytes.
const MOST_BYTES: usize = 256 << 20;

/// A connection to one server.
pub(crate) struct Client {
    http: reqwest::Client,
    /// Without a slash at its end.
    server: String,
    auth: Auth,
}

/// A call to make.
pub(crate) struct Call<'a> {
    method: Method,
    path: String,
    query: Vec<(&'a str, String)>,
    body: Option<Vec<u8>>,
    idempotency_key: Option<String>,
    timeout: Duration,
}

impl<'a> Call<'a> {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path)
    }

    pub(crate) fn put(path: impl Into<String>) -> Self {
        Self::new(Method::PUT, path)
    }

    pub(crate) fn patch(path: impl Into<String>) -> Self {
        Self::new(Method::PATCH, path)
    }

    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path)
    }

    fn new(method: Method, path: impl Into<String>) -> Self {
        let (query, body, idempotency_key) = (Vec::new(), None, None);
        Self { method, path: path.into(), query, body, idempotency_key, timeout: CALL_TIMEOUT }
    }

    pub(crate) fn query(mut self, name: &'a str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    pub(crate) fn body(mut self, body: &impl Serialize) -> Result<Self, CliError> {
        let bytes = serde_json::to_vec(body)
            .map_err(|e| CliError::failed(format!("cannot write the request: {e}")))?;
        self.body = Some(bytes);
        Ok(self)
    }

    /// Makes a POST safe to repeat when its answer gets lost: under the user's key, or one of our own.
    pub(crate) fn once(mut self, key: Option<String>) -> Self {
        self.idempotency_key = Some(key.unwrap_or_else(|| format!("cli-{}", Uuid::new_v4())));
        self
    }

    /// Allows so much more time.
    pub(crate) fn longer(mut self, more: Duration) -> Self {
        self.timeout += more;
        self
    }

    fn repeatable(&self) -> bool {
        self.method == Method::GET || self.idempotency_key.is_some()
    }
}

/// A body that is JSON.
pub(crate) struct Body(pub(crate) String);

impl Body {
    /// Reads it as `T`.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, CliError> {
        serde_json::from_str(&self.0).map_err(|e| {
            CliError::failed(format!("the server's answer cannot be read: {e}"))
                .hint("the server may be of another version; `taskloom --version` tells this one's")
        })
    }
}

impl Client {
    /// A client of the server that the flag, the environment or the last login names.
    pub(crate) fn new(flag: Option<&str>, environment: &Environment) -> Result<Self, CliError> {
        let (server, auth) = Auth::choose(flag, environment)?;
        Ok(Self { http: http(&server)?, server, auth })
    }

    /// The server's URL, without a slash at its end.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// Makes a call whose answer is a file.
    pub(crate) async fn file(&self, call: Call<'_>) -> Result<Response, CliError> {
        self.send(&call).await
    }

    /// The next bytes of a file.
    pub(crate) async fn chunk(&self, response: &mut Response) -> Result<Option<impl AsRef<[u8]>>, CliError> {
        response.chunk().await.map_err(|e| self.unreachable(&e))
    }

    /// Makes a call and reads the JSON it answers.
    pub(crate) async fn call(&self, call: Call<'_>) -> Result<Body, CliError> {
        let response = self.send(&call).await?;
        self.read_body(response).await.map(Body)
    }

    /// Asks once, as nobody, and takes any status for an answer.
    pub(crate) async fn probe(&self, path: &str) -> Result<(StatusCode, Body), CliError> {
        let call = Call { timeout: PROBE_TIMEOUT, ..Call::get(path) };
        let response = self.send_once(&call, None).await.map_err(|e| self.unreachable(&e))?;
        Ok((response.status(), Body(self.read_body(response).await?)))
    }

    /// Opens a stream of server-sent events.
    pub(crate) async fn stream(&self, path: &str) -> Result<Response, CliError> {
        let call = Call::get(path);
        let mut token = self.auth.token();
        for again in [true, false] {
            let mut request = self.http.get(self.url(path)).header(header::ACCEPT, "text/event-stream");
            if let Some(token) = &token {
                request = request.bearer_auth(token);
            }
            let opened = tokio::time::timeout(call.timeout, request.send()).await;
            let response = opened.map_err(|_| self.late())?.map_err(|e| self.unreachable(&e))?;
            if response.status() == StatusCode::UNAUTHORIZED && again {
                let used = token.take().unwrap_or_default();
                token = self.auth.refresh(&self.http, &self.server, &used).await?;
                if token.is_some() {
                    continue;
                }
            }
            return self.accept(response).await;
        }
        Err(self.late())
    }

    async fn send(&self, call: &Call<'_>) -> Result<Response, CliError> {
        let mut refreshed = false;
        let mut token = self.auth.token();
        let mut tries = 0;
        loop {
            tries += 1;
            let may_repeat = call.repeatable() && tries < TRIES;
            let response = match self.send_once(call, token.as_deref()).await {
                Ok(response) => response,
                // Nothing listens: repeating would only keep the user waiting.
                Err(error) if may_repeat && !error.is_connect() => {
                    tokio::time::sleep(pause(tries, None)).await;
                    continue;
                }
                Err(error) => return Err(self.unreachable(&error)),
            };
            match response.status() {
                StatusCode::UNAUTHORIZED if !refreshed => {
                    refreshed = true;
                    let used = token.take().unwrap_or_default();
                    token = self.auth.refresh(&self.http, &self.server, &used).await?;
                    if token.is_none() {
                        return self.accept(response).await;
                    }
                }
                StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS if may_repeat => {
                    tokio::time::sleep(pause(tries, retry_after(response.headers()))).await;
                }
                _ => return self.accept(response).await,
            }
        }
    }

    async fn send_once(&self, call: &Call<'_>, token: Option<&str>) -> Result<Response, reqwest::Error> {
        let mut request = self
            .http
            .request(call.method.clone(), self.url(&call.path))
            .query(&call.query)
            .timeout(call.timeout)
            .header(header::ACCEPT, "application/json");
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(key) = &call.idempotency_key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(body) = &call.body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body.clone());
        }
        request.send().await
    }

    fn url(&self, path: &str) -> String {
        format!("{}/api/v1{path}", self.server)
    }

    /// The response if it is a success, else the problem it tells of.
    async fn accept(&self, response: Response) -> Result<Response, CliError> {
        if response.status().is_success() {
            return Ok(response);
        }
        let (status, path) = (response.status(), response.url().path().to_owned());
        let text = self.read_body(response).await.unwrap_or_default();
        let error = problem::explain(&self.server, status, &text, self.auth.proof());
        let about_task = path.contains("/api/v1/tasks/")
            && matches!(status, StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY);
        Err(if about_task { error.hint("`taskloom list` shows the tasks that are there") } else { error })
    }

    async fn read_body(&self, mut response: Response) -> Result<String, CliError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.unreachable(&e))? {
            if bytes.len() + chunk.len() > MOST_BYTES {
                return Err(CliError::failed("the server's answer is larger than 256 MiB"));
            }
            bytes.extend_from_slice(&chunk);
        }
        String::from_utf8(bytes).map_err(|_| CliError::failed("the server's answer is not UTF-8"))
    }

    fn unreachable(&self, error: &reqwest::Error) -> CliError {
        problem::unreachable(&self.server, error)
    }

    fn late(&self) -> CliError {
        CliError::new(Exit::NoAccess, format!("{} did not answer in time", self.server))
    }
}

/// One pool of connections; TLS by rustls with ring.
fn http(server: &str) -> Result<reqwest::Client, CliError> {
    // Fails only if a provider is installed already, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder();
    if server_url::is_loopback(server) {
        // HTTP_PROXY is not meant for this machine's own servers.
        builder = builder.no_proxy();
    }
    builder
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("taskloom-cli/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|e| CliError::failed(format!("cannot set up HTTP: {e}")))
}

/// What `Retry-After` asks for, if it is given in seconds.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// How long to wait before try number `tries + 1`: what the server asks for (at most 10 s), else a jittered
/// exponential pause of at most 5 s.
pub(crate) fn pause(tries: u32, asked: Option<Duration>) -> Duration {
    let longest = Duration::from_millis(250 << tries.min(5)).min(Duration::from_secs(5));
    let jittered = longest.mul_f64(rand::rng().random_range(0.5..1.0));
    asked.map_or(jittered, |asked| asked.min(Duration::from_secs(10)) + jittered / 10)
}
