//! Engines on a store of their own, with a clock that the test moves.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use taskloom_engine::{
    Caller, Engine, EngineConfig, EngineError, ManualClock, SchedulePageSpec, Submitted, TaskFilter,
};
use taskloom_model::{State, TickOutcome, Timestamp};
use taskloom_protocol::{
    ChangeSchedule, ClaimRequest, CreateSchedule, FinishRequest, FinishTask, Outcome, Register, RunSchedule,
    Schedule, Task, Tick, WorkerApi,
};
use taskloom_store::{Store, StoreOptions, Synchronous};
use uuid::Uuid;

pub(crate) const ALICE: Caller = Caller { user_id: Uuid::from_u128(1), all: false };
pub(crate) const BOB: Caller = Caller { user_id: Uuid::from_u128(2), all: false };
pub(crate) const ADMIN: Caller = Caller { user_id: Uuid::from_u128(3), all: true };

#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
    Mariadb,
}

/// `on_every_database! { name, … }`: runs each `async fn name(lab: Lab)` on every database.
macro_rules! on_every_database {
    ($($name:ident),+ $(,)?) => {
        mod sqlite { $crate::lab::tests! { Sqlite: $($name),+ } }
        mod postgres { $crate::lab::tests! { Postgres: $($name),+ } }
        mod mariadb { $crate::lab::tests! { Mariadb: $($name),+ } }
    };
}
pub(crate) use on_every_database;

macro_rules! tests {
    ($kind:ident: $($name:ident),+) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            if let Some(lab) = $crate::lab::Lab::on($crate::lab::Kind::$kind).await {
                super::$name(lab).await;
            }
        })+
    };
}
pub(crate) use tests;

/// Two engines, as two processes have them: on a server each with a store of its own.
pub(crate) struct Lab {
    pub(crate) engines: [Engine; 2],
    pub(crate) clock: Arc<ManualClock>,
    _dir: tempfile::TempDir,
}

/// When each test begins.
pub(crate) const START: &str = "2026-01-01T00:00:00Z";

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

impl Lab {
    pub(crate) async fn on(kind: Kind) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let url = match kind {
            Kind::Sqlite => None,
            Kind::Postgres => Some(taskloom_testkit::postgres()?.fresh_database()),
            Kind::Mariadb => Some(taskloom_testkit::mariadb()?.fresh_database()),
        };
        let stores = match url {
            None => {
                let store = Store::open_file(&dir.path().join("t.db"), Synchronous::Normal).unwrap();
                [store.clone(), store]
            }
            Some(url) => {
                let open = async || Store::open(&StoreOptions::network(url.parse().unwrap())).await.unwrap();
                [open().await, open().await]
            }
        };
        let clock = Arc::new(ManualClock::new(at(START)));
        let config = EngineConfig::new(dir.path().join("artifacts"));
        let engines = stores.map(|store| Engine::new(store, config.clone(), clock.clone()));
        Some(Self { engines, clock, _dir: dir })
    }

    pub(crate) async fn sqlite() -> Self {
        Self::on(Kind::Sqlite).await.unwrap()
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engines[0]
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(crate) async fn create(&self, schedule: serde_json::Value) -> Schedule {
        self.try_create(schedule).await.unwrap()
    }

    pub(crate) async fn try_create(&self, schedule: serde_json::Value) -> Result<Schedule, EngineError> {
        self.engine().schedule_create(&ALICE, asked(schedule), None).await
    }

    pub(crate) async fn change(&self, id: Uuid, change: serde_json::Value) -> Result<Schedule, EngineError> {
        let change: ChangeSchedule = serde_json::from_value(change).unwrap();
        self.engine().schedule_change(&ALICE, id, &change).await
    }

    pub(crate) async fn get(&self, id: Uuid) -> Schedule {
        self.engine().schedule_get(&ALICE, id).await.unwrap()
    }

    /// Runs a schedule by hand.
    pub(crate) async fn run(&self, id: Uuid, over: serde_json::Value) -> Result<Submitted, EngineError> {
        let over: RunSchedule = serde_json::from_value(over).unwrap();
        self.engine().schedule_run(&ALICE, id, &over, None).await
    }

    /// Fires until nothing is due; gives how many ticks.
    pub(crate) async fn fire(&self) -> usize {
        let mut all = 0;
        while let ticks @ 1.. = self.engine().fire().await.unwrap() {
            all += ticks;
        }
        all
    }

    /// The latest 500 ticks, first come first.
    pub(crate) async fn ticks(&self, id: Uuid) -> Vec<Tick> {
        let page = SchedulePageSpec { limit: 500, cursor: None };
        let mut ticks = self.engine().schedule_ticks(&ALICE, id, None, page).await.unwrap().items;
        ticks.reverse();
        ticks
    }

    /// The same in short: the time, and why it was skipped.
    pub(crate) async fn told(&self, id: Uuid) -> Vec<String> {
        let told = |tick: Tick| {
            let time = tick.at.to_string();
            let time = &time["2026-01-01T".len().."2026-01-01T00:00:00".len()];
            match (tick.outcome, tick.reason) {
                (TickOutcome::Fired, None) => format!("{time} fired"),
                (TickOutcome::Skipped, Some(reason)) => format!("{time} {reason}"),
                other => panic!("{other:?}"),
            }
        };
        self.ticks(id).await.into_iter().map(told).collect()
    }

    /// The tasks of a schedule, first made first.
    pub(crate) async fn tasks(&self, id: Uuid) -> Vec<Task> {
        let filter = TaskFilter { schedule_id: Some(id), ..TaskFilter::default() };
        let page = taskloom_engine::PageSpec { limit: 500, descending: false, ..Default::default() };
        self.engine().list(&ADMIN, filter, page).await.unwrap().items
    }

    pub(crate) async fn states(&self, id: Uuid) -> Vec<State> {
        self.tasks(id).await.into_iter().map(|task| task.state).collect()
    }

    /// A worker takes everything that is ready; gives its session with what it holds.
    pub(crate) async fn claim(&self) -> (Uuid, Vec<(Uuid, u32)>) {
        let session = Uuid::now_v7();
        let hello = Register {
            protocol: 1,
            session,
            name: "w".into(),
            queues: vec!["default".into()],
            handlers: vec!["demo.echo".into()],
            concurrency: 64,
            defaults: None,
            version: "test".into(),
        };
        self.engine().register(hello).await.unwrap();
        let claimed = self.engine().claim(ClaimRequest { session, limit: 64, wait_ms: 0 }).await.unwrap();
        (session, claimed.into_iter().map(|task| (task.id, task.epoch)).collect())
    }

    pub(crate) async fn finish(&self, session: Uuid, tasks: &[(Uuid, u32)]) {
        let tasks = tasks.iter().map(|(id, epoch)| FinishTask {
            id: *id,
            epoch: *epoch,
            outcome: Outcome::Success { result: serde_json::value::to_raw_value(&1).unwrap() },
            progress: None,
            detail: None,
            logs: vec![],
        });
        let answer = self.engine().finish(FinishRequest { session, tasks: tasks.collect() }).await.unwrap();
        assert_eq!(answer.lost, vec![]);
    }

    pub(crate) async fn is_sound(&self) {
        assert_eq!(self.engine().store().check().await.unwrap(), vec![]);
    }
}

pub(crate) fn asked(schedule: serde_json::Value) -> CreateSchedule {
    serde_json::from_value(schedule).unwrap()
}

/// Every minute, with what else is said.
pub(crate) fn minutely(mut more: serde_json::Value) -> serde_json::Value {
    let usual = json!({"name": "m", "task": "demo.echo", "schedule_type": "cron",
        "schedule_config": {"cron_expression": "* * * * *"}});
    let fields = more.as_object_mut().unwrap();
    for (key, value) in usual.as_object().unwrap() {
        fields.entry(key).or_insert_with(|| value.clone());
    }
    more
}

/// The fields that an error names, with their rules.
pub(crate) fn refused(error: EngineError) -> Vec<String> {
    match error {
        EngineError::Fields(errors) => {
            errors.iter().map(|error| format!("{} {}", error.loc[1..].join("."), error.kind)).collect()
        }
        other => panic!("{other}"),
    }
}
