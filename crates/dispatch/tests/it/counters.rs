//! Counters across processes.

use std::time::Duration;

use taskloom_dispatch::{Alone, Counters};
use tokio::time::{Instant, sleep};

use crate::support::{PATIENCE, Process, options, own_redis};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn processes_count_together_until_the_window_ends() {
    let Some(redis) = taskloom_testkit::redis() else { return };
    let options = options(redis);
    let (one, two) = (Process::connected(&options).await.home, Process::connected(&options).await.home);
    let key = "login:ann@example.org {1.2.3.4}";
    assert_eq!(one.count_get(key).await, Some((0, Duration::ZERO)));
    assert_eq!(one.count(key, MINUTE).await, Some(1));
    assert_eq!(two.count(key, MINUTE).await, Some(2));
    assert_eq!(one.count("other", MINUTE).await, Some(1));
    let (count, left) = two.count_get(key).await.unwrap();
    assert_eq!(count, 2);
    assert!(left > Duration::from_secs(30) && left <= MINUTE, "{left:?}");
    two.count_reset(key).await;
    assert_eq!(one.count_get(key).await, Some((0, Duration::ZERO)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_begins_with_its_first_count_and_ends() {
    let Some(redis) = taskloom_testkit::redis() else { return };
    let home = Process::connected(&options(redis)).await.home;
    assert_eq!(home.count("k", Duration::from_millis(300)).await, Some(1));
    assert!(home.count("k", MINUTE).await.is_some());
    let (_, left) = home.count_get("k").await.unwrap();
    assert!(left <= Duration::from_millis(300), "the second did not prolong it");
    let end = Instant::now() + PATIENCE;
    while home.count_get("k").await != Some((0, Duration::ZERO)) {
        assert!(Instant::now() < end, "it never ends");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_the_caller_counts_alone() {
    let Some(redis) = own_redis() else { return };
    let process = Process::connected(&options(&redis)).await;
    assert_eq!(process.home.count("k", MINUTE).await, Some(1));
    redis.kill();
    process.trouble().await;
    assert_eq!(process.home.count("k", MINUTE).await, None);
    assert_eq!(process.home.count_get("k").await, None);
    process.home.count_reset("k").await;
    assert_eq!(Alone.count("k", MINUTE).await, None);
}
