//! The result cache: which calls are equal, how they were answered, and what is forgotten by hand.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};
use taskloom_model::{CacheOutcome, UserId};
use taskloom_protocol::{CachePage, CachePurged, CacheRequests, Json, canonical};
use taskloom_store::CacheFilter;
use uuid::Uuid;

use crate::{Caller, Engine, EngineError};

/// Calls that are forgotten in one transaction.
const TOGETHER: u32 = 1_000;

/// What tells a call from others: SHA-256, in hexadecimal, of the handler and of its arguments in one spelling. Absent
/// arguments are empty ones.
pub(crate) fn signature(handler: &str, args: Option<&Json>, kwargs: Option<&Json>) -> String {
    let mut hash = Sha256::new();
    hash.update(handler);
    for (json, absent) in [(args, "[]"), (kwargs, "{}")] {
        let text = json.map_or(absent, |json| json.get());
        // No line end stands in a handler's name or in JSON's one spelling.
        hash.update("\n");
        hash.update(canonical(text).as_deref().unwrap_or(text));
    }
    hash.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// How calls were answered since the start of this process.
#[derive(Default)]
pub(crate) struct CacheCounts([AtomicU64; 3]);

impl CacheCounts {
    pub(crate) fn count(&self, outcome: CacheOutcome) {
        self.0[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn requests(&self) -> CacheRequests {
        let [hit, joined, miss] =
            CacheOutcome::ALL.map(|outcome| self.0[outcome as usize].load(Ordering::Relaxed));
        CacheRequests::new(hit, joined, miss)
    }
}

/// Whose calls, and which.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheQuery {
    /// Of this handler, by its name or an alias.
    pub handler: Option<String>,
    /// With this signature.
    pub signature: Option<String>,
    /// Of every user, for callers who see everybody's tasks.
    pub everybody: bool,
}

impl Engine {
    /// How calls with a `cache_ttl` were answered since the start of this process.
    pub fn cache_requests(&self) -> CacheRequests {
        self.inner.cache_counts.requests()
    }

    /// A page of the cache, behind the place `cursor`.
    ///
    /// # Errors
    /// [`EngineError::BadCursor`] if no page gave the cursor.
    pub async fn cache_list(
        &self,
        caller: &Caller,
        query: CacheQuery,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<CachePage, EngineError> {
        let after = cursor.map(place).transpose()?;
        let filter = self.cache_filter(caller, query);
        let (mut items, total) = self.inner.store.cache_list(filter, after, limit + 1).await?;
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let last = items.last().filter(|_| more);
        let next_cursor = last.map(|entry| format!("{}.{}", entry.user_id.simple(), entry.signature));
        Ok(CachePage { items, next_cursor, total, requests: self.cache_requests() })
    }

    /// Forgets calls, in bounded transactions: the next of each makes a task.
    pub async fn cache_purge(&self, caller: &Caller, query: CacheQuery) -> Result<CachePurged, EngineError> {
        let filter = self.cache_filter(caller, query);
        let mut purged = 0;
        loop {
            let some = self.inner.store.cache_purge(filter.clone(), TOGETHER).await?;
            purged += some;
            // Fewer than asked for may only mean that some were forgotten by others just now.
            if some == 0 {
                tracing::info!(user = %caller.user_id, purged, "purged the cache");
                return Ok(CachePurged { purged });
            }
        }
    }

    fn cache_filter(&self, caller: &Caller, query: CacheQuery) -> CacheFilter {
        let CacheQuery { handler, signature, everybody } = query;
        let handler = handler.map(|name| self.inner.config.aliases.get(&name).cloned().unwrap_or(name));
        let user_id: Option<UserId> = (!(everybody && caller.all)).then_some(caller.user_id);
        CacheFilter { user_id, handler, signature }
    }
}

/// Reads a cursor: a user and a signature. A made-up one can only point somewhere else in the caller's own list.
fn place(cursor: &str) -> Result<(UserId, String), EngineError> {
    let (user, signature) = cursor.split_once('.').ok_or(EngineError::BadCursor)?;
    let user = Uuid::try_parse(user).map_err(|_| EngineError::BadCursor)?;
    if signature.len() > 200 || signature.chars().any(char::is_control) {
        return Err(EngineError::BadCursor);
    }
    Ok((user, signature.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        serde_json::value::RawValue::from_string(text.to_owned()).unwrap()
    }

    fn of(handler: &str, args: &str, kwargs: &str) -> String {
        signature(handler, Some(&json(args)), Some(&json(kwargs)))
    }

    #[test]
    fn equal_calls_have_one_signature() {
        let plain = signature("demo.echo", None, None);
        assert_eq!(plain, of("demo.echo", "[ ]", "{}"));
        assert_eq!(plain.len(), 64);
        assert_eq!(of("h", "[1, 2.50]", r#"{"b":1,"a":[]}"#), of("h", "[1,2.5]", r#"{ "a": [], "b": 1 }"#));
    }

    #[test]
    fn other_calls_have_others() {
        let all = [
            of("h", "[]", "{}"),
            of("i", "[]", "{}"),
            of("h", "[1]", "{}"),
            of("h", "[1.0]", "{}"),
            of("h", "[]", r#"{"a":1}"#),
            of("h", r#"[{"a":1}]"#, "{}"),
        ];
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
