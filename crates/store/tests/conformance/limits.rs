//! Limits across all workers: concurrency and rate by key, paused and limited queues.

use std::collections::HashSet;

use taskloom_model::{Action, Finish, Priority, Reason, State};
use taskloom_store::{
    Concurrency, Made, NewTask, QueueLimits, Rate, Request, Store, Submission, SubmitOutcome,
};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::databases::{Home, on_every_database};
use crate::support::{LEASE, at, claim_of, ended, new_task, plain, register, submit, success, worker};

on_every_database! {
    a_full_limit_lets_the_next_in_when_one_ends,
    whatever_ends_a_task_gives_its_permit_back,
    a_permit_waits_for_no_parent_and_no_time,
    priority_counts_at_a_gate,
    a_rate_lets_in_what_its_bucket_holds,
    a_task_passes_both_its_gates,
    workers_never_hold_more_than_a_limit_allows,
    ten_thousand_wait_at_one_gate,
    a_paused_queue_gives_nothing,
    a_queues_limit_counts_across_workers,
    a_queues_rate_counts_across_workers,
    a_limit_set_late_counts_what_runs,
    a_limit_set_while_tasks_end_keeps_no_permit,
    a_raised_rate_counts_at_once,
    a_place_that_frees_while_the_next_is_looked_at_is_not_lost,
}

fn keyed(key: &str, most: u32) -> NewTask {
    let concurrency = Some(Concurrency { key: key.into(), most });
    NewTask { concurrency, ..new_task(&plain(), None) }
}

fn rated(key: &str, count: u32, seconds: u64) -> NewTask {
    let rate = Some(Rate { key: key.into(), count, per_us: seconds * 1_000_000 });
    NewTask { rate, ..new_task(&plain(), None) }
}

async fn submit_all(store: &Store, tasks: Vec<NewTask>, second: u64) -> Vec<State> {
    let submission = Submission { tasks: tasks.into(), idempotency: None, now: at(second) };
    let outcome = store.task_submit(submission).await.unwrap();
    let SubmitOutcome::Done { made, .. } = outcome else { panic!("{outcome:?}") };
    made.iter()
        .map(|made| match made {
            Made::New(life) => life.state(),
            other => panic!("{other:?}"),
        })
        .collect()
}

async fn state(store: &Store, id: Uuid) -> (State, Option<Reason>) {
    let task = store.task_get(id, None).await.unwrap().unwrap();
    (task.state, task.reason)
}

async fn healthy(store: &Store) {
    assert_eq!(store.check().await.unwrap(), vec![]);
}

async fn a_full_limit_lets_the_next_in_when_one_ends(home: Home) {
    let store = home.open().await;
    register(&store).await;
    let tasks: Vec<NewTask> = (0..4).map(|_| keyed("gpu", 2)).collect();
    let ids: Vec<Uuid> = tasks.iter().map(|task| task.id).collect();
    let states = submit_all(&store, tasks, 1).await;
    assert_eq!(states, [State::Ready, State::Ready, State::Limited, State::Limited]);
    assert_eq!(state(&store, ids[2]).await, (State::Limited, Some(Reason::Concurrency)));
    let (gate, holders, before) = store.gate_of(ids[3], 10).await.unwrap().unwrap();
    assert_eq!((gate.key.as_str(), gate.most, gate.held, gate.waiting, before), ("gpu", 2, 2, 2, 1));
    assert_eq!(holders.iter().map(|holder| holder.id).collect::<Vec<_>>(), ids[..2]);
    let claims = store.task_claim(claim_of(worker(1), 10, at(2))).await.unwrap().claimed;
    assert_eq!(claims.iter().map(|task| task.id).collect::<Vec<_>>(), ids[..2]);
    let (steps, _) = store.task_finish(worker(1), vec![success(ids[0], 1)], at(3)).await.unwrap();
    let let_in: Vec<_> = steps.iter().map(|step| (step.id, step.life.state())).collect();
    assert_eq!(let_in, [(ids[0], State::Succeeded), (ids[2], State::Ready)]);
    healthy(&store).await;
}

async fn whatever_ends_a_task_gives_its_permit_back(home: Home) {
    let store = home.open().await;
    register(&store).await;
    for (round, way) in
        ["fail", "retry", "snooze", "cancel", "force", "drain", "reap", "leave", "ready"].iter().enumerate()
    {
        let key = format!("k{round}");
        let (first, second) = (keyed(&key, 1), keyed(&key, 1));
        let (one, two) = (first.id, second.id);
        assert_eq!(submit_all(&store, vec![first, second], 1).await, [State::Ready, State::Limited]);
        if *way == "ready" {
            let request = Request::new(one, Action::Cancel { force: false });
            store.task_step(request, at(2)).await.unwrap().unwrap();
        } else {
            let spec = claim_of(worker(2), 10, at(2));
            let claimed = store.task_claim(spec).await.unwrap().claimed;
            assert_eq!(claimed.iter().map(|task| task.id).collect::<Vec<_>>(), [one], "{way}");
        }
        let finish = |finish| store.task_finish(worker(2), vec![ended(one, 1, finish)], at(3));
        match *way {
            "fail" => drop(finish(Finish::Fatal).await.unwrap()),
            "retry" => drop(finish(Finish::Error { retry_in: None }).await.unwrap()),
            "snooze" => drop(finish(Finish::Snooze(LEASE)).await.unwrap()),
            "cancel" => {
                let request = Request::new(one, Action::Cancel { force: false });
                store.task_step(request, at(3)).await.unwrap().unwrap();
                drop(finish(Finish::Cancelled).await.unwrap());
            }
            "force" => {
                let request = Request::new(one, Action::Cancel { force: true });
                store.task_step(request, at(3)).await.unwrap().unwrap();
            }
            "reap" => {
                let late = at(3).plus(LEASE);
                assert_eq!(store.task_reap(late, LEASE, 10, || 0.5).await.unwrap()[0].id, one);
            }
            "drain" => {
                let task = taskloom_protocol::TaskRef { id: one, epoch: 1 };
                drop(store.task_drain(worker(2), vec![task], at(3)).await.unwrap());
            }
            "leave" => {
                drop(store.worker_leave(worker(2), at(3)).await.unwrap());
                register(&store).await;
            }
            _ => {}
        }
        // A task that is given back is in line again, before the one that came later.
        let next = if matches!(*way, "drain" | "leave") { one } else { two };
        assert_eq!(state(&store, next).await.0, State::Ready, "{way}");
        healthy(&store).await;
        for id in [one, two] {
            let _ = store.task_step(Request::new(id, Action::Cancel { force: true }), at(4)).await.unwrap();
        }
        healthy(&store).await;
    }
    for gate in store.gate_list(None, 100).await.unwrap() {
        assert_eq!((gate.held, gate.waiting), (0, 0), "{gate:?}");
    }
}

async fn a_permit_waits_for_no_parent_and_no_time(home: Home) {
    let store = home.open().await;
    register(&store).await;
    let parent = new_task(&plain(), None);
    let child = NewTask { depends_on: vec![parent.id], ..keyed("db", 1) };
    let later = NewTask { run_at: Some(at(50)), ..keyed("db", 1) };
    let now = keyed("db", 1);
    let (parent_id, child_id, later_id, now_id) = (parent.id, child.id, later.id, now.id);
    submit(&store, parent, at(1)).await;
    let states = submit_all(&store, vec![child, later, now], 1).await;
    assert_eq!(states, [State::Blocked, State::Scheduled, State::Ready]);
    crate::support::end_by_success(&store, parent_id, at(2)).await;
    assert_eq!(state(&store, child_id).await, (State::Limited, Some(Reason::Concurrency)));
    store.task_promote(at(50), 10).await.unwrap();
    assert_eq!(state(&store, later_id).await.0, State::Limited);
    let epoch = store.task_get(now_id, None).await.unwrap().unwrap().epoch;
    store.task_finish(worker(1), vec![success(now_id, epoch)], at(51)).await.unwrap();
    assert_eq!(state(&store, child_id).await.0, State::Ready, "it is the older one");
    healthy(&store).await;
}

async fn priority_counts_at_a_gate(home: Home) {
    let store = home.open().await;
    register(&store).await;
    let (first, low) = (keyed("k", 1), NewTask { priority: Priority::Low, ..keyed("k", 1) });
    let urgent = NewTask { priority: Priority::Critical, ..keyed("k", 1) };
    let (first_id, urgent_id) = (first.id, urgent.id);
    submit_all(&store, vec![first, low, urgent], 1).await;
    store.task_step(Request::new(first_id, Action::Cancel { force: false }), at(2)).await.unwrap().unwrap();
    assert_eq!(state(&store, urgent_id).await.0, State::Ready);
    healthy(&store).await;
}

async fn a_rate_lets_in_what_its_bucket_holds(home: Home) {
    let store = home.open().await;
    register(&store).await;
    let tasks: Vec<NewTask> = (0..5).map(|_| rated("api", 2, 10)).collect();
    let last = tasks[4].id;
    let states = submit_all(&store, tasks, 100).await;
    assert_eq!(states.iter().filter(|state| **state == State::Ready).count(), 2);
    assert_eq!(state(&store, last).await, (State::Limited, Some(Reason::Rate)));
    assert_eq!(store.task_next_admission().await.unwrap(), Some(at(105)));
    assert_eq!(store.task_admit(at(104), 10).await.unwrap().len(), 0);
    assert_eq!(store.task_admit(at(105), 10).await.unwrap().len(), 1);
    assert_eq!(store.task_next_admission().await.unwrap(), Some(at(110)));
    assert_eq!(store.task_admit(at(200), 10).await.unwrap().len(), 2);
    assert_eq!(store.task_next_admission().await.unwrap(), None, "nobody waits");
    healthy(&store).await;
}

async fn a_task_passes_both_its_gates(home: Home) {
    let store = home.open().await;
    register(&store).await;
    let both = || NewTask { rate: rated("api", 1, 10).rate, ..keyed("gpu", 2) };
    let tasks = vec![both(), both(), both()];
    let ids: Vec<Uuid> = tasks.iter().map(|task| task.id).collect();
    submit_all(&store, tasks, 100).await;
    assert_eq!(state(&store, ids[0]).await.0, State::Ready);
    assert_eq!(state(&store, ids[1]).await, (State::Limited, Some(Reason::Rate)));
    assert_eq!(state(&store, ids[2]).await, (State::Limited, Some(Reason::Concurrency)));
    healthy(&store).await;
    // The second gives back the place it holds while it waits for its time.
    store.task_step(Request::new(ids[1], Action::Cancel { force: false }), at(101)).await.unwrap().unwrap();
    assert_eq!(state(&store, ids[2]).await, (State::Limited, Some(Reason::Rate)));
    assert_eq!(store.task_admit(at(110), 10).await.unwrap().len(), 1);
    assert_eq!(state(&store, ids[2]).await.0, State::Ready);
    healthy(&store).await;
}

async fn workers_never_hold_more_than_a_limit_allows(home: Home) {
    const TASKS: usize = 200;
    const MOST: u32 = 3;
    let store = home.open().await;
    register(&store).await;
    let mut all = JoinSet::new();
    for _ in 0..4 {
        let store = store.clone();
        all.spawn(async move {
            for _ in 0..TASKS / 4 {
                submit(&store, keyed("k", MOST), at(1)).await;
            }
        });
    }
    while let Some(done) = all.join_next().await {
        done.unwrap();
    }
    healthy(&store).await;
    let mut workers = JoinSet::new();
    for number in 0..6_u8 {
        let store = store.clone();
        workers.spawn(async move {
            let (mut mine, mut idle) = (HashSet::new(), 0);
            while idle < 20 {
                let session = worker(number % 3);
                let claims = store.task_claim(claim_of(session, 10, at(2))).await.unwrap().claimed;
                assert!(claims.len() <= MOST as usize);
                let running = store.task_depth().await.unwrap().running;
                assert!(running <= u64::from(MOST), "{running} run");
                idle = if claims.is_empty() { idle + 1 } else { 0 };
                let ends: Vec<_> = claims.iter().map(|task| success(task.id, task.epoch)).collect();
                mine.extend(claims.iter().map(|task| task.id));
                if ends.is_empty() {
                    tokio::task::yield_now().await;
                } else {
                    assert_eq!(store.task_finish(session, ends, at(3)).await.unwrap().1, []);
                }
            }
            mine
        });
    }
    let mut ran = 0;
    while let Some(mine) = workers.join_next().await {
        ran += mine.unwrap().len();
    }
    assert_eq!(ran, TASKS);
    healthy(&store).await;
}

async fn ten_thousand_wait_at_one_gate(home: Home) {
    let store = home.open().await;
    register(&store).await;
    let tasks: Vec<NewTask> = (0..10_000).map(|_| keyed("k", 1_000)).collect();
    let states = submit_all(&store, tasks, 1).await;
    let ready = states.iter().filter(|state| **state == State::Ready).count();
    // The rest of those that may is let in by the next pass.
    let mut more = 0;
    loop {
        let steps = store.task_admit(at(2), 10).await.unwrap();
        if steps.is_empty() {
            break;
        }
        more += steps.len();
    }
    assert_eq!(ready + more, 1_000);
    healthy(&store).await;
}

async fn a_paused_queue_gives_nothing(home: Home) {
    let store = home.open().await;
    register(&store).await;
    let task = new_task(&plain(), None);
    let id = task.id;
    submit(&store, task, at(1)).await;
    store.queue_pause("default".into(), true, at(2)).await.unwrap();
    // Another process may not know of it yet.
    for store in [&store, &home.open().await] {
        assert_eq!(store.task_claim(claim_of(worker(1), 10, at(3))).await.unwrap().claimed.len(), 0);
    }
    assert_eq!(store.queue_get("default".into()).await.unwrap().paused_at, Some(at(2)));
    store.queue_pause("default".into(), false, at(4)).await.unwrap();
    let claimed = store.task_claim(claim_of(worker(1), 10, at(5))).await.unwrap().claimed;
    assert_eq!(claimed[0].id, id);
    healthy(&store).await;
}

async fn a_queues_limit_counts_across_workers(home: Home) {
    let store = home.open().await;
    register(&store).await;
    let limits = QueueLimits { max_running: Some(3), rate: None };
    store.queue_limit("default".into(), limits, at(1)).await.unwrap();
    for _ in 0..6 {
        submit(&store, new_task(&plain(), None), at(1)).await;
    }
    let other = home.open().await;
    let first = store.task_claim(claim_of(worker(1), 2, at(2))).await.unwrap().claimed;
    let second = other.task_claim(claim_of(worker(2), 5, at(2))).await.unwrap().claimed;
    assert_eq!((first.len(), second.len()), (2, 1));
    assert_eq!(store.task_claim(claim_of(worker(1), 5, at(2))).await.unwrap().claimed.len(), 0);
    let ends = first.iter().map(|task| success(task.id, task.epoch)).collect();
    let (steps, _) = store.task_finish(worker(1), ends, at(3)).await.unwrap();
    assert!(steps.iter().all(|step| step.queue == "default"), "so that its claimers are woken");
    healthy(&store).await;
    assert_eq!(other.task_claim(claim_of(worker(2), 5, at(4))).await.unwrap().claimed.len(), 2);
    store.queue_limit("default".into(), QueueLimits::default(), at(5)).await.unwrap();
    assert_eq!(store.task_claim(claim_of(worker(1), 5, at(6))).await.unwrap().claimed.len(), 1);
    healthy(&store).await;
}

async fn a_queues_rate_counts_across_workers(home: Home) {
    let store = home.open().await;
    register(&store).await;
    let limits = QueueLimits { max_running: None, rate: Some((2, 10_000_000)) };
    store.queue_limit("default".into(), limits, at(1)).await.unwrap();
    for _ in 0..6 {
        submit(&store, new_task(&plain(), None), at(100)).await;
    }
    assert_eq!(store.task_claim(claim_of(worker(1), 5, at(100))).await.unwrap().claimed.len(), 2);
    let none = home.open().await.task_claim(claim_of(worker(2), 5, at(101))).await.unwrap();
    assert_eq!((none.claimed.len(), none.wake_at), (0, Some(at(105))));
    assert_eq!(store.task_claim(claim_of(worker(1), 5, at(105))).await.unwrap().claimed.len(), 1);
    assert_eq!(store.task_claim(claim_of(worker(1), 5, at(500))).await.unwrap().claimed.len(), 2);
    healthy(&store).await;
}

async fn a_limit_set_late_counts_what_runs(home: Home) {
    let store = home.open().await;
    register(&store).await;
    for _ in 0..4 {
        submit(&store, new_task(&plain(), None), at(1)).await;
    }
    let first = store.task_claim(claim_of(worker(1), 3, at(2))).await.unwrap().claimed;
    let limits = QueueLimits { max_running: Some(2), rate: None };
    store.queue_limit("default".into(), limits, at(3)).await.unwrap();
    assert_eq!(store.task_claim(claim_of(worker(1), 5, at(4))).await.unwrap().claimed.len(), 0);
    let ends = first.iter().take(2).map(|task| success(task.id, task.epoch)).collect();
    store.task_finish(worker(1), ends, at(5)).await.unwrap();
    assert_eq!(store.task_claim(claim_of(worker(1), 5, at(6))).await.unwrap().claimed.len(), 1);
    healthy(&store).await;
}

/// The one that waits is locked by the submission of its child just when it could be let in: the sweep lets it in then.
async fn a_place_that_frees_while_the_next_is_looked_at_is_not_lost(home: Home) {
    let store = home.open().await;
    register(&store).await;
    for round in 0..60 {
        let key = format!("k{round}");
        let tasks = vec![keyed(&key, 1), keyed(&key, 1)];
        let (first, next) = (tasks[0].id, tasks[1].id);
        assert_eq!(submit_all(&store, tasks, 1).await, [State::Ready, State::Limited]);
        let claimed = store.task_claim(claim_of(worker(0), 1, at(2))).await.unwrap().claimed;
        assert_eq!(claimed[0].id, first);
        let child = NewTask { depends_on: vec![next], ..new_task(&plain(), None) };
        let end = store.task_finish(worker(0), vec![success(first, claimed[0].epoch)], at(3));
        let (_, ended) = tokio::join!(submit(&store, child, at(3)), end);
        assert!(ended.unwrap().1.is_empty());
        store.task_admit(at(4), 100).await.unwrap();
        assert_eq!(state(&store, next).await, (State::Ready, None), "round {round}");
        let cancel = Request::new(next, Action::Cancel { force: true });
        store.task_step(cancel, at(5)).await.unwrap().unwrap();
    }
    healthy(&store).await;
}

async fn a_limit_set_while_tasks_end_keeps_no_permit(home: Home) {
    let store = home.open().await;
    register(&store).await;
    for round in 0..15_u32 {
        for _ in 0..8 {
            submit(&store, new_task(&plain(), None), at(1)).await;
        }
        let claimed = store.task_claim(claim_of(worker(1), 8, at(2))).await.unwrap().claimed;
        assert_eq!(claimed.len(), 8, "round {round}");
        let limits = QueueLimits { max_running: Some(8 + round), rate: None };
        let ends = |finish: Finish, some: &[taskloom_protocol::Claimed]| {
            some.iter().map(|task| ended(task.id, task.epoch, finish)).collect::<Vec<_>>()
        };
        let (plain_ends, others) = (ends(Finish::Success, &claimed[..4]), ends(Finish::Fatal, &claimed[4..]));
        let (set, first, second) = tokio::join!(
            store.queue_limit("default".into(), limits, at(3)),
            store.task_finish(worker(1), plain_ends, at(3)),
            store.task_finish(worker(1), others, at(3)),
        );
        set.unwrap();
        assert_eq!((first.unwrap().1, second.unwrap().1), (vec![], vec![]));
        healthy(&store).await;
        store.queue_limit("default".into(), QueueLimits::default(), at(4)).await.unwrap();
    }
}

async fn a_raised_rate_counts_at_once(home: Home) {
    let store = home.open().await;
    register(&store).await;
    let slow: Vec<NewTask> = (0..3).map(|_| rated("api", 1, 86_400)).collect();
    submit_all(&store, slow, 100).await;
    let mut later = rated("api", 100, 1);
    later.run_at = Some(at(900));
    submit(&store, later, at(101)).await;
    assert_eq!(store.task_admit(at(102), 10).await.unwrap().len(), 2);
    let day = QueueLimits { max_running: None, rate: Some((1, 86_400_000_000)) };
    store.queue_limit("default".into(), day, at(103)).await.unwrap();
    assert_eq!(store.task_claim(claim_of(worker(1), 5, at(104))).await.unwrap().claimed.len(), 1);
    let fast = QueueLimits { max_running: None, rate: Some((100, 1_000_000)) };
    store.queue_limit("default".into(), fast, at(105)).await.unwrap();
    assert_eq!(store.task_claim(claim_of(worker(1), 5, at(106))).await.unwrap().claimed.len(), 2);
    healthy(&store).await;
}
