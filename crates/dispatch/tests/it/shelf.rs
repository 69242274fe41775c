//! Copies across processes.

use std::time::Duration;

use taskloom_dispatch::{Alone, Shelf};
use tokio::time::{Instant, sleep};

use crate::support::{PATIENCE, Process, options, own_redis};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn what_one_process_puts_there_another_finds_until_its_time_is_over() {
    let Some(redis) = taskloom_testkit::redis() else { return };
    let options = options(redis);
    let (one, two) = (Process::connected(&options).await.home, Process::connected(&options).await.home);
    let bytes = vec![0, 159, 255, b'{'];
    assert_eq!(two.shelf_get("a {key}").await, None);
    one.shelf_put("a {key}", bytes.clone(), MINUTE).await;
    assert_eq!(two.shelf_get("a {key}").await, Some(bytes));
    assert_eq!(two.shelf_get("another").await, None);
    one.shelf_put("a {key}", b"short".to_vec(), Duration::from_millis(200)).await;
    let end = Instant::now() + PATIENCE;
    while let Some(found) = two.shelf_get("a {key}").await {
        assert_eq!(found, b"short");
        assert!(Instant::now() < end, "it never ends");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_the_shelf_is_empty() {
    let Some(redis) = own_redis() else { return };
    let process = Process::connected(&options(&redis)).await;
    process.home.shelf_put("k", b"x".to_vec(), MINUTE).await;
    redis.kill();
    process.trouble().await;
    assert_eq!(process.home.shelf_get("k").await, None);
    process.home.shelf_put("k", b"x".to_vec(), MINUTE).await;
    Alone.shelf_put("k", b"x".to_vec(), MINUTE).await;
    assert_eq!(Alone.shelf_get("k").await, None);
    assert!(process.home.is_shelf() && !Alone.is_shelf());
}
