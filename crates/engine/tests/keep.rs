//! What is kept, what is explained, and what a watcher hears, with a clock that the test moves.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::time::Duration;

use common::{ALICE, BOB, Lab};
use taskloom_engine::{EngineError, Keep};
use taskloom_model::{State, Timestamp};
use taskloom_protocol::{Cause, Change, Outcome, SubmitTask, TaskError};
use uuid::Uuid;

fn task() -> SubmitTask {
    SubmitTask::new("demo.echo")
}

fn fatal() -> Outcome {
    let error = TaskError { kind: "broken".into(), message: "it broke".into(), traceback: None };
    Outcome::Fatal { error }
}

fn success() -> Outcome {
    Outcome::Success { result: taskloom_protocol::json_null() }
}

/// Tasks that ended, a minute apart.
async fn ended(lab: &Lab, worker: Uuid, count: usize, outcome: impl Fn() -> Outcome) -> Vec<Uuid> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let made = lab.submit(task()).await;
        lab.register(worker, &["default"]).await;
        let claimed = lab.claim(worker, 1).await;
        assert!(lab.finish(worker, &claimed[0], outcome()).await);
        ids.push(made.id);
        lab.advance(60);
    }
    ids
}

#[tokio::test]
async fn each_status_is_kept_by_its_own_age_and_count() {
    let lab = Lab::with(|config| {
        config.keep.succeeded = Keep { age: None, count: Some(3) };
        config.keep.failed = Keep { age: Some(Duration::from_secs(7_200)), count: None };
        config.retention = Duration::MAX;
    });
    let worker = lab.worker(&["default"]).await;
    let failed = ended(&lab, worker, 2, fatal).await;
    let succeeded = ended(&lab, worker, 5, success).await;
    let dry = lab.engine.prune_dry().await.unwrap();
    assert!(dry.dry_run);
    assert_eq!((dry.tasks.succeeded, dry.tasks.failed, dry.tasks.total()), (2, 0, 2));
    let some = lab.engine.prune_some(1).await.unwrap();
    assert_eq!((some.tasks.succeeded, some.more), (1, true), "no more than asked");
    assert_eq!(lab.engine.prune().await.unwrap(), 1);
    assert_eq!(lab.engine.prune().await.unwrap(), 0);
    for (id, is_kept) in succeeded.iter().zip([false, false, true, true, true]) {
        assert_eq!(lab.engine.get(&ALICE, *id).await.is_ok(), is_kept);
    }
    assert_eq!(lab.state(failed[0]).await, State::Failed);
    lab.advance(7_200);
    assert_eq!(lab.engine.prune_dry().await.unwrap().tasks.failed, 2);
    assert_eq!(lab.engine.prune().await.unwrap(), 2);
    assert_eq!(lab.engine.store().check().await.unwrap(), vec![]);
}

#[tokio::test]
async fn what_somebody_still_needs_is_kept_beyond_its_time() {
    let lab = Lab::with(|config| {
        config.keep.succeeded = Keep { age: Some(Duration::from_secs(60)), count: None };
    });
    let worker = lab.worker(&["default"]).await;
    // Two parents; a child waits for the second, and may read the first one's result.
    let parents = [lab.submit(task()).await.id, lab.submit(task()).await.id];
    let child = lab.submit(SubmitTask { depends_on: parents.to_vec(), ..task() }).await;
    let graph = taskloom_protocol::SubmitWorkflow::new("w").node("a", task()).node_after("b", task(), ["a"]);
    let workflow =
        lab.engine.submit_workflow(&ALICE, graph.node_after("c", task(), ["b"]), None).await.unwrap();
    let (first, a) = (parents[0], *workflow.tasks.get("a").unwrap());
    for claimed in lab.claim(worker, 10).await.iter().filter(|claimed| claimed.id != parents[1]) {
        assert!(lab.finish(worker, claimed, success()).await);
    }
    lab.advance(7_200);
    assert_eq!(lab.engine.prune_dry().await.unwrap().tasks.succeeded, 2);
    assert_eq!(lab.engine.prune().await.unwrap(), 0);
    assert!(lab.engine.get(&ALICE, first).await.is_ok() && lab.engine.get(&ALICE, a).await.is_ok());
    lab.engine.cancel(&ALICE, child.id, false).await.unwrap();
    lab.engine.cancel_workflow(&ALICE, workflow.id, false).await.unwrap();
    assert_eq!(lab.engine.prune().await.unwrap(), 2, "nobody needs them any more");
    assert_eq!(lab.engine.store().check().await.unwrap(), vec![]);
}

#[tokio::test]
async fn a_small_step_before_what_is_needed_leaves_the_rest_for_the_next() {
    let lab = Lab::with(|config| {
        config.keep.succeeded = Keep { age: Some(Duration::from_secs(60)), count: None };
    });
    let worker = Uuid::now_v7();
    for _ in 0..3 {
        ended(&lab, worker, 1, success).await;
        lab.advance(3_600);
    }
    let parents = [lab.submit(task()).await.id, lab.submit(task()).await.id];
    lab.submit(SubmitTask { depends_on: parents.to_vec(), ..task() }).await;
    lab.register(worker, &["default"]).await;
    let claimed = lab.claim(worker, 1).await;
    assert!(lab.finish(worker, &claimed[0], success()).await);
    lab.advance(3_600);
    assert_eq!(lab.engine.prune_some(1).await.unwrap().tasks.succeeded, 1);
    assert_eq!(lab.engine.prune().await.unwrap(), 2);
    assert!(lab.engine.get(&ALICE, claimed[0].id).await.is_ok(), "somebody needs it");
}

#[tokio::test]
async fn what_a_user_deleted_is_gone_after_a_time_of_its_own() {
    let lab = Lab::with(|config| config.keep.deleted = Duration::from_secs(600));
    let (gone, runs) = (lab.submit(task()).await, lab.submit(task()).await);
    lab.engine.delete(&ALICE, gone.id).await.unwrap();
    let worker = lab.worker(&["default"]).await;
    assert_eq!(lab.claim(worker, 1).await[0].id, runs.id);
    lab.engine.delete(&ALICE, runs.id).await.unwrap();
    lab.advance(599);
    assert_eq!(lab.engine.prune().await.unwrap(), 0);
    lab.advance(2);
    assert_eq!(lab.engine.prune_dry().await.unwrap().tasks.deleted, 2);
    assert_eq!(lab.engine.prune().await.unwrap(), 1, "the other still runs");
    assert_eq!(lab.engine.store().task_owner(gone.id).await.unwrap(), None);
    assert!(lab.engine.store().task_owner(runs.id).await.unwrap().is_some());
}

#[tokio::test]
async fn a_blocked_task_names_the_root_of_its_chain() {
    let lab = Lab::new();
    let root = lab.submit(SubmitTask { delay: Some(3_600.0), ..task() }).await;
    let middle = lab.submit(SubmitTask { depends_on: vec![root.id], ..task() }).await;
    let mut parents = vec![middle.id];
    for _ in 0..24 {
        parents.push(lab.submit(SubmitTask { delay: Some(60.0), ..task() }).await.id);
    }
    let leaf = lab.submit(SubmitTask { depends_on: parents, ..task() }).await;
    let why = lab.engine.explain(&ALICE, leaf.id).await.unwrap();
    assert_eq!(why.cause, Cause::WaitsForParents);
    let parents = why.parents.unwrap();
    assert_eq!((parents.items.len(), parents.more), (20, 5));
    assert_eq!((parents.items[0].id, parents.items[0].state), (middle.id, State::Blocked));
    assert_eq!(parents.root.map(|root| (root.id, root.state)), Some((root.id, State::Scheduled)));
    assert_eq!(why.suggestion, Some(format!("taskloom explain {}", root.id)));
    let why = lab.engine.explain(&ALICE, root.id).await.unwrap();
    assert_eq!((why.cause, why.runs_at), (Cause::WaitsForTime, root.scheduled_at));
    assert!(matches!(lab.engine.explain(&BOB, root.id).await, Err(EngineError::NotFound)));
}

#[tokio::test]
async fn a_ready_task_knows_its_place_and_about_when() {
    let lab = Lab::new();
    let alone = lab.submit(task()).await;
    let why = lab.engine.explain(&ALICE, alone.id).await.unwrap();
    assert_eq!((why.cause, why.position), (Cause::NoWorkerForQueue, Some(0)));
    let worker = lab.worker(&["default"]).await;
    let why = lab.engine.explain(&ALICE, alone.id).await.unwrap();
    assert_eq!(why.cause, Cause::Starting);
    let mut ids = vec![alone.id];
    for _ in 0..8 {
        ids.push(lab.submit(task()).await.id);
    }
    // The worker takes four at once.
    let claimed = lab.claim(worker, 4).await;
    let why = lab.engine.explain(&ALICE, ids[6]).await.unwrap();
    assert_eq!((why.cause, why.position, why.estimated_start), (Cause::WorkersBusy, Some(2), None));
    let workers = why.workers.unwrap();
    assert_eq!((workers.serving, workers.knowing, workers.slots, workers.busy), (1, 1, 4, 4));
    lab.finish(worker, &claimed[0], success()).await;
    lab.finish(worker, &claimed[1], success()).await;
    lab.claim(worker, 2).await;
    let why = lab.engine.explain(&ALICE, ids[6]).await.unwrap();
    // Two in a minute: the next in half a minute.
    let expected: Timestamp = "2026-01-01T00:00:30Z".parse().unwrap();
    assert_eq!((why.position, why.estimated_start), (Some(0), Some(expected)));
}

#[tokio::test]
async fn a_task_is_told_which_queues_its_workers_serve_first() {
    let lab = Lab::new();
    let to = |queue: &str| SubmitTask { queue: Some(queue.into()), ..task() };
    let worker = lab.worker(&["default", "low_priority"]).await;
    for _ in 0..5 {
        lab.submit(task()).await;
    }
    let last = lab.submit(to("low_priority")).await.id;
    let why = lab.engine.explain(&ALICE, last).await.unwrap();
    assert_eq!((why.cause, why.position, why.estimated_start), (Cause::TasksBefore, Some(0), None));
    let first = "its workers serve \"default\" first, where tasks wait";
    assert_eq!(why.summary, format!("A worker is free, but {first}."));
    // All four slots are taken, and one task of the other queue is left.
    assert_eq!(lab.claim(worker, 4).await.len(), 4);
    let why = lab.engine.explain(&ALICE, last).await.unwrap();
    assert_eq!(
        (why.cause, why.summary),
        (Cause::WorkersBusy, format!("It waits for a free worker; {first}."))
    );
    assert_eq!(why.details[0], "The worker that serves its queue runs all 4 of 4 at once.");
    // A worker that comes to it directly is free.
    lab.worker(&["low_priority", "default"]).await;
    assert_eq!(lab.engine.explain(&ALICE, last).await.unwrap().cause, Cause::Starting);
}

#[tokio::test]
async fn queues_from_which_nothing_starts_are_before_nobody() {
    let lab = Lab::new();
    lab.worker(&["default", "low_priority"]).await;
    lab.submit(SubmitTask::new("nobody.knows")).await;
    let last = lab.submit(SubmitTask { queue: Some("low_priority".into()), ..task() }).await.id;
    let cause = async || lab.engine.explain(&ALICE, last).await.unwrap().cause;
    assert_eq!(cause().await, Cause::Starting, "its worker does not know what waits first");
    lab.submit(task()).await;
    assert_eq!(cause().await, Cause::TasksBefore);
    lab.engine.pause_queue("default").await.unwrap();
    assert_eq!(cause().await, Cause::Starting);
}

#[tokio::test]
async fn tasks_before_it_count_if_its_workers_know_them() {
    let lab = Lab::new();
    let worker = lab.worker(&["default"]).await;
    lab.submit(SubmitTask::new("nobody.knows")).await;
    let next = lab.submit(task()).await.id;
    let why = lab.engine.explain(&ALICE, next).await.unwrap();
    assert_eq!((why.cause, why.position), (Cause::Starting, Some(1)));
    let passed = "Before it 1 task is of a handler that its workers do not know, and is passed over.";
    assert!(why.details.iter().any(|detail| detail == passed), "{:?}", why.details);
    let then = lab.submit(task()).await.id;
    let why = lab.engine.explain(&ALICE, then).await.unwrap();
    assert_eq!((why.cause, why.position), (Cause::TasksBefore, Some(2)));
    assert_eq!(why.summary, "A worker is free, but 1 task of its queue is before it.");
    // It has claimed more than it has slots, as one does whose last ends are not noted yet.
    for _ in 0..4 {
        lab.submit(task()).await;
    }
    assert_eq!(lab.claim(worker, 5).await.len(), 5);
    let left = lab.submit(task()).await.id;
    let why = lab.engine.explain(&ALICE, left).await.unwrap();
    let workers = why.workers.unwrap();
    assert_eq!((workers.busy, workers.slots), (4, 4));
    assert_eq!((why.cause, why.position), (Cause::WorkersBusy, Some(2)));
    assert_eq!(why.summary, "It waits for a free worker; 1 task of its queue is before it.");
}

#[tokio::test]
async fn what_runs_or_ended_says_why_and_what_would_help() {
    let lab = Lab::new();
    let made = lab.submit(task()).await;
    let worker = lab.worker(&["default"]).await;
    let claimed = lab.claim(worker, 1).await;
    assert_eq!(lab.engine.explain(&ALICE, made.id).await.unwrap().cause, Cause::Running);
    lab.engine.cancel(&ALICE, made.id, false).await.unwrap();
    let why = lab.engine.explain(&ALICE, made.id).await.unwrap();
    assert_eq!(why.cause, Cause::Cancelling);
    assert!(why.suggestion.unwrap().ends_with("--force"));
    lab.finish(worker, &claimed[0], fatal()).await;
    let why = lab.engine.explain(&ALICE, made.id).await.unwrap();
    assert_eq!((why.cause, why.state), (Cause::Ended, State::Revoked));
    assert_eq!(why.suggestion, Some(format!("taskloom retry {}", made.id)));
    assert!(why.reason.is_some());
}

#[tokio::test]
async fn nothing_is_to_start_when_it_has_expired() {
    let lab = Lab::new();
    let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
    let refused = |result: Result<_, EngineError>| match result {
        Err(EngineError::Fields(errors)) => errors[0].loc.join("."),
        other => panic!("{:?}", other.map(|(): ()| ())),
    };
    let expires_at = at("2026-01-01T01:00:00Z");
    let late = SubmitTask { run_at: at("2026-01-01T02:00:00Z"), expires_at, ..task() };
    assert_eq!(refused(lab.engine.submit(&ALICE, late, None).await.map(drop)), "body.run_at");
    let late = SubmitTask { delay: Some(3_600.0), expires_at, ..task() };
    assert_eq!(refused(lab.engine.submit(&ALICE, late, None).await.map(drop)), "body.delay");
    let made = lab.submit(SubmitTask { delay: Some(60.0), expires_at, ..task() }).await;
    let change = Change { run_at: at("2026-01-01T02:00:00Z"), ..Change::default() };
    assert_eq!(refused(lab.engine.change(&ALICE, made.id, change).await.map(drop)), "body.run_at");
    let past = lab.submit(SubmitTask { run_at: at("2025-01-01T00:00:00Z"), ..task() }).await;
    assert_eq!((past.state, past.scheduled_at), (State::Ready, None), "a time that is over is now");
}
