//! An engine on a store of its own, with a clock that the test moves.

#![allow(clippy::unwrap_used, dead_code, reason = "a test may; not every test uses all of it")]

use std::sync::Arc;
use std::time::Duration;

use taskloom_engine::{Caller, Engine, EngineConfig, ManualClock};
use taskloom_model::{State, Timestamp};
use taskloom_protocol::{
    ClaimRequest, Claimed, FinishRequest, FinishTask, Outcome, Register, SubmitTask, Task, TaskError,
    TaskRef, WorkerApi,
};
use taskloom_store::{Store, Synchronous};
use uuid::Uuid;

pub(crate) const ALICE: Caller = Caller { user_id: Uuid::from_u128(1), all: false };
pub(crate) const BOB: Caller = Caller { user_id: Uuid::from_u128(2), all: false };
pub(crate) const ADMIN: Caller = Caller { user_id: Uuid::from_u128(3), all: true };

pub(crate) struct Lab {
    pub(crate) engine: Engine,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) dir: tempfile::TempDir,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut EngineConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new("2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap()));
        let mut config = EngineConfig::new(dir.path().join("artifacts"));
        change(&mut config);
        let engine = Engine::new(store(&dir), config, clock.clone());
        Self { engine, clock, dir }
    }

    /// An engine that looks at [`Self::clock`] only when the clock it gets is told to, as it looks at the system's.
    pub(crate) async fn beside_the_wall(
        change: impl FnOnce(&mut EngineConfig),
    ) -> (Self, Arc<taskloom_engine::StoreClock>) {
        let Self { engine, clock: wall, dir } = Self::with(change);
        let store = engine.store().clone();
        let clock = Arc::new(taskloom_engine::StoreClock::beside(&store, wall.clone()).await.unwrap());
        let engine = Engine::new(store, engine.config().clone(), clock.clone());
        (Self { engine, clock: wall, dir }, clock)
    }

    /// The same data under a new engine, as after a crash.
    pub(crate) fn restart(self) -> Self {
        let Self { engine, clock, dir } = self;
        let config = engine.config().clone();
        drop(engine);
        let engine = Engine::new(store(&dir), config, clock.clone());
        Self { engine, clock, dir }
    }

    pub(crate) async fn submit(&self, task: SubmitTask) -> Task {
        self.engine.submit(&ALICE, task, None).await.unwrap().task
    }

    pub(crate) async fn worker(&self, queues: &[&str]) -> Uuid {
        let session = Uuid::now_v7();
        self.register(session, queues).await;
        session
    }

    pub(crate) async fn register(&self, session: Uuid, queues: &[&str]) {
        let hello = Register {
            protocol: 1,
            session,
            name: format!("worker-{session}"),
            queues: queues.iter().map(|q| (*q).to_owned()).collect(),
            handlers: vec!["demo.echo".into()],
            concurrency: 4,
            version: "test".into(),
            defaults: None,
        };
        self.engine.register(hello).await.unwrap();
    }

    pub(crate) async fn claim(&self, session: Uuid, limit: u32) -> Vec<Claimed> {
        self.engine.claim(ClaimRequest { session, limit, wait_ms: 0 }).await.unwrap()
    }

    /// Reports an outcome; true if it counted.
    pub(crate) async fn finish(&self, session: Uuid, task: &Claimed, outcome: Outcome) -> bool {
        let task = FinishTask {
            id: task.id,
            epoch: task.epoch,
            outcome,
            progress: None,
            detail: None,
            logs: vec![],
        };
        self.engine.finish(FinishRequest { session, tasks: vec![task] }).await.unwrap().lost.is_empty()
    }

    pub(crate) async fn state(&self, id: Uuid) -> State {
        self.engine.get(&ADMIN, id).await.unwrap().state
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.engine.clock().now()
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

fn store(dir: &tempfile::TempDir) -> Store {
    let path = dir.path().join("taskloom.db");
    Store::open_file(&path, Synchronous::Normal).unwrap()
}

pub(crate) fn task() -> SubmitTask {
    SubmitTask::new("demo.echo")
}

pub(crate) fn held(task: &Claimed) -> TaskRef {
    TaskRef { id: task.id, epoch: task.epoch }
}

pub(crate) fn success() -> Outcome {
    Outcome::Success { result: serde_json::value::to_raw_value(&42).unwrap() }
}

pub(crate) fn failure() -> Outcome {
    let error = TaskError { kind: "Boom".into(), message: "it broke".into(), traceback: None };
    Outcome::Error { error, retry_in_ms: None }
}
