//! Workers; for operators.

use taskloom_protocol::{WorkerInfo, WorkerList};
use uuid::Uuid;

use crate::transport::Call;
use crate::{Client, Error};

/// What can be done with workers: see [`Client::workers`].
#[derive(Debug, Clone, Copy)]
pub struct Workers<'a>(pub(crate) &'a Client);

impl Workers<'_> {
    /// Up to 1,000 workers that have not left, each with its queues and handlers; the one that was heard last comes first.
    /// One that is not `alive` is silent for longer than a lease, one that is silent for a day is left out.
    ///
    /// # Errors
    /// Those of a call; [`Code::Forbidden`](crate::Code::Forbidden) to all but operators and admins with a login.
    pub async fn list(&self) -> Result<Vec<WorkerInfo>, Error> {
        let answer: WorkerList = self.0.call(Call::get("/workers")).await?;
        Ok(answer.items)
    }

    /// Tells a worker to take no more tasks and to leave when it is done; it hears so with its next heartbeat.
    ///
    /// # Errors
    /// Those of [`Workers::list`]; [`Code::NotFound`](crate::Code::NotFound) if it has left.
    pub async fn drain(&self, session: Uuid) -> Result<(), Error> {
        self.0.tell(Call::post(format!("/workers/{session}/drain")).repeatable()).await
    }
}
