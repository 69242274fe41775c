//! Dead letters: listed, run again, put away.

use taskloom_protocol::{DeadFilter, MoveDead, MovedDead, Task};

use crate::transport::Call;
use crate::{Client, Error, Pages};

/// What can be done with dead letters: see [`Client::dead_letters`].
#[derive(Debug, Clone, Copy)]
pub struct DeadLetters<'a>(pub(crate) &'a Client);

impl DeadLetters<'_> {
    /// All that match, the newest first.
    ///
    /// # Errors
    /// None yet; those of a call come as it is read.
    pub fn list(&self, filter: &DeadFilter) -> Result<Pages<Task>, Error> {
        Ok(Pages::new(self.0, Call::get("/dead-letters").queries(filter)?))
    }

    /// Runs dead letters again, with all their attempts. Only says what it would do, unless `dry_run` is false; one call
    /// moves up to `limit`, and its `next_cursor` goes on.
    ///
    /// # Errors
    /// Those of a call; [`Code::Validation`](crate::Code::Validation) unless exactly one of `filter` and `all` is given.
    pub async fn retry(&self, which: &MoveDead) -> Result<MovedDead, Error> {
        self.move_them("/dead-letters/retry", which).await
    }

    /// Puts dead letters away, as deleting them does. Only says what it would do, unless `dry_run` is false.
    ///
    /// # Errors
    /// Those of [`DeadLetters::retry`].
    pub async fn discard(&self, which: &MoveDead) -> Result<MovedDead, Error> {
        self.move_them("/dead-letters/discard", which).await
    }

    async fn move_them(&self, path: &str, which: &MoveDead) -> Result<MovedDead, Error> {
        let call = Call::post(path).body(which)?;
        self.0.call(if which.dry_run { call.repeatable() } else { call }).await
    }
}
