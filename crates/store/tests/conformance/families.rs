//! Random sequences over two tasks and the edge between them, step by step: the store does what the state machine decides,
//! and keeps its invariants after each.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use taskloom_model::{
    Action, Effect, Finish, Life, ParentEnd, ParentPolicy, Phase, Priority, Rules, Start, State, Timestamp,
    next, start,
};
use taskloom_protocol::TaskRef;
use taskloom_store::{BeatItem, ChangeWaiting, ClaimSpec, FinishItem, NewTask, Note, Request, Scope, Store};
use uuid::Uuid;

use crate::databases::{Home, on_every_database};
use crate::lives::{finish, property, rules};
use crate::support::{GRACE, LEASE, RANDOM, at, blocking, claim_of, new_task, register, submit, worker};

on_every_database! { a_parent_and_its_child_live_what_the_model_decides }

/// How long ended tasks are kept.
const RETENTION: Duration = Duration::from_secs(200);

/// What a worker says about which claim it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Right,
    WrongEpoch,
    WrongSession,
}

/// What happens next. The number of a task is that of the parent (0) or the child (1).
#[derive(Debug, Clone)]
enum Draw {
    Promote,
    Claim { who: u8, elsewhere: bool },
    Beat(usize, Said),
    Finish(usize, Said, Finish),
    Drain(usize, Said),
    Leave(u8),
    Cancel(usize, bool),
    Expire,
    Reap,
    Retry(usize),
    Change { task: usize, run_at: Option<u64>, moves: bool },
    Delete(usize),
    Prune,
}

fn draw() -> impl Strategy<Value = Draw> {
    let said =
        || prop_oneof![8 => Just(Said::Right), 1 => Just(Said::WrongEpoch), 1 => Just(Said::WrongSession)];
    let task = || 0usize..2;
    let change = (task(), prop::option::of(0u64..60), any::<bool>());
    prop_oneof![
        4 => Just(Draw::Promote),
        8 => (0u8..2, prop::bool::weighted(0.2)).prop_map(|(who, elsewhere)| Draw::Claim { who, elsewhere }),
        2 => (task(), said()).prop_map(|(task, said)| Draw::Beat(task, said)),
        8 => (task(), said(), finish()).prop_map(|(task, said, finish)| Draw::Finish(task, said, finish)),
        2 => (task(), said()).prop_map(|(task, said)| Draw::Drain(task, said)),
        1 => (0u8..2).prop_map(Draw::Leave),
        2 => (task(), prop::bool::weighted(0.3)).prop_map(|(task, force)| Draw::Cancel(task, force)),
        1 => Just(Draw::Expire),
        2 => Just(Draw::Reap),
        3 => task().prop_map(Draw::Retry),
        2 => change.prop_map(|(task, run_at, moves)| Draw::Change { task, run_at, moves }),
        1 => task().prop_map(Draw::Delete),
        1 => Just(Draw::Prune),
    ]
}

/// A task as the state machine has it.
struct Twin {
    id: Uuid,
    rules: Rules,
    life: Life,
    /// Whether it stands in the other queue.
    elsewhere: bool,
    /// What the expire loop still has to look at.
    expiry: Option<Timestamp>,
    is_deleted: bool,
    is_forgotten: bool,
}

/// Both tasks in both worlds.
struct Family {
    store: Store,
    twins: [Twin; 2],
    policy: ParentPolicy,
    is_open: bool,
    now: Timestamp,
}

impl Family {
    /// The step that the model takes with a task, and what follows from it for the child; false if it refuses.
    fn model(&mut self, task: usize, action: Action) -> bool {
        let twin = &mut self.twins[task];
        if twin.is_forgotten {
            return false;
        }
        let Ok(step) = next(&twin.life, &twin.rules, action, self.now, RANDOM) else { return false };
        let before = twin.life.state();
        match step.effect {
            Effect::Become(life) => twin.life = life,
            Effect::Forget => {
                twin.is_forgotten = true;
                self.is_open = false;
                return true;
            }
        }
        if action == Action::Retry {
            twin.rules.expires_at = None;
            self.is_open &= task == 0;
        }
        let after = self.twins[task].life.state();
        if task == 0 && self.is_open && after.is_terminal() && !before.is_terminal() {
            self.is_open = false;
            let end = match after {
                State::Succeeded => ParentEnd::Satisfied,
                _ => ParentEnd::Broken(self.policy),
            };
            self.model(1, Action::ParentEnded(end));
        }
        true
    }

    fn held(&self, task: usize, said: Said) -> (Uuid, TaskRef) {
        let Twin { id, life, .. } = &self.twins[task];
        let session = match life.phase {
            Phase::Running { session, .. } => session,
            _ => worker(0),
        };
        let session = if said == Said::WrongSession { worker(2) } else { session };
        let epoch = if said == Said::WrongEpoch { life.epoch.wrapping_sub(1) } else { life.epoch };
        (session, TaskRef { id: *id, epoch })
    }

    /// A worker's word to the model; the session is the store's to look at.
    fn says(&mut self, task: usize, said: Said, action: Action) -> bool {
        said != Said::WrongSession && self.model(task, action)
    }

    async fn take(&mut self, draw: &Draw) {
        let (store, now) = (self.store.clone(), self.now);
        match *draw {
            Draw::Promote => {
                store.task_promote(now, 10).await.unwrap();
                self.both(Action::Promote);
            }
            Draw::Claim { who, elsewhere } => {
                let queues: Arc<[String]> = vec![queue(elsewhere)].into();
                let spec = ClaimSpec { queues, ..claim_of(worker(who), 5, now) };
                store.task_claim(spec).await.unwrap();
                // What follows from a task found too late comes after the look at the queue.
                let there: Vec<usize> = (0..2)
                    .filter(|task| self.twins[*task].elsewhere == elsewhere)
                    .filter(|task| self.twins[*task].life.phase == Phase::Ready)
                    .collect();
                for task in there {
                    self.model(task, Action::Claim { session: worker(who), lease: LEASE });
                }
            }
            Draw::Beat(task, said) => {
                let (session, held) = self.held(task, said);
                let item = BeatItem { task: held, progress: Some(7.0), detail: None, logs: vec![] };
                let answer = store.task_beat(session, vec![item], LEASE, now).await.unwrap().unwrap();
                let taken = self.says(task, said, Action::Beat { epoch: held.epoch, lease: LEASE });
                assert_eq!(answer.lost.is_empty(), taken);
                let asked = matches!(self.twins[task].life.phase, Phase::Running { cancel: true, .. });
                assert_eq!(!answer.cancel.is_empty(), taken && asked);
            }
            Draw::Finish(task, said, finish) => {
                let (session, held) = self.held(task, said);
                let note = Note::default();
                let item = FinishItem { task: held, finish, note, logs: vec![], random: RANDOM };
                // Said twice, as by a worker that did not hear the answer: the second counts for nothing.
                let (_, lost) = store.task_finish(session, vec![item.clone(), item], now).await.unwrap();
                let taken = self.says(task, said, Action::Finish { epoch: held.epoch, finish });
                assert_eq!(lost.len(), if taken { 1 } else { 2 });
            }
            Draw::Drain(task, said) => {
                let (session, held) = self.held(task, said);
                let (_, lost) = store.task_drain(session, vec![held], now).await.unwrap();
                assert_eq!(lost.is_empty(), self.says(task, said, Action::Drain { epoch: held.epoch }));
            }
            Draw::Leave(who) => {
                store.worker_leave(worker(who), now).await.unwrap();
                register(&store).await;
                for task in 0..2 {
                    let Life { epoch, phase, .. } = self.twins[task].life;
                    if matches!(phase, Phase::Running { session, .. } if session == worker(who)) {
                        self.model(task, Action::Drain { epoch });
                    }
                }
            }
            Draw::Cancel(task, force) => self.by_hand(task, Action::Cancel { force }).await,
            Draw::Retry(task) => self.by_hand(task, Action::Retry).await,
            Draw::Expire => {
                store.task_expire(now, 10_000).await.unwrap();
                // In the order of their times: a child whose time came first ends by itself, not with its parent.
                let mut due: Vec<(Timestamp, usize)> = (0..2)
                    .filter_map(|task| Some((self.twins[task].expiry.take_if(|at| *at <= now)?, task)))
                    .collect();
                due.sort_unstable();
                for (_, task) in due {
                    self.model(task, Action::Expire);
                }
            }
            Draw::Reap => {
                store.task_reap(now, GRACE, 10, || RANDOM).await.unwrap();
                self.both(Action::Reap { grace: GRACE });
            }
            Draw::Change { task, run_at, moves } => self.change(task, run_at, moves).await,
            Draw::Delete(task) => self.delete(task).await,
            Draw::Prune => {
                let (oldest, until) = ((Timestamp::MIN, Uuid::nil()), (now.minus(RETENTION), Uuid::max()));
                for state in [State::Succeeded, State::Failed, State::Revoked] {
                    let (ended, _) = store.task_ended(state, oldest, until, 10_000).await.unwrap();
                    store.task_forget(ended, now).await.unwrap();
                }
                self.both(Action::Purge { retention: RETENTION });
            }
        }
    }

    fn both(&mut self, action: Action) {
        // What a loop does to the child follows from how it stood before.
        let before = self.twins[1].life;
        self.model(0, action);
        if self.twins[1].life == before {
            self.model(1, action);
        }
    }

    async fn by_hand(&mut self, task: usize, action: Action) {
        let request = Request::new(self.twins[task].id, action);
        let answer = self.store.task_step(request, self.now).await.unwrap();
        assert_eq!(answer.is_ok(), self.model(task, action), "{action:?} of {task}");
    }

    async fn change(&mut self, task: usize, run_at: Option<u64>, moves: bool) {
        let run_at = run_at.map(|seconds| self.now.plus(Duration::from_secs(seconds)));
        let elsewhere = self.twins[task].elsewhere ^ moves;
        let priority = moves.then_some(if elsewhere { Priority::High } else { Priority::Normal });
        let change = ChangeWaiting { queue: moves.then(|| queue(elsewhere)), priority, run_at };
        let id = self.twins[task].id;
        let answer = self.store.task_change_waiting(id, Scope::System, change, self.now).await.unwrap();
        let taken = self.model(task, Action::Move { run_at });
        assert_eq!(answer.is_ok(), taken, "a change of {task}");
        if taken {
            self.twins[task].elsewhere = elsewhere;
        }
    }

    /// As the API does it: what lives is cancelled first.
    async fn delete(&mut self, task: usize) {
        if !self.twins[task].life.state().is_terminal() {
            self.by_hand(task, Action::Cancel { force: true }).await;
        }
        let Twin { id, is_deleted, is_forgotten, .. } = self.twins[task];
        let is_hidden = self.store.task_delete(id, self.now).await.unwrap();
        assert_eq!(is_hidden, !is_deleted && !is_forgotten);
        self.twins[task].is_deleted = true;
    }

    /// What the store shows is what the model says, and nothing is out of order.
    async fn compare(&self, after: &Draw) {
        for (number, twin) in self.twins.iter().enumerate() {
            let shown = self.store.task_get(twin.id, None).await.unwrap();
            assert_eq!(shown.is_none(), twin.is_deleted || twin.is_forgotten, "{number} after {after:?}");
            let Some(task) = shown else { continue };
            let life = &twin.life;
            let seen = (task.state, task.reason, task.epoch, task.attempt);
            let due = (life.state(), life.reason(), life.epoch, life.attempt);
            assert_eq!(seen, due, "{number} after {after:?}");
            assert_eq!(task.max_attempts, twin.rules.max_attempts + life.refunds, "{number} after {after:?}");
            assert_eq!(task.queue, queue(twin.elsewhere), "{number} after {after:?}");
            match life.phase {
                Phase::Scheduled { run_at, .. } => assert_eq!(task.scheduled_at, Some(run_at)),
                Phase::Running { started_at, .. } => assert_eq!(task.started_at, Some(started_at)),
                Phase::Ended { at, .. } => assert_eq!(task.completed_at, Some(at)),
                _ => {}
            }
            let attempts = self.store.task_attempts(twin.id).await.unwrap();
            let numbers: Vec<u32> = attempts.iter().map(|attempt| attempt.attempt).collect();
            assert_eq!(numbers, (1..=life.attempt).collect::<Vec<_>>(), "{number} after {after:?}");
        }
        assert_eq!(self.store.check().await.unwrap(), vec![], "after {after:?}");
    }
}

fn queue(elsewhere: bool) -> String {
    if elsewhere { "other".into() } else { "default".into() }
}

async fn a_parent_and_its_child_live_what_the_model_decides(home: Home) {
    blocking(move || {
        let draws = prop::collection::vec((draw(), 0u64..30), 1..50);
        let policy = prop::sample::select(ParentPolicy::ALL.to_vec());
        property(&home, ((rules(), rules()), policy, draws), one_pair);
    })
    .await;
}

type Pair = ((Rules, Rules), ParentPolicy, Vec<(Draw, u64)>);

async fn one_pair(store: &Store, (rules, policy, draws): Pair) {
    let mut now = at(1);
    let parent = new_task(&rules.0, None);
    let depends_on = vec![parent.id];
    let child = NewTask { depends_on, on_parent_failure: policy, ..new_task(&rules.1, None) };
    let ids = [parent.id, child.id];
    let lives = [submit(store, parent, now).await, submit(store, child, now).await];
    assert_eq!(lives, [0, 1].map(|deps_left| start(Start { deps_left, ..Start::default() }, now)));
    let twin = |number: usize, rules: Rules| Twin {
        id: ids[number],
        rules,
        life: lives[number],
        elsewhere: false,
        expiry: rules.expires_at,
        is_deleted: false,
        is_forgotten: false,
    };
    let twins = [twin(0, rules.0), twin(1, rules.1)];
    let mut family = Family { store: store.clone(), twins, policy, is_open: true, now };
    for (draw, seconds) in draws {
        now = now.plus(Duration::from_secs(seconds));
        family.now = now;
        family.take(&draw).await;
        family.compare(&draw).await;
    }
    for id in ids {
        // One that was deleted and then retried is in no list.
        let _ = store.task_step(Request::new(id, Action::Cancel { force: true }), now).await.unwrap();
    }
}
