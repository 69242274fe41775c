//! Where hints live between the process that announces and the one that claims.

pub(crate) mod redis;
pub(crate) mod store;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use taskloom_model::{Priority, TaskId};

/// A task that is ready to be claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// Its queue.
    pub queue: Arc<str>,
    /// Its priority.
    pub priority: Priority,
    /// Its id.
    pub id: TaskId,
}

/// A hint taken from a home. Give it back with [`Home::done`] once the claim was tried, whatever came of it; a hint that
/// is not given back is handed out again later.
#[derive(Debug)]
pub struct Ticket {
    /// The task. It may have been claimed or ended meanwhile: the store decides.
    pub ready: Ready,
    /// How the home knows the hint again; of no meaning to anybody else.
    pub(crate) receipt: Box<str>,
}

/// How a home is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The home's name, fit for clients.
    pub home: &'static str,
    /// Whether hints travel. If they do not, claimers still find every task through the store, later.
    pub ok: bool,
    /// How long the last exchange with whatever carries the hints took.
    pub latency: Option<Duration>,
    /// What is wrong, fit for clients: no hosts, no names, no passwords.
    pub detail: Option<String>,
    /// Announcements that were dropped since the start.
    pub dropped: u64,
}

/// Keeps hints between the process that announces and the one that claims. It carries no truth and may forget everything.
#[async_trait]
pub trait Home: Send + Sync + 'static {
    /// Takes hints in. Never waits and never fails: what does not fit, or comes while the home is away, is dropped and
    /// counted.
    ///
    /// True if the home will ring this process's bells itself once the hints can be taken; false if the caller has to
    /// ring and claimers should ask the store.
    fn announce(&self, ready: &[Ready]) -> bool;

    /// Up to `limit` hints: of the queues in the order given, in each of the highest priority first. Comes back at once,
    /// at the latest after the home's command time-out (at most 1 s); with nothing if there is nothing or the home is away.
    async fn take(&self, queues: &[String], limit: usize) -> Vec<Ticket>;

    /// Forgets hints that were taken. Never waits; losing it is harmless.
    fn done(&self, tickets: Vec<Ticket>);

    /// How the home is.
    fn status(&self) -> Status;
}
