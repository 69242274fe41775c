//! What submitting does, and what repeating it does not.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod common;

use common::{ADMIN, ALICE, BOB, Lab, success, task};
use taskloom_engine::{EngineError, PageSpec, TaskFilter};
use taskloom_model::{Priority, Reason, State};
use taskloom_protocol::{Duplicate, SubmitTask};

#[tokio::test]
async fn the_answer_is_what_a_read_shows() {
    let lab = Lab::new();
    let submitted = lab
        .submit(SubmitTask {
            name: Some("数据处理任务".into()),
            task_type: Some("data_processing".into()),
            priority: Some(Priority::High),
            tags: vec!["a".into(), "b".into()],
            delay: Some(60.0),
            timeout: Some(1.5),
            max_attempts: Some(7),
            args: Some(serde_json::value::to_raw_value(&[60]).unwrap()),
            metadata: Some(serde_json::value::to_raw_value(&serde_json::json!({"k": 1})).unwrap()),
            ..task()
        })
        .await;
    let read = lab.engine.get(&ALICE, submitted.id).await.unwrap();
    assert_eq!(serde_json::to_value(&submitted).unwrap(), serde_json::to_value(&read).unwrap());
    assert_eq!((read.state, read.reason), (State::Scheduled, Some(Reason::Delayed)));
    assert_eq!(read.kwargs.get(), "{}");
}

#[tokio::test]
async fn an_alias_names_a_handler() {
    let lab = Lab::with(|config| {
        config.aliases.insert("app.tasks.old".into(), "demo.echo".into());
    });
    assert_eq!(lab.submit(SubmitTask::new("app.tasks.old")).await.task, "demo.echo");
}

#[tokio::test]
async fn an_idempotency_key_makes_repeating_harmless() {
    let lab = Lab::new();
    let first = lab.engine.submit(&ALICE, task(), Some("k1")).await.unwrap();
    let again = lab.engine.submit(&ALICE, task(), Some("k1")).await.unwrap();
    assert!(first.created && !again.created);
    assert_eq!(again.task.id, first.task.id);
    assert_eq!(again.task.deduplicated_by, Some(Duplicate::IdempotencyKey));
    let other = SubmitTask { queue: Some("other".into()), ..task() };
    let misuse = lab.engine.submit(&ALICE, other, Some("k1")).await.unwrap_err();
    assert!(matches!(misuse, EngineError::IdempotencyMismatch));
    let bobs = lab.engine.submit(&BOB, task(), Some("k1")).await.unwrap();
    assert!(bobs.created, "another user's key is another key");
}

#[tokio::test]
async fn twins_sent_at_once_with_one_key_make_one_task() {
    let lab = Lab::new();
    let twins = (0..50).map(|_| lab.engine.submit(&ALICE, task(), Some("twin")));
    let answers = futures_util::future::join_all(twins).await;
    let created = answers.iter().filter(|a| a.as_ref().unwrap().created).count();
    assert_eq!(created, 1);
    assert_eq!(lab.engine.count(&ALICE, TaskFilter::default()).await.unwrap().total, 1);
}

#[tokio::test]
async fn a_unique_key_holds_until_its_task_ends() {
    let lab = Lab::new();
    let unique = || SubmitTask { unique_key: Some("nightly".into()), ..task() };
    let first = lab.submit(unique()).await;
    let second = lab.submit(unique()).await;
    assert_eq!((second.id, second.deduplicated_by), (first.id, Some(Duplicate::UniqueKey)));
    let worker = lab.worker(&["default"]).await;
    let claimed = lab.claim(worker, 1).await;
    assert_eq!(lab.submit(unique()).await.id, first.id, "also while it runs");
    assert!(lab.finish(worker, &claimed[0], success()).await);
    assert_ne!(lab.submit(unique()).await.id, first.id);
}

#[tokio::test]
async fn a_batch_is_all_or_none() {
    let lab = Lab::new();
    let mut tasks: Vec<_> = (0..20).map(|_| task()).collect();
    tasks[7].queue = Some("no spaces".into());
    tasks[9].timeout = Some(-1.0);
    tasks[11].tags = vec!["a".into(), "a".into()];
    let Err(EngineError::Fields(errors)) = lab.engine.submit_batch(&ALICE, tasks.clone(), None).await else {
        panic!("accepted")
    };
    let places: Vec<_> = errors.iter().map(|e| e.loc.join(".")).collect();
    assert_eq!(places, ["body.tasks.7.queue", "body.tasks.9.timeout", "body.tasks.11.tags.1"]);
    assert_eq!(lab.engine.count(&ALICE, TaskFilter::default()).await.unwrap().total, 0);
    tasks[7].queue = None;
    tasks[9].timeout = None;
    tasks[11].tags.clear();
    let made = lab.engine.submit_batch(&ALICE, tasks, Some("batch")).await.unwrap();
    let again =
        lab.engine.submit_batch(&ALICE, (0..20).map(|_| task()).collect(), Some("batch")).await.unwrap();
    let ids = |tasks: &[taskloom_protocol::Task]| tasks.iter().map(|t| t.id).collect::<Vec<_>>();
    assert_eq!(ids(&again), ids(&made));
    assert!(ids(&made).is_sorted(), "ids are made in the order sent");
}

#[tokio::test]
async fn parents_must_exist_for_the_submitter() {
    let lab = Lab::new();
    let bobs = lab.engine.submit(&BOB, task(), None).await.unwrap().task;
    let child = SubmitTask { depends_on: vec![bobs.id], ..task() };
    let Err(EngineError::Fields(errors)) = lab.engine.submit(&ALICE, child, None).await else {
        panic!("accepted")
    };
    assert_eq!(errors[0].loc, ["body", "depends_on"]);
}

#[tokio::test]
async fn pages_walk_the_whole_list_once_in_every_order() {
    let lab = Lab::new();
    let priorities = [Priority::Low, Priority::Critical, Priority::Normal];
    for i in 0..47 {
        lab.submit(SubmitTask {
            priority: Some(priorities[i % 3]),
            tags: vec![format!("t{}", i % 2)],
            ..task()
        })
        .await;
        lab.engine.submit(&BOB, task(), None).await.unwrap();
    }
    for order_by in [taskloom_engine::OrderBy::CreatedAt, taskloom_engine::OrderBy::Priority] {
        for descending in [true, false] {
            let (mut seen, mut cursor) = (Vec::new(), None);
            loop {
                let page = PageSpec { limit: 10, cursor, order_by, descending, ..PageSpec::default() };
                let page = lab.engine.list(&ALICE, TaskFilter::default(), page).await.unwrap();
                assert_eq!(page.total, 47);
                seen.extend(page.items.iter().map(|t| t.id));
                cursor = page.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
            let distinct: std::collections::HashSet<_> = seen.iter().collect();
            assert_eq!((seen.len(), distinct.len()), (47, 47), "{order_by:?} {descending}");
        }
    }
    let worker = lab.worker(&["default"]).await;
    for ended in lab.claim(worker, 30).await {
        lab.advance(1);
        lab.finish(worker, &ended, success()).await;
    }
    for descending in [true, false] {
        let (mut times, mut cursor) = (Vec::new(), None);
        loop {
            let order_by = taskloom_engine::OrderBy::CompletedAt;
            let page = PageSpec { limit: 7, cursor, order_by, descending, ..PageSpec::default() };
            let page = lab.engine.list(&ADMIN, TaskFilter::default(), page).await.unwrap();
            times.extend(page.items.iter().map(|t| t.completed_at.unwrap()));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(times.len(), 30);
        assert!(if descending { times.is_sorted_by(|a, b| a > b) } else { times.is_sorted() });
    }
    let tagged = TaskFilter { tag: Some("t0".into()), ..TaskFilter::default() };
    assert_eq!(lab.engine.count(&ALICE, tagged).await.unwrap().total, 24);
    let everybody = lab.engine.count(&ADMIN, TaskFilter::default()).await.unwrap();
    assert_eq!(everybody.total, 94);
    let bobs = TaskFilter { user_id: Some(BOB.user_id), ..TaskFilter::default() };
    assert_eq!(lab.engine.count(&ALICE, bobs).await.unwrap().total, 0, "a filter opens no doors");
}

#[tokio::test]
async fn filters_by_text_take_wildcards_literally() {
    let lab = Lab::new();
    for name in ["100% done", "100 done", "a_b", "axb"] {
        lab.submit(SubmitTask { name: Some(name.into()), ..task() }).await;
    }
    for (q, expected) in [("100%", 1), ("a_b", 1), ("done", 2), ("demo.echo", 4), ("!", 0)] {
        let filter = TaskFilter { q: Some(q.into()), ..TaskFilter::default() };
        assert_eq!(lab.engine.count(&ALICE, filter).await.unwrap().total, expected, "{q}");
    }
}

#[tokio::test]
async fn every_status_is_found_by_page_total_and_count_whether_few_wait_or_many() {
    use taskloom_model::Status;
    let lab = Lab::new();
    let worker = lab.worker(&["a"]).await;
    for queue in ["a", "a", "a", "a", "b"] {
        lab.submit(SubmitTask { queue: Some(queue.into()), ..task() }).await;
    }
    let claimed = lab.claim(worker, 3).await;
    lab.finish(worker, &claimed[0], success()).await;
    let fatal = taskloom_protocol::TaskError { kind: "x".into(), message: "x".into(), traceback: None };
    lab.finish(worker, &claimed[1], taskloom_protocol::Outcome::Fatal { error: fatal }).await;
    lab.submit(SubmitTask { delay: Some(9.0), ..task() }).await;
    let blocked = SubmitTask { depends_on: vec![claimed[2].id], ..task() };
    lab.submit(blocked).await;
    let gone = lab.submit(task()).await;
    lab.engine.cancel(&ALICE, gone.id, false).await.unwrap();
    for many in [false, true] {
        if many {
            // More than a list sorts: it goes another way then.
            lab.engine.submit_batch(&BOB, vec![task(); 6_000], None).await.unwrap();
        }
        for (status, expected) in [
            (Status::Pending, 4),
            (Status::Running, 1),
            (Status::Succeeded, 1),
            (Status::Failed, 1),
            (Status::Revoked, 1),
        ] {
            let filter = TaskFilter { status: Some(status), ..TaskFilter::default() };
            let page = lab.engine.list(&ALICE, filter.clone(), PageSpec::default()).await.unwrap();
            let right = page.items.iter().all(|t| t.status == status);
            assert!(right && page.items.len() == expected, "{status} {many}");
            assert_eq!(page.total, expected as u64, "{status} {many}");
            assert_eq!(
                lab.engine.count(&ALICE, filter).await.unwrap().total,
                expected as u64,
                "{status} {many}"
            );
        }
        for (state, expected) in [(State::Blocked, 1), (State::Scheduled, 1), (State::Ready, 2)] {
            let filter =
                TaskFilter { state: Some(state), status: Some(Status::Pending), ..TaskFilter::default() };
            let page = lab.engine.list(&ALICE, filter, PageSpec::default()).await.unwrap();
            assert_eq!((page.items.len(), page.total), (expected, expected as u64), "{state} {many}");
        }
        let neither =
            TaskFilter { state: Some(State::Ready), status: Some(Status::Failed), ..TaskFilter::default() };
        assert_eq!(lab.engine.list(&ALICE, neither, PageSpec::default()).await.unwrap().total, 0);
    }
}
