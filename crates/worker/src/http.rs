//! The worker protocol over HTTP.

use std::path::Path;
use std::sync::{Arc, Once};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Body, Client, RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use taskloom_protocol::{
    Artifact, ArtifactPut, Beat, BeatAnswer, ClaimAnswer, ClaimRequest, Claimed, Code, DrainAnswer,
    DrainRequest, FinishAnswer, FinishRequest, Problem, Register, Registered, Spawn, SpawnAnswer, Task,
    TaskRef, WorkerApi, WorkerError,
};
use tokio_util::io::ReaderStream;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Beyond what a claim waits at the server.
const CLAIM_MARGIN: Duration = Duration::from_secs(10);
/// A connection that idles longer may be closed by a proxy just as it is used again.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// A server across the network, reached with a worker token.
///
/// Its connections belong to the runtime it is used on, so a worker takes two:
/// one for [`Worker::builder`](crate::Worker::builder) and one for
/// [`WorkerBuilder::beat_api`](crate::WorkerBuilder::beat_api).
#[derive(Clone)]
pub struct HttpWorkerApi {
    client: Client,
    base: Url,
    token: Arc<str>,
}

impl HttpWorkerApi {
    /// A client for the server at `server_url`, such as `https://tasks.example.org` (a path before `/api/v1` may
    /// follow), with `token` as the bearer.
    ///
    /// # Errors
    /// [`WorkerError::Refused`] if the URL is none of `http` or `https`, or the token cannot stand in a header.
    pub fn new(server_url: &str, token: &str) -> Result<Self, WorkerError> {
        use_ring();
        let base = Url::parse(server_url.trim_end_matches('/'))
            .map_err(|e| malformed(format!("the server's URL: {e}")))?;
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
            return Err(malformed("the server's URL must begin with http:// or https://"));
        }
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(malformed("the token is empty or has characters that cannot stand in a header"));
        }
        let mut client = Client::builder();
        if is_loopback(&base) {
            // A proxy of the environment is for other machines.
            client = client.no_proxy();
        }
        let client = client
            .user_agent(concat!("taskloom-worker/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            // The token goes to this server and to no other.
            .redirect(reqwest::redirect::Policy::none())
            .no_gzip()
            .tcp_nodelay(true)
            .build()
            .map_err(|e| malformed(format!("the HTTP client: {e}")))?;
        Ok(Self { client, base, token: token.into() })
    }

    fn url(&self, parts: &[&str]) -> Url {
        let mut url = self.base.clone();
        // `new` has refused URLs that cannot be a base, the only ones without path segments.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["api", "v1", "worker"]).extend(parts);
        }
        url
    }

    async fn post<A: DeserializeOwned>(
        &self,
        call: &str,
        body: &(impl Serialize + Sync),
        limit: Duration,
    ) -> Result<A, WorkerError> {
        let request = self.client.post(self.url(&[call])).json(body);
        self.send(request, limit).await
    }

    async fn send<A: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        limit: Duration,
    ) -> Result<A, WorkerError> {
        let response = request.bearer_auth(&self.token).timeout(limit).send().await.map_err(|e| away(&e))?;
        let status = response.status();
        let body = response_body(response).await?;
        if !status.is_success() {
            return Err(refusal(status, &body));
        }
        // A proxy in between may answer anything; the server itself does not.
        serde_json::from_slice(&body)
            .map_err(|e| WorkerError::Unavailable(format!("an answer cannot be read: {e}")))
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

async fn response_body(response: Response) -> Result<Vec<u8>, WorkerError> {
    Ok(response.bytes().await.map_err(|e| away(&e))?.into())
}

#[async_trait]
impl WorkerApi for HttpWorkerApi {
    async fn register(&self, hello: Register) -> Result<Registered, WorkerError> {
        match self.post("register", &hello, CALL_TIMEOUT).await {
            Err(WorkerError::UnknownSession) => {
                let detail = "there is no worker protocol at this URL".into();
                Err(WorkerError::Refused { code: Code::NotFound, detail })
            }
            answer => answer,
        }
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Vec<Claimed>, WorkerError> {
        let limit = Duration::from_millis(request.wait_ms.into()) + CLAIM_MARGIN;
        let answer: ClaimAnswer = self.post("claim", &request, limit).await?;
        Ok(answer.tasks)
    }

    async fn beat(&self, beat: Beat) -> Result<BeatAnswer, WorkerError> {
        self.post("beat", &beat, CALL_TIMEOUT).await
    }

    async fn finish(&self, request: FinishRequest) -> Result<FinishAnswer, WorkerError> {
        match self.post("finish", &request, CALL_TIMEOUT).await {
            // So the server answers when it has accepted none of them.
            Err(WorkerError::LeaseLost) => {
                let lost =
                    request.tasks.iter().map(|task| TaskRef { id: task.id, epoch: task.epoch }).collect();
                Ok(FinishAnswer { lost })
            }
            answer => answer,
        }
    }

    async fn drain(&self, request: DrainRequest) -> Result<DrainAnswer, WorkerError> {
        self.post("drain", &request, CALL_TIMEOUT).await
    }

    async fn spawn(&self, spawn: Spawn) -> Result<Vec<Task>, WorkerError> {
        let answer: SpawnAnswer = self.post("submit", &spawn, CALL_TIMEOUT).await?;
        Ok(answer.items)
    }

    async fn put_artifact(&self, put: ArtifactPut, file: &Path) -> Result<Artifact, WorkerError> {
        let unreadable = |e: std::io::Error| malformed(format!("the artifact cannot be read: {e}"));
        let file = tokio::fs::File::open(file).await.map_err(unreadable)?;
        let length = file.metadata().await.map_err(unreadable)?.len();
        let mut url = self.url(&["artifacts", &put.task.id.to_string(), &put.name]);
        url.query_pairs_mut()
            .append_pair("session", &put.session.to_string())
            .append_pair("epoch", &put.task.epoch.to_string());
        let request = self
            .client
            .put(url)
            .header(CONTENT_TYPE, put.content_type)
            .header(CONTENT_LENGTH, length)
            .body(Body::wrap_stream(ReaderStream::new(file)));
        self.send(request, upload_limit(length)).await
    }
}

/// A large file may take its time: at least one MiB each second.
fn upload_limit(bytes: u64) -> Duration {
    CALL_TIMEOUT + Duration::from_secs(bytes >> 20)
}

/// What the server's refusal means to a worker.
fn refusal(status: StatusCode, body: &[u8]) -> WorkerError {
    let problem = serde_json::from_slice::<Problem>(body).ok();
    let passing = status.is_server_error()
        || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
    match problem {
        Some(problem) if passing => WorkerError::Unavailable(problem.detail),
        Some(Problem { code: Code::LeaseLost, .. }) => WorkerError::LeaseLost,
        Some(Problem { code: Code::UnknownSession, .. }) => WorkerError::UnknownSession,
        Some(Problem { code, detail, .. }) => WorkerError::Refused { code, detail },
        // Not the server's own words: a proxy in between, or another program at this address.
        None if passing || !status.is_client_error() => {
            WorkerError::Unavailable(format!("HTTP status {status}"))
        }
        None => {
            let code = match status {
                StatusCode::UNAUTHORIZED => Code::Unauthorized,
                StatusCode::FORBIDDEN => Code::Forbidden,
                StatusCode::NOT_FOUND => Code::NotFound,
                StatusCode::PAYLOAD_TOO_LARGE => Code::PayloadTooLarge,
                _ => Code::Malformed,
            };
            WorkerError::Refused { code, detail: format!("HTTP status {status}") }
        }
    }
}

fn away(error: &reqwest::Error) -> WorkerError {
    // The chain's last error says what happened; the URL in the first has no secrets but says nothing new.
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let what = if error.is_timeout() { "no answer in time" } else { "the connection failed" };
    WorkerError::Unavailable(format!("{what}: {cause}"))
}

fn malformed(detail: impl Into<String>) -> WorkerError {
    WorkerError::Refused { code: Code::Malformed, detail: detail.into() }
}

/// TLS is rustls with ring, in the whole process.
fn use_ring() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Whoever has chosen a provider before has chosen for us too.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

impl std::fmt::Debug for HttpWorkerApi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpWorkerApi").field("server", &self.base.as_str()).finish_non_exhaustive()
    }
}
