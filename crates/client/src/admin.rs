//! The installation as a whole; for admins.

use taskloom_protocol::{PruneAnswer, PruneRequest};

use crate::transport::Call;
use crate::{Client, Error};

/// What only admins do to the installation as a whole: see [`Client::admin`].
#[derive(Debug, Clone, Copy)]
pub struct Admin<'a>(pub(crate) &'a Client);

impl Admin<'_> {
    /// Forgets ended tasks that are past their retention, the oldest first, as servers do by themselves every ten minutes.
    /// Only counts all of them, unless `dry_run` is false; one call forgets about `limit`, and its `more` says whether to
    /// ask again.
    ///
    /// # Errors
    /// Those of a call; [`Code::Forbidden`](crate::Code::Forbidden) to all but admins with a login.
    pub async fn prune(&self, what: &PruneRequest) -> Result<PruneAnswer, Error> {
        let call = Call::post("/admin/prune").body(what)?;
        let is_dry = what.dry_run.unwrap_or(true);
        self.0.call(if is_dry { call.repeatable() } else { call }).await
    }
}
