//! Many at once: whoever is first, nothing is lost and nothing is done twice.

use std::collections::HashSet;
use std::sync::Arc;

use taskloom_model::{Action, Finish, ParentPolicy, Priority, Rules, State};
use taskloom_protocol::TaskRef;
use taskloom_store::{BeatItem, Idempotency, Made, NewTask, Request, Store, Submission, SubmitOutcome};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::databases::{Home, on_every_database};
use crate::support::{
    GRACE, LEASE, RANDOM, at, claim_of, ended, new_task, plain, register, submit, success, worker,
};

on_every_database! {
    sixteen_claimers_get_each_task_once,
    two_reapers_count_one_crash,
    two_promoters_move_each_task_once,
    a_cancel_and_a_finish_agree,
    a_heartbeat_beside_a_cancel_loses_no_lease,
    a_child_submitted_while_its_parent_ends_is_not_forgotten,
    a_child_submitted_while_its_parent_is_retried_is_not_forgotten,
    parents_that_end_together_release_their_child_once,
    one_unique_key_makes_one_task,
    one_unique_key_twice_in_a_batch_makes_one_task,
    a_task_of_higher_priority_is_not_passed_over_for_long,
    one_idempotency_key_makes_one_task,
    a_cancelled_caller_leaves_nothing_half_done,
}

/// Submits `count` tasks in batches.
async fn fill(store: &Store, count: usize, rules: &Rules, delayed: bool) -> Vec<Uuid> {
    let run_at = delayed.then(|| at(100));
    let tasks: Vec<NewTask> = (0..count).map(|_| new_task(rules, run_at)).collect();
    for some in tasks.chunks(2_500) {
        let submission = Submission { tasks: some.to_vec().into(), idempotency: None, now: at(1) };
        assert!(matches!(store.task_submit(submission).await.unwrap(), SubmitOutcome::Done { .. }));
    }
    tasks.into_iter().map(|task| task.id).collect()
}

async fn sixteen_claimers_get_each_task_once(home: Home) {
    const TASKS: usize = 10_000;
    let store = home.open().await;
    register(&store).await;
    let all: HashSet<Uuid> = fill(&store, TASKS, &plain(), false).await.into_iter().collect();
    let mut claimers = JoinSet::new();
    for number in 0..16_u8 {
        let store = store.clone();
        claimers.spawn(async move {
            let (mut mine, mut idle) = (Vec::new(), 0);
            // Others may hold all that is left for a moment.
            while idle < 3 {
                let claims = store.task_claim(claim_of(worker(number % 3), 37, at(2))).await.unwrap();
                idle = if claims.claimed.is_empty() { idle + 1 } else { 0 };
                let ends = claims.claimed.iter().map(|task| success(task.id, task.epoch)).collect::<Vec<_>>();
                mine.extend(claims.claimed.iter().map(|task| task.id));
                if !ends.is_empty() {
                    let (_, lost) = store.task_finish(worker(number % 3), ends, at(3)).await.unwrap();
                    assert_eq!(lost, vec![]);
                }
            }
            mine
        });
    }
    let mut claimed = Vec::new();
    while let Some(mine) = claimers.join_next().await {
        claimed.extend(mine.unwrap());
    }
    assert_eq!(claimed.len(), TASKS, "each once");
    assert_eq!(claimed.into_iter().collect::<HashSet<_>>(), all);
    assert_eq!(store.check().await.unwrap(), vec![]);
}

async fn two_reapers_count_one_crash(home: Home) {
    let store = home.open().await;
    register(&store).await;
    let ids = fill(&store, 200, &Rules { max_attempts: 5, ..plain() }, false).await;
    let claims = store.task_claim(claim_of(worker(0), 200, at(1))).await.unwrap();
    assert_eq!(claims.claimed.len(), 200);
    let late = at(1).plus(LEASE).plus(GRACE);
    let reap = || store.task_reap(late, GRACE, 500, || RANDOM);
    let (one, other) = tokio::join!(reap(), reap());
    assert_eq!(one.unwrap().len() + other.unwrap().len(), 200, "each once");
    for id in ids {
        let task = store.task_get(id, None).await.unwrap().unwrap();
        assert_eq!((task.state, task.epoch), (State::Scheduled, 2));
        assert_eq!(store.task_attempts(id).await.unwrap().len(), 1);
    }
    assert_eq!(store.check().await.unwrap(), vec![]);
}

async fn two_promoters_move_each_task_once(home: Home) {
    let store = home.open().await;
    register(&store).await;
    fill(&store, 1_000, &plain(), true).await;
    assert!(store.task_promote(at(99), 500).await.unwrap().is_empty(), "not before their time");
    let mut moved = HashSet::new();
    let mut count = 0;
    loop {
        let promote = || store.task_promote(at(100), 300);
        let (one, other) = tokio::join!(promote(), promote());
        let steps = [one.unwrap(), other.unwrap()].concat();
        if steps.is_empty() {
            break;
        }
        count += steps.len();
        moved.extend(steps.into_iter().map(|step| step.id));
    }
    assert_eq!((count, moved.len()), (1_000, 1_000));
    assert_eq!(store.check().await.unwrap(), vec![]);
}

async fn a_cancel_and_a_finish_agree(home: Home) {
    let store = home.open().await;
    register(&store).await;
    fill(&store, 60, &plain(), false).await;
    let claimed = store.task_claim(claim_of(worker(0), 60, at(1))).await.unwrap().claimed;
    for (number, task) in claimed.into_iter().enumerate() {
        let finish = if number % 2 == 0 { Finish::Success } else { Finish::Error { retry_in: None } };
        let cancel = store.task_step(Request::new(task.id, Action::Cancel { force: number % 3 == 0 }), at(2));
        let end = store.task_finish(worker(0), vec![ended(task.id, task.epoch, finish)], at(2));
        let (cancelled, finished) = tokio::join!(cancel, end);
        let (cancelled, (_, lost)) = (cancelled.unwrap(), finished.unwrap());
        let state = store.task_get(task.id, None).await.unwrap().unwrap().state;
        match (cancelled.is_ok(), lost.is_empty(), state) {
            // The cancel was first and took the lease, or the flag turned a failure into a revocation.
            (true, false, State::Revoked) => assert_eq!(number % 3, 0),
            // A success is a success, whether the flag or the end came first.
            (_, true, State::Succeeded) => assert_eq!(number % 2, 0),
            (true, true, State::Revoked) => assert_eq!(number % 2, 1),
            other => panic!("{number}: {other:?}"),
        }
    }
    assert_eq!(store.check().await.unwrap(), vec![]);
}

async fn a_heartbeat_beside_a_cancel_loses_no_lease(home: Home) {
    let store = home.open().await;
    register(&store).await;
    fill(&store, 40, &plain(), false).await;
    let claimed = store.task_claim(claim_of(worker(0), 40, at(1))).await.unwrap().claimed;
    for (number, task) in claimed.iter().enumerate() {
        let items = claimed.iter().map(|task| BeatItem {
            task: TaskRef { id: task.id, epoch: task.epoch },
            progress: Some(number as f64),
            detail: None,
            logs: vec![],
        });
        let beat = store.task_beat(worker(0), items.collect(), LEASE, at(2));
        let cancel = store.task_step(Request::new(task.id, Action::Cancel { force: false }), at(2));
        let (beaten, cancelled) = tokio::join!(beat, cancel);
        assert_eq!(beaten.unwrap().unwrap().lost, vec![]);
        assert!(cancelled.unwrap().is_ok());
    }
    let items: Vec<BeatItem> = claimed
        .iter()
        .map(|task| BeatItem {
            task: TaskRef { id: task.id, epoch: task.epoch },
            progress: None,
            detail: None,
            logs: vec![],
        })
        .collect();
    let told = store.task_beat(worker(0), items, LEASE, at(3)).await.unwrap().unwrap();
    assert_eq!((told.lost.len(), told.cancel.len()), (0, 40));
}

async fn a_child_submitted_while_its_parent_ends_is_not_forgotten(home: Home) {
    let store = home.open().await;
    register(&store).await;
    fill(&store, 60, &plain(), false).await;
    let claimed = store.task_claim(claim_of(worker(0), 60, at(1))).await.unwrap().claimed;
    for parent in claimed {
        let child = NewTask { depends_on: vec![parent.id], ..new_task(&plain(), None) };
        let id = child.id;
        let end = store.task_finish(worker(0), vec![success(parent.id, parent.epoch)], at(2));
        let (_, finished) = tokio::join!(submit(&store, child, at(2)), end);
        assert!(finished.unwrap().1.is_empty());
        assert_eq!(store.task_get(id, None).await.unwrap().unwrap().state, State::Ready);
    }
    assert_eq!(store.check().await.unwrap(), vec![]);
}

/// The parent has ended, lives again, and ends again, all beside the submission of its child.
async fn a_child_submitted_while_its_parent_is_retried_is_not_forgotten(home: Home) {
    let store = home.open().await;
    register(&store).await;
    fill(&store, 40, &plain(), false).await;
    for parent in store.task_claim(claim_of(worker(0), 40, at(1))).await.unwrap().claimed {
        let fatal = ended(parent.id, parent.epoch, Finish::Fatal);
        store.task_finish(worker(0), vec![fatal], at(2)).await.unwrap();
        let child = NewTask {
            depends_on: vec![parent.id],
            on_parent_failure: ParentPolicy::Fail,
            ..new_task(&plain(), None)
        };
        let id = child.id;
        let again = async {
            store.task_step(Request::new(parent.id, Action::Retry), at(3)).await.unwrap().unwrap();
            let claimed = loop {
                let claimed = store.task_claim(claim_of(worker(0), 1, at(3))).await.unwrap().claimed;
                // A claim passes it by while the submission holds it.
                if !claimed.is_empty() {
                    break claimed;
                }
            };
            let ends = claimed.iter().map(|task| success(task.id, task.epoch)).collect();
            store.task_finish(worker(0), ends, at(3)).await.unwrap();
        };
        tokio::join!(submit(&store, child, at(3)), again);
        let state = store.task_get(id, None).await.unwrap().unwrap().state;
        assert!([State::Ready, State::Failed, State::Succeeded].contains(&state), "{state:?}");
        let _ = store.task_step(Request::new(id, Action::Cancel { force: true }), at(4)).await.unwrap();
    }
    assert_eq!(store.check().await.unwrap(), vec![]);
}

async fn parents_that_end_together_release_their_child_once(home: Home) {
    let store = home.open().await;
    register(&store).await;
    fill(&store, 16, &plain(), false).await;
    let claimed = store.task_claim(claim_of(worker(0), 16, at(1))).await.unwrap().claimed;
    let parents: Vec<Uuid> = claimed.iter().map(|task| task.id).collect();
    let mut children = Vec::new();
    for _ in 0..5 {
        let child = NewTask { depends_on: parents.clone(), ..new_task(&plain(), None) };
        children.push(child.id);
        submit(&store, child, at(2)).await;
    }
    let mut ends = JoinSet::new();
    for task in claimed {
        let store = store.clone();
        ends.spawn(
            async move { store.task_finish(worker(0), vec![success(task.id, task.epoch)], at(3)).await },
        );
    }
    let mut released = 0;
    while let Some(end) = ends.join_next().await {
        let (steps, lost) = end.unwrap().unwrap();
        assert!(lost.is_empty());
        released += steps.iter().filter(|step| step.life.state() == State::Ready).count();
    }
    assert_eq!(released, children.len());
    assert_eq!(store.check().await.unwrap(), vec![]);
}

async fn one_unique_key_makes_one_task(home: Home) {
    let store = home.open().await;
    register(&store).await;
    for round in 0..5 {
        let mut calls = JoinSet::new();
        for _ in 0..8 {
            let store = store.clone();
            let task = NewTask { unique_key: Some(format!("k{round}")), ..new_task(&plain(), None) };
            let submission = Submission { tasks: vec![task].into(), idempotency: None, now: at(1) };
            calls.spawn(async move { store.task_submit(submission).await });
        }
        let mut new = 0;
        while let Some(outcome) = calls.join_next().await {
            let SubmitOutcome::Done { made, .. } = outcome.unwrap().unwrap() else { panic!("not done") };
            new += made.iter().filter(|made| matches!(made, Made::New(_))).count();
        }
        assert_eq!(new, 1);
    }
    assert_eq!(store.check().await.unwrap(), vec![]);
}

async fn one_unique_key_twice_in_a_batch_makes_one_task(home: Home) {
    let store = home.open().await;
    let task = || NewTask { unique_key: Some("k".into()), ..new_task(&plain(), None) };
    let tasks = vec![task(), new_task(&plain(), None), task()];
    let first = tasks[0].id;
    let submission = Submission { tasks: tasks.into(), idempotency: None, now: at(1) };
    let SubmitOutcome::Done { made, .. } = store.task_submit(submission).await.unwrap() else {
        panic!("not done")
    };
    assert!(
        matches!(made[..], [Made::New(_), Made::New(_), Made::Existing(holder)] if holder == first),
        "{made:?}"
    );
    assert_eq!(store.check().await.unwrap(), vec![]);
}

/// Claims go on where they were; what another process submits meanwhile stands before that.
async fn a_task_of_higher_priority_is_not_passed_over_for_long(home: Home) {
    let store = home.open().await;
    register(&store).await;
    fill(&store, 2_000, &plain(), false).await;
    for _ in 0..10 {
        assert_eq!(store.task_claim(claim_of(worker(0), 5, at(2))).await.unwrap().claimed.len(), 5);
    }
    let elsewhere = if store.is_exclusive() { store.clone() } else { home.open().await };
    let urgent = NewTask { priority: Priority::Critical, ..new_task(&plain(), None) };
    let id = urgent.id;
    submit(&elsewhere, urgent, at(2)).await;
    let mut claims = 0;
    loop {
        let claimed = store.task_claim(claim_of(worker(0), 1, at(3))).await.unwrap().claimed;
        claims += 1;
        if claimed.iter().any(|task| task.id == id) {
            break;
        }
        assert!(claimed.len() == 1 && claims < 1_900, "it came last of all");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

async fn one_idempotency_key_makes_one_task(home: Home) {
    let store = home.open().await;
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        let store = store.clone();
        let tasks: Arc<[NewTask]> = vec![new_task(&plain(), None)].into();
        let key = Idempotency { user_id: Uuid::from_u128(1), key: "once".into(), request_hash: [7; 32] };
        let submission = Submission { tasks, idempotency: Some(key), now: at(1) };
        calls.spawn(async move { store.task_submit(submission).await });
    }
    let (mut done, mut replayed) = (0, 0);
    while let Some(outcome) = calls.join_next().await {
        match outcome.unwrap().unwrap() {
            SubmitOutcome::Done { .. } => done += 1,
            SubmitOutcome::Replayed(ids) => replayed += ids.len(),
            SubmitOutcome::Rejected(why) => panic!("{why:?}"),
        }
    }
    assert_eq!((done, replayed), (1, 7));
}

/// A client that disconnects drops its call at any point: what it began is carried through or undone, and no connection
/// goes back to others inside a transaction.
async fn a_cancelled_caller_leaves_nothing_half_done(home: Home) {
    let store = home.open().await;
    register(&store).await;
    for round in 0..100_u64 {
        let task = NewTask { unique_key: Some(format!("k{round}")), ..new_task(&plain(), None) };
        let submission = Submission { tasks: vec![task].into(), idempotency: None, now: at(1) };
        let call = store.task_submit(submission);
        let cut = std::time::Duration::from_micros(round * 30);
        let _ = tokio::time::timeout(cut, call).await;
    }
    // What was cut off may still be on its way.
    store.ping().await.unwrap();
    fill(&store, 10, &plain(), false).await;
    let claimed = store.task_claim(claim_of(worker(0), 1_000, at(2))).await.unwrap().claimed;
    assert!(claimed.len() >= 10);
    assert_eq!(store.check().await.unwrap(), vec![]);
}
