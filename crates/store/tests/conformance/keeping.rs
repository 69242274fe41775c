//! What is forgotten and what is explained: lookups in the order of ends, and along chains.

use std::collections::HashMap;

use taskloom_model::{Action, State, Timestamp};
use taskloom_protocol::{LogLevel, LogLine, TaskRef};
use taskloom_store::{BeatItem, EndPlace, Request, Store, Waiting};
use uuid::Uuid;

use crate::databases::{Home, on_every_database};
use crate::support::{LEASE, at, claim_of, clear, end_by_success, new_task, plain, register, submit, worker};

on_every_database! {
    the_newest_are_kept_and_the_oldest_go_first,
    what_users_delete_is_found_by_its_time,
    a_chain_is_followed_to_its_root,
    places_in_line_are_counted,
    a_look_sees_both_ends_of_a_queue,
    lines_left_out_are_counted,
}

const FIRST: EndPlace = (Timestamp::MIN, Uuid::nil());

/// Tasks that were revoked, or succeeded where `succeeds` says so, a second apart from `from` on.
async fn ended(store: &Store, from: u64, count: u64, succeeds: impl Fn(u64) -> bool) -> Vec<Uuid> {
    let mut ids = Vec::new();
    for second in from..from + count {
        let task = new_task(&plain(), None);
        ids.push(task.id);
        submit(store, task, at(second)).await;
        let id = ids[ids.len() - 1];
        if succeeds(second) {
            end_by_success(store, id, at(second)).await;
        } else {
            store
                .task_step(Request::new(id, Action::Cancel { force: false }), at(second))
                .await
                .unwrap()
                .unwrap();
        }
    }
    ids
}

async fn the_newest_are_kept_and_the_oldest_go_first(home: Home) {
    let store = home.open().await;
    register(&store).await;
    let ids = ended(&store, 10, 12, |second| second % 3 == 0).await;
    let revoked: Vec<Uuid> = (0..12).filter(|n| (n + 10) % 3 != 0).map(|n| ids[n]).collect();
    assert_eq!(store.task_beyond(State::Revoked, 8).await.unwrap(), None, "there are no more than eight");
    let (_, beyond) = store.task_beyond(State::Revoked, 5).await.unwrap().unwrap();
    assert_eq!(beyond, revoked[2]);
    assert_eq!(store.task_beyond(State::Succeeded, 1).await.unwrap().unwrap().1, ids[8]);
    assert_eq!(store.task_beyond(State::Succeeded, 0).await.unwrap().unwrap().1, ids[11]);
    let cut = store.task_beyond(State::Revoked, 5).await.unwrap().unwrap();
    assert_eq!(store.task_count_until(State::Revoked, cut).await.unwrap(), 3);
    let (mut due, mut place) = (Vec::new(), FIRST);
    loop {
        let (some, next) = store.task_ended(State::Revoked, place, cut, 2).await.unwrap();
        due.extend(some);
        let Some(next) = next else { break };
        place = next;
    }
    assert_eq!(due.iter().map(|(_, id)| *id).collect::<Vec<_>>(), revoked[..3]);
    // Somebody wants the first of them to run again: it is not what was seen.
    let retried = revoked[0];
    store.task_step(Request::new(retried, Action::Retry), at(30)).await.unwrap().unwrap();
    store.task_step(Request::new(retried, Action::Cancel { force: false }), at(31)).await.unwrap().unwrap();
    let gone = store.task_forget(due, at(40)).await.unwrap();
    assert_eq!(gone.iter().map(|step| step.id).collect::<Vec<_>>(), revoked[1..3]);
    assert!(store.task_get(revoked[1], None).await.unwrap().is_none());
    assert_eq!(store.check().await.unwrap(), vec![]);
}

async fn what_users_delete_is_found_by_its_time(home: Home) {
    let store = home.open().await;
    let ids = ended(&store, 10, 3, |_| false).await;
    assert!(store.task_delete(ids[2], at(20)).await.unwrap());
    assert!(store.task_delete(ids[0], at(21)).await.unwrap());
    assert!(!store.task_delete(ids[0], at(22)).await.unwrap(), "it is deleted already");
    assert_eq!(store.task_count_deleted(at(19)).await.unwrap(), 0);
    assert_eq!(store.task_count_deleted(at(21)).await.unwrap(), 2);
    let due = store.task_deleted(FIRST, at(21), 1).await.unwrap();
    assert_eq!(due, [(at(20), ids[2])]);
    assert_eq!(store.task_deleted(due[0], at(21), 10).await.unwrap(), [(at(21), ids[0])]);
    store.task_forget(vec![(at(12), ids[2])], at(30)).await.unwrap();
    assert_eq!(store.task_count_deleted(at(30)).await.unwrap(), 1);
}

async fn a_chain_is_followed_to_its_root(home: Home) {
    let store = home.open().await;
    let mut chain: Vec<Uuid> = Vec::new();
    for _ in 0..6 {
        let mut task = new_task(&plain(), None);
        task.depends_on = chain.last().copied().into_iter().collect();
        chain.push(task.id);
        submit(&store, task, at(1)).await;
    }
    assert_eq!(store.task_root(chain[5]).await.unwrap(), Some(chain[0]));
    assert_eq!(store.task_root(chain[0]).await.unwrap(), None);
    assert_eq!(store.task_open_parents(chain[3], 20).await.unwrap(), (vec![chain[2]], 1));
    assert_eq!(store.task_open_parents(chain[0], 20).await.unwrap(), (vec![], 0));
    clear(&store, at(2)).await;
}

async fn places_in_line_are_counted(home: Home) {
    let store = home.open().await;
    register(&store).await;
    let mut ids = Vec::new();
    for priority in ["normal", "normal", "normal", "high"] {
        let mut task = new_task(&plain(), None);
        task.priority = priority.parse().unwrap();
        ids.push(task.id);
        submit(&store, task, at(1)).await;
    }
    for (id, before) in ids.iter().zip([1, 2, 3, 0]) {
        assert_eq!(store.task_ahead(*id, "default".into(), 100).await.unwrap(), before);
    }
    assert_eq!(store.task_ahead(ids[2], "default".into(), 1).await.unwrap(), 2, "one more than counted");
    assert!(store.queue_pace("default".into(), at(60)).await.unwrap().abs() < 1e-9);
    let claimed = store.task_claim(claim_of(worker(0), 2, at(2))).await.unwrap().claimed;
    assert_eq!(store.worker_busy(vec![worker(0), worker(1)]).await.unwrap(), HashMap::from([(worker(0), 2)]));
    assert!(store.worker_busy(vec![worker(1)]).await.unwrap().is_empty());
    let head = store.queue_head("default".into(), 10).await.unwrap();
    assert_eq!(head, [(ids[1], "demo.echo".to_owned()), (ids[2], "demo.echo".to_owned())]);
    assert_eq!(store.queue_head("default".into(), 1).await.unwrap(), head[..1]);
    assert!(store.queue_head("other".into(), 10).await.unwrap().is_empty());
    let ends = claimed.iter().map(|task| crate::support::success(task.id, task.epoch)).collect();
    store.task_finish(worker(0), ends, at(30)).await.unwrap();
    let pace = store.queue_pace("default".into(), at(60)).await.unwrap();
    assert!((pace - 2.0 / 60.0).abs() < 1e-9, "{pace}");
    assert!(store.queue_pace("other".into(), at(60)).await.unwrap().abs() < 1e-9);
    clear(&store, at(61)).await;
}

async fn a_look_sees_both_ends_of_a_queue(home: Home) {
    let store = home.open().await;
    register(&store).await;
    let mut ids = Vec::new();
    for (queue, priority) in [("ends", "normal"), ("ends", "low"), ("ends", "high"), ("default", "normal")] {
        let mut task = new_task(&plain(), None);
        task.queue = queue.into();
        task.priority = priority.parse().unwrap();
        ids.push(task.id);
        submit(&store, task, at(1)).await;
    }
    // More than one statement asks for.
    let mut queues: Vec<String> = (0..40).map(|number| format!("nobody-{number}")).collect();
    queues.extend(["default".to_owned(), "ends".to_owned()]);
    let seen = async |most| {
        let found = store.task_ready_in(queues.clone(), most).await.unwrap();
        let ends = |(queue, waiting): (String, Waiting)| {
            let first: Vec<Uuid> = waiting.first.into_iter().map(|(_, id)| id).collect();
            (queue, first, waiting.last.map(|(_, id)| id))
        };
        found.into_iter().map(ends).collect::<Vec<_>>()
    };
    let other = ("default".to_owned(), vec![ids[3]], None);
    let whole = ("ends".to_owned(), vec![ids[2], ids[0], ids[1]], None);
    assert_eq!(seen(3).await, [other.clone(), whole]);
    assert_eq!(seen(1).await, [other, ("ends".to_owned(), vec![ids[2]], Some(ids[1]))]);
    clear(&store, at(2)).await;
    assert!(seen(3).await.is_empty());
}

async fn lines_left_out_are_counted(home: Home) {
    let store = home.open().await;
    register(&store).await;
    store.keep_log_lines(10);
    submit(&store, new_task(&plain(), None), at(1)).await;
    let claimed = store.task_claim(claim_of(worker(0), 1, at(2))).await.unwrap().claimed;
    let task = TaskRef { id: claimed[0].id, epoch: claimed[0].epoch };
    let line = LogLine { at: at(3), level: LogLevel::Info, message: "line".into() };
    for lines in [7, 3, 2, 5] {
        let logs = vec![line.clone(); lines];
        let item = BeatItem { task, progress: None, detail: None, logs };
        store.task_beat(worker(0), vec![item], LEASE, at(3)).await.unwrap().unwrap();
    }
    let (lines, next) = store.task_logs(task.id, 0, 100).await.unwrap();
    assert_eq!(lines.len(), 11);
    assert_eq!(lines[10].line.message, "… 7 more lines left out: of an attempt 10 are kept");
    assert_eq!(store.task_log_end(task.id).await.unwrap(), next);
    clear(&store, at(4)).await;
}
