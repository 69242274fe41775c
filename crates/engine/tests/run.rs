//! Running tasks: claims, ends, loss, cancels, and what users see of it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod common;

use std::time::Duration;

use common::{ADMIN, ALICE, BOB, Lab, failure, held, success, task};
use taskloom_engine::{EngineError, TaskFilter};
use taskloom_model::{AttemptOutcome, Priority, Reason, Refusal, State};
use taskloom_protocol::{
    ArtifactPut, Beat, BeatTask, Change, ClaimRequest, DrainRequest, LogLevel, LogLine, Spawn, SubmitTask,
    TaskEvent, WorkerApi, WorkerError,
};

#[tokio::test]
async fn claims_go_by_queue_then_priority_then_age() {
    let lab = Lab::new();
    let mut expected = Vec::new();
    for (queue, priority, place) in [
        ("b", Priority::Critical, 3),
        ("a", Priority::Low, 2),
        ("a", Priority::High, 0),
        ("a", Priority::High, 1),
    ] {
        let made =
            lab.submit(SubmitTask { queue: Some(queue.into()), priority: Some(priority), ..task() }).await;
        expected.push((place, made.id));
    }
    lab.submit(SubmitTask { queue: Some("elsewhere".into()), ..task() }).await;
    expected.sort_unstable();
    let worker = lab.worker(&["a", "b"]).await;
    let claimed: Vec<_> = lab.claim(worker, 10).await.iter().map(|t| t.id).collect();
    assert_eq!(claimed, expected.iter().map(|e| e.1).collect::<Vec<_>>());
}

#[tokio::test]
async fn sixteen_claimers_take_ten_thousand_tasks_once_each() {
    let lab = Lab::new();
    for _ in 0..10 {
        lab.engine.submit_batch(&ALICE, vec![task(); 1_000], None).await.unwrap();
    }
    let claimers = (0..16).map(|_| {
        let engine = lab.engine.clone();
        let lab = &lab;
        async move {
            let session = lab.worker(&["default"]).await;
            let mut taken = Vec::new();
            loop {
                let claimed = engine.claim(ClaimRequest { session, limit: 37, wait_ms: 0 }).await.unwrap();
                if claimed.is_empty() {
                    return taken;
                }
                taken.extend(claimed.iter().map(|t| t.id));
            }
        }
    });
    let taken: Vec<_> = futures_util::future::join_all(claimers).await.into_iter().flatten().collect();
    let distinct: std::collections::HashSet<_> = taken.iter().collect();
    assert_eq!((taken.len(), distinct.len()), (10_000, 10_000));
    assert_eq!(lab.engine.store().check().await.unwrap(), vec![]);
}

#[tokio::test]
async fn a_waiting_claim_wakes_for_a_task() {
    // A poll that would come too late proves that the bell rang.
    let lab = Lab::with(|config| config.poll = Duration::from_secs(3_600));
    let session = lab.worker(&["default"]).await;
    let engine = lab.engine.clone();
    let waiting =
        tokio::spawn(async move { engine.claim(ClaimRequest { session, limit: 1, wait_ms: 60_000 }).await });
    tokio::task::yield_now().await;
    let made = lab.submit(task()).await;
    assert_eq!(waiting.await.unwrap().unwrap()[0].id, made.id);
}

#[tokio::test]
async fn a_failed_attempt_is_tried_again_then_told_in_full() {
    let lab = Lab::new();
    let made = lab.submit(SubmitTask { max_attempts: Some(2), ..task() }).await;
    let worker = lab.worker(&["default"]).await;
    let first = lab.claim(worker, 1).await;
    assert!(lab.finish(worker, &first[0], failure()).await);
    let waiting = lab.engine.get(&ALICE, made.id).await.unwrap();
    assert_eq!((waiting.state, waiting.reason), (State::Scheduled, Some(Reason::Retry)));
    assert_eq!(waiting.error.unwrap().message, "it broke");
    assert_eq!(lab.claim(worker, 1).await.len(), 0, "not before its time");
    lab.advance(60);
    assert_eq!(lab.engine.promote().await.unwrap(), 1);
    let second = lab.claim(worker, 1).await;
    assert_eq!((second[0].attempt, second[0].epoch), (2, 2));
    assert!(lab.finish(worker, &second[0], failure()).await);
    let ended = lab.engine.get(&ALICE, made.id).await.unwrap();
    assert_eq!((ended.state, ended.reason), (State::Failed, Some(Reason::Error)));
    let attempts = lab.engine.attempts(&ALICE, made.id).await.unwrap();
    assert_eq!(attempts.iter().map(|a| a.outcome).collect::<Vec<_>>(), [Some(AttemptOutcome::Failed); 2]);
    let retried = lab.engine.retry(&ALICE, made.id).await.unwrap();
    assert_eq!((retried.state, retried.max_attempts), (State::Ready, 4));
}

#[tokio::test]
async fn a_worker_that_falls_silent_loses_its_task_for_good() {
    let lab = Lab::new();
    let made = lab.submit(task()).await;
    let (slow, quick) = (lab.worker(&["default"]).await, lab.worker(&["default"]).await);
    let first = lab.claim(slow, 1).await;
    lab.advance(16);
    assert_eq!(lab.engine.reap().await.unwrap(), 1);
    lab.advance(60);
    lab.engine.promote().await.unwrap();
    let second = lab.claim(quick, 1).await;
    assert!(!lab.finish(slow, &first[0], success()).await, "the stale end is refused");
    let beat =
        BeatTask { id: made.id, epoch: first[0].epoch, progress: Some(9.0), detail: None, logs: vec![] };
    let answer = lab.engine.beat(Beat { session: slow, tasks: vec![beat] }).await.unwrap();
    assert_eq!(answer.lost, [held(&first[0])]);
    assert!(lab.finish(quick, &second[0], success()).await);
    let attempts = lab.engine.attempts(&ALICE, made.id).await.unwrap();
    let outcomes: Vec<_> = attempts.iter().map(|a| a.outcome.unwrap()).collect();
    assert_eq!(outcomes, [AttemptOutcome::Lost, AttemptOutcome::Succeeded]);
}

#[tokio::test]
async fn a_guessed_epoch_is_no_key_to_anothers_task() {
    let lab = Lab::new();
    lab.submit(task()).await;
    let (owner, thief) = (lab.worker(&["default"]).await, lab.worker(&["default"]).await);
    let claimed = lab.claim(owner, 1).await;
    assert!(!lab.finish(thief, &claimed[0], success()).await);
    let drained = DrainRequest { session: thief, tasks: vec![held(&claimed[0])], leave: false };
    assert_eq!(lab.engine.drain(drained).await.unwrap().lost.len(), 1);
    assert!(lab.finish(owner, &claimed[0], success()).await);
}

#[tokio::test]
async fn heartbeats_keep_a_task_and_carry_news() {
    let lab = Lab::new();
    let made = lab.submit(task()).await;
    let worker = lab.worker(&["default"]).await;
    let claimed = lab.claim(worker, 1).await;
    let mut watch = lab.engine.watch(&ALICE, made.id, None).await.unwrap();
    for round in 1..=3u32 {
        lab.advance(10);
        let line = LogLine { at: made.created_at, level: LogLevel::Info, message: format!("line {round}") };
        let progress = Some(f64::from(round) * 25.0);
        let beat =
            BeatTask { id: made.id, epoch: claimed[0].epoch, progress, detail: None, logs: vec![line] };
        lab.engine.beat(Beat { session: worker, tasks: vec![beat] }).await.unwrap();
        assert_eq!(lab.engine.reap().await.unwrap(), 0);
    }
    assert!((lab.engine.get(&ALICE, made.id).await.unwrap().progress - 75.0).abs() < 1e-9);
    let (lines, next) = lab.engine.logs(&ALICE, made.id, 0, 2).await.unwrap();
    assert_eq!(lines.len(), 2);
    assert_eq!(lab.engine.logs(&ALICE, made.id, next, 10).await.unwrap().0[0].line.message, "line 3");
    assert!(lab.finish(worker, &claimed[0], success()).await);
    let mut told = Vec::new();
    while let Some(event) = watch.next().await {
        told.push(match event {
            TaskEvent::State { state, .. } => state.to_string(),
            TaskEvent::Progress { progress, .. } => progress.to_string(),
            TaskEvent::Log { message, .. } => message,
        });
    }
    // Who was behind is told what is, not all that was.
    assert_eq!(told, ["25", "line 1", "line 2", "line 3", "succeeded"]);
}

#[tokio::test]
async fn cancelling_ends_what_waits_and_asks_what_runs() {
    let lab = Lab::new();
    let (waits, runs) = (lab.submit(task()).await, lab.submit(task()).await);
    assert_eq!(lab.engine.cancel(&ALICE, waits.id, false).await.unwrap().state, State::Revoked);
    let worker = lab.worker(&["default"]).await;
    let claimed = lab.claim(worker, 5).await;
    assert_eq!(claimed.len(), 1, "nothing cancelled is claimed");
    let asked = lab.engine.cancel(&ALICE, runs.id, false).await.unwrap();
    assert_eq!((asked.state, asked.reason), (State::Running, Some(Reason::Cancelling)));
    let beat = BeatTask { id: runs.id, epoch: 1, progress: None, detail: None, logs: vec![] };
    let answer = lab.engine.beat(Beat { session: worker, tasks: vec![beat] }).await.unwrap();
    assert_eq!(answer.cancel, [held(&claimed[0])]);
    assert!(lab.finish(worker, &claimed[0], failure()).await);
    assert_eq!(lab.state(runs.id).await, State::Revoked);
    let again = lab.engine.cancel(&ALICE, runs.id, false).await.unwrap_err();
    assert!(matches!(again, EngineError::Refused(Refusal::Terminal)));
}

#[tokio::test]
async fn another_users_task_does_not_exist() {
    let lab = Lab::new();
    let made = lab.submit(task()).await;
    let id = made.id;
    let e = &lab.engine;
    let change = Change { queue: Some("x".into()), ..Change::default() };
    let refused = [
        e.get(&BOB, id).await.err(),
        e.cancel(&BOB, id, true).await.err(),
        e.retry(&BOB, id).await.err(),
        e.delete(&BOB, id).await.err(),
        e.change(&BOB, id, change).await.err(),
        e.attempts(&BOB, id).await.err(),
        e.logs(&BOB, id, 0, 10).await.err(),
        e.artifacts(&BOB, id).await.err(),
        e.explain(&BOB, id).await.err(),
        e.watch(&BOB, id, None).await.err(),
        e.wait(&BOB, id, Duration::ZERO).await.err(),
    ];
    for (index, error) in refused.into_iter().enumerate() {
        assert!(matches!(error, Some(EngineError::NotFound)), "call {index}: {error:?}");
    }
    assert_eq!(lab.state(id).await, State::Ready);
    assert!(e.get(&ADMIN, id).await.is_ok());
}

#[tokio::test]
async fn changes_apply_while_waiting_and_progress_while_running() {
    let lab = Lab::new();
    let made = lab.submit(task()).await;
    let change =
        Change { queue: Some("fast".into()), priority: Some(Priority::Critical), ..Change::default() };
    let moved = lab.engine.change(&ALICE, made.id, change.clone()).await.unwrap();
    assert_eq!((moved.queue.as_str(), moved.priority), ("fast", Priority::Critical));
    let later = Change { run_at: Some(made.created_at.plus(Duration::from_secs(30))), ..Change::default() };
    assert_eq!(lab.engine.change(&ALICE, made.id, later).await.unwrap().state, State::Scheduled);
    let now = Change { run_at: Some(made.created_at), ..Change::default() };
    assert_eq!(lab.engine.change(&ALICE, made.id, now).await.unwrap().state, State::Ready);
    let worker = lab.worker(&["fast"]).await;
    lab.claim(worker, 1).await;
    let late = lab.engine.change(&ALICE, made.id, change).await.unwrap_err();
    assert!(matches!(late, EngineError::Refused(Refusal::WrongState)));
    let progress = Change { progress: Some(40.0), ..Change::default() };
    let changed = lab.engine.change(&ALICE, made.id, progress).await.unwrap();
    assert!((changed.progress - 40.0).abs() < 1e-9);
    let result = serde_json::value::to_raw_value("by hand").unwrap();
    let ended = lab
        .engine
        .change(&ALICE, made.id, Change { result: Some(result), ..Change::default() })
        .await
        .unwrap();
    assert_eq!((ended.state, ended.result.get()), (State::Succeeded, "\"by hand\""));
    assert_eq!(lab.engine.store().check().await.unwrap(), vec![]);
}

#[tokio::test]
async fn deleting_cancels_and_hides() {
    let lab = Lab::new();
    let made = lab.submit(task()).await;
    lab.engine.delete(&ALICE, made.id).await.unwrap();
    assert!(matches!(lab.engine.get(&ALICE, made.id).await, Err(EngineError::NotFound)));
    assert!(matches!(lab.engine.delete(&ALICE, made.id).await, Err(EngineError::NotFound)));
    let worker = lab.worker(&["default"]).await;
    assert_eq!(lab.claim(worker, 1).await.len(), 0);
    assert_eq!(lab.engine.count(&ALICE, TaskFilter::default()).await.unwrap().total, 0);
}

#[tokio::test]
async fn what_waits_too_long_is_revoked() {
    let lab = Lab::new();
    let expires_at = Some(lab.engine.clock().now().plus(Duration::from_secs(10)));
    let swept = lab.submit(SubmitTask { expires_at, ..task() }).await;
    let claimed_late = lab.submit(SubmitTask { expires_at, ..task() }).await;
    lab.advance(11);
    let worker = lab.worker(&["default"]).await;
    assert_eq!(lab.claim(worker, 1).await.len(), 0, "a claim sees the time itself");
    lab.engine.expire().await.unwrap();
    for id in [swept.id, claimed_late.id] {
        let task = lab.engine.get(&ALICE, id).await.unwrap();
        assert_eq!((task.state, task.reason), (State::Revoked, Some(Reason::Expired)));
    }
}

#[tokio::test]
async fn what_ended_is_forgotten_after_its_retention() {
    let lab = Lab::with(|config| config.retention = Duration::from_secs(3_600));
    let (old, waits) = (lab.submit(task()).await, lab.submit(task()).await);
    lab.engine.cancel(&ALICE, old.id, false).await.unwrap();
    lab.advance(3_599);
    assert_eq!(lab.engine.prune().await.unwrap(), 0);
    lab.advance(2);
    assert_eq!(lab.engine.prune().await.unwrap(), 1);
    assert!(matches!(lab.engine.get(&ALICE, old.id).await, Err(EngineError::NotFound)));
    assert_eq!(lab.state(waits.id).await, State::Ready, "what has not ended stays");
    assert_eq!(lab.engine.store().check().await.unwrap(), vec![]);
}

#[tokio::test]
async fn a_drained_worker_gives_back_and_gets_no_more() {
    let lab = Lab::new();
    let made = lab.submit(SubmitTask { max_attempts: Some(1), ..task() }).await;
    let worker = lab.worker(&["default"]).await;
    let claimed = lab.claim(worker, 1).await;
    lab.engine.drain_worker(worker).await.unwrap();
    assert!(lab.engine.beat(Beat { session: worker, tasks: vec![] }).await.unwrap().drain);
    let request = DrainRequest { session: worker, tasks: vec![held(&claimed[0])], leave: false };
    assert!(lab.engine.drain(request).await.unwrap().lost.is_empty());
    assert_eq!(lab.claim(worker, 1).await.len(), 0);
    let other = lab.worker(&["default"]).await;
    assert_eq!(lab.claim(other, 1).await[0].id, made.id, "the attempt was refunded");
    lab.engine.drain(DrainRequest { session: worker, tasks: vec![], leave: true }).await.unwrap();
    let gone = lab.engine.claim(ClaimRequest { session: worker, limit: 1, wait_ms: 0 }).await.unwrap_err();
    assert_eq!(gone, WorkerError::UnknownSession);
}

#[tokio::test]
async fn a_handler_submits_for_its_user() {
    let lab = Lab::new();
    let made = lab.submit(task()).await;
    let worker = lab.worker(&["default"]).await;
    let claimed = lab.claim(worker, 1).await;
    let parent = held(&claimed[0]);
    let spawn = |parent| Spawn { session: worker, parent, tasks: vec![task(), task()] };
    let children = lab.engine.spawn(spawn(parent)).await.unwrap();
    assert!(children.iter().all(|c| c.parent_id == Some(made.id) && c.user_id == ALICE.user_id));
    let stale = taskloom_protocol::TaskRef { epoch: 9, ..parent };
    assert_eq!(lab.engine.spawn(spawn(stale)).await.unwrap_err(), WorkerError::LeaseLost);
}

#[tokio::test]
async fn artifacts_are_kept_with_their_checksum() {
    let lab = Lab::new();
    let made = lab.submit(task()).await;
    let worker = lab.worker(&["default"]).await;
    let claimed = lab.claim(worker, 1).await;
    let file = lab.dir.path().join("made.txt");
    std::fs::write(&file, "abc").unwrap();
    let put = |name: &str| ArtifactPut {
        session: worker,
        task: held(&claimed[0]),
        name: name.into(),
        content_type: "text/plain".into(),
    };
    let kept = lab.engine.put_artifact(put("out.txt"), &file).await.unwrap();
    assert_eq!(kept.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    for name in ["../evil", "", ".hidden", "a/b", "a b", &"x".repeat(101)] {
        let refused = lab.engine.put_artifact(put(name), &file).await.unwrap_err();
        assert!(matches!(refused, WorkerError::Refused { .. }), "{name:?}");
    }
    let (found, path) = lab.engine.artifact_file(&ALICE, made.id, "out.txt").await.unwrap();
    assert_eq!((found, std::fs::read_to_string(&path).unwrap().as_str()), (kept, "abc"));
    assert!(matches!(lab.engine.artifact_file(&BOB, made.id, "out.txt").await, Err(EngineError::NotFound)));
    lab.engine.purge(made.id).await.unwrap();
    assert!(!path.exists());
    assert!(!lab.finish(worker, &claimed[0], success()).await, "nobody finishes what is forgotten");
}

#[tokio::test]
async fn a_killed_process_loses_nothing_and_frees_its_own_workers_tasks() {
    let lab = Lab::new();
    let (runs, waits) = (lab.submit(task()).await, lab.submit(task()).await);
    let inside = uuid::Uuid::now_v7();
    lab.engine.embed(inside);
    lab.register(inside, &["default"]).await;
    lab.claim(inside, 1).await;
    let lab = lab.restart();
    assert_eq!(lab.state(runs.id).await, State::Running);
    assert_eq!(lab.engine.recover_embedded().await.unwrap(), 1);
    assert_eq!(lab.state(runs.id).await, State::Scheduled);
    assert_eq!(lab.state(waits.id).await, State::Ready);
    let outside = lab.worker(&["default"]).await;
    lab.claim(outside, 1).await;
    let lab = lab.restart();
    assert_eq!(lab.engine.recover_embedded().await.unwrap(), 0, "others' workers may live on");
}

#[tokio::test]
async fn explains_what_a_task_waits_for() {
    let lab = Lab::new();
    let parent = lab.submit(task()).await;
    let child = lab.submit(SubmitTask { depends_on: vec![parent.id], ..task() }).await;
    let of = |id| lab.engine.explain(&ALICE, id);
    assert!(of(parent.id).await.unwrap().summary.contains("No live worker serves"));
    assert_eq!(of(child.id).await.unwrap().summary, "It waits for the task that it depends on.");
    let worker = lab.worker(&["default"]).await;
    assert!(of(parent.id).await.unwrap().summary.starts_with("A worker is free"));
    let claimed = lab.claim(worker, 1).await;
    assert!(of(parent.id).await.unwrap().summary.ends_with("runs it."));
    lab.finish(worker, &claimed[0], success()).await;
    assert_eq!(of(parent.id).await.unwrap().summary, "It succeeded.");
}

#[tokio::test]
async fn a_task_waits_for_a_worker_that_knows_its_handler() {
    let lab = Lab::new();
    let other = lab.submit(SubmitTask::new("reports.build")).await;
    let known = lab.submit(task()).await;
    let worker = lab.worker(&["default"]).await;
    let claimed = lab.claim(worker, 10).await;
    assert_eq!(claimed.iter().map(|t| t.id).collect::<Vec<_>>(), [known.id]);
    let why = lab.engine.explain(&ALICE, other.id).await.unwrap();
    assert_eq!(why.summary, "No live worker on its queue knows the handler \"reports.build\".");
    assert_eq!(why.suggestion.as_deref(), Some("taskloom worker --server URL --token … --queues default"));
}

#[tokio::test]
async fn a_claim_carries_no_more_than_a_worker_can_hold() {
    let lab = Lab::new();
    let kwargs = serde_json::value::to_raw_value(&serde_json::json!({"data": "x".repeat(900_000)})).unwrap();
    for _ in 0..12 {
        lab.submit(SubmitTask { kwargs: Some(kwargs.clone()), ..task() }).await;
    }
    let worker = lab.worker(&["default"]).await;
    let (mut sizes, mut all) = (Vec::new(), std::collections::HashSet::new());
    loop {
        let claimed = lab.claim(worker, 100).await;
        if claimed.is_empty() {
            break;
        }
        sizes.push(claimed.len());
        all.extend(claimed.iter().map(|t| t.id));
    }
    assert_eq!(all.len(), 12);
    assert!(sizes.iter().all(|size| *size <= 5), "{sizes:?}");
}

#[tokio::test]
async fn what_an_attempt_says_is_kept_to_a_limit_and_its_detail_to_the_end() {
    let lab = Lab::new();
    let made = lab.submit(task()).await;
    let worker = lab.worker(&["default"]).await;
    let claimed = lab.claim(worker, 1).await;
    let line = LogLine { at: made.created_at, level: LogLevel::Info, message: "again\0 and again".into() };
    for _ in 0..12 {
        let detail = Some(serde_json::value::to_raw_value(&serde_json::json!({"pages": 7})).unwrap());
        let logs = vec![line.clone(); 1_000];
        let beat = BeatTask { id: made.id, epoch: claimed[0].epoch, progress: Some(5.0), detail, logs };
        lab.engine.beat(Beat { session: worker, tasks: vec![beat] }).await.unwrap();
    }
    assert!(lab.finish(worker, &claimed[0], success()).await);
    let (mut lines, mut after) = (Vec::new(), 0);
    loop {
        let (some, next) = lab.engine.logs(&ALICE, made.id, after, 1_000).await.unwrap();
        if some.is_empty() {
            break;
        }
        lines.extend(some);
        after = next;
    }
    assert_eq!(lines.len(), 10_001);
    assert_eq!(lines[0].line.message, "again\u{fffd} and again");
    assert!(lines[10_000].line.message.contains(" 2000 more lines left out"));
    let ended = lab.engine.get(&ALICE, made.id).await.unwrap();
    assert_eq!(ended.progress_detail.unwrap().get(), "{\"pages\":7}");
}

#[tokio::test]
async fn a_retry_by_hand_wants_it_to_run() {
    let lab = Lab::new();
    let soon = Some(lab.engine.clock().now().plus(Duration::from_secs(10)));
    let parent = lab.submit(task()).await;
    let child = lab.submit(SubmitTask { depends_on: vec![parent.id], expires_at: soon, ..task() }).await;
    lab.engine.cancel(&ALICE, child.id, false).await.unwrap();
    lab.advance(60);
    assert_eq!(lab.engine.retry(&ALICE, child.id).await.unwrap().state, State::Ready);
    lab.engine.expire().await.unwrap();
    let worker = lab.worker(&["default"]).await;
    let claimed = lab.claim(worker, 5).await;
    assert!(claimed.iter().any(|t| t.id == child.id), "neither its parent nor its time is in the way");
    assert_eq!(lab.engine.store().check().await.unwrap(), vec![]);
}

#[tokio::test]
async fn a_retry_by_hand_takes_no_unique_key_from_another() {
    let lab = Lab::new();
    let unique = || SubmitTask { unique_key: Some("only one".into()), ..task() };
    let first = lab.submit(unique()).await;
    lab.engine.cancel(&ALICE, first.id, false).await.unwrap();
    let second = lab.submit(unique()).await;
    let taken = lab.engine.retry(&ALICE, first.id).await.unwrap_err();
    assert!(matches!(taken, EngineError::UniqueKeyTaken { .. }));
    lab.engine.cancel(&ALICE, second.id, false).await.unwrap();
    assert_eq!(lab.engine.retry(&ALICE, first.id).await.unwrap().state, State::Ready);
    assert_eq!(lab.submit(unique()).await.id, first.id, "it holds the key again");
}

#[tokio::test]
async fn nobody_steers_what_is_deleted() {
    let lab = Lab::new();
    let made = lab.submit(task()).await;
    lab.engine.delete(&ALICE, made.id).await.unwrap();
    for caller in [ALICE, ADMIN] {
        assert!(matches!(lab.engine.retry(&caller, made.id).await, Err(EngineError::NotFound)));
        assert!(matches!(lab.engine.cancel(&caller, made.id, true).await, Err(EngineError::NotFound)));
    }
    lab.engine.purge(made.id).await.unwrap();
    assert!(matches!(lab.engine.purge(made.id).await, Err(EngineError::NotFound)));
}

#[tokio::test]
async fn artifacts_put_at_once_do_not_mix() {
    let lab = Lab::new();
    let made = lab.submit(task()).await;
    let worker = lab.worker(&["default"]).await;
    let claimed = lab.claim(worker, 1).await;
    let names = ["report.csv", "report.json", "report.partial"];
    let puts = names.map(|name| {
        let file = lab.dir.path().join(format!("made-{name}"));
        std::fs::write(&file, name.repeat(300_000)).unwrap();
        let put = ArtifactPut {
            session: worker,
            task: held(&claimed[0]),
            name: name.into(),
            content_type: "text/plain".into(),
        };
        let engine = lab.engine.clone();
        async move { engine.put_artifact(put, &file).await.unwrap() }
    });
    futures_util::future::join_all(puts).await;
    for name in names {
        let (_, path) = lab.engine.artifact_file(&ALICE, made.id, name).await.unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), name.repeat(300_000));
    }
}
