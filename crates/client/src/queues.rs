//! Queues and limits; for operators.

use taskloom_protocol::{LimitInfo, QueueLimits, QueueList, QueueStats};

use crate::address::segment;
use crate::transport::Call;
use crate::{Client, Error, Pages};

/// What can be done with queues: see [`Client::queues`].
#[derive(Debug, Clone, Copy)]
pub struct Queues<'a>(pub(crate) &'a Client);

impl Queues<'_> {
    /// Every queue that is built in, served, paused, limited, or holds something.
    ///
    /// # Errors
    /// Those of a call; [`Code::Forbidden`](crate::Code::Forbidden) to all but operators and admins.
    pub async fn list(&self) -> Result<Vec<QueueStats>, Error> {
        let answer: QueueList = self.0.call(Call::get("/queues")).await?;
        Ok(answer.items)
    }

    /// One queue; one that nobody has used is empty.
    ///
    /// # Errors
    /// Those of [`Queues::list`].
    pub async fn get(&self, name: &str) -> Result<QueueStats, Error> {
        self.0.call(Call::get(path(name, ""))).await
    }

    /// Pauses a queue: nothing of it starts, on any worker; what runs goes on.
    ///
    /// # Errors
    /// Those of [`Queues::list`].
    pub async fn pause(&self, name: &str) -> Result<QueueStats, Error> {
        self.0.call(Call::post(path(name, "/pause")).repeatable()).await
    }

    /// Lets a paused queue go on.
    ///
    /// # Errors
    /// Those of [`Queues::list`].
    pub async fn resume(&self, name: &str) -> Result<QueueStats, Error> {
        self.0.call(Call::post(path(name, "/resume")).repeatable()).await
    }

    /// Sets its limits, across all workers; what is left out is not limited, and the default removes them all.
    ///
    /// # Errors
    /// Those of [`Queues::list`].
    pub async fn limit(&self, name: &str, limits: &QueueLimits) -> Result<QueueStats, Error> {
        self.0.call(Call::put(path(name, "/limits")).body(limits)?).await
    }
}

/// The limits that tasks named with `concurrency_key` and `rate_key`: see [`Client::limits`].
#[derive(Debug, Clone, Copy)]
pub struct Limits<'a>(pub(crate) &'a Client);

impl Limits<'_> {
    /// All of them by kind and key: how much of each is taken, and how many wait.
    pub fn list(&self) -> Pages<LimitInfo> {
        Pages::new(self.0, Call::get("/limits"))
    }
}

fn path(name: &str, rest: &str) -> String {
    format!("/queues/{}{rest}", segment(name))
}
