//! TLS, users, clusters, sentinels.

use taskloom_dispatch::{Fanout as _, Ready, RedisOptions};
use taskloom_model::{Priority, TaskId};
use taskloom_testkit::{Redis, or_skip};

use crate::support::{PATIENCE, Process, normal, numbers, options, queues, ready, until, wake};

/// Hints, wake-ups in another process, acknowledgements, events, counters and copies.
async fn everything_works(options: &RedisOptions) {
    use taskloom_dispatch::{Counters as _, Shelf as _};

    let (here, there) = (Process::connected(options).await, Process::connected(options).await);
    let waiter = there.dispatcher.listen(&queues(&["q7"]));
    let all: Vec<Ready> = (0..50).map(|n| ready(&format!("q{}", n % 10), Priority::ALL[n % 4], n)).collect();
    here.dispatcher.announce(&all);
    assert!(!wake(&waiter).await);
    let names: Vec<String> = (0..10).map(|n| format!("q{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let tickets = there.take_until(&names, 50).await;
    let mut taken = numbers(&tickets);
    taken.sort_unstable();
    assert_eq!(taken, (0..50).collect::<Vec<_>>());
    there.dispatcher.done(tickets);

    let (id, mut events) = (TaskId::from_u128(1), there.home.events());
    there.home.watch(id);
    until(|| here.home.is_watched(id).then_some(())).await.unwrap();
    here.home.publish(id, "hello".into());
    assert_eq!(events.recv().await.unwrap(), (id, "hello".to_owned()));

    let key = uuid::Uuid::new_v4().to_string();
    assert_eq!(here.home.count(&key, std::time::Duration::from_secs(60)).await, Some(1));
    assert_eq!(there.home.count(&key, std::time::Duration::from_secs(60)).await, Some(2));
    here.home.shelf_put(&key, b"copy".to_vec(), std::time::Duration::from_secs(60)).await;
    assert_eq!(there.home.shelf_get(&key).await.as_deref(), Some(&b"copy"[..]));
    there.home.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server() {
    let Some(redis) = taskloom_testkit::redis() else { return };
    everything_works(&options(redis)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_database_of_the_server() {
    let Some(redis) = taskloom_testkit::redis() else { return };
    let mut options = options(redis);
    options.url = format!("{}/3", redis.url().trim_end_matches("/0"));
    everything_works(&options).await;
    let found = redis.cli(&["-n", "3", "KEYS", &format!("*{}*", options.prefix)]).unwrap();
    assert!(found.contains(&options.prefix));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_a_difficult_password() {
    let Some(redis) = or_skip("Redis", Redis::with_acl("ann", "p@ss:w/rd#?%ö")) else { return };
    everything_works(&options(&redis)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_with_an_authority_of_ones_own() {
    let Some(redis) = or_skip("Redis", Redis::with_tls()) else { return };
    let mut options = options(&redis);
    assert!(options.ca_file.is_some());
    everything_works(&options).await;

    options.ca_file = None;
    let process = Process::new(&options);
    process.says("certificate").await;
    options.insecure = true;
    everything_works(&options).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster() {
    let Some(cluster) = or_skip("Redis", Redis::start_cluster(3)) else { return };
    let urls = cluster.urls();
    let mut options = options(&cluster.nodes()[0]);
    // One node is enough to find the others; the second named here does not exist.
    options.url =
        format!("{},127.0.0.1:1", urls[0].replace("redis://", "redis+cluster://").trim_end_matches("/0"));
    everything_works(&options).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_loses_a_node_for_a_while() {
    let Some(cluster) = or_skip("Redis", Redis::start_cluster(3)) else { return };
    let mut options = options(&cluster.nodes()[0]);
    options.url = cluster.urls()[0].replace("redis://", "redis+cluster://").trim_end_matches("/0").to_owned();
    let process = Process::connected(&options).await;
    cluster.nodes()[1].kill();
    process.trouble().await;
    let waiter = process.dispatcher.listen(&queues(&["a"]));
    process.dispatcher.announce(&normal("a", 0..1));
    assert!(wake(&waiter).await);
    cluster.nodes()[1].restart().unwrap();
    process.is_ok().await;
    let names: Vec<String> = (0..20).map(|n| format!("q{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let all: Vec<Ready> = (0..20).map(|n| ready(names[n], Priority::Normal, n)).collect();
    let complete =
        || cluster.nodes().iter().all(|node| node.cli(&["CLUSTER", "INFO"]).unwrap().contains("_state:ok"));
    until(|| complete().then_some(())).await.unwrap();
    process.is_ok().await;
    // The first words to a node that is back, and its first answers, may still go by the connection that died: their
    // hints are found through the store.
    for round in 1.. {
        process.dispatcher.announce(&all);
        let taken = process.take_within(PATIENCE / 10, &names, 20).await.len();
        if taken == 20 {
            break;
        }
        assert!(round < 10, "{taken} of 20 came, {:?}", process.status());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_a_sentinel_knows() {
    let Some(sentinel) = or_skip("Redis", Redis::start_sentinel()) else { return };
    let (master, mut options) = (sentinel.master(), options(sentinel.master()));
    let (address, name) = (sentinel.address(), sentinel.master_name());
    options.url = format!("redis+sentinel://:{}@127.0.0.1:1,{address}/{name}", master.password());
    everything_works(&options).await;

    options.url = format!("redis+sentinel://:{}@{address}/another", master.password());
    let process = Process::new(&options);
    process.says("do not know").await;
}
