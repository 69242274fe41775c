//! Taskloom's verbs (submit, claim, finish, cancel, retry, …) and its background loops.
//!
//! Decisions are [`taskloom_model::next`]'s, their execution is the store's; the engine resolves defaults, guards who
//! may see what, wakes claimers and watchers, and keeps time.

mod artifact;
mod bus;
mod cache;
mod claim;
mod clock;
mod config;
mod cursor;
mod dead;
mod error;
mod expand;
mod explain;
mod handlers;
mod health;
mod hear;
mod id;
mod inputs;
mod links;
mod loops;
mod progress;
mod prune;
mod query;
mod queues;
mod schedule;
mod session;
mod shelf;
mod steer;
mod submit;
mod turns;
mod watch;
mod worker_api;
mod worker_check;
mod workflow;

use std::collections::BTreeMap;
use std::sync::Arc;

use taskloom_dispatch::{Alone, Counters, Dispatcher, Fanout, Ready, Shelf};
use taskloom_model::{State, TaskId, Ties, UserId};
use taskloom_protocol::TaskEvent;
use taskloom_store::{Scope, Stepped, Store};

pub use cache::CacheQuery;
pub use clock::{Clock, ManualClock, StoreClock, SystemClock};
pub use config::{EngineConfig, Keep, Retention};
pub use dead::Fate;
pub use error::EngineError;
pub use health::{Check, Health};
pub use links::Links;
pub use query::PageSpec;
pub use schedule::SchedulePageSpec;
pub use submit::Submitted;
pub use taskloom_store::{Filter as TaskFilter, OrderBy, QueueDepth, ScheduleFilter};
pub use watch::{BadPlace, Watch, WatchPlace};

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
    fanout: Arc<dyn Fanout>,
    counters: Arc<dyn Counters>,
    shelf: Arc<dyn Shelf>,
    bus: bus::Bus,
    turns: turns::Turns,
    ids: id::Ids,
    promote_bell: tokio::sync::Notify,
    gate_bell: tokio::sync::Notify,
    schedule_bell: tokio::sync::Notify,
    /// Whether the store refused a worker's call since the reaper looked last.
    store_failed: std::sync::atomic::AtomicBool,
    sessions: session::Sessions,
    progresses: progress::Progresses,
    handlers: handlers::Handlers,
    cache_counts: cache::CacheCounts,
    embedded: std::sync::Mutex<std::collections::HashSet<taskloom_model::SessionId>>,
    prune_floors: prune::Floors,
    expander: expand::Expander,
}

impl Engine {
    /// An engine that is alone with its store.
    pub fn new(store: Store, config: EngineConfig, clock: Arc<dyn Clock>) -> Self {
        let (fanout, counters, shelf) = (Arc::new(Alone), Arc::new(Alone), Arc::new(Alone));
        Self::with_links(
            store,
            config,
            clock,
            Links { dispatcher: Dispatcher::in_process(), fanout, counters, shelf },
        )
    }

    /// An engine beside others.
    pub fn with_links(store: Store, config: EngineConfig, clock: Arc<dyn Clock>, links: Links) -> Self {
        store.keep_log_lines(config.log_lines);
        let Links { dispatcher, fanout, counters, shelf } = links;
        Self {
            inner: Arc::new(Inner {
                store,
                config,
                clock,
                dispatcher,
                fanout,
                counters,
                shelf,
                bus: bus::Bus::default(),
                turns: turns::Turns::default(),
                ids: id::Ids::default(),
                promote_bell: tokio::sync::Notify::new(),
                gate_bell: tokio::sync::Notify::new(),
                schedule_bell: tokio::sync::Notify::new(),
                store_failed: std::sync::atomic::AtomicBool::new(false),
                sessions: session::Sessions::default(),
                progresses: progress::Progresses::default(),
                handlers: handlers::Handlers::default(),
                cache_counts: cache::CacheCounts::default(),
                embedded: std::sync::Mutex::default(),
                prune_floors: prune::Floors::default(),
                expander: expand::Expander::default(),
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

    /// Counts that all servers share.
    pub fn counters(&self) -> &dyn Counters {
        self.inner.counters.as_ref()
    }

    /// Whether anybody watches any task, here or in another process.
    fn is_watched(&self) -> bool {
        !self.inner.bus.is_idle() || !self.inner.fanout.is_idle()
    }

    /// Tells watchers, here and in other processes.
    fn publish(&self, id: TaskId, event: impl Fn() -> TaskEvent) {
        self.inner.bus.publish(id, &event);
        if !self.inner.fanout.is_idle()
            && self.inner.fanout.is_watched(id)
            && let Ok(text) = serde_json::to_string(&event())
        {
            self.inner.fanout.publish(id, text);
        }
    }

    /// Tells claimers and watchers what has happened.
    fn announce(&self, steps: &[Stepped]) {
        self.inner.store.note_ready(steps);
        let mut ready = Vec::new();
        let mut queue: Arc<str> = Arc::from("");
        let watched = self.is_watched();
        let mut freed: BTreeMap<&str, usize> = BTreeMap::new();
        for step in steps {
            match step.life.state() {
                State::Ready => {
                    if *queue != *step.queue {
                        queue = Arc::from(step.queue.as_str());
                    }
                    ready.push(Ready { queue: Arc::clone(&queue), priority: step.priority, id: step.id });
                }
                State::Scheduled => self.inner.promote_bell.notify_one(),
                State::Limited => self.inner.gate_bell.notify_one(),
                _ => {}
            }
            let has_left = step.before == State::Running && step.life.state() != State::Running;
            if has_left && step.ties.has(Ties::QUEUE) {
                *freed.entry(step.queue.as_str()).or_default() += 1;
            }
            if watched {
                self.publish(step.id, || state_event(&step.life));
            }
        }
        self.inner.dispatcher.announce(&ready);
        for (queue, places) in freed {
            self.ring_everywhere(queue, places);
        }
    }
}

fn state_event(life: &taskloom_model::Life) -> TaskEvent {
    let state = life.state();
    TaskEvent::State { state, status: state.status(), reason: life.reason(), attempt: life.attempt }
}
