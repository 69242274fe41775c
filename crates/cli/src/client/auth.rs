//! Who we are: a token of the environment, or a login that renews itself.

use std::sync::{Mutex, PoisonError};

use serde_json::json;
use taskloom_client::Error;
use taskloom_client::address::DEFAULT_SERVER;
use taskloom_client::transport::{Transport, read};
use taskloom_protocol::TokenPair;

use super::{Call, Client, normalize};
use crate::config::{Environment, Secret};
use crate::credentials::{CredentialsFile, Login};
use crate::error::CliError;

/// What proves who we are.
pub(super) enum Auth {
    /// Nothing.
    Nobody,
    /// `TASKLOOM_TOKEN`: an access token or an API key.
    Given(Secret),
    /// A login from the credentials file; the access token now in use.
    Stored { file: CredentialsFile, access: Mutex<Secret> },
}

/// What we showed the server, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    None,
    /// `TASKLOOM_TOKEN`.
    Token,
    Login,
}

impl Auth {
    /// The server to talk to, and what proves who we are there.
    pub(super) fn choose(flag: Option<&str>, environment: &Environment) -> Result<(String, Self), CliError> {
        let named = flag.or_else(|| environment.get("TASKLOOM_SERVER"));
        let given = environment.get("TASKLOOM_TOKEN").map(Secret::new);
        let file = CredentialsFile::locate(environment);
        let stored = match &file {
            Ok(file) => file.read()?,
            // Without a home there are no credentials, and a token or a login command tells of it.
            Err(_) => crate::credentials::Credentials::default(),
        };
        let server = normalize(named.or(stored.default_server.as_deref()).unwrap_or(DEFAULT_SERVER))?;
        let auth = match (given, file, stored.servers.get(&server)) {
            (Some(token), ..) => Self::Given(token),
            (None, Ok(file), Some(login)) => {
                Self::Stored { file, access: Mutex::new(Secret::new(&login.access_token)) }
            }
            _ => Self::Nobody,
        };
        Ok((server, auth))
    }

    /// The token to send.
    pub(super) fn token(&self) -> Option<String> {
        match self {
            Self::Nobody => None,
            Self::Given(token) => Some(token.expose().to_owned()),
            Self::Stored { access, .. } => {
                Some(access.lock().unwrap_or_else(PoisonError::into_inner).expose().to_owned())
            }
        }
    }

    pub(super) fn proof(&self) -> Proof {
        match self {
            Self::Nobody => Proof::None,
            Self::Given(_) => Proof::Token,
            Self::Stored { .. } => Proof::Login,
        }
    }

    /// A token newer than `used`, which the server refused; `None` if there is no way to get one.
    pub(super) async fn refresh(
        &self,
        transport: &Transport,
        used: &str,
    ) -> Result<Option<String>, CliError> {
        let Self::Stored { file, access } = self else { return Ok(None) };
        // A refresh token works once: the lock keeps a second command from using it at the same time.
        let lock = file.lock()?;
        let mut credentials = lock.read()?;
        let Some(login) = credentials.servers.get_mut(transport.server()) else { return Ok(None) };
        if login.access_token == used {
            let Some(pair) = renew(transport, &login.refresh_token).await? else { return Ok(None) };
            login.access_token = pair.access_token;
            login.refresh_token = pair.refresh_token;
            let token = login.access_token.clone();
            lock.write(&credentials)?;
            return Ok(Some(remember(access, token)));
        }
        Ok(Some(remember(access, login.access_token.clone())))
    }
}

fn remember(access: &Mutex<Secret>, token: String) -> String {
    *access.lock().unwrap_or_else(PoisonError::into_inner) = Secret::new(&token);
    token
}

/// The next pair of tokens; `None` if the server refuses the refresh token.
async fn renew(transport: &Transport, refresh: &str) -> Result<Option<TokenPair>, CliError> {
    let call = Call::post("/auth/refresh").body(&json!({"refresh_token": refresh}))?;
    match transport.text(&call, None).await {
        Ok(text) => Ok(Some(read(&text)?)),
        Err(Error::Problem(_) | Error::Foreign { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Logs in and keeps the login; it becomes the default server.
pub(crate) async fn log_in(
    client: &Client,
    environment: &Environment,
    username: &str,
    password: &Secret,
) -> Result<(), CliError> {
    let body = json!({"username": username, "password": password.expose()});
    let anonymous = Client { transport: client.transport.clone(), auth: Auth::Nobody };
    let pair: TokenPair = anonymous.call(Call::post("/auth/login/json").body(&body)?).await?.read()?;
    let lock = CredentialsFile::locate(environment)?.lock()?;
    let mut credentials = lock.read()?;
    let login = Login {
        username: username.into(),
        access_token: pair.access_token,
        refresh_token: pair.refresh_token,
    };
    credentials.servers.insert(client.server().to_owned(), login);
    credentials.default_server = Some(client.server().to_owned());
    lock.write(&credentials)
}

/// Ends the login at the server and forgets it here, whatever the server says; `None` if there was none.
pub(crate) async fn log_out(
    client: &Client,
    environment: &Environment,
) -> Result<Option<Result<(), CliError>>, CliError> {
    let file = CredentialsFile::locate(environment)?;
    if !file.read()?.servers.contains_key(client.server()) {
        return Ok(None);
    }
    let told = client.call(Call::post("/auth/logout")).await;
    let lock = file.lock()?;
    let mut credentials = lock.read()?;
    credentials.servers.remove(client.server());
    if credentials.default_server.as_deref() == Some(client.server()) {
        credentials.default_server = credentials.servers.keys().next().cloned();
    }
    lock.write(&credentials)?;
    Ok(Some(told.map(drop)))
}
