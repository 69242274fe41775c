//! The client: a server and a token.

use std::env;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::address::DEFAULT_SERVER;
use crate::transport::{Answer, Call, Transport, read};
use crate::{
    Admin, ApiKeys, Cache, DeadLetters, Error, Limits, NewTask, Queues, Schedules, Tasks, Users, Workers,
    Workflows,
};

/// What a Rust program does with the tasks of a user: one server, one token, one pool of connections.
///
/// Cloning is cheap and shares the connections. They belong to the Tokio runtime the client is used on.
///
/// Calls that only read, PUTs, and submissions (each carries an idempotency key) are made up to 4 times, with jittered
/// pauses of up to 5 s, or as `Retry-After` says: after a lost connection, a time-out, 429 and 503, and 502 and 504 of a
/// proxy. Other calls are repeated only if nothing was sent.
#[derive(Clone)]
pub struct Client {
    transport: Transport,
    token: Arc<str>,
}

impl Client {
    /// A client of the server at this URL, such as `https://tasks.example.org` (`http://` may be left out, a path may
    /// follow), with an API key or the access token of a login.
    ///
    /// # Errors
    /// [`Error::Invalid`]: the URL is none of `http` or `https`, or the token cannot stand in a header.
    pub fn new(server: &str, token: &str) -> Result<Self, Error> {
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let rule = "the token is empty or has characters that cannot stand in a header";
            return Err(Error::Invalid(rule.into()));
        }
        let agent = concat!("taskloom-client/", env!("CARGO_PKG_VERSION"));
        Ok(Self { transport: Transport::new(server, agent)?.outlast_restarts(), token: token.into() })
    }

    /// The client that `TASKLOOM_SERVER` (`http://127.0.0.1:8000` if it is not set or empty) and `TASKLOOM_TOKEN` name.
    ///
    /// # Errors
    /// [`Error::Invalid`]: as for [`Client::new`], and if there is no token.
    pub fn from_env() -> Result<Self, Error> {
        let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let token = set("TASKLOOM_TOKEN").ok_or_else(|| {
            Error::Invalid("TASKLOOM_TOKEN is not set: an API key or an access token".into())
        })?;
        Self::new(set("TASKLOOM_SERVER").as_deref().unwrap_or(DEFAULT_SERVER), &token)
    }

    /// How long one try of an ordinary call may take; 40 s if not said. Waiting for a task's end adds its own time.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { transport: self.transport.timeout(timeout), ..self }
    }

    /// How often a call that may be repeated is made at most; 4 if not said, and at least once.
    #[must_use]
    pub fn tries(self, tries: u32) -> Self {
        Self { transport: self.transport.tries(tries), ..self }
    }

    /// The server's URL, without a slash at its end.
    pub fn server(&self) -> &str {
        self.transport.server()
    }

    /// A task for this handler, to be described further and submitted.
    pub fn task(&self, handler: impl Into<String>) -> NewTask<'_> {
        NewTask::new(self, handler.into())
    }

    /// Tasks: submitted, read, waited for, steered.
    pub fn tasks(&self) -> Tasks<'_> {
        Tasks(self)
    }

    /// Schedules.
    pub fn schedules(&self) -> Schedules<'_> {
        Schedules(self)
    }

    /// Workflows.
    pub fn workflows(&self) -> Workflows<'_> {
        Workflows(self)
    }

    /// Queues; for operators.
    pub fn queues(&self) -> Queues<'_> {
        Queues(self)
    }

    /// Limits by `concurrency_key` and `rate_key`; for operators.
    pub fn limits(&self) -> Limits<'_> {
        Limits(self)
    }

    /// Dead letters: tasks that failed on their own.
    pub fn dead_letters(&self) -> DeadLetters<'_> {
        DeadLetters(self)
    }

    /// The result cache.
    pub fn cache(&self) -> Cache<'_> {
        Cache(self)
    }

    /// The API keys of the client's user; only with the access token of a login.
    pub fn api_keys(&self) -> ApiKeys<'_> {
        ApiKeys(self)
    }

    /// Users: oneself, and all of them for admins.
    pub fn users(&self) -> Users<'_> {
        Users(self)
    }

    /// Workers; for operators.
    pub fn workers(&self) -> Workers<'_> {
        Workers(self)
    }

    /// What admins do to the installation as a whole.
    pub fn admin(&self) -> Admin<'_> {
        Admin(self)
    }

    pub(crate) async fn call<T: DeserializeOwned>(&self, call: Call) -> Result<T, Error> {
        read(&self.transport.text(&call, Some(&self.token)).await?)
    }

    /// Makes a call whose answer is empty.
    pub(crate) async fn tell(&self, call: Call) -> Result<(), Error> {
        self.transport.send(&call, Some(&self.token)).await.map(drop)
    }

    pub(crate) async fn stream(&self, call: Call) -> Result<Answer, Error> {
        self.transport.send(&call, Some(&self.token)).await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("server", &self.server()).finish_non_exhaustive()
    }
}

/// A key that nobody has used before.
pub(crate) fn new_key() -> String {
    crate::transport::new_key("rust")
}
