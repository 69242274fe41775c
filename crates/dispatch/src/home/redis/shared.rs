//! What the home and its background tasks share.

use std::sync::Arc;
use std::time::Duration;

use redis::{RedisResult, Script};
use tokio::time::timeout;

use super::connection::Connection;
use super::ears::Ears;
use super::endpoint::Endpoint;
use super::keys::{Channel, Keys};
use super::options::{RedisConfigError, RedisOptions};
use super::presence::Presence;
use super::rounds::Rounds;
use super::trouble::too_slow;
use crate::bells::Bells;
use crate::buffer::Buffer;
use crate::home::{Ready, Ticket};

/// Tickets that may wait to be acknowledged; more are handed out again later.
const DONE_AT_MOST: usize = 100_000;
/// Words to other processes that may wait; more are dropped.
const WORDS_AT_MOST: usize = 10_000;

pub(super) struct Shared {
    pub(super) endpoint: Endpoint,
    pub(super) keys: Keys,
    /// This process's name among the consumers.
    pub(super) me: String,
    pub(super) timeout: Duration,
    pub(super) max_len: usize,
    pub(super) consumer_idle: Duration,
    pub(super) presence: Presence,
    pub(super) ears: Arc<Ears>,
    pub(super) rounds: Rounds,
    pub(super) hints: Buffer<Ready>,
    pub(super) done: Buffer<Ticket>,
    pub(super) words: Buffer<(Channel, String)>,
    pub(super) scripts: Scripts,
}

/// What runs inside Redis, so that many steps are one exchange.
pub(super) struct Scripts {
    pub(super) announce: Script,
    pub(super) take: Script,
    pub(super) sweep: Script,
    pub(super) count: Script,
}

impl Shared {
    pub(super) fn new(options: &RedisOptions, bells: Bells) -> Result<Self, RedisConfigError> {
        options.check()?;
        let keys = Keys::new(&options.prefix);
        let me = uuid::Uuid::new_v4().simple().to_string();
        Ok(Self {
            endpoint: Endpoint::new(options)?,
            ears: Arc::new(Ears::new(keys.clone(), me.clone(), bells)),
            keys,
            me,
            timeout: options.command_timeout,
            max_len: options.max_len,
            consumer_idle: options.consumer_idle,
            presence: Presence::default(),
            rounds: Rounds::new(options.take_over_every, options.take_over_after),
            hints: Buffer::new(options.buffer),
            done: Buffer::new(DONE_AT_MOST),
            words: Buffer::new(WORDS_AT_MOST),
            scripts: Scripts {
                announce: Script::new(include_str!("announce.lua")),
                take: Script::new(include_str!("take.lua")),
                sweep: Script::new(include_str!("sweep.lua")),
                count: Script::new(include_str!("count.lua")),
            },
        })
    }

    /// Runs commands if Redis is there, within the time-out. `None` if it is not or they failed, which is noted.
    pub(super) async fn run<T, F>(&self, commands: impl FnOnce(Connection) -> F) -> Option<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let link = self.presence.link()?;
        let answer = timeout(self.timeout, commands(link.connection.clone())).await;
        let answer = answer.unwrap_or_else(|_| Err(too_slow()));
        answer.inspect_err(|error| self.presence.failed(&link, error)).ok()
    }
}
