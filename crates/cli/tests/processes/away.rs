//! Redis may be away at any time; the database may be away and come back.

use reqwest::StatusCode;
use serde_json::json;
use taskloom_testkit::{MariaDb, Postgres, Redis, or_skip};

use crate::client::{Client, until};
use crate::cluster::Cluster;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_run_without_redis_and_with_it_again() {
    let Some(postgres) = taskloom_testkit::postgres() else { return };
    let Some(redis) = or_skip("Redis", Redis::start()) else { return };
    let cluster = Cluster::new(&postgres.fresh_database(), Some(&redis.url()));
    let [server] = cluster.servers(["a"]).await;
    let _scheduler = cluster.scheduler("scheduler").await;
    let _worker = cluster.worker("worker").await;
    let client = &server.client;
    until_health(client, "ok").await;
    tasks_run(client).await;

    redis.kill();
    until_health(client, "degraded").await;
    let said = cluster.say(&format!("health --server {}", client.url)).with_status(0);
    assert!(said.out.starts_with("degraded (") && said.out.contains("\n  redis: "), "{}", said.out);
    tasks_run(client).await;
    // It starts without Redis as well.
    let [other] = cluster.servers(["b"]).await;
    tasks_run(&other.client).await;

    redis.restart().unwrap();
    until_health(client, "ok").await;
    until_health(&other.client, "ok").await;
    tasks_run(client).await;
    cluster.assert_healthy();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_go_on_when_postgres_is_back() {
    let Some(postgres) = or_skip("PostgreSQL", Postgres::start()) else { return };
    let cluster = Cluster::new(&postgres.fresh_database(), None);
    all_go_on(&cluster, || postgres.kill(), || postgres.restart().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_go_on_when_mariadb_is_back() {
    let Some(mariadb) = or_skip("MariaDB", MariaDb::start()) else { return };
    let cluster = Cluster::new(&mariadb.fresh_database(), None);
    all_go_on(&cluster, || mariadb.kill(), || mariadb.restart().unwrap()).await;
}

async fn all_go_on(cluster: &Cluster, kill: impl FnOnce(), restart: impl FnOnce()) {
    let [server] = cluster.servers(["a"]).await;
    let scheduler = cluster.scheduler("scheduler").await;
    let worker = cluster.worker("worker").await;
    let client = &server.client;
    tasks_run(client).await;
    let waits = client.submit_one(json!({"task": "demo.echo", "delay": 2})).await;
    kill();
    let (status, refused) = client.call("POST", "/tasks", Some(json!({"task": "demo.echo"}))).await.unwrap();
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{refused}");
    let said = cluster.say(&format!("health --server {}", client.url)).with_status(1);
    assert!(said.out.starts_with("down ("), "{}", said.out);
    restart();
    until_health(client, "ok").await;
    tasks_run(client).await;
    assert_eq!(client.ended(&waits).await["status"], "succeeded");
    for process in [worker, scheduler, server.process] {
        process.stop().await;
    }
    cluster.assert_healthy();
}

/// Waits until a server calls itself this, and answers 200.
async fn until_health(client: &Client, status: &str) {
    until(status, async || {
        let (code, health) = client.call("GET", "/health", None).await.unwrap();
        (health["status"] == status).then(|| assert_eq!(code, StatusCode::OK, "{health}"))
    })
    .await;
}

async fn tasks_run(client: &Client) {
    let at_once = client.submit_one(json!({"task": "demo.echo"})).await;
    let later = client.submit_one(json!({"task": "demo.echo", "delay": 0.5})).await;
    for id in [at_once, later] {
        assert_eq!(client.ended(&id).await["status"], "succeeded");
    }
}
