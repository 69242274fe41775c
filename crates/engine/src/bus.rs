//! Carries what happens to tasks to those who watch, within the process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use taskloom_model::TaskId;
use taskloom_protocol::TaskEvent;
use tokio::sync::broadcast;

/// Events that a slow watcher may fall behind; then it is told to look again.
const BACKLOG: usize = 256;

type Channels = HashMap<TaskId, broadcast::Sender<TaskEvent>>;

/// The bus. A task nobody watches costs one look into an empty map.
#[derive(Clone, Default)]
pub(crate) struct Bus {
    channels: Arc<Mutex<Channels>>,
}

impl Bus {
    pub(crate) fn publish(&self, id: TaskId, event: impl FnOnce() -> TaskEvent) {
        let channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = channels.get(&id) {
            // Nobody left to hear is fine.
            let _ = channel.send(event());
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    pub(crate) fn subscribe(&self, id: TaskId) -> Subscription {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let channel = channels.entry(id).or_insert_with(|| broadcast::channel(BACKLOG).0);
        let events = Some(channel.subscribe());
        Subscription { id, events, channels: Arc::clone(&self.channels) }
    }
}

/// One watcher's end of the bus.
pub(crate) struct Subscription {
    id: TaskId,
    events: Option<broadcast::Receiver<TaskEvent>>,
    channels: Arc<Mutex<Channels>>,
}

impl Subscription {
    /// The next event; `None` if some were missed and the watcher has to look for itself.
    pub(crate) async fn next(&mut self) -> Option<TaskEvent> {
        match &mut self.events {
            Some(events) => events.recv().await.ok(),
            None => None,
        }
    }

    /// Lets go of what has been published so far: whoever looks now sees it.
    pub(crate) fn skip_heard(&mut self) {
        use tokio::sync::broadcast::error::TryRecvError;
        while let Some(Ok(_) | Err(TryRecvError::Lagged(_))) =
            self.events.as_mut().map(|events| events.try_recv())
        {}
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.events = None;
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if channels.get(&self.id).is_some_and(|channel| channel.receiver_count() == 0) {
            channels.remove(&self.id);
        }
    }
}
