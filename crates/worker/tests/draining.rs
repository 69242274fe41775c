//! Leaving without losing anything.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Fake, Running};
use serde_json::json;
use taskloom_protocol::{Outcome, TaskRef, WorkerError};
use taskloom_worker::{Context, HandlerError, Registry};
use tokio::sync::Notify;

fn push(fake: &Fake, name: &str) -> TaskRef {
    fake.push(name, json!([]), json!({}))
}

struct Gate {
    started: Notify,
    open: Notify,
}

/// `gated` waits for the test; `endless` ignores that it is told to stop; `obedient` does not.
fn registry() -> (Registry, Arc<Gate>) {
    let gate = Arc::new(Gate { started: Notify::new(), open: Notify::new() });
    let (gated, endless, obedient) = (Arc::clone(&gate), Arc::clone(&gate), Arc::clone(&gate));
    let registry = Registry::new()
        .with("gated", move |_: Context| {
            let gate = Arc::clone(&gated);
            async move {
                gate.started.notify_one();
                gate.open.notified().await;
                Ok::<_, HandlerError>("done")
            }
        })
        .with("endless", move |_: Context| {
            endless.started.notify_one();
            std::future::pending::<Result<(), HandlerError>>()
        })
        .with("obedient", move |ctx: Context| {
            let gate = Arc::clone(&obedient);
            async move {
                gate.started.notify_one();
                ctx.cancelled().await;
                Err::<(), _>(HandlerError::cancelled())
            }
        });
    (registry, gate)
}

/// What was given back, and whether the worker's last word was good-bye.
fn given_back(fake: &Fake) -> Vec<TaskRef> {
    let state = fake.state();
    let (last, before) = state.drains.split_last().expect("the worker said good-bye");
    assert!(last.leave && last.tasks.is_empty());
    assert!(before.iter().all(|drain| !drain.leave));
    before.iter().flat_map(|drain| drain.tasks.clone()).collect()
}

#[tokio::test]
async fn a_running_handler_may_finish() {
    let fake = Fake::new();
    let (registry, gate) = registry();
    let task = push(&fake, "gated");
    let running = Running::start(&fake, registry);
    gate.started.notified().await;
    running.shutdown.cancel();
    gate.open.notify_one();
    running.worker.await.unwrap().unwrap();
    assert!(matches!(fake.state().finish_of(task).unwrap().outcome, Outcome::Success { .. }));
    assert_eq!(given_back(&fake), []);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_finish_is_given_back() {
    for name in ["endless", "obedient"] {
        let fake = Fake::new();
        let (registry, gate) = registry();
        let task = push(&fake, name);
        let running = Running::start(&fake, registry);
        gate.started.notified().await;
        running.stop().await.unwrap();
        assert!(fake.state().finish_of(task).is_none());
        assert_eq!(given_back(&fake), [task], "{name}");
    }
}

#[tokio::test]
async fn a_kill_does_not_wait() {
    let fake = Fake::new();
    let (registry, gate) = registry();
    let task = push(&fake, "endless");
    let day = Duration::from_secs(86_400);
    let running = Running::start_with(&fake, registry, |builder| builder.drain_limit(day));
    gate.started.notified().await;
    running.shutdown.cancel();
    running.kill.cancel();
    running.worker.await.unwrap().unwrap();
    assert_eq!(given_back(&fake), [task]);
}

#[tokio::test]
async fn a_task_that_comes_too_late_goes_back_unstarted() {
    let fake = Fake::new();
    let (registry, gate) = registry();
    let first = push(&fake, "gated");
    let running = Running::start(&fake, registry);
    gate.started.notified().await;
    fake.until(|state| (state.claims.len() == 2).then_some(())).await;
    running.shutdown.cancel();
    let late = push(&fake, "gated");
    fake.until(|state| (!state.drains.is_empty()).then_some(())).await;
    gate.open.notify_one();
    running.worker.await.unwrap().unwrap();
    assert!(fake.state().finish_of(first).is_some());
    assert!(fake.state().finish_of(late).is_none());
    assert_eq!(given_back(&fake), [late]);
}

#[tokio::test]
async fn the_server_can_ask_a_worker_to_leave() {
    let fake = Fake::new();
    let running = Running::start(&fake, registry().0);
    fake.change(|state| state.drain = true);
    running.worker.await.unwrap().unwrap();
    assert_eq!(given_back(&fake), []);
}

#[tokio::test]
async fn results_are_reported_before_the_worker_leaves() {
    let fake = Fake::new();
    let away = || WorkerError::Unavailable("away".into());
    fake.change(|state| state.finish_errors = [away(), away()].into());
    let (registry, gate) = registry();
    let task = push(&fake, "gated");
    let running = Running::start(&fake, registry);
    gate.started.notified().await;
    running.shutdown.cancel();
    gate.open.notify_one();
    running.worker.await.unwrap().unwrap();
    assert!(fake.state().finish_of(task).is_some());
}

#[tokio::test]
async fn a_worker_that_is_refused_says_so() {
    let fake = Fake::new();
    let refused =
        WorkerError::Refused { code: taskloom_protocol::Code::Unauthorized, detail: "revoked".into() };
    fake.change(|state| state.claim_errors = [refused.clone()].into());
    let running = Running::start(&fake, registry().0);
    assert_eq!(running.worker.await.unwrap(), Err(refused));
}

#[tokio::test]
async fn a_handler_that_blocks_its_thread_cannot_keep_the_worker() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let fake = Fake::new();
    let task = push(&fake, "blocks");
    let (release, blocked) = std::sync::mpsc::channel::<()>();
    let blocked = std::sync::Mutex::new(blocked);
    let started = Arc::new(Notify::new());
    let tell = Arc::clone(&started);
    let registry = Registry::new().with("blocks", move |_: Context| {
        tell.notify_one();
        let _ = blocked.lock().unwrap().recv();
        std::future::ready(Ok::<_, HandlerError>(()))
    });
    let running = {
        let _enter = runtime.enter();
        Running::start(&fake, registry)
    };
    started.notified().await;
    running.shutdown.cancel();
    running.kill.cancel();
    running.worker.await.unwrap().unwrap();
    assert_eq!(given_back(&fake), [task]);
    drop(release);
    runtime.shutdown_background();
}
