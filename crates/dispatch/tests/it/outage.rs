//! Redis forgets, dies, hangs: nothing is lost that matters, nobody waits, and hints flow again.

use std::time::Duration;

use taskloom_dispatch::{RedisOptions, Status};
use taskloom_model::Priority;
use tokio::time::Instant;

use crate::support::{Process, normal, numbers, options, own_redis, queues, ready, wake, within};

/// 2 s are promised; the rest is for a busy machine.
const BACK_WITHIN: Duration = Duration::from_secs(4);
/// 1 s is promised; the rest is for a busy machine.
const ANSWER_WITHIN: Duration = Duration::from_millis(2_500);

#[tokio::test(flavor = "multi_thread")]
async fn after_flushall_old_hints_are_gone_and_new_ones_flow() {
    let Some(redis) = own_redis() else { return };
    let process = Process::connected(&options(&redis)).await;
    process.announce(&normal("a", 0..5)).await;
    assert_eq!(process.take(&["a"], 2).await.len(), 2);
    redis.cli(&["FLUSHALL"]).unwrap();
    assert!(process.take(&["a"], 10).await.is_empty());
    process.announce(&normal("a", 5..7)).await;
    assert_eq!(numbers(&process.take(&["a"], 10).await), [5, 6]);
    assert!(process.status().ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_was_destroyed_is_made_again_and_hands_out_everything() {
    let Some(redis) = own_redis() else { return };
    let options = options(&redis);
    let process = Process::connected(&options).await;
    process.announce(&normal("a", 0..5)).await;
    assert_eq!(process.take(&["a"], 2).await.len(), 2);
    redis.cli(&["XGROUP", "DESTROY", &format!("{{{}:a}}:2", options.prefix), "taskloom"]).unwrap();
    assert_eq!(numbers(&process.take(&["a"], 10).await), [0, 1, 2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_that_redis_forgot_are_loaded_again() {
    let Some(redis) = own_redis() else { return };
    let process = Process::connected(&options(&redis)).await;
    process.announce(&normal("a", 0..2)).await;
    assert_eq!(process.take(&["a"], 1).await.len(), 1);
    redis.cli(&["SCRIPT", "FLUSH"]).unwrap();
    assert_eq!(process.take(&["a"], 1).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_dead_claimers_are_sent_to_the_store_and_afterwards_hints_flow() {
    let Some(redis) = own_redis() else { return };
    let process = Process::connected(&options(&redis)).await;
    redis.kill();
    process.trouble().await;
    let waiter = process.dispatcher.listen(&queues(&["a"]));
    process.dispatcher.announce(&normal("a", 0..3));
    assert!(wake(&waiter).await, "the store has them");
    assert!(process.take(&["a"], 10).await.is_empty());
    let Status { ok, dropped, detail, .. } = process.status();
    assert_eq!((ok, dropped), (false, 3));
    assert!(!detail.unwrap().contains("127.0.0.1"));

    let waiter = process.dispatcher.listen(&queues(&["b"]));
    redis.restart().unwrap();
    assert!(waiter.wait(BACK_WITHIN).await.unwrap().ask_store, "everybody looks when it is back");
    process.announce(&normal("a", 3..6)).await;
    assert_eq!(numbers(&process.take(&["a"], 10).await), [3, 4, 5]);
    assert_eq!(process.status().dropped, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_hangs_nobody_waits_for_long_and_afterwards_hints_flow() {
    let Some(redis) = own_redis() else { return };
    let process = Process::connected(&options(&redis)).await;
    process.announce(&normal("a", 0..3)).await;
    redis.freeze();
    let began = Instant::now();
    let waiter = process.dispatcher.listen(&queues(&["a"]));
    process.dispatcher.announce(&normal("a", 3..6));
    assert!(process.take(&["a"], 10).await.is_empty());
    assert!(wake(&waiter).await, "the hints did not arrive, so the store is to be asked");
    assert!(began.elapsed() < ANSWER_WITHIN, "{:?}", began.elapsed());
    assert_eq!(process.trouble().await, "Redis does not answer in time");
    // Known to be away, it costs nothing any more.
    let began = Instant::now();
    for _ in 0..100 {
        assert!(process.take(&["a"], 10).await.is_empty());
    }
    assert!(began.elapsed() < Duration::from_millis(500));

    redis.thaw();
    within(BACK_WITHIN, || process.status().ok.then_some(())).await.unwrap();
    process.announce(&[ready("b", Priority::Normal, 9)]).await;
    assert_eq!(numbers(&process.take(&["b"], 10).await), [9]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_buffer_drops_and_counts_and_never_waits() {
    let Some(redis) = own_redis() else { return };
    let mut options = options(&redis);
    options.buffer = 10;
    let process = Process::connected(&options).await;
    redis.freeze();
    let waiter = process.dispatcher.listen(&queues(&["a"]));
    let began = Instant::now();
    for number in 0..100 {
        process.dispatcher.announce(&normal("a", number..number + 1));
    }
    assert!(began.elapsed() < Duration::from_millis(500));
    assert!(process.status().dropped >= 80, "{:?}", process.status());
    assert!(wake(&waiter).await);
    redis.thaw();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_may_start_before_its_redis() {
    let Some(redis) = own_redis() else { return };
    redis.stop();
    let process = Process::new(&options(&redis));
    assert!(process.take(&["a"], 10).await.is_empty());
    process.dispatcher.announce(&normal("a", 0..1));
    process.says("Redis cannot be reached").await;
    redis.restart().unwrap();
    within(BACK_WITHIN, || process.status().ok.then_some(())).await.unwrap();
    process.announce(&normal("a", 1..2)).await;
    assert_eq!(numbers(&process.take(&["a"], 10).await), [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_an_administrator_kills_is_made_again() {
    let Some(redis) = own_redis() else { return };
    let process = Process::connected(&options(&redis)).await;
    let waiter = process.dispatcher.listen(&queues(&["a"]));
    redis.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]).unwrap();
    assert!(wake(&waiter).await);
    process.announce(&normal("a", 0..1)).await;
    assert_eq!(process.take(&["a"], 10).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_cannot_be_used_are_told_and_nothing_else_is_an_error() {
    let unusable = |change: &dyn Fn(&mut RedisOptions)| {
        let mut options = RedisOptions::new("redis://:secret@127.0.0.1:1");
        change(&mut options);
        let error =
            taskloom_dispatch::RedisHome::connect(&options, taskloom_dispatch::Bells::default()).err();
        let text = error.map(|error| error.to_string());
        assert!(!text.as_deref().unwrap_or_default().contains("secret"));
        assert!(!format!("{options:?}").contains("secret"));
        text
    };
    assert!(unusable(&|_| {}).is_none());
    assert!(unusable(&|o| o.url = "redis://secret@h".into()).unwrap().contains("password"));
    assert!(unusable(&|o| o.prefix = "a{b".into()).unwrap().contains("prefix"));
    assert!(unusable(&|o| o.max_len = 0).unwrap().contains("length"));
    assert!(unusable(&|o| o.command_timeout = Duration::from_secs(2)).unwrap().contains("time-out"));
    assert!(unusable(&|o| o.insecure = true).unwrap().contains("rediss"));
    let tls = |o: &mut RedisOptions| o.url = "rediss://h".into();
    let missing = unusable(&|o| (tls(o), o.ca_file = Some("/nowhere/ca.pem".into())).1);
    assert!(missing.unwrap().contains("/nowhere/ca.pem"));
    let empty = tempfile::NamedTempFile::new().unwrap();
    let none = unusable(&|o| (tls(o), o.ca_file = Some(empty.path().into())).1);
    assert!(none.unwrap().contains("no certificate"));
}
