//! Redis is there and refuses.

use taskloom_dispatch::RedisOptions;
use taskloom_model::Priority;
use taskloom_testkit::Redis;

use crate::support::{Process, normal, numbers, options, own_redis, queues, ready, until, wake};

fn login(redis: &Redis, login: &str) -> RedisOptions {
    let mut options = options(redis);
    options.url = format!("redis://{login}@127.0.0.1:{}", redis.port());
    options
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_shows_and_a_right_one_helps() {
    let Some(redis) = own_redis() else { return };
    let process = Process::new(&login(&redis, ":another"));
    process.says("Redis refused the user name or password").await;
    redis.cli(&["CONFIG", "SET", "requirepass", "another"]).unwrap();
    process.is_ok().await;
    process.announce(&normal("a", 0..1)).await;
    assert_eq!(process.take(&["a"], 1).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_password_shows() {
    let Some(redis) = own_redis() else { return };
    let mut options = options(&redis);
    options.url = format!("redis://127.0.0.1:{}", redis.port());
    let process = Process::new(&options);
    process.says("Redis refused the user name or password").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_the_rights_in_the_documentation_can_do_everything() {
    let Some(redis) = own_redis() else { return };
    let options = login(&redis, "app:word");
    let process = Process::new(&options);
    process.says("Redis refused the user name or password").await;
    let (keys, channels) = (format!("~{{{}:*", options.prefix), format!("&{}:*", options.prefix));
    let rights = ["+@read", "+@write", "+@pubsub", "+@scripting", "+@connection"];
    let user = ["ACL", "SETUSER", "app", "on", ">word", &keys, &channels];
    redis.cli(&[&user[..], &rights[..]].concat()).unwrap();
    process.is_ok().await;
    process.announce(&normal("a", 0..3)).await;
    let tickets = process.take(&["a"], 10).await;
    assert_eq!(tickets.len(), 3);
    process.dispatcher.done(tickets);
    let stream = format!("{{{}:a}}:2", options.prefix);
    until(|| (redis.cli(&["XLEN", &stream]).unwrap() == "0").then_some(())).await.unwrap();
    process.home.close().await;
    assert_eq!(redis.cli(&["XINFO", "CONSUMERS", &stream, "taskloom"]).unwrap(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_rights_shows() {
    let Some(redis) = own_redis() else { return };
    redis.cli(&["ACL", "SETUSER", "app", "on", ">word", "~*", "&*", "+@all", "-@write"]).unwrap();
    let process = Process::new(&login(&redis, "app:word"));
    process.says("the user in Redis lacks a permission").await;
    redis.cli(&["ACL", "SETUSER", "app", "+@all"]).unwrap();
    process.is_ok().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_names_what_is_not_there_shows() {
    let Some(redis) = own_redis() else { return };
    let mut options = options(&redis);
    let url = options.url.trim_end_matches("/0").to_owned();
    options.url = format!("{url}/99");
    Process::new(&options).says("Redis has no database of the URL's number").await;
    options.url = url.replace("redis://", "redis+cluster://");
    let process = Process::new(&options);
    process.says("this Redis is no cluster: its URL begins with redis:// or rediss://").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_announcement_sends_claimers_to_the_store_and_shows() {
    let Some(redis) = own_redis() else { return };
    let options = options(&redis);
    let process = Process::connected(&options).await;
    let stream = format!("{{{}:a}}:2", options.prefix);
    redis.cli(&["SET", &stream, "not a stream"]).unwrap();
    let waiter = process.dispatcher.listen(&queues(&["a"]));
    process.dispatcher.announce(&normal("a", 0..2));
    assert!(wake(&waiter).await);
    assert_eq!(process.trouble().await, "Redis answered with an error");
    assert_eq!(process.status().dropped, 2);
    assert!(process.take(&["a"], 10).await.is_empty());
    process.announce(&[ready("b", Priority::Normal, 7)]).await;
    assert_eq!(numbers(&process.take(&["a", "b"], 10).await), [7], "other queues go on");
    redis.cli(&["DEL", &stream]).unwrap();
    process.announce(&normal("a", 2..3)).await;
    assert_eq!(numbers(&process.take(&["a"], 10).await), [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_memory_shows_and_hints_flow_when_there_is_room() {
    let Some(redis) = own_redis() else { return };
    let options = options(&redis);
    let (process, bystander) = (Process::connected(&options).await, Process::connected(&options).await);
    redis.cli(&["CONFIG", "SET", "maxmemory", "1"]).unwrap();
    let waiter = process.dispatcher.listen(&queues(&["a"]));
    process.dispatcher.announce(&normal("a", 0..2));
    assert!(wake(&waiter).await);
    assert_eq!(process.trouble().await, "Redis is out of memory");
    // Also who has nothing to write looks elsewhere for tasks that cannot be announced.
    bystander.says("out of memory").await;
    redis.cli(&["CONFIG", "SET", "maxmemory", "0"]).unwrap();
    process.is_ok().await;
    bystander.is_ok().await;
    process.announce(&normal("a", 2..3)).await;
    assert_eq!(numbers(&bystander.take_until(&["a"], 1).await), [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_becomes_a_replica_is_left_until_it_is_one_again() {
    let Some(redis) = own_redis() else { return };
    let process = Process::connected(&options(&redis)).await;
    redis.cli(&["REPLICAOF", "127.0.0.1", "1"]).unwrap();
    process.dispatcher.announce(&normal("a", 0..1));
    process.says("replica").await;
    redis.cli(&["REPLICAOF", "NO", "ONE"]).unwrap();
    process.is_ok().await;
    process.announce(&normal("a", 1..2)).await;
    assert_eq!(numbers(&process.take(&["a"], 10).await), [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_strangers_put_into_streams_and_channels_does_no_harm() {
    let Some(redis) = own_redis() else { return };
    let options = options(&redis);
    let process = Process::connected(&options).await;
    let stream = format!("{{{}:a}}:2", options.prefix);
    for entry in [&["x", "y"][..], &["i", "too short"], &["i", ""], &["i", "x", "j", "y"]] {
        redis.cli(&[&["XADD", &stream, "*"], entry].concat()).unwrap();
    }
    let channel = |name: &str| format!("{}:{name}", options.prefix);
    for (name, text) in
        [("ready", "a"), ("ready", "a 99999999999999999999"), ("watch", "x y"), ("events", "\u{1f980}")]
    {
        redis.cli(&["PUBLISH", &channel(name), text]).unwrap();
    }
    process.announce(&normal("a", 3..4)).await;
    assert_eq!(numbers(&process.take_until(&["a"], 1).await), [3]);
    // Only the one that is held is left.
    until(|| (redis.cli(&["XLEN", &stream]).unwrap() == "1").then_some(())).await.unwrap();
}
