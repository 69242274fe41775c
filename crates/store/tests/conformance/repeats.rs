//! What a submission finds already there: unique keys with a time and a wish, the result cache, retries by type of error.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use taskloom_model::{Action, CacheOutcome, Finish, Reason, Rules, State};
use taskloom_protocol::{HandlerDefaults, TaskError, UniqueConflict};
use taskloom_store::{
    CacheFilter, CacheKey, FinishItem, Made, NewTask, Note, Rejected, Request, StepError, Store, Submission,
    SubmitOutcome,
};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::databases::{Home, on_every_database};
use crate::support::{GRACE, LEASE, RANDOM, at, claim_of, ended, new_task, plain, register, success, worker};

on_every_database! {
    a_key_stays_taken_for_its_time,
    a_key_that_is_taken_refuses_the_whole_submission,
    a_replaced_task_is_cancelled_and_its_child_with_it,
    a_retried_task_gets_its_key_back_unless_another_has_it,
    replacing_at_once_leaves_one_that_lives,
    one_call_at_once_runs_once,
    a_call_is_answered_while_its_result_is_fresh,
    only_success_is_served,
    equal_calls_in_one_submission_are_one_task,
    a_purged_call_runs_again,
    what_answers_no_longer_is_forgotten,
    errors_that_are_not_named_end_a_task,
    handlers_say_what_their_tasks_get,
}

fn task() -> NewTask {
    new_task(&plain(), None)
}

fn unique(conflict: UniqueConflict) -> NewTask {
    NewTask { unique_key: Some("k".into()), unique_conflict: conflict, ..task() }
}

fn call(signature: &str, ttl: u64) -> NewTask {
    let key = CacheKey { signature: signature.into(), ttl: Duration::from_secs(ttl) };
    NewTask { cache: Some(key), ..task() }
}

async fn submit(store: &Store, tasks: Vec<NewTask>, now: u64) -> SubmitOutcome {
    store.task_submit(Submission { tasks: tasks.into(), idempotency: None, now: at(now) }).await.unwrap()
}

async fn one(store: &Store, task: NewTask, now: u64) -> Made {
    let SubmitOutcome::Done { made, .. } = submit(store, vec![task], now).await else { panic!("refused") };
    made[0]
}

/// Claims and ends all that is ready.
async fn end_all(store: &Store, finish: Finish, now: u64) -> usize {
    let claimed = store.task_claim(claim_of(worker(0), 500, at(now))).await.unwrap().claimed;
    let ends: Vec<_> = claimed.iter().map(|task| ended(task.id, task.epoch, finish)).collect();
    if !ends.is_empty() {
        assert_eq!(store.task_finish(worker(0), ends, at(now)).await.unwrap().1, vec![]);
    }
    claimed.len()
}

async fn state(store: &Store, id: Uuid) -> State {
    store.task_get(id, None).await.unwrap().unwrap().state
}

async fn a_key_stays_taken_for_its_time(home: Home) {
    let store = home.open().await;
    register(&store).await;
    let first = NewTask { unique_until: Some(at(100)), ..unique(UniqueConflict::Return) };
    let id = first.id;
    assert!(matches!(one(&store, first, 1).await, Made::New(_)));
    assert_eq!(one(&store, unique(UniqueConflict::Return), 2).await, Made::Existing(id));
    assert_eq!(end_all(&store, Finish::Success, 3).await, 1);
    assert_eq!(
        one(&store, unique(UniqueConflict::Return), 99).await,
        Made::Existing(id),
        "although it has ended"
    );
    let second = NewTask { unique_until: Some(at(110)), ..unique(UniqueConflict::Return) };
    let id = second.id;
    assert!(matches!(one(&store, second, 100).await, Made::New(_)), "its time is over");
    assert_eq!(one(&store, unique(UniqueConflict::Return), 200).await, Made::Existing(id), "it lives still");
    end_all(&store, Finish::Success, 201).await;
    assert!(matches!(one(&store, unique(UniqueConflict::Return), 202).await, Made::New(_)));
    // Who deletes a task frees its key.
    let third = NewTask { unique_key: Some("other".into()), unique_until: Some(at(999)), ..task() };
    let id = third.id;
    one(&store, third, 203).await;
    end_all(&store, Finish::Success, 204).await;
    store.task_delete(id, at(205)).await.unwrap();
    let again = NewTask { unique_key: Some("other".into()), ..task() };
    assert!(matches!(one(&store, again, 206).await, Made::New(_)));
    assert_eq!(store.check().await.unwrap(), vec![]);
}

async fn a_key_that_is_taken_refuses_the_whole_submission(home: Home) {
    let store = home.open().await;
    register(&store).await;
    let first = unique(UniqueConflict::Return);
    let id = first.id;
    one(&store, first, 1).await;
    let other = NewTask { unique_key: Some("free".into()), ..task() };
    let other_id = other.id;
    let SubmitOutcome::Rejected(Rejected::UniqueKeyTaken { index, holder, is_own }) =
        submit(&store, vec![other, unique(UniqueConflict::Reject)], 2).await
    else {
        panic!("accepted")
    };
    assert_eq!((index, holder, is_own), (1, id, false));
    assert!(store.task_get(other_id, None).await.unwrap().is_none(), "all or none");
    let free = NewTask { unique_key: Some("free".into()), unique_conflict: UniqueConflict::Reject, ..task() };
    assert!(matches!(one(&store, free, 3).await, Made::New(_)), "its key was not taken");
    let twice =
        || NewTask { unique_key: Some("twice".into()), unique_conflict: UniqueConflict::Reject, ..task() };
    let twins = vec![twice(), twice()];
    let first = twins[0].id;
    let SubmitOutcome::Rejected(Rejected::UniqueKeyTaken { index, holder, is_own }) =
        submit(&store, twins, 4).await
    else {
        panic!("accepted")
    };
    assert_eq!((index, holder, is_own), (1, first, true));
}

async fn a_replaced_task_is_cancelled_and_its_child_with_it(home: Home) {
    let store = home.open().await;
    register(&store).await;
    let (waiting, running) =
        (unique(UniqueConflict::Return), NewTask { unique_key: Some("r".into()), ..task() });
    let (waiting_id, running_id) = (waiting.id, running.id);
    one(&store, running, 1).await;
    assert_eq!(store.task_claim(claim_of(worker(0), 1, at(1))).await.unwrap().claimed.len(), 1);
    one(&store, waiting, 1).await;
    let old_child = NewTask { depends_on: vec![waiting_id], ..task() };
    let old_child_id = old_child.id;
    one(&store, old_child, 1).await;
    // A child of the replaced task in the same submission sees its end as well.
    let child = NewTask { depends_on: vec![waiting_id], ..task() };
    let (child_id, new) = (child.id, unique(UniqueConflict::Replace));
    let also = NewTask { unique_key: Some("r".into()), unique_conflict: UniqueConflict::Replace, ..task() };
    let (new_id, also_id) = (new.id, also.id);
    let SubmitOutcome::Done { made, steps } = submit(&store, vec![child, new, also], 2).await else {
        panic!("refused")
    };
    assert!(matches!(made[0], Made::New(life) if life.state() == State::Revoked), "{made:?}");
    assert!(matches!(made[1], Made::Replacing(_, old) if old == waiting_id));
    assert!(matches!(made[2], Made::Replacing(_, old) if old == running_id));
    let moved: HashSet<Uuid> = steps.iter().map(|step| step.id).collect();
    assert_eq!(moved, HashSet::from([waiting_id, running_id, old_child_id]));
    for id in [waiting_id, old_child_id, child_id] {
        assert_eq!(state(&store, id).await, State::Revoked);
    }
    let running = store.task_get(running_id, None).await.unwrap().unwrap();
    assert_eq!((running.state, running.reason), (State::Running, Some(Reason::Cancelling)), "asked to stop");
    assert_eq!(one(&store, unique(UniqueConflict::Return), 3).await, Made::Existing(new_id));
    assert_eq!(state(&store, also_id).await, State::Ready);
    assert_eq!(store.check().await.unwrap(), vec![]);
}

async fn a_retried_task_gets_its_key_back_unless_another_has_it(home: Home) {
    let store = home.open().await;
    register(&store).await;
    let first = NewTask { unique_until: Some(at(50)), ..unique(UniqueConflict::Return) };
    let id = first.id;
    one(&store, first, 1).await;
    end_all(&store, Finish::Fatal, 2).await;
    store.task_step(Request::new(id, Action::Retry), at(3)).await.unwrap().unwrap();
    assert_eq!(one(&store, unique(UniqueConflict::Return), 60).await, Made::Existing(id), "it lives again");
    end_all(&store, Finish::Fatal, 61).await;
    let second = NewTask { unique_until: Some(at(100)), ..unique(UniqueConflict::Return) };
    let holder = second.id;
    one(&store, second, 62).await;
    end_all(&store, Finish::Success, 63).await;
    let taken = store.task_step(Request::new(id, Action::Retry), at(64)).await.unwrap().unwrap_err();
    assert_eq!(taken, StepError::UniqueKeyTaken { holder }, "for its time, although it has ended");
    store.task_step(Request::new(id, Action::Retry), at(101)).await.unwrap().unwrap();
    assert_eq!(one(&store, unique(UniqueConflict::Return), 102).await, Made::Existing(id));
    // Its key is gone from the table, but not from the task.
    end_all(&store, Finish::Fatal, 103).await;
    store.repeats_prune(at(9_999), 10).await.unwrap();
    store.task_step(Request::new(id, Action::Retry), at(104)).await.unwrap().unwrap();
    assert_eq!(one(&store, unique(UniqueConflict::Return), 105).await, Made::Existing(id));
}

async fn replacing_at_once_leaves_one_that_lives(home: Home) {
    let store = home.open().await;
    register(&store).await;
    let mut callers = JoinSet::new();
    for _ in 0..12 {
        let store = store.clone();
        callers.spawn(async move { one(&store, unique(UniqueConflict::Replace), 1).await });
    }
    let (mut new, mut replaced) = (0, HashSet::new());
    while let Some(made) = callers.join_next().await {
        match made.unwrap() {
            Made::New(_) => new += 1,
            Made::Replacing(_, old) => assert!(replaced.insert(old), "replaced once"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((new, replaced.len()), (1, 11));
    assert_eq!(store.task_claim(claim_of(worker(0), 50, at(2))).await.unwrap().claimed.len(), 1);
    assert_eq!(store.check().await.unwrap(), vec![]);
}

async fn one_call_at_once_runs_once(home: Home) {
    let store = home.open().await;
    register(&store).await;
    for (round, ended_before) in [("first", false), ("again", true)] {
        let mut callers = JoinSet::new();
        for _ in 0..12 {
            let store = store.clone();
            // The second time each finds a result that is too old.
            let now = if ended_before { 500 } else { 1 };
            callers.spawn(async move { one(&store, call("s", 10), now).await });
        }
        let (mut new, mut joined) = (0, HashSet::new());
        while let Some(made) = callers.join_next().await {
            match made.unwrap() {
                Made::New(_) => new += 1,
                Made::Answered(id, CacheOutcome::Joined, None) => drop(joined.insert(id)),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((new, joined.len()), (1, 1), "{round}");
        assert_eq!(end_all(&store, Finish::Success, 3).await, 1, "{round}: exactly one runs");
    }
    assert_eq!(store.check().await.unwrap(), vec![]);
}

fn joined(id: Uuid) -> Made {
    Made::Answered(id, CacheOutcome::Joined, None)
}

fn hit(id: Uuid, ended_at: u64) -> Made {
    Made::Answered(id, CacheOutcome::Hit, Some(at(ended_at)))
}

async fn a_call_is_answered_while_its_result_is_fresh(home: Home) {
    let store = home.open().await;
    register(&store).await;
    let first = call("s", 10);
    let id = first.id;
    assert!(matches!(one(&store, first, 1).await, Made::New(_)));
    assert_eq!(one(&store, call("s", 10), 90).await, joined(id), "however long it takes");
    end_all(&store, Finish::Success, 100).await;
    assert_eq!(one(&store, call("s", 10), 109).await, hit(id, 100));
    assert_eq!(one(&store, call("s", 10), 118).await, hit(id, 100), "its time began anew");
    assert!(matches!(one(&store, call("other", 10), 118).await, Made::New(_)));
    let bobs = NewTask { user_id: Uuid::from_u128(2), ..call("s", 10) };
    assert!(matches!(one(&store, bobs, 118).await, Made::New(_)), "nobody sees another's result");
    assert_eq!(one(&store, call("s", 5), 119).await, hit(id, 100));
    let late = call("s", 10);
    let late_id = late.id;
    assert!(matches!(one(&store, late, 124).await, Made::New(_)), "the latest call wanted 5 s");
    assert_eq!(one(&store, call("s", 10), 125).await, joined(late_id));
}

async fn only_success_is_served(home: Home) {
    let store = home.open().await;
    register(&store).await;
    let mut id = Uuid::nil();
    for (round, finish) in [Finish::Fatal, Finish::Success].into_iter().enumerate() {
        let task = call("s", 1_000);
        id = task.id;
        assert!(matches!(one(&store, task, 1 + round as u64).await, Made::New(_)));
        end_all(&store, finish, 2 + round as u64).await;
    }
    assert_eq!(one(&store, call("s", 1_000), 5).await, hit(id, 3));
    store.task_delete(id, at(6)).await.unwrap();
    let next = call("s", 1_000);
    id = next.id;
    assert!(matches!(one(&store, next, 7).await, Made::New(_)), "what was deleted is not served");
    let claimed = store.task_claim(claim_of(worker(0), 1, at(8))).await.unwrap().claimed;
    let cancel = Request::new(id, Action::Cancel { force: false });
    store.task_step(cancel, at(9)).await.unwrap().unwrap();
    let next = call("s", 1_000);
    let next_id = next.id;
    assert!(matches!(one(&store, next, 10).await, Made::New(_)), "nobody joins what is about to stop");
    // It succeeds nevertheless; the call is another task's by now.
    store.task_finish(worker(0), vec![success(id, claimed[0].epoch)], at(11)).await.unwrap();
    assert_eq!(one(&store, call("s", 1_000), 12).await, joined(next_id));
    assert_eq!(store.check().await.unwrap(), vec![]);
}

async fn equal_calls_in_one_submission_are_one_task(home: Home) {
    let store = home.open().await;
    register(&store).await;
    let tasks = vec![call("a", 10), call("b", 10), call("a", 10), call("a", 10)];
    let first = tasks[0].id;
    let SubmitOutcome::Done { made, .. } = submit(&store, tasks, 1).await else { panic!("refused") };
    assert!(matches!((made[0], made[1]), (Made::New(_), Made::New(_))));
    assert_eq!(made[2..], [joined(first); 2]);
    assert_eq!(end_all(&store, Finish::Success, 2).await, 2);
    let SubmitOutcome::Done { made, .. } = submit(&store, vec![call("b", 10), call("a", 10)], 3).await else {
        panic!("refused")
    };
    assert_eq!(made[1], hit(first, 2));
    // Batches that name the same calls the other way round end all the same.
    let mut callers = JoinSet::new();
    for number in 0..8_u64 {
        let store = store.clone();
        callers.spawn(async move {
            let mut tasks: Vec<NewTask> = (0..20).map(|n| call(&format!("c{n}"), 10)).collect();
            if number % 2 == 1 {
                tasks.reverse();
            }
            submit(&store, tasks, 5).await
        });
    }
    while let Some(outcome) = callers.join_next().await {
        assert!(matches!(outcome.unwrap(), SubmitOutcome::Done { .. }));
    }
    assert_eq!(end_all(&store, Finish::Success, 6).await, 20);
}

async fn a_purged_call_runs_again(home: Home) {
    let store = home.open().await;
    register(&store).await;
    let other = NewTask { handler: "other".into(), ..call("o", 1_000) };
    let bobs = NewTask { user_id: Uuid::from_u128(2), ..call("b", 1_000) };
    let SubmitOutcome::Done { .. } = submit(&store, vec![call("a", 1_000), other], 1).await else { panic!() };
    one(&store, bobs, 1).await;
    end_all(&store, Finish::Success, 2).await;
    let mine = CacheFilter { user_id: Some(Uuid::from_u128(1)), ..CacheFilter::default() };
    let (entries, total) = store.cache_list(mine.clone(), None, 10).await.unwrap();
    let signatures: Vec<&str> = entries.iter().map(|entry| entry.signature.as_str()).collect();
    assert_eq!((signatures, total), (vec!["a", "o"], 2));
    assert_eq!((entries[0].state, entries[0].expires_at), (Some(State::Succeeded), Some(at(1_002))));
    let behind = Some((Uuid::from_u128(1), "a".to_owned()));
    assert_eq!(store.cache_list(CacheFilter::default(), behind, 10).await.unwrap().0.len(), 2);
    let handler = CacheFilter { handler: Some("other".into()), ..mine.clone() };
    assert_eq!(store.cache_purge(handler, 10).await.unwrap(), 1);
    assert!(matches!(one(&store, call("a", 1_000), 3).await, Made::Answered(..)), "another handler's stays");
    assert_eq!(store.cache_purge(mine, 10).await.unwrap(), 1);
    assert!(matches!(one(&store, call("a", 1_000), 4).await, Made::New(_)));
    assert_eq!(store.cache_list(CacheFilter::default(), None, 10).await.unwrap().1, 2, "Bob's stays");
}

async fn what_answers_no_longer_is_forgotten(home: Home) {
    let store = home.open().await;
    register(&store).await;
    let kept = NewTask { unique_key: Some("kept".into()), unique_until: Some(at(50)), ..call("long", 100) };
    let gone = NewTask { unique_key: Some("gone".into()), unique_until: Some(at(20)), ..call("short", 10) };
    let SubmitOutcome::Done { .. } = submit(&store, vec![kept, gone], 1).await else { panic!() };
    let total = async || store.cache_list(CacheFilter::default(), None, 10).await.unwrap().1;
    store.repeats_prune(at(40), 10).await.unwrap();
    assert_eq!(total().await, 2, "they live");
    end_all(&store, Finish::Success, 35).await;
    store.repeats_prune(at(44), 10).await.unwrap();
    assert_eq!(total().await, 2, "its time goes on from its end");
    store.repeats_prune(at(45), 10).await.unwrap();
    assert_eq!(total().await, 1);
    let again = |key: &str| NewTask { unique_key: Some(key.into()), ..task() };
    assert!(matches!(one(&store, again("kept"), 46).await, Made::Existing(_)));
    assert!(matches!(one(&store, again("gone"), 46).await, Made::New(_)));
    // A task that is forgotten takes its entry along.
    let (ended, _) =
        store.task_ended(State::Succeeded, (at(0), Uuid::nil()), (at(99), Uuid::max()), 10).await.unwrap();
    assert_eq!(store.task_forget(ended, at(99)).await.unwrap().len(), 2);
    assert_eq!(total().await, 0);
}

async fn errors_that_are_not_named_end_a_task(home: Home) {
    let store = home.open().await;
    register(&store).await;
    let rules = Rules { max_attempts: 5, ..plain() };
    let fail = async |retry_on: &[&str], kind: &str, finish: Finish| {
        let retry_on = retry_on.iter().map(|kind| (*kind).to_owned()).collect();
        let task = NewTask { retry_on, ..new_task(&rules, None) };
        let id = task.id;
        one(&store, task, 1).await;
        let claimed = store.task_claim(claim_of(worker(0), 1, at(2))).await.unwrap().claimed;
        let error = TaskError { kind: kind.into(), message: String::new(), traceback: None };
        let note = Note { error: Some(error), ..Note::default() };
        let item = FinishItem { note, ..ended(id, claimed[0].epoch, finish) };
        store.task_finish(worker(0), vec![item], at(3)).await.unwrap();
        let task = store.task_get(id, None).await.unwrap().unwrap();
        (task.state, task.reason.unwrap())
    };
    let error = Finish::Error { retry_in: Some(Duration::from_secs(1)) };
    let again = (State::Scheduled, Reason::Retry);
    assert_eq!(fail(&[], "Any", error).await, again);
    assert_eq!(fail(&["Busy", "ü \"x\""], "ü \"x\"", error).await, again);
    assert_eq!(fail(&["Busy"], "Other", error).await, (State::Failed, Reason::Fatal));
    assert_eq!(fail(&["timeout"], "timeout", Finish::Timeout).await, again);
    assert_eq!(fail(&["Busy"], "timeout", Finish::Timeout).await, (State::Failed, Reason::Timeout));
    for (retry_on, expected) in [("lost", again), ("Busy", (State::Failed, Reason::Lost))] {
        let task = NewTask { retry_on: vec![retry_on.into()], ..new_task(&rules, None) };
        let id = task.id;
        one(&store, task, 10).await;
        assert_eq!(store.task_claim(claim_of(worker(0), 1, at(10))).await.unwrap().claimed.len(), 1);
        store.task_reap(at(11).plus(LEASE).plus(GRACE), GRACE, 10, || RANDOM).await.unwrap();
        let task = store.task_get(id, None).await.unwrap().unwrap();
        assert_eq!((task.state, task.reason.unwrap()), expected);
    }
    assert_eq!(store.check().await.unwrap(), vec![]);
}

async fn handlers_say_what_their_tasks_get(home: Home) {
    let store = home.open().await;
    let defaults =
        |attempts| Some(HandlerDefaults { max_attempts: Some(attempts), ..HandlerDefaults::default() });
    let said = |attempts| vec![("b".to_owned(), None), ("a".to_owned(), defaults(attempts))];
    assert!(store.handler_declare(said(3), at(1)).await.unwrap());
    assert!(!store.handler_declare(said(3), at(2)).await.unwrap(), "nothing new");
    let store = Arc::new(store);
    let mut workers = JoinSet::new();
    for number in 1..9 {
        let store = Arc::clone(&store);
        let said = vec![("a".to_owned(), defaults(number)), ("c".to_owned(), defaults(number))];
        workers.spawn(async move { store.handler_declare(said, at(3)).await.unwrap() });
    }
    workers.join_all().await;
    let known = store.handler_list().await.unwrap();
    assert_eq!(known.len(), 2);
    assert_eq!(known["a"], known["c"], "who was last was last for both");
    assert!(store.handler_declare(vec![("a".to_owned(), None)], at(4)).await.unwrap());
    assert_eq!(store.handler_list().await.unwrap().len(), 1);
}
