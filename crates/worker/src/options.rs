//! What a handler wants for its tasks.

use std::time::Duration;

use taskloom_model::{Backoff, Priority};
use taskloom_protocol::HandlerDefaults;

/// What tasks of a handler get where their submitter leaves it open. What the task says comes first; the server's
/// configuration comes last.
///
/// ```
/// use std::time::Duration;
/// use taskloom_worker::{Backoff, BackoffKind, Context, HandlerError, HandlerOptions, Registry};
///
/// async fn fetch(_: Context) -> Result<(), HandlerError> {
///     Ok(())
/// }
/// let options = HandlerOptions::new()
///     .max_attempts(8)
///     .timeout(Duration::from_secs(30))
///     .backoff(Backoff { kind: BackoffKind::Linear, seconds: 5.0, max_seconds: 60.0 })
///     .retry_on(["ConnectionError", "timeout"]);
/// let mut registry = Registry::new();
/// registry.register_with("fetch", options, fetch);
/// ```
///
/// The server checks the values when the worker registers, and refuses the worker if one breaks its rule.
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
pub struct HandlerOptions(HandlerDefaults);

impl HandlerOptions {
    /// Nothing but what the server does by itself.
    pub fn new() -> Self {
        Self::default()
    }

    /// Attempts before the task fails, 1 to 1,000.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.0.max_attempts = Some(attempts);
        self
    }

    /// Time limit of one attempt, above zero and up to ten years.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.0.timeout = Some(limit.as_secs_f64());
        self
    }

    /// When the handler is asked to finish; before its time limit.
    pub fn soft_timeout(mut self, limit: Duration) -> Self {
        self.0.soft_timeout = Some(limit.as_secs_f64());
        self
    }

    /// The wait between attempts.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.0.backoff = Some(backoff);
        self
    }

    /// Types of errors that are worth another attempt, up to 50; an error of another type ends the task at once. `timeout`
    /// and `lost` are types too.
    pub fn retry_on<K: Into<String>>(mut self, kinds: impl IntoIterator<Item = K>) -> Self {
        self.0.retry_on = kinds.into_iter().map(Into::into).collect();
        self
    }

    /// The queue.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.0.queue = Some(queue.into());
        self
    }

    /// The order inside the queue.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.0.priority = Some(priority);
        self
    }

    /// How long a success answers the same call again: only for handlers whose result depends on nothing but their
    /// arguments.
    pub fn cache_for(mut self, ttl: Duration) -> Self {
        self.0.cache_ttl = Some(ttl.as_secs_f64());
        self
    }
}

impl From<HandlerOptions> for HandlerDefaults {
    fn from(options: HandlerOptions) -> Self {
        options.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, HandlerError, Registry};

    async fn nothing(_: Context) -> Result<(), HandlerError> {
        Ok(())
    }

    #[test]
    fn a_worker_says_what_its_handlers_want() {
        let mut registry = Registry::new();
        registry.register("plain", nothing).register("again", nothing);
        let options =
            HandlerOptions::new().timeout(Duration::from_millis(1_500)).retry_on(["Busy"]).queue("slow");
        registry.register_with("chosen", options.clone(), nothing);
        registry.register_with("again", options, nothing).register("again", nothing);
        let said = serde_json::to_value(registry.defaults()).unwrap();
        let expected = serde_json::json!({"chosen": {"timeout": 1.5, "retry_on": ["Busy"], "queue": "slow"}});
        assert_eq!(said, expected, "registered anew, a handler wants nothing any more");
        let mut all = Registry::new();
        all.register_with("plain", HandlerOptions::new().max_attempts(2), nothing);
        all.extend(registry);
        assert_eq!(all.defaults().keys().collect::<Vec<_>>(), ["chosen"]);
    }
}
