//! A clock on the wall that somebody sets while tasks run.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod common;

use std::time::Duration;

use common::{Lab, task};
use taskloom_engine::StoreClock;
use taskloom_model::{State, Timestamp};
use taskloom_protocol::SubmitTask;

/// Sets the clock on the wall and has it looked at.
async fn set(lab: &Lab, clock: &StoreClock, to: &str) {
    let to: Timestamp = to.parse().unwrap();
    lab.clock.set(to);
    clock.adjust().await.unwrap();
    assert!(lab.now().since(to).max(to.since(lab.now())) < Duration::from_secs(5), "{}", lab.now());
}

/// How many running tasks would be taken from their worker so many seconds from now.
async fn taken_in(lab: &Lab, seconds: u64) -> usize {
    let then = lab.now().plus(Duration::from_secs(seconds));
    let steps = lab.engine.store().task_reap(then, Duration::ZERO, 10, || 0.5).await.unwrap();
    steps.len()
}

async fn set_to_and_fro(lab: &Lab, clock: &StoreClock) {
    let session = lab.worker(&["default"]).await;
    let id = lab.claim(session, 1).await.remove(0).id;
    for to in ["2026-01-01T01:00:00Z", "2025-12-31T20:00:00Z", "2025-12-31T20:00:30Z"] {
        set(lab, clock, to).await;
        assert_eq!(lab.engine.reap().await.unwrap(), 0, "at {to}");
        assert_eq!(lab.state(id).await, State::Running, "at {to}");
    }
}

#[tokio::test]
async fn a_lease_is_as_long_as_before() {
    let (lab, clock) = Lab::beside_the_wall(|config| config.lease = Duration::from_secs(600)).await;
    lab.submit(task()).await;
    set_to_and_fro(&lab, &clock).await;
    assert_eq!((taken_in(&lab, 580).await, taken_in(&lab, 620).await), (0, 1));
}

#[tokio::test]
async fn a_time_limit_is_as_long_as_before() {
    let (lab, clock) = Lab::beside_the_wall(|config| config.lease = Duration::from_secs(3_600)).await;
    lab.submit(SubmitTask { timeout: Some(300.0), ..task() }).await;
    set_to_and_fro(&lab, &clock).await;
    assert_eq!((taken_in(&lab, 280).await, taken_in(&lab, 320).await), (0, 1));
}

#[tokio::test]
async fn what_was_to_wait_for_a_time_goes_by_the_wall() {
    let (lab, clock) = Lab::beside_the_wall(|_| {}).await;
    let id = lab.submit(SubmitTask { run_at: "2026-01-01T00:30:00Z".parse().ok(), ..task() }).await.id;
    assert_eq!((lab.engine.promote().await.unwrap(), lab.state(id).await), (0, State::Scheduled));
    set(&lab, &clock, "2026-01-01T00:30:00Z").await;
    assert_eq!((lab.engine.promote().await.unwrap(), lab.state(id).await), (1, State::Ready));
}
