//! What is left behind in Redis: little, and not for ever.

use taskloom_model::Priority;

use crate::support::{Process, normal, options, own_redis, ready};

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_keeps_about_as_many_hints_as_it_may() {
    let Some(redis) = taskloom_testkit::redis() else { return };
    let mut options = options(redis);
    options.max_len = 200;
    let process = Process::connected(&options).await;
    let mut all = normal("a", 0..5_000);
    all.push(ready("end", Priority::Normal, 0));
    process.announce(&all).await;
    let length: usize =
        redis.cli(&["XLEN", &format!("{{{}:a}}:2", options.prefix)]).unwrap().parse().unwrap();
    // Redis trims whole nodes, of 100 entries by default.
    assert!((200..=300).contains(&length), "{length}");
    assert_eq!(process.take_until(&["a"], length).await.len(), length);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_expire_and_asking_makes_none() {
    let Some(redis) = own_redis() else { return };
    let process = Process::connected(&options(&redis)).await;
    assert!(process.take(&["nobody", "announced", "these"], 10).await.is_empty());
    let streams = || redis.cli(&["KEYS", "*}:[0-9]"]).unwrap();
    assert_eq!(streams(), "");
    process.announce(&normal("a", 0..1)).await;
    let stream = streams();
    assert_eq!(process.take(&["a"], 10).await.len(), 1);
    assert_eq!(streams().lines().count(), 1, "one band, not four");
    let left: u64 = redis.cli(&["PTTL", &stream]).unwrap().parse().unwrap();
    assert!((80_000_000..=86_400_000).contains(&left), "{left}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_takes_its_consumer_along_unless_it_still_holds_something() {
    let Some(redis) = taskloom_testkit::redis() else { return };
    let options = options(redis);
    let stream = format!("{{{}:a}}:2", options.prefix);
    let (tidy, untidy) = (Process::connected(&options).await, Process::connected(&options).await);
    tidy.announce(&normal("a", 0..2)).await;
    let held = untidy.take(&["a"], 1).await;
    let tried = tidy.take(&["a"], 1).await;
    assert_eq!((held.len(), tried.len()), (1, 1));
    let consumers = || {
        let told = redis.cli(&["XINFO", "CONSUMERS", &stream, "taskloom"]).unwrap();
        told.lines().filter(|line| *line == "name").count()
    };
    assert_eq!(consumers(), 2);
    tidy.dispatcher.done(tried);
    tidy.home.close().await;
    assert_eq!(consumers(), 1);
    untidy.home.close().await;
    assert_eq!(consumers(), 1, "what it held would be lost with it");
    assert!(!tidy.status().ok);
    assert!(tidy.take(&["a"], 1).await.is_empty(), "closed is closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn consumers_of_processes_that_are_gone_are_deleted_after_a_while() {
    let Some(redis) = taskloom_testkit::redis() else { return };
    let mut options = options(redis);
    let stream = format!("{{{}:a}}:2", options.prefix);
    let process = Process::connected(&options).await;
    process.announce(&normal("a", 0..1)).await;
    process.dispatcher.done(process.take(&["a"], 1).await);
    redis.cli(&["XGROUP", "CREATECONSUMER", &stream, "taskloom", "ghost"]).unwrap();
    let ghost = || redis.cli(&["XINFO", "CONSUMERS", &stream, "taskloom"]).unwrap().contains("ghost");
    process.home.close().await;
    assert!(ghost(), "an hour has not passed");

    options.consumer_idle = std::time::Duration::from_millis(1);
    let process = Process::connected(&options).await;
    assert!(process.take(&["a"], 1).await.is_empty());
    process.home.close().await;
    assert!(!ghost());
}
