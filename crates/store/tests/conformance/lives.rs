//! Random lives, once through the pure state machine and once through the store: they must not differ.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use taskloom_model::{
    Action, Effect, Finish, Life, ParentPolicy, Phase, Reason, Rules, Start, Timestamp, next, start,
};
use taskloom_protocol::{Task, TaskRef};
use taskloom_store::{BeatItem, ClaimSpec, FinishItem, NewTask, Note, Request, Store};
use uuid::Uuid;

use crate::databases::{Home, Kind, on_every_database};
use crate::support::{
    GRACE, LEASE, RANDOM, at, blocking, clear, end_by_success, new_task, plain, register, submit, worker,
};

#[derive(Debug, Clone)]
enum Draw {
    Promote,
    Claim(u8),
    Beat(bool),
    Finish(bool, Finish),
    Cancel(bool),
    Expire,
    Reap,
    Drain(bool),
    Retry,
}

/// What a worker may say at the end of an attempt.
pub(crate) fn finish() -> impl Strategy<Value = Finish> {
    prop_oneof![
        2 => Just(Finish::Success),
        3 => (0u64..20).prop_map(|s| Finish::Error { retry_in: (s < 10).then(|| Duration::from_secs(s)) }),
        1 => Just(Finish::Fatal),
        1 => Just(Finish::Timeout),
        1 => (0u64..20).prop_map(|s| Finish::Snooze(Duration::from_secs(s))),
        1 => Just(Finish::Cancelled),
    ]
}

fn draw() -> impl Strategy<Value = Draw> {
    let right = prop::bool::weighted(0.85);
    prop_oneof![
        4 => Just(Draw::Promote),
        5 => (0u8..3).prop_map(Draw::Claim),
        2 => right.prop_map(Draw::Beat),
        4 => (right, finish()).prop_map(|(r, f)| Draw::Finish(r, f)),
        1 => prop::bool::weighted(0.3).prop_map(Draw::Cancel),
        1 => Just(Draw::Expire),
        2 => Just(Draw::Reap),
        2 => right.prop_map(Draw::Drain),
        2 => Just(Draw::Retry),
    ]
}

/// One task in both worlds.
struct Both {
    store: Store,
    id: Uuid,
    rules: Rules,
    life: Life,
    now: Timestamp,
}

impl Both {
    /// The step that the model takes, if any.
    fn model(&self, action: Action) -> Option<Life> {
        match next(&self.life, &self.rules, action, self.now, RANDOM).ok()?.effect {
            Effect::Become(life) => Some(life),
            Effect::Forget => None,
        }
    }

    fn holder(&self) -> Uuid {
        match self.life.phase {
            Phase::Running { session, .. } => session,
            _ => worker(0),
        }
    }

    fn held(&self, right: bool) -> TaskRef {
        TaskRef { id: self.id, epoch: if right { self.life.epoch } else { self.life.epoch.wrapping_sub(1) } }
    }

    async fn take(&mut self, draw: &Draw) {
        let (store, now) = (self.store.clone(), self.now);
        let expected = match draw {
            Draw::Promote => {
                store.task_promote(now, 10).await.unwrap();
                self.model(Action::Promote)
            }
            Draw::Claim(who) => {
                let queues: Arc<[String]> = vec!["other".to_owned(), "default".to_owned()].into();
                let spec = ClaimSpec {
                    session: worker(*who),
                    queues,
                    handlers: Arc::default(),
                    limit: 5,
                    lease: LEASE,
                    now,
                    hints: Arc::new([]),
                };
                store.task_claim(spec).await.unwrap();
                self.model(Action::Claim { session: worker(*who), lease: LEASE })
            }
            Draw::Beat(right) => {
                let item =
                    BeatItem { task: self.held(*right), progress: Some(7.0), detail: None, logs: vec![] };
                let answer = store.task_beat(self.holder(), vec![item], LEASE, now).await.unwrap().unwrap();
                let expected = self.model(Action::Beat { epoch: self.held(*right).epoch, lease: LEASE });
                assert_eq!(answer.lost.is_empty(), expected.is_some());
                expected
            }
            Draw::Finish(right, finish) => {
                let (task, note) = (self.held(*right), Note::default());
                let item = FinishItem { task, finish: *finish, note, logs: vec![], random: RANDOM };
                let (_, lost) = store.task_finish(self.holder(), vec![item], now).await.unwrap();
                let expected = self.model(Action::Finish { epoch: task.epoch, finish: *finish });
                assert_eq!(lost.is_empty(), expected.is_some());
                expected
            }
            Draw::Drain(right) => {
                let task = self.held(*right);
                store.task_drain(self.holder(), vec![task], now).await.unwrap();
                self.model(Action::Drain { epoch: task.epoch })
            }
            Draw::Reap => {
                store.task_reap(now, GRACE, 10, || RANDOM).await.unwrap();
                self.model(Action::Reap { grace: GRACE })
            }
            Draw::Cancel(force) => self.by_hand(Action::Cancel { force: *force }).await,
            Draw::Expire => self.by_hand(Action::Expire).await,
            Draw::Retry => {
                let expected = self.by_hand(Action::Retry).await;
                if expected.is_some() {
                    // Whoever retries by hand wants it to run, however late.
                    self.rules.expires_at = None;
                }
                expected
            }
        };
        self.life = expected.unwrap_or(self.life);
    }

    async fn by_hand(&self, action: Action) -> Option<Life> {
        let expected = self.model(action);
        let answer = self.store.task_step(Request::new(self.id, action), self.now).await.unwrap();
        assert_eq!(answer.is_ok(), expected.is_some(), "{action:?}");
        expected
    }

    /// What the store shows of the task is what the model says.
    async fn compare(&self, after: &Draw) {
        let task: Task = self.store.task_get(self.id, None).await.unwrap().unwrap();
        let Life { epoch, attempt, refunds, .. } = self.life;
        assert_eq!((task.state, task.reason), (self.life.state(), self.life.reason()), "after {after:?}");
        assert_eq!((task.epoch, task.attempt), (epoch, attempt), "after {after:?}");
        assert_eq!(task.max_attempts, self.rules.max_attempts + refunds, "after {after:?}");
        match self.life.phase {
            Phase::Scheduled { run_at, .. } => assert_eq!(task.scheduled_at, Some(run_at)),
            Phase::Running { started_at, .. } => assert_eq!(task.started_at, Some(started_at)),
            Phase::Ended { at, .. } => assert_eq!(task.completed_at, Some(at)),
            _ => {}
        }
        let attempts = self.store.task_attempts(self.id).await.unwrap();
        let numbers: Vec<u32> = attempts.iter().map(|a| a.attempt).collect();
        assert_eq!(numbers, (1..=attempt).collect::<Vec<_>>(), "every attempt is in the history once");
    }
}

pub(crate) fn rules() -> impl Strategy<Value = Rules> {
    (1u32..4, prop::option::of(1u64..40), prop::option::of(0u64..500)).prop_map(
        |(max_attempts, timeout, expires)| Rules {
            max_attempts,
            timeout: timeout.map(Duration::from_secs),
            backoff: taskloom_model::Backoff::default(),
            expires_at: expires.map(|s| Timestamp::MIN.plus(Duration::from_secs(s))),
            limits: taskloom_model::Limits::default(),
        },
    )
}

/// The variable that repeats a run.
const SEED: &str = "TASKLOOM_TEST_SEED";

/// The variable that tries so many times as many sequences.
const TIMES: &str = "TASKLOOM_TEST_TIMES";

/// 32 characters: what the variable says; else the same in every CI run, which judges a change and not the dice; else random.
fn seed() -> String {
    let is_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    let seed = || if is_ci { "0".repeat(32) } else { Uuid::new_v4().simple().to_string() };
    std::env::var(SEED).unwrap_or_else(|_| seed())
}

fn times() -> u32 {
    std::env::var(TIMES).map_or(1, |times| times.parse().unwrap())
}

/// Runs a property on one database, which is made once: each case begins with nothing alive.
pub(crate) fn property<S: Strategy + 'static>(
    home: &Home,
    strategy: S,
    case: impl AsyncFn(&Store, S::Value) + Clone + Send + Sync + 'static,
) where
    S::Value: Send,
{
    let cases = times() * if home.kind == Kind::Sqlite { 120 } else { 40 };
    let options = home.options.clone();
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) };
    let seed = seed();
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, seed.as_bytes());
    let mut runner = TestRunner::new_with_rng(config, rng);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = runtime.block_on(async {
        let store = Store::open(&options).await.unwrap();
        register(&store).await;
        store
    });
    let verdict = runner.run(&strategy, |value| {
        runtime.block_on(async {
            // Also what a case left that failed, so that a smaller one fails for its own reason.
            clear(&store, at(1)).await;
            case(&store, value).await;
        });
        Ok(())
    });
    if let Err(error) = verdict {
        panic!("{error}\nagain with {SEED}={seed}");
    }
    assert_eq!(runtime.block_on(store.check()).unwrap(), vec![]);
}

on_every_database! { the_store_lives_what_the_model_decides, children_follow_their_parents }

async fn the_store_lives_what_the_model_decides(home: Home) {
    let draws = prop::collection::vec((draw(), 0u64..30), 1..40);
    let strategy = (rules(), prop::option::of(0u64..60), draws);
    blocking(move || property(&home, strategy, one_life)).await;
}

async fn one_life(store: &Store, (rules, delay, draws): (Rules, Option<u64>, Vec<(Draw, u64)>)) {
    let mut now = at(1);
    let run_at = delay.map(|s| now.plus(Duration::from_secs(s)));
    let task = new_task(&rules, run_at);
    let id = task.id;
    let life = submit(store, task, now).await;
    assert_eq!(life, start(Start { run_at, ..Start::default() }, now));
    let mut both = Both { store: store.clone(), id, rules, life, now };
    for (draw, seconds) in draws {
        now = now.plus(Duration::from_secs(seconds));
        both.now = now;
        both.take(&draw).await;
        both.compare(&draw).await;
    }
}

async fn children_follow_their_parents(home: Home) {
    let policies = prop::collection::vec(0usize..3, 1..6);
    let strategy = (policies, 1usize..4, prop::collection::vec(0u8..3, 4));
    blocking(move || property(&home, strategy, one_family)).await;
}

async fn one_family(store: &Store, (policies, parents, ends): (Vec<usize>, usize, Vec<u8>)) {
    let now = at(1);
    let rules = Rules { max_attempts: 1, ..plain() };
    let mut parent_ids = Vec::new();
    for _ in 0..parents {
        let task = new_task(&rules, None);
        parent_ids.push(task.id);
        submit(store, task, now).await;
    }
    let mut children = Vec::new();
    for policy in &policies {
        let policy = ParentPolicy::ALL[*policy];
        let child =
            NewTask { depends_on: parent_ids.clone(), on_parent_failure: policy, ..new_task(&rules, None) };
        let grandchild = NewTask { depends_on: vec![child.id], ..new_task(&rules, None) };
        children.push((child.id, policy, grandchild.id));
        submit(store, child, now).await;
        submit(store, grandchild, now).await;
    }
    let ends = &ends[..parents];
    for (parent, end) in parent_ids.iter().zip(ends) {
        if *end == 0 {
            end_by_success(store, *parent, now).await;
        } else {
            // By force: an earlier claim may hold it.
            let cancel = Request::new(*parent, Action::Cancel { force: true });
            store.task_step(cancel, now).await.unwrap().unwrap();
        }
    }
    let broken = ends.iter().any(|end| *end != 0);
    for (child, policy, grandchild) in children {
        let child = store.task_get(child, None).await.unwrap().unwrap();
        let grandchild = store.task_get(grandchild, None).await.unwrap().unwrap();
        let expected = match (broken, policy) {
            (false, _) | (true, ParentPolicy::Run) => ("ready", None, "blocked"),
            (true, ParentPolicy::Skip) => ("revoked", Some(Reason::DependencyFailed), "revoked"),
            (true, ParentPolicy::Fail) => ("failed", Some(Reason::DependencyFailed), "revoked"),
        };
        assert_eq!((child.state.name(), child.reason, grandchild.state.name()), expected);
        assert_eq!(child.parent_ids.len(), parents);
    }
}
