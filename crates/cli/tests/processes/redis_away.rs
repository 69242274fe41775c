//! Redis may be away at any time.

use reqwest::StatusCode;
use serde_json::json;
use taskloom_testkit::{Redis, or_skip};

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

/// Waits until a server calls itself this, and answers 200.
async fn until_health(client: &Client, status: &str) {
    until(status, async || {
        let (code, health) = client.call("GET", "/health", None).await.unwrap();
        assert_eq!(code, StatusCode::OK, "{health}");
        (health["status"] == status).then_some(())
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
