//! How calls are made: one pool of connections, bounded answers, and what is repeated when.
//!
//! [`Client`](crate::Client) is made of this; so is the `taskloom` command, which brings logins of its own.

mod call;
mod pause;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{self, HeaderMap, HeaderName};
use reqwest::{RequestBuilder, Response};
use serde::de::DeserializeOwned;

pub use call::Call;
pub(crate) use call::new_key;
pub use pause::pause;
pub use reqwest::StatusCode;

use crate::Error;
use crate::address::{is_loopback, normalize};
use crate::error::Problem;

/// An ordinary call may take so long; long-polls add what they wait.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(40);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection that idles longer may be closed by a proxy just as it is used again.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a call that may be repeated is made at most.
const TRIES: u32 = 4;
/// The largest answer that is read as a whole, in bytes.
const MOST_BYTES: usize = 256 << 20;
/// A stream that says nothing for so long, not even that it is alive, is taken for dead.
pub const SILENCE: Duration = Duration::from_secs(60);

/// Calls to one server.
#[derive(Debug, Clone)]
pub struct Transport {
    http: reqwest::Client,
    /// Without a slash at its end.
    server: Arc<str>,
    timeout: Duration,
    tries: u32,
    outlasts_restarts: bool,
}

impl Transport {
    /// Calls to the server at this URL, under this name in `User-Agent`. TLS is rustls with ring, unless the process has
    /// installed another provider before.
    ///
    /// # Errors
    /// [`Error::Invalid`]: the URL is not a server's.
    pub fn new(server: &str, agent: &str) -> Result<Self, Error> {
        let invalid =
            |why: &dyn std::fmt::Display| Error::Invalid(format!("{server:?} is not a server's URL: {why}"));
        let url = normalize(server).map_err(|why| invalid(&why))?;
        // Fails only if a provider is installed already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder();
        if is_loopback(&url) {
            // HTTP_PROXY is not meant for this machine's own servers.
            builder = builder.no_proxy();
        }
        let http = builder
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            // The token goes to this server and to no other.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(agent)
            .build()
            .map_err(|e| Error::Invalid(format!("cannot set up HTTP: {e}")))?;
        let (timeout, tries) = (CALL_TIMEOUT, TRIES);
        Ok(Self { http, server: url.into(), timeout, tries, outlasts_restarts: false })
    }

    /// Repeats calls also while nothing listens, as for the moment in which a server restarts.
    #[must_use]
    pub fn outlast_restarts(self) -> Self {
        Self { outlasts_restarts: true, ..self }
    }

    /// How long one try of an ordinary call may take; 40 s if not said.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// How often a call that may be repeated is made at most; 4 if not said, and at least once.
    #[must_use]
    pub fn tries(self, tries: u32) -> Self {
        Self { tries, ..self }
    }

    /// The server's URL, without a slash at its end.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Makes the call once and takes any status for an answer.
    ///
    /// # Errors
    /// [`Error::Unreachable`] and [`Error::TimedOut`].
    pub async fn ask(&self, call: &Call, token: Option<&str>) -> Result<Answer, Error> {
        let sent = tokio::time::timeout(self.limit(call), self.request(call, token).send()).await;
        let sent = sent.map_err(|_| Error::TimedOut { server: self.server.to_string() })?;
        let response = sent.map_err(|e| Error::of_http(&self.server, &e))?;
        Ok(Answer { response, server: Arc::clone(&self.server) })
    }

    /// Makes the call, again if it may be repeated, until it succeeds. The body of the answer is not read yet.
    ///
    /// # Errors
    /// Those of the last try.
    pub async fn send(&self, call: &Call, token: Option<&str>) -> Result<Answer, Error> {
        self.repeat(call, token, false).await.map(|(answer, _)| answer)
    }

    /// The same with the whole answer, up to 256 MiB; one that breaks off counts as a try that failed.
    ///
    /// # Errors
    /// Those of the last try.
    pub async fn text(&self, call: &Call, token: Option<&str>) -> Result<String, Error> {
        self.repeat(call, token, true).await.map(|(_, text)| text)
    }

    async fn repeat(&self, call: &Call, token: Option<&str>, whole: bool) -> Result<(Answer, String), Error> {
        let mut tries = 0;
        loop {
            tries += 1;
            let error = match self.once(call, token, whole).await {
                Ok(answered) => return Ok(answered),
                Err(error) => error,
            };
            if tries >= call.tries.unwrap_or(self.tries) || !self.is_repeated(call, &error) {
                return Err(error);
            }
            tokio::time::sleep(pause(tries, error.retry_after())).await;
        }
    }

    fn is_repeated(&self, call: &Call, error: &Error) -> bool {
        match error {
            // Nothing was sent, so that any call may be made again.
            Error::Unreachable { sent: false, .. } => self.outlasts_restarts,
            error => call.is_repeatable() && error.is_passing(),
        }
    }

    async fn once(&self, call: &Call, token: Option<&str>, whole: bool) -> Result<(Answer, String), Error> {
        let mut answer = self.ask(call, token).await?;
        if !answer.status().is_success() {
            return Err(answer.refusal().await);
        }
        let text = if whole { answer.text().await? } else { String::new() };
        Ok((answer, text))
    }

    fn limit(&self, call: &Call) -> Duration {
        call.timeout.unwrap_or(self.timeout).saturating_add(call.longer)
    }

    fn request(&self, call: &Call, token: Option<&str>) -> RequestBuilder {
        let url = format!("{}/api/v1{}", self.server, call.path);
        let mut request = self.http.request(call.method.clone(), url).query(&call.query);
        request = match call.accept {
            Some(accept) => request.header(header::ACCEPT, accept),
            // A stream's body may take as long as it likes.
            None => request.header(header::ACCEPT, "application/json").timeout(self.limit(call)),
        };
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        for (name, value) in &call.headers {
            request = request.header(HeaderName::from_static(name), value);
        }
        if let Some(body) = &call.body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body.clone());
        }
        request
    }
}

/// An answer whose body is still to be read.
#[derive(Debug)]
pub struct Answer {
    response: Response,
    server: Arc<str>,
}

impl Answer {
    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// A header, if it is there and text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// The next bytes of the body; `None` at its end.
    ///
    /// # Errors
    /// [`Error::Unreachable`] if it breaks off, [`Error::TimedOut`] if nothing comes for 60 s.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let chunk = tokio::time::timeout(SILENCE, self.response.chunk()).await;
        let chunk = chunk.map_err(|_| Error::TimedOut { server: self.server.to_string() })?;
        chunk.map_err(|e| Error::of_http(&self.server, &e))
    }

    /// The rest of the body, up to 256 MiB.
    ///
    /// # Errors
    /// Those of [`Answer::chunk`], and [`Error::Unreadable`] if it is larger or not UTF-8.
    pub async fn text(&mut self) -> Result<String, Error> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if bytes.len() + chunk.len() > MOST_BYTES {
                return Err(Error::Unreadable("is larger than 256 MiB".into()));
            }
            bytes.extend_from_slice(&chunk);
        }
        String::from_utf8(bytes).map_err(|_| Error::Unreadable("is not UTF-8".into()))
    }

    async fn refusal(&mut self) -> Error {
        let (status, retry_after) = (self.status(), retry_after(self.response.headers()));
        let text = self.text().await.unwrap_or_default();
        match Problem::read(status, &text, retry_after) {
            Some(problem) => Error::Problem(Box::new(problem)),
            None => Error::Foreign { server: self.server.to_string(), status },
        }
    }
}

/// Reads an answer.
///
/// # Errors
/// [`Error::Unreadable`].
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|e| Error::unreadable(&e))
}

/// What `Retry-After` asks for, if it is given in seconds.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
