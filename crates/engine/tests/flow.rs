//! Turns, ageing, limits and pauses, as users and workers meet them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod common;

use std::time::Duration;

use common::{ALICE, BOB, Lab, task};
use taskloom_engine::{Caller, EngineError};
use taskloom_model::{Priority, Reason, State};
use taskloom_protocol::{ClaimRequest, Outcome, QueueLimits, RateLimit, SubmitTask, WorkerApi};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

async fn submit_as(lab: &Lab, caller: &Caller, count: usize, task: &SubmitTask) {
    for some in vec![task.clone(); count].chunks(1_000) {
        lab.engine.submit_batch(caller, some.to_vec(), None).await.unwrap();
    }
}

/// Whose tasks the next `count` claims are, in order.
async fn owners(lab: &Lab, session: Uuid, count: u32) -> Vec<Uuid> {
    let mut owners = Vec::new();
    while owners.len() < count as usize {
        let claimed = lab.claim(session, count - owners.len() as u32).await;
        assert!(!claimed.is_empty());
        owners.extend(claimed.iter().map(|task| task.user_id));
    }
    owners
}

fn success() -> Outcome {
    Outcome::Success { result: taskloom_protocol::json_null() }
}

#[tokio::test]
async fn one_users_many_tasks_leave_room_for_anothers_few() {
    let lab = Lab::new();
    let session = lab.worker(&["default"]).await;
    submit_as(&lab, &ALICE, 5_000, &task()).await;
    assert_eq!(owners(&lab, session, 100).await, vec![ALICE.user_id; 100]);
    submit_as(&lab, &BOB, 10, &task()).await;
    let next = owners(&lab, session, 40).await;
    assert_eq!(next.iter().filter(|owner| **owner == BOB.user_id).count(), 10, "{next:?}");
}

#[tokio::test]
async fn turns_survive_a_restart_and_a_users_tasks_stay_in_order() {
    let lab = Lab::new();
    submit_as(&lab, &ALICE, 300, &task()).await;
    let lab = lab.restart();
    let session = lab.worker(&["default"]).await;
    let late = lab.submit(SubmitTask { name: Some("late".into()), ..task() }).await;
    submit_as(&lab, &BOB, 3, &task()).await;
    let first = owners(&lab, session, 20).await;
    assert_eq!(first.iter().filter(|owner| **owner == BOB.user_id).count(), 3);
    assert_eq!(lab.state(late.id).await, State::Ready);
    let mut last = Vec::new();
    while lab.state(late.id).await == State::Ready {
        last = lab.claim(session, 50).await;
    }
    assert_eq!(last.last().unwrap().id, late.id, "it came after all others of hers");
}

#[tokio::test]
async fn delayed_tasks_take_no_turns_from_those_of_now() {
    let lab = Lab::new();
    let session = lab.worker(&["default"]).await;
    submit_as(&lab, &BOB, 50, &task()).await;
    submit_as(&lab, &ALICE, 500, &SubmitTask { delay: Some(3_600.0), ..task() }).await;
    submit_as(&lab, &ALICE, 1, &task()).await;
    let first = owners(&lab, session, 5).await;
    assert!(first.contains(&ALICE.user_id), "{first:?}");
}

#[tokio::test]
async fn low_priority_and_the_last_queue_get_their_share_in_the_end() {
    let lab = Lab::new();
    let session = lab.worker(&["urgent", "idle"]).await;
    let low = lab
        .submit(SubmitTask { priority: Some(Priority::Low), queue: Some("urgent".into()), ..task() })
        .await;
    let idle = lab.submit(SubmitTask { queue: Some("idle".into()), ..task() }).await;
    let urgent = SubmitTask { priority: Some(Priority::Critical), queue: Some("urgent".into()), ..task() };
    submit_as(&lab, &ALICE, 200, &urgent).await;
    for _ in 0..50 {
        lab.claim(session, 1).await;
    }
    assert_eq!((lab.state(low.id).await, lab.state(idle.id).await), (State::Ready, State::Ready));
    lab.advance(600);
    lab.register(session, &["urgent", "idle"]).await;
    let mut claimed = Vec::new();
    for _ in 0..24 {
        claimed.extend(lab.claim(session, 1).await.into_iter().map(|task| task.id));
    }
    assert!(claimed.contains(&low.id) && claimed.contains(&idle.id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claimer_that_waits_is_woken_when_a_limit_frees() {
    let lab = Lab::new();
    let session = lab.worker(&["default"]).await;
    let keyed = SubmitTask { concurrency_key: Some("gpu".into()), ..task() };
    let (_, second) = (lab.submit(keyed.clone()).await, lab.submit(keyed).await);
    assert_eq!((second.state, second.reason), (State::Limited, Some(Reason::Concurrency)));
    let first = lab.claim(session, 5).await.remove(0);
    let engine = lab.engine.clone();
    let waiting = tokio::spawn(async move {
        engine.claim(ClaimRequest { session, limit: 5, wait_ms: 30_000 }).await.unwrap()
    });
    tokio::task::yield_now().await;
    assert!(lab.finish(session, &first, success()).await);
    assert_eq!(waiting.await.unwrap()[0].id, second.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_a_matter_of_time_and_the_loop_keeps_it() {
    let lab = Lab::new();
    let session = lab.worker(&["default"]).await;
    let rated = SubmitTask {
        rate_key: Some("api".into()),
        rate_limit: Some(RateLimit { count: 1, seconds: 10.0 }),
        ..task()
    };
    submit_as(&lab, &ALICE, 3, &rated).await;
    assert_eq!(lab.claim(session, 5).await.len(), 1);
    let shutdown = CancellationToken::new();
    let loops = lab.engine.start(&shutdown);
    lab.advance(10);
    let more = lab.engine.claim(ClaimRequest { session, limit: 5, wait_ms: 30_000 }).await.unwrap();
    assert_eq!(more.len(), 1);
    assert_eq!(lab.claim(session, 5).await.len(), 0);
    shutdown.cancel();
    loops.wait().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_resumed_or_has_room_again_wakes_its_claimers() {
    let lab = Lab::new();
    let session = lab.worker(&["default"]).await;
    lab.engine.pause_queue("default").await.unwrap();
    let made = lab.submit(task()).await;
    assert_eq!(lab.claim(session, 5).await.len(), 0);
    let wait = |engine: taskloom_engine::Engine| {
        tokio::spawn(async move {
            engine.claim(ClaimRequest { session, limit: 5, wait_ms: 30_000 }).await.unwrap()
        })
    };
    let waiting = wait(lab.engine.clone());
    tokio::time::timeout(Duration::from_secs(20), async {
        lab.engine.resume_queue("default").await.unwrap();
        let first = waiting.await.unwrap().remove(0);
        assert_eq!(first.id, made.id);
        let limits = QueueLimits { max_running: Some(1), rate_limit: None };
        let queue = lab.engine.limit_queue("default", limits).await.unwrap();
        assert_eq!((queue.running, queue.limits), (1, limits));
        let next = lab.submit(task()).await;
        assert_eq!(lab.claim(session, 5).await.len(), 0);
        let waiting = wait(lab.engine.clone());
        assert!(lab.finish(session, &first, success()).await);
        assert_eq!(waiting.await.unwrap()[0].id, next.id);
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn bad_limits_name_the_field_and_the_rule() {
    let lab = Lab::new();
    let refused = |task: SubmitTask| {
        let engine = lab.engine.clone();
        async move {
            match engine.submit(&ALICE, task, None).await {
                Err(EngineError::Fields(errors)) => errors[0].loc.join("."),
                other => panic!("{other:?}"),
            }
        }
    };
    let rate = |count, seconds| SubmitTask {
        rate_key: Some("k".into()),
        rate_limit: Some(RateLimit { count, seconds }),
        ..task()
    };
    assert_eq!(refused(rate(0, 1.0)).await, "body.rate_limit.count");
    assert_eq!(refused(rate(1, 0.0)).await, "body.rate_limit.seconds");
    assert_eq!(refused(SubmitTask { rate_key: Some("k".into()), ..task() }).await, "body.rate_limit");
    let limit = SubmitTask { concurrency_limit: Some(2), ..task() };
    assert_eq!(refused(limit).await, "body.concurrency_key");
    let zero = SubmitTask { concurrency_key: Some("k".into()), concurrency_limit: Some(0), ..task() };
    assert_eq!(refused(zero).await, "body.concurrency_limit");
    let error = lab.engine.pause_queue("no such/name").await.unwrap_err();
    assert!(matches!(error, EngineError::Fields(_)), "{error:?}");
    let limits = QueueLimits { max_running: Some(0), rate_limit: None };
    assert!(lab.engine.limit_queue("default", limits).await.is_err());
}

#[tokio::test]
async fn what_keeps_the_holder_of_a_place_is_told_to_whoever_waits_for_it() {
    let lab = Lab::new();
    let keyed = |queue: &str| SubmitTask {
        queue: Some(queue.into()),
        concurrency_key: Some("gpu".into()),
        concurrency_limit: Some(1),
        ..task()
    };
    let holder = lab.submit(keyed("apart")).await;
    let waiter = lab.submit(keyed("default")).await;
    let told = async || {
        let why = lab.engine.explain(&ALICE, waiter.id).await.unwrap();
        assert_eq!(why.summary, "The places of the concurrency limit \"gpu\" are all taken.");
        let of = format!("Task {} holds it", holder.id);
        let held = why.details.iter().find_map(|detail| detail.strip_prefix(&of)).unwrap().to_owned();
        (held, why.suggestion)
    };
    let start = "taskloom worker --server URL --token … --queues apart".to_owned();
    let unserved = "; it is ready, but no live worker serves its queue \"apart\".".to_owned();
    assert_eq!(told().await, (unserved, Some(start)));
    lab.engine.pause_queue("apart").await.unwrap();
    let paused = "; it is ready, but its queue \"apart\" is paused.".to_owned();
    assert_eq!(told().await, (paused, Some("taskloom queue resume apart".to_owned())));
    lab.engine.resume_queue("apart").await.unwrap();
    let session = lab.worker(&["apart"]).await;
    let ready = "; it is ready and waits for a worker.".to_owned();
    assert_eq!(told().await, (ready, Some(format!("taskloom explain {}", holder.id))));
    assert_eq!(lab.claim(session, 1).await.len(), 1);
    assert_eq!(told().await, (" and runs.".to_owned(), None));
}

#[tokio::test]
async fn a_worker_finds_its_tasks_behind_many_of_an_unknown_handler() {
    let lab = Lab::new();
    let session = lab.worker(&["default"]).await;
    submit_as(&lab, &ALICE, 5_000, &SubmitTask::new("no.such")).await;
    let ids = [lab.submit(task()).await.id, lab.submit(task()).await.id];
    for id in ids {
        let claimed = lab.claim(session, 1).await;
        assert_eq!(claimed.iter().map(|task| task.id).collect::<Vec<_>>(), [id]);
    }
    assert!(lab.claim(session, 1).await.is_empty());
}
