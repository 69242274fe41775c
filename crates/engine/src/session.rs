//! The workers this process has heard of.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use taskloom_model::{SessionId, Timestamp};
use taskloom_protocol::WorkerError;

use crate::Engine;

/// Sessions remembered in memory; beyond that the store is asked.
const SESSIONS: usize = 10_000;

/// What is known of a worker's boot.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) queues: Arc<[String]>,
    pub(crate) handlers: Arc<HashSet<String>>,
    pub(crate) draining: bool,
    /// When it was heard last, in microseconds.
    heard: Arc<AtomicI64>,
}

impl Session {
    pub(crate) fn new(queues: Vec<String>, handlers: Vec<String>, draining: bool, now: Timestamp) -> Self {
        let handlers = Arc::new(handlers.into_iter().collect());
        Self { queues: queues.into(), handlers, draining, heard: Arc::new(AtomicI64::new(now.as_micros())) }
    }

    pub(crate) fn hear(&self, now: Timestamp) {
        // Not the greatest: the clock may have been set back.
        self.heard.store(now.as_micros(), Ordering::Relaxed);
    }

    /// Whether it was silent for so long. One that is stopped would take a task with its last call and sit on it.
    pub(crate) fn is_silent(&self, span: Duration, now: Timestamp) -> bool {
        now.since(Timestamp::from_micros(self.heard.load(Ordering::Relaxed))) >= span
    }
}

/// The workers this process has heard of.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<SessionId, Session>>);

impl Sessions {
    fn get(&self, id: SessionId) -> Option<Session> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    pub(crate) fn put(&self, id: SessionId, session: Session) {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() >= SESSIONS {
            sessions.clear();
        }
        sessions.insert(id, session);
    }

    pub(crate) fn remove(&self, id: SessionId) -> Option<Session> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id)
    }
}

impl Engine {
    /// Lets the next call of the worker ask the store, and its waiting claim come back at once.
    pub(crate) fn forget_session(&self, session: SessionId) {
        if let Some(session) = self.inner.sessions.remove(session) {
            for queue in session.queues.iter() {
                self.inner.dispatcher.ring(queue, usize::MAX, true);
            }
        }
    }

    pub(crate) async fn session(&self, id: SessionId) -> Result<Session, WorkerError> {
        if let Some(session) = self.inner.sessions.get(id) {
            return Ok(session);
        }
        let known = self.inner.store.worker_get(id).await.map_err(|e| self.failed(&e))?;
        let (queues, handlers, draining) = known.ok_or(WorkerError::UnknownSession)?;
        let session = Session::new(queues, handlers, draining, self.now());
        self.inner.sessions.put(id, session.clone());
        Ok(session)
    }
}
