//! Handlers' defaults: remembered here, declared by workers, read again now and then for those of other processes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use taskloom_protocol::HandlerDefaults;
use taskloom_store::StoreError;

use crate::Engine;

/// How long what workers of other processes declare may go unheard.
const FRESH: Duration = Duration::from_secs(3);

/// What is known of handlers' defaults.
pub(crate) type Known = Arc<HashMap<String, HandlerDefaults>>;

/// The defaults as they were read last.
#[derive(Default)]
pub(crate) struct Handlers(Mutex<Option<(Known, Instant)>>);

impl Handlers {
    /// What is known. Nothing if nobody has looked yet, or if it is this caller's turn to look again.
    fn fresh(&self) -> Option<Known> {
        let mut read = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, at) = read.as_mut()?;
        if at.elapsed() < FRESH {
            return Some(Arc::clone(known));
        }
        // One looks; the others go on with what is there.
        *at = Instant::now();
        None
    }

    fn put(&self, known: Known) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((known, Instant::now()));
    }

    fn stale(&self) -> Option<Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(known, _)| Arc::clone(known))
    }
}

impl Engine {
    /// The handlers' defaults, at most some seconds old.
    pub(crate) async fn handler_defaults(&self) -> Result<Known, StoreError> {
        let handlers = &self.inner.handlers;
        if let Some(known) = handlers.fresh() {
            return Ok(known);
        }
        match self.inner.store.handler_list().await {
            Ok(read) => {
                let known = Arc::new(read);
                handlers.put(Arc::clone(&known));
                Ok(known)
            }
            // What was true a moment ago is better than no task.
            Err(error) => handlers.stale().ok_or(error),
        }
    }

    /// The handlers' defaults as they were read last.
    pub(crate) fn known_defaults(&self) -> Known {
        self.inner.handlers.stale().unwrap_or_default()
    }

    /// Notes what a worker wants for its handlers.
    pub(crate) async fn declare_handlers(
        &self,
        handlers: &[String],
        mut defaults: BTreeMap<String, HandlerDefaults>,
    ) -> Result<(), StoreError> {
        defaults.retain(|_, said| *said != HandlerDefaults::default());
        let mut said: BTreeMap<String, Option<HandlerDefaults>> =
            handlers.iter().map(|name| (name.clone(), None)).collect();
        said.extend(defaults.into_iter().map(|(name, defaults)| (name, Some(defaults))));
        if self.inner.store.handler_declare(said.into_iter().collect(), self.now()).await? {
            let known = self.inner.store.handler_list().await?;
            self.inner.handlers.put(Arc::new(known));
        }
        Ok(())
    }
}
