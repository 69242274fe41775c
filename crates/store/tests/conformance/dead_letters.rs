//! Dead letters: found by filter, run again or put away once each.

use std::collections::HashSet;

use taskloom_model::{Action, Finish, Reason, State};
use taskloom_protocol::TaskError;
use taskloom_store::{Filter, FinishItem, NewTask, Note, Request, StepError, Store};
use uuid::Uuid;

use crate::databases::{Home, on_every_database};
use crate::support::{GRACE, LEASE, RANDOM, at, claim_of, ended, new_task, plain, register, submit, worker};

on_every_database! {
    filters_find_what_failed_by_its_error,
    two_who_revive_do_it_once,
    a_key_that_is_taken_is_said_and_the_others_go_on,
    what_is_put_away_is_gone,
}

fn failure(id: Uuid, epoch: u32, kind: &str) -> FinishItem {
    let error = TaskError { kind: kind.into(), message: "100% of it".into(), traceback: None };
    FinishItem { note: Note { error: Some(error), ..Note::default() }, ..ended(id, epoch, Finish::Fatal) }
}

/// Fails `count` tasks with an error of this type.
async fn fail(store: &Store, count: usize, kind: &str) -> Vec<Uuid> {
    for _ in 0..count {
        submit(store, new_task(&plain(), None), at(1)).await;
    }
    let claimed = store.task_claim(claim_of(worker(0), 500, at(2))).await.unwrap().claimed;
    assert_eq!(claimed.len(), count);
    let ends = claimed.iter().map(|task| failure(task.id, task.epoch, kind)).collect();
    assert_eq!(store.task_finish(worker(0), ends, at(3)).await.unwrap().1, vec![]);
    claimed.into_iter().map(|task| task.id).collect()
}

fn of_type(kind: &str) -> Filter {
    Filter { error_type: Some(kind.into()), ..Filter::default() }
}

async fn filters_find_what_failed_by_its_error(home: Home) {
    let store = home.open().await;
    register(&store).await;
    let odd = "Odd\"Error%_\\ü";
    for (kind, count) in [("Boom", 3), ("boom", 2), ("Bo%m", 1), (odd, 2)] {
        fail(&store, count, kind).await;
    }
    // A lost worker leaves no error behind, yet is a type of one.
    submit(&store, new_task(&taskloom_model::Rules { max_attempts: 1, ..plain() }, None), at(4)).await;
    assert_eq!(store.task_claim(claim_of(worker(1), 1, at(4))).await.unwrap().claimed.len(), 1);
    store.task_reap(at(4).plus(LEASE).plus(GRACE), GRACE, 10, || RANDOM).await.unwrap();
    let success = submit(&store, new_task(&plain(), None), at(5)).await;
    assert_eq!(success.state(), State::Ready);
    let found = async |filter: Filter| store.task_dead(filter, None, 100).await.unwrap().len();
    assert_eq!(found(Filter::default()).await, 9);
    for (kind, count) in
        [("Boom", 3), ("boom", 2), ("Bo%m", 1), (odd, 2), ("Bo", 0), ("lost", 1), ("timeout", 0)]
    {
        assert_eq!(found(of_type(kind)).await, count, "{kind}");
        let listed = Filter { state: Some(State::Failed), dead: true, ..of_type(kind) };
        assert_eq!(store.task_count(listed).await.unwrap().total, count as u64, "{kind}");
    }
    let reason = |reason| Filter { reason: Some(reason), ..Filter::default() };
    assert_eq!((found(reason(Reason::Fatal)).await, found(reason(Reason::Lost)).await), (8, 1));
    let lately = Filter { finished_after: Some(at(4)), ..Filter::default() };
    assert_eq!(found(lately).await, 1);
    let tagged = Filter { tag: Some("one".into()), ..of_type("Boom") };
    assert_eq!(found(tagged).await, 3);
    let mut walked = Vec::new();
    while let ids = store.task_dead(Filter::default(), walked.last().copied(), 4).await.unwrap()
        && !ids.is_empty()
    {
        walked.extend(ids);
    }
    assert_eq!(walked.iter().collect::<HashSet<_>>().len(), 9);
    assert!(walked.is_sorted());
}

async fn two_who_revive_do_it_once(home: Home) {
    let store = home.open().await;
    register(&store).await;
    let ids = fail(&store, 60, "Boom").await;
    let revive = || store.task_revive(ids.clone(), at(10));
    let discard = || store.task_discard(ids[..30].to_vec(), at(10));
    let (one, other, discarded) = tokio::join!(revive(), revive(), discard());
    let (one, other, discarded) = (one.unwrap(), other.unwrap(), discarded.unwrap());
    assert_eq!(one.revived + other.revived + discarded, 60, "each went one way");
    assert!(one.refused.is_empty() && other.refused.is_empty());
    assert_eq!(store.task_dead(Filter::default(), None, 100).await.unwrap(), Vec::<Uuid>::new());
    let gone = 60 - store.task_get_many(ids.clone()).await.unwrap().len();
    assert_eq!(gone as u64, discarded);
    assert_eq!(
        store.task_claim(claim_of(worker(0), 500, at(11))).await.unwrap().claimed.len() as u64,
        60 - discarded
    );
    assert_eq!(store.task_revive(ids, at(12)).await.unwrap().revived, 0, "they run");
    assert_eq!(store.check().await.unwrap(), vec![]);
}

async fn a_key_that_is_taken_is_said_and_the_others_go_on(home: Home) {
    let store = home.open().await;
    register(&store).await;
    let mut unique = new_task(&plain(), None);
    unique.unique_key = Some("k".into());
    let (id, next) = (unique.id, NewTask { id: Uuid::now_v7(), ..unique.clone() });
    submit(&store, unique, at(1)).await;
    submit(&store, new_task(&plain(), None), at(1)).await;
    let claimed = store.task_claim(claim_of(worker(0), 10, at(2))).await.unwrap().claimed;
    let ends = claimed.iter().map(|task| failure(task.id, task.epoch, "Boom")).collect();
    store.task_finish(worker(0), ends, at(3)).await.unwrap();
    submit(&store, next, at(4)).await;
    let ids = store.task_dead(Filter::default(), None, 10).await.unwrap();
    let revived = store.task_revive(ids, at(5)).await.unwrap();
    assert_eq!(revived.revived, 1);
    assert!(
        matches!(revived.refused[..], [(refused, StepError::UniqueKeyTaken { .. })] if refused == id),
        "{revived:?}"
    );
    assert_eq!(store.check().await.unwrap(), vec![]);
}

async fn what_is_put_away_is_gone(home: Home) {
    let store = home.open().await;
    register(&store).await;
    let ids = fail(&store, 5, "Boom").await;
    let retried = Request::new(ids[0], Action::Retry);
    store.task_step(retried, at(4)).await.unwrap().unwrap();
    assert_eq!(store.task_discard(ids.clone(), at(5)).await.unwrap(), 4, "one lives again");
    assert_eq!(store.task_discard(ids.clone(), at(5)).await.unwrap(), 0);
    assert_eq!(store.task_get_many(ids).await.unwrap().len(), 1);
}
