//! Whether Redis is there, and what is wrong if it is not.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::RedisError;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::connection::Connection;
use super::trouble::{describe, needs_new_connection};
use crate::home::Status;

/// A refused command shows in the status for this long.
const FAULT_SHOWS: Duration = Duration::from_secs(10);

/// A connection that works, as far as is known, and which one it is.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) connection: Connection,
    number: u64,
}

/// The one connection and how it is.
pub(super) struct Presence {
    state: Mutex<State>,
    /// The same as in `state`, for those who announce.
    here: AtomicBool,
    dropped: AtomicU64,
    lost: Notify,
}

struct State {
    link: Option<Link>,
    /// Connections so far.
    connections: u64,
    latency: Option<Duration>,
    away: &'static str,
    fault: Option<(Instant, &'static str)>,
}

impl Default for Presence {
    fn default() -> Self {
        let away = "not connected to Redis yet";
        let state = State { link: None, connections: 0, latency: None, away, fault: None };
        Self { state: Mutex::new(state), here: false.into(), dropped: 0.into(), lost: Notify::new() }
    }
}

impl Presence {
    pub(super) fn is_here(&self) -> bool {
        self.here.load(Ordering::Acquire)
    }

    pub(super) fn link(&self) -> Option<Link> {
        if self.is_here() { self.lock().link.clone() } else { None }
    }

    /// There is a connection now.
    pub(super) fn arrive(&self, connection: Connection) -> Link {
        let mut state = self.lock();
        state.connections += 1;
        state.fault = None;
        let link = Link { connection, number: state.connections };
        state.link = Some(link.clone());
        self.here.store(true, Ordering::Release);
        link
    }

    /// There is none, because of this.
    pub(super) fn leave(&self, why: &'static str) {
        let mut state = self.lock();
        self.here.store(false, Ordering::Release);
        (state.link, state.latency, state.away) = (None, None, why);
    }

    /// A command failed. A broken connection is given up at once, so that nobody else waits for it.
    pub(super) fn failed(&self, link: &Link, error: &RedisError) {
        let mut state = self.lock();
        if state.link.as_ref().is_none_or(|current| current.number != link.number) {
            return;
        }
        if needs_new_connection(error) {
            drop(state);
            self.leave(describe(error));
            self.lost.notify_one();
        } else {
            state.fault = Some((Instant::now(), describe(error)));
        }
        tracing::debug!(%error, "a command to Redis failed");
    }

    /// Comes back when a command has found the connection to be broken.
    pub(super) async fn lost(&self) {
        while self.is_here() {
            self.lost.notified().await;
        }
    }

    pub(super) fn answered_after(&self, latency: Duration) {
        self.lock().latency = Some(latency);
    }

    pub(super) fn dropped(&self, announcements: usize) {
        self.dropped.fetch_add(announcements as u64, Ordering::Relaxed);
    }

    pub(super) fn status(&self) -> Status {
        let state = self.lock();
        let fault = state.fault.filter(|(at, _)| at.elapsed() < FAULT_SHOWS).map(|(_, what)| what);
        let detail = if state.link.is_some() { fault } else { Some(state.away) };
        Status {
            home: "redis",
            ok: detail.is_none(),
            latency: state.latency,
            detail: detail.map(str::to_owned),
            dropped: self.dropped.load(Ordering::Relaxed),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
