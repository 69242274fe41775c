//! The result cache: looked at and purged.

use taskloom_protocol::{CacheEntry, CachePage, CachePurged, CacheRequests, ListCache, PurgeCache};

use crate::transport::Call;
use crate::{Client, Error, Pages};

/// What can be done with the result cache: see [`Client::cache`].
#[derive(Debug, Clone, Copy)]
pub struct Cache<'a>(pub(crate) &'a Client);

impl Cache<'_> {
    /// One page of the calls that the cache knows, with how this server has answered calls so far.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn page(&self, query: &ListCache) -> Result<CachePage, Error> {
        self.0.call(Call::get("/cache").queries(query)?).await
    }

    /// All calls that match.
    ///
    /// # Errors
    /// None yet; those of a call come as it is read.
    pub fn list(&self, query: &ListCache) -> Result<Pages<CacheEntry>, Error> {
        Ok(Pages::new(self.0, Call::get("/cache").queries(query)?))
    }

    /// How this server has answered calls since it started, everybody's.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn stats(&self) -> Result<CacheRequests, Error> {
        let page = self.page(&ListCache { limit: Some(1), ..ListCache::default() }).await?;
        Ok(page.requests)
    }

    /// Forgets calls, all of the caller's by default, and says how many: the next of each makes a task. The tasks stay.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn purge(&self, which: &PurgeCache) -> Result<u64, Error> {
        let answer: CachePurged = self.0.call(Call::delete("/cache").queries(which)?).await?;
        Ok(answer.purged)
    }
}
