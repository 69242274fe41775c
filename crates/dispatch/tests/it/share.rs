//! Several processes on one Redis.

use std::collections::BTreeSet;
use std::time::Duration;

use taskloom_model::Priority;
use tokio::time::Instant;

use crate::support::{PATIENCE, Process, normal, numbers, options, ready, until};

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_share_the_ids_without_overlap() {
    let Some(redis) = taskloom_testkit::redis() else { return };
    let options = options(redis);
    let (one, two) = (Process::connected(&options).await, Process::connected(&options).await);
    one.dispatcher.announce(&normal("a", 0..2_000));
    two.dispatcher.announce(&normal("a", 2_000..3_000));
    let (mut taken, end) = (Vec::new(), Instant::now() + PATIENCE);
    while taken.len() < 3_000 && Instant::now() < end {
        let (first, second) = tokio::join!(one.take(&["a"], 70), two.take(&["a"], 110));
        taken.extend(numbers(&first).into_iter().chain(numbers(&second)));
    }
    assert_eq!(taken.len(), 3_000);
    assert_eq!(taken.into_iter().collect::<BTreeSet<_>>().len(), 3_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_process_held_is_taken_over() {
    let Some(redis) = taskloom_testkit::redis() else { return };
    let mut options = options(redis);
    options.take_over_after = Duration::from_millis(50);
    options.take_over_every = Duration::from_millis(10);
    let dies = Process::connected(&options).await;
    dies.announce(&[ready("a", Priority::Low, 1), ready("a", Priority::High, 2)]).await;
    assert_eq!(dies.take(&["a"], 10).await.len(), 2);
    drop(dies);
    let heir = Process::connected(&options).await;
    assert_eq!(numbers(&heir.take_until(&["a"], 2).await), [2, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_for_a_short_time_is_not_taken_over() {
    let Some(redis) = taskloom_testkit::redis() else { return };
    let mut options = options(redis);
    options.take_over_every = Duration::from_millis(1);
    let (one, two) = (Process::connected(&options).await, Process::connected(&options).await);
    one.announce(&normal("a", 0..5)).await;
    assert_eq!(one.take(&["a"], 10).await.len(), 5);
    for _ in 0..20 {
        assert!(two.take(&["a"], 10).await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_never_comes_back() {
    let Some(redis) = taskloom_testkit::redis() else { return };
    let mut options = options(redis);
    let one = Process::connected(&options).await;
    options.take_over_after = Duration::from_millis(1);
    options.take_over_every = Duration::from_millis(1);
    let two = Process::connected(&options).await;
    one.announce(&normal("a", 0..2_500)).await;
    let stream = format!("{{{}:a}}:2", options.prefix);
    let tickets = one.take_until(&["a"], 2_500).await;
    assert_eq!(tickets.len(), 2_500);
    one.dispatcher.done(tickets);
    let gone = || (redis.cli(&["XLEN", &stream]).unwrap() == "0").then_some(());
    until(gone).await.unwrap();
    assert!(two.take(&["a"], 10).await.is_empty());
    assert_eq!(redis.cli(&["XPENDING", &stream, "taskloom"]).unwrap().lines().next(), Some("0"));
}
