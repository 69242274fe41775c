//! Settings of the Redis home.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::url::{Address, UrlError};

/// The longest a command may take.
const COMMAND_TIMEOUT_AT_MOST: Duration = Duration::from_secs(1);
const PREFIX_AT_MOST: usize = 64;

/// Settings of the Redis home.
#[derive(Clone)]
#[non_exhaustive]
pub struct RedisOptions {
    /// Where Redis is. `rediss` is `redis` over TLS, with sentinels to them as well; `%`, `/`, `?`, `#` and `@` in a name or password are percent-encoded.
    ///
    /// | form | means |
    /// |---|---|
    /// | `redis://[user][:password]@host[:port][/database]` | one server |
    /// | `redis+cluster://[user:password@]host[:port],host[:port],…` | a cluster, of which some nodes are named |
    /// | `redis+sentinel://[user:password@]host[:port],…/master[/database][?sentinel_user=…&sentinel_password=…]` | the master that these sentinels know |
    pub url: String,
    /// A PEM file with the certificates of the authorities to trust with TLS, in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// Trusts any certificate with TLS: against eavesdroppers only, not against impostors.
    pub insecure: bool,
    /// What the names of keys and channels begin with: 1 to 64 letters, digits, `.`, `_` and `-`; `taskloom` by default. Installations
    /// that share a Redis take different ones.
    pub prefix: String,
    /// About how many hints a queue keeps in each priority: 1 or more, 100,000 by default. Of a longer backlog the rest is
    /// found through the store.
    pub max_len: usize,
    /// Announcements that may wait to be sent: 1 or more, 100,000 by default. More are dropped.
    pub buffer: usize,
    /// The longest a command may take: up to 1 s, the default.
    pub command_timeout: Duration,
    /// After this long another process takes over a hint that was taken and not given back; 30 s by default.
    pub take_over_after: Duration,
    /// How often a process looks into a queue for such hints; about 5 s by default.
    pub take_over_every: Duration,
    /// After this long a consumer with nothing pending is deleted: its process is gone. 1 h by default.
    pub consumer_idle: Duration,
}

impl RedisOptions {
    /// The defaults, with this address.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ca_file: None,
            insecure: false,
            prefix: "taskloom".into(),
            max_len: 100_000,
            buffer: 100_000,
            command_timeout: COMMAND_TIMEOUT_AT_MOST,
            take_over_after: Duration::from_secs(30),
            take_over_every: Duration::from_secs(5),
            consumer_idle: Duration::from_secs(3_600),
        }
    }

    /// The address with `***` in place of its passwords, fit for people.
    ///
    /// # Errors
    /// Which rule the address breaks; no part of it is quoted.
    pub fn masked_url(&self) -> Result<String, UrlError> {
        Address::parse(&self.url).map(|address| address.to_string())
    }

    /// The rules that are not about the address.
    pub(super) fn check(&self) -> Result<(), RedisConfigError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if !(1..=PREFIX_AT_MOST).contains(&self.prefix.len()) || !self.prefix.chars().all(fits) {
            return Err(RedisConfigError::Prefix);
        }
        if self.max_len == 0 || self.buffer == 0 {
            return Err(RedisConfigError::Length);
        }
        if self.command_timeout.is_zero() || self.command_timeout > COMMAND_TIMEOUT_AT_MOST {
            return Err(RedisConfigError::Timeout);
        }
        Ok(())
    }
}

/// Without the password in the address.
impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisOptions").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// Why settings cannot be used, whether or not Redis is there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisConfigError {
    /// The address.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The file with the authorities' certificates.
    #[error("the file of certificates for Redis, {}, cannot be used: {reason}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file is given, and the address is one without TLS.
    #[error("a file of certificates or `insecure` belongs to an address with TLS, such as rediss://host")]
    NoTls,
    /// The prefix.
    #[error("the prefix of keys in Redis has 1 to 64 letters, digits, dots, underscores and hyphens")]
    Prefix,
    /// A length.
    #[error("the length of streams in Redis and of the buffer of announcements is at least 1")]
    Length,
    /// The time-out.
    #[error("the time-out of commands to Redis is more than 0 and at most 1 s")]
    Timeout,
}
