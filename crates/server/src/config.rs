//! What the operator decides about the HTTP layer.

use std::fmt;
use std::time::Duration;

use crate::auth::throttle::ThrottleConfig;

/// The HTTP layer's settings.
#[derive(Clone)]
pub struct ServerConfig {
    /// Signs access tokens; at least 32 bytes. The default is random, so tokens end with the process.
    pub secret_key: Vec<u8>,
    /// How long an access token holds.
    pub access_ttl: Duration,
    /// How long a login holds without a refresh.
    pub refresh_ttl: Duration,
    /// Bytes of a body.
    pub body_limit: usize,
    /// Bytes of a body of `/tasks/batch` and of the worker protocol.
    pub batch_body_limit: usize,
    /// How long a call may take; long-polls and uploads have limits of their own.
    pub request_timeout: Duration,
    /// How long a client may take to send a request's body, uploads excepted.
    pub body_timeout: Duration,
    /// Server-sent event streams at once.
    pub max_streams: usize,
    /// Origins whose pages may call the API, such as `https://tasks.example.org`; none switches CORS off.
    pub cors_origins: Vec<String>,
    /// Whether anybody may create an account.
    pub allow_registration: bool,
    /// How wrong passwords slow a client down.
    pub throttle: ThrottleConfig,
    /// Take a client's address from the last entry of `X-Forwarded-For`. Only behind a proxy that sets it.
    pub trusted_proxy: bool,
    /// Serve `/docs`, `/redoc` and `/openapi.json`.
    pub docs: bool,
}

/// A setting that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Too short to sign with.
    #[error("secret_key: at least 32 bytes")]
    ShortSecret,
    /// Not an origin.
    #[error("cors_origins: {0:?} is not an origin such as https://tasks.example.org")]
    BadOrigin(String),
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            secret_key: rand::random::<[u8; 32]>().to_vec(),
            access_ttl: Duration::from_mins(30),
            refresh_ttl: Duration::from_hours(14 * 24),
            body_limit: 2 << 20,
            batch_body_limit: 8 << 20,
            request_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(25),
            max_streams: 1_000,
            cors_origins: Vec::new(),
            allow_registration: false,
            throttle: ThrottleConfig::default(),
            trusted_proxy: false,
            docs: true,
        }
    }
}

impl fmt::Debug for ServerConfig {
    /// Everything but the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerConfig")
            .field("access_ttl", &self.access_ttl)
            .field("refresh_ttl", &self.refresh_ttl)
            .field("body_limit", &self.body_limit)
            .field("batch_body_limit", &self.batch_body_limit)
            .field("request_timeout", &self.request_timeout)
            .field("cors_origins", &self.cors_origins)
            .field("allow_registration", &self.allow_registration)
            .field("trusted_proxy", &self.trusted_proxy)
            .field("docs", &self.docs)
            .finish_non_exhaustive()
    }
}

impl ServerConfig {
    /// Whether the settings can work.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.secret_key.len() < 32 {
            return Err(ConfigError::ShortSecret);
        }
        match self.cors_origins.iter().find(|origin| !is_origin(origin)) {
            Some(bad) => Err(ConfigError::BadOrigin(bad.clone())),
            None => Ok(()),
        }
    }
}

fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|h| {
        !h.is_empty() && h.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_cannot_work_and_hides_the_secret() {
        let config =
            ServerConfig { secret_key: b"0123456789abcdef0123456789abcdef".to_vec(), ..Default::default() };
        assert_eq!(config.check(), Ok(()));
        assert!(!format!("{config:?}").contains("48, 49"));
        let short = ServerConfig { secret_key: vec![0; 31], ..config.clone() };
        assert_eq!(short.check(), Err(ConfigError::ShortSecret));
        for bad in ["*", "tasks.example.org", "https://", "https://a/b"] {
            let config = ServerConfig { cors_origins: vec![bad.into()], ..config.clone() };
            assert_eq!(config.check(), Err(ConfigError::BadOrigin(bad.into())));
        }
    }
}
