//! Time limits, cancels and lost leases.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

mod common;

use std::sync::{Arc, Mutex};

use common::{Fake, Running, TIMING};
use serde_json::{Value, json};
use taskloom_protocol::{Outcome, Registered, TaskRef, WorkerError};
use taskloom_worker::{Context, HandlerError, Registry, StopReason};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What handlers tell the test.
type Seen = UnboundedSender<Event>;

#[derive(Debug, PartialEq)]
enum Event {
    Started,
    Told(Option<StopReason>),
    Dropped,
}

struct OnDrop(Seen);

impl Drop for OnDrop {
    fn drop(&mut self) {
        let _ = self.0.send(Event::Dropped);
    }
}

/// `obedient` stops when told, `stubborn` notes it and goes on for ever, `finishes` succeeds when told.
fn registry() -> (Registry, UnboundedReceiver<Event>) {
    let (seen, events) = unbounded_channel();
    let told = |seen: Seen| {
        async move |ctx: &Context| {
            let _ = seen.send(Event::Started);
            ctx.cancelled().await;
            assert!(ctx.is_cancelled() && ctx.token().is_cancelled());
            let _ = seen.send(Event::Told(ctx.stop_reason()));
        }
    };
    let (obedient, stubborn, finishes) = (seen.clone(), seen.clone(), seen);
    let registry = Registry::new()
        .with("obedient", move |ctx: Context| {
            let told = told(obedient.clone());
            async move {
                told(&ctx).await;
                Err::<Value, _>(HandlerError::cancelled())
            }
        })
        .with("stubborn", move |ctx: Context| {
            let (told, on_drop) = (told(stubborn.clone()), OnDrop(stubborn.clone()));
            async move {
                told(&ctx).await;
                std::future::pending::<()>().await;
                drop(on_drop);
                Ok::<_, HandlerError>(())
            }
        })
        .with("finishes", move |ctx: Context| {
            let told = told(finishes.clone());
            async move {
                told(&ctx).await;
                Ok::<_, HandlerError>("in time")
            }
        })
        .with("always_busy", async |_: Context| {
            loop {
                tokio::task::coop::consume_budget().await;
            }
            #[allow(unreachable_code, reason = "gives the closure its type")]
            Ok::<(), HandlerError>(())
        });
    (registry, events)
}

fn push(fake: &Fake, name: &str) -> TaskRef {
    fake.push(name, json!([]), json!({}))
}

#[tokio::test(start_paused = true)]
async fn a_time_limit_aborts_the_handler() {
    let fake = Fake::new();
    let (registry, mut events) = registry();
    let task = fake.push_with("stubborn", json!([]), json!({}), |task| task.timeout_ms = Some(3_600_000));
    let running = Running::start(&fake, registry);
    assert_eq!(events.recv().await, Some(Event::Started));
    assert!(matches!(fake.outcome(task).await, Outcome::Timeout));
    assert_eq!(events.recv().await, Some(Event::Dropped));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_time_limit_ends_a_handler_that_is_always_busy() {
    let fake = Fake::new();
    let task = fake.push_with("always_busy", json!([]), json!({}), |task| task.timeout_ms = Some(10));
    let running = Running::start(&fake, registry().0);
    assert!(matches!(fake.outcome(task).await, Outcome::Timeout));
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_soft_limit_tells_the_handler_which_may_still_finish() {
    let fake = Fake::new();
    let (registry, mut events) = registry();
    let limits = |task: &mut taskloom_protocol::Claimed| {
        task.soft_timeout_ms = Some(1_000);
        task.timeout_ms = Some(60_000);
    };
    let finishes = fake.push_with("finishes", json!([]), json!({}), limits);
    let running = Running::start(&fake, registry);
    assert!(matches!(fake.outcome(finishes).await, Outcome::Success { .. }));
    assert_eq!(events.recv().await, Some(Event::Started));
    assert_eq!(events.recv().await, Some(Event::Told(Some(StopReason::SoftTimeout))));
    let obedient = fake.push_with("obedient", json!([]), json!({}), limits);
    assert!(matches!(fake.outcome(obedient).await, Outcome::Timeout), "it stopped because of a time limit");
    let stubborn = fake.push_with("stubborn", json!([]), json!({}), limits);
    assert!(matches!(fake.outcome(stubborn).await, Outcome::Timeout));
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_handler_knows_its_limits() {
    let fake = Fake::new();
    let task = fake.push_with("limits", json!([]), json!({}), |task| {
        task.timeout_ms = Some(10_000);
        task.soft_timeout_ms = Some(4_000);
    });
    let registry = Registry::new().with("limits", async |ctx: Context| {
        let span = ctx.deadline().unwrap() - ctx.soft_deadline().unwrap();
        Ok::<_, HandlerError>(span.as_millis())
    });
    let running = Running::start(&fake, registry);
    let Outcome::Success { result } = fake.outcome(task).await else { panic!() };
    assert_eq!(result.get(), "6000");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_cancelled_handler_is_told_and_then_aborted() {
    let fake = Fake::new();
    let (registry, mut events) = registry();
    let running = Running::start(&fake, registry);
    for name in ["obedient", "stubborn", "finishes"] {
        let task = push(&fake, name);
        assert_eq!(events.recv().await, Some(Event::Started));
        fake.change(|state| {
            state.cancel.insert(task);
        });
        assert_eq!(events.recv().await, Some(Event::Told(Some(StopReason::Cancelled))));
        match (name, fake.outcome(task).await) {
            ("finishes", Outcome::Success { .. }) | ("obedient", Outcome::Cancelled) => {}
            ("stubborn", Outcome::Cancelled) => assert_eq!(events.recv().await, Some(Event::Dropped)),
            (name, other) => panic!("{name}: {other:?}"),
        }
    }
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_lost_lease_aborts_the_handler_and_nothing_is_reported() {
    let fake = Fake::new();
    let (registry, mut events) = registry();
    let running = Running::start(&fake, registry);
    let task = push(&fake, "stubborn");
    assert_eq!(events.recv().await, Some(Event::Started));
    fake.change(|state| {
        state.lost.insert(task);
    });
    // It is dropped so soon after it was told that it may not even notice.
    while events.recv().await != Some(Event::Dropped) {}
    running.stop().await.unwrap();
    assert!(fake.state().finish_of(task).is_none());
    assert!(fake.state().drains.iter().all(|drain| drain.tasks.is_empty()));
}

#[tokio::test]
async fn a_result_that_waits_for_the_server_is_dropped_when_the_lease_is_lost() {
    let fake = Fake::new();
    fake.change(|state| {
        let away = || WorkerError::Unavailable("away".into());
        state.finish_errors = std::iter::repeat_with(away).take(1_000).collect();
    });
    let running =
        Running::start(&fake, Registry::new().with("quick", async |_: Context| Ok::<_, HandlerError>(1)));
    let task = push(&fake, "quick");
    fake.until(|state| (!state.beats_of(task).is_empty()).then_some(())).await;
    fake.change(|state| {
        state.lost.insert(task);
    });
    // Its lease is no longer renewed once the worker knows.
    fake.until(|state| {
        let beats = state.beats.len();
        let known = state.beats.iter().rposition(|beat| beat.tasks.iter().any(|line| line.id == task.id));
        (beats > known? + 3).then_some(())
    })
    .await;
    fake.change(|state| state.finish_errors.clear());
    running.stop().await.unwrap();
    assert!(fake.state().finish_of(task).is_none());
}

#[tokio::test]
async fn a_worker_that_is_cut_off_for_a_lease_aborts_by_itself() {
    let fake = Fake::with_timing(Registered { lease_ms: 1_500, ..TIMING });
    let (registry, mut events) = registry();
    fake.change(|state| state.deaf = true);
    let running = Running::start(&fake, registry);
    let task = push(&fake, "stubborn");
    assert_eq!(events.recv().await, Some(Event::Started));
    while events.recv().await != Some(Event::Dropped) {}
    fake.change(|state| state.deaf = false);
    running.stop().await.unwrap();
    assert!(fake.state().finish_of(task).is_none());
}

#[tokio::test]
async fn a_heartbeat_that_fails_now_and_then_costs_no_lease() {
    let fake = Fake::new();
    let (registry, mut events) = registry();
    fake.change(|state| {
        let away = || WorkerError::Unavailable("away".into());
        state.beat_errors = [away(), WorkerError::UnknownSession, away()].into();
    });
    let running = Running::start(&fake, registry);
    let task = push(&fake, "finishes");
    assert_eq!(events.recv().await, Some(Event::Started));
    fake.until(|state| (state.beats_of(task).len() > 1).then_some(())).await;
    assert_eq!(fake.state().registered.len(), 2, "it registers again when the server forgot the session");
    fake.change(|state| {
        state.cancel.insert(task);
    });
    assert!(matches!(fake.outcome(task).await, Outcome::Success { .. }));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn dropping_the_worker_aborts_its_handlers() {
    let fake = Fake::new();
    let (registry, mut events) = registry();
    let running = Running::start(&fake, registry);
    push(&fake, "stubborn");
    assert_eq!(events.recv().await, Some(Event::Started));
    running.worker.abort();
    while events.recv().await != Some(Event::Dropped) {}
}

#[tokio::test]
async fn a_token_made_after_the_stop_has_fired_already() {
    let fake = Fake::new();
    let early = Arc::new(Mutex::new(None));
    let kept = Arc::clone(&early);
    let registry = Registry::new().with("keeps_context", move |ctx: Context| {
        *kept.lock().unwrap() = Some(ctx);
        std::future::pending::<Result<(), HandlerError>>()
    });
    let task = fake.push_with("keeps_context", json!([]), json!({}), |task| task.timeout_ms = Some(1));
    let running = Running::start(&fake, registry);
    assert!(matches!(fake.outcome(task).await, Outcome::Timeout));
    let ctx = early.lock().unwrap().take().unwrap();
    assert_eq!(ctx.stop_reason(), Some(StopReason::Timeout));
    ctx.token().cancelled().await;
    running.stop().await.unwrap();
}
