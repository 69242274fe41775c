//! The client of Taskloom's HTTP API: who we are, and errors that people can read.

mod auth;
mod problem;
mod server_url;

use std::time::Duration;

use serde::de::DeserializeOwned;
use taskloom_client::transport::{Answer, StatusCode, Transport, read};

pub(crate) use auth::{log_in, log_out};
pub(crate) use server_url::normalize;
pub(crate) use taskloom_client::address::segment;
pub(crate) use taskloom_client::transport::{Call, pause};

use crate::config::Environment;
use crate::error::CliError;
use auth::Auth;

/// How the idempotency keys begin that this program makes.
pub(crate) const KEYS: &str = "cli";
/// A server that is well answers a question for its health sooner.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to one server.
pub(crate) struct Client {
    transport: Transport,
    auth: Auth,
}

/// A body that is JSON.
pub(crate) struct Body(pub(crate) String);

impl Body {
    /// Reads it as `T`.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, CliError> {
        read(&self.0).map_err(|e| {
            CliError::from(e)
                .hint("the server may be of another version; `taskloom --version` tells this one's")
        })
    }
}

impl Client {
    /// A client of the server that the flag, the environment or the last login names.
    pub(crate) fn new(flag: Option<&str>, environment: &Environment) -> Result<Self, CliError> {
        let (server, auth) = Auth::choose(flag, environment)?;
        let agent = concat!("taskloom-cli/", env!("CARGO_PKG_VERSION"));
        Ok(Self { transport: Transport::new(&server, agent)?, auth })
    }

    /// The server's URL, without a slash at its end.
    pub(crate) fn server(&self) -> &str {
        self.transport.server()
    }

    /// Makes a call whose answer is a file or a stream.
    pub(crate) async fn open(&self, call: &Call) -> Result<Answer, CliError> {
        self.authorized(call, async |token| self.transport.send(call, token).await).await
    }

    /// Makes a call and reads the JSON it answers.
    pub(crate) async fn call(&self, call: Call) -> Result<Body, CliError> {
        self.authorized(&call, async |token| self.transport.text(&call, token).await).await.map(Body)
    }

    /// Asks once, as nobody, and takes any status for an answer.
    pub(crate) async fn probe(&self, path: &str) -> Result<(StatusCode, Body), CliError> {
        let mut answer = self.transport.ask(&Call::get(path).timeout(PROBE_TIMEOUT), None).await?;
        Ok((answer.status(), Body(answer.text().await?)))
    }

    /// Makes a call with our token; once more with a new one if the server refuses it.
    async fn authorized<T>(
        &self,
        call: &Call,
        make: impl AsyncFn(Option<&str>) -> Result<T, taskloom_client::Error>,
    ) -> Result<T, CliError> {
        let explain = |error| problem::explain(error, self.server(), call.path(), self.auth.proof());
        let used = self.auth.token();
        let error = match make(used.as_deref()).await {
            Ok(made) => return Ok(made),
            Err(error) => error,
        };
        if problem::is_unauthorized(&error) {
            let new = self.auth.refresh(&self.transport, &used.unwrap_or_default()).await?;
            if new.is_some() {
                return make(new.as_deref()).await.map_err(explain);
            }
        }
        Err(explain(error))
    }
}
