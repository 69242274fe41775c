//! Taskloom's verbs (submit, claim, finish, cancel, retry, …) and its background loops.
//!
//! Decisions are [`taskloom_model::next`]'s, their execution is the store's; the engine resolves defaults, guards who
//! may see what, wakes claimers and watchers, and keeps time.

mod artifact;
mod bus;
mod clock;
mod config;
mod cursor;
mod error;
mod explain;
mod health;
mod id;
mod loops;
mod query;
mod steer;
mod submit;
mod watch;
mod worker_api;
mod worker_check;

use std::sync::Arc;

use taskloom_dispatch::Dispatcher;
use taskloom_model::{State, UserId};
use taskloom_protocol::TaskEvent;
use taskloom_store::{Scope, Stepped, Store};

pub use clock::{Clock, ManualClock, SystemClock};
pub use config::EngineConfig;
pub use error::EngineError;
pub use health::{Check, Health};
pub use query::PageSpec;
pub use submit::Submitted;
pub use taskloom_store::{Filter as TaskFilter, OrderBy, QueueDepth};
pub use watch::Watch;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The user.
    pub user_id: UserId,
    /// Whether everybody's tasks are theirs to see.
    pub all: bool,
}

impl Caller {
    /// The user to whose tasks the caller is held; nobody if they see everybody's.
    fn held_to(&self) -> Option<UserId> {
        (!self.all).then_some(self.user_id)
    }

    /// The same for steps.
    fn scope(&self) -> Scope {
        self.held_to().map_or(Scope::Everybody, Scope::User)
    }
}

/// The engine. Cloning is cheap.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    config: EngineConfig,
    clock: Arc<dyn Clock>,
    dispatcher: Dispatcher,
    bus: bus::Bus,
    ids: id::Ids,
    promote_bell: tokio::sync::Notify,
    /// Whether the store refused a worker's call since the reaper looked last.
    store_failed: std::sync::atomic::AtomicBool,
    sessions: worker_api::Sessions,
    embedded: std::sync::Mutex<std::collections::HashSet<taskloom_model::SessionId>>,
}

impl Engine {
    /// An engine over this store.
    pub fn new(store: Store, config: EngineConfig, clock: Arc<dyn Clock>) -> Self {
        Self {
            inner: Arc::new(Inner {
                store,
                config,
                clock,
                dispatcher: Dispatcher::default(),
                bus: bus::Bus::default(),
                ids: id::Ids::default(),
                promote_bell: tokio::sync::Notify::new(),
                store_failed: std::sync::atomic::AtomicBool::new(false),
                sessions: worker_api::Sessions::default(),
                embedded: std::sync::Mutex::default(),
            }),
        }
    }

    /// The settings.
    pub fn config(&self) -> &EngineConfig {
        &self.inner.config
    }

    /// The store, for what is no task: users and their tokens.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// The clock.
    pub fn clock(&self) -> &dyn Clock {
        self.inner.clock.as_ref()
    }

    fn now(&self) -> taskloom_model::Timestamp {
        self.inner.clock.now()
    }

    /// Tells claimers and watchers what has happened.
    fn announce(&self, steps: &[Stepped]) {
        let mut ready: Vec<(&str, usize)> = Vec::new();
        let watched = !self.inner.bus.is_idle();
        for step in steps {
            match step.life.state() {
                State::Ready => match ready.iter_mut().find(|(queue, _)| *queue == step.queue) {
                    Some((_, count)) => *count += 1,
                    None => ready.push((&step.queue, 1)),
                },
                State::Scheduled => self.inner.promote_bell.notify_one(),
                _ => {}
            }
            if watched {
                self.inner.bus.publish(step.id, || state_event(&step.life));
            }
        }
        for (queue, count) in ready {
            self.inner.dispatcher.announce(queue, count);
        }
    }
}

fn state_event(life: &taskloom_model::Life) -> TaskEvent {
    let state = life.state();
    TaskEvent::State { state, status: state.status(), reason: life.reason(), attempt: life.attempt }
}
