//! `taskloom dev` on a database across a network.

use serde_json::json;

use crate::client::until;
use crate::cluster::Cluster;

crate::on_each_database! {
    everything_runs_in_one_process
}

async fn everything_runs_in_one_process(cluster: Cluster) {
    let data = cluster.path().join("data");
    let dev = || cluster.spawn("dev", cluster.command("dev --port auto"));
    let server = cluster.ready(&data, dev()).await;
    let task = json!({"task": "demo.fail", "kwargs": {"succeed_on_attempt": 2},
        "backoff": {"kind": "fixed", "seconds": 0}});
    let id = server.client.submit_one(task).await;
    assert_eq!(server.client.ended(&id).await["status"], "succeeded");
    // The directory is held, the database is not.
    assert!(!data.join("taskloom.db").exists() && !data.join("taskloom.db.lock").exists());
    let said = cluster.say("dev --port auto").with_status(1);
    assert!(said.err.contains(&format!("process {} uses ", server.process.pid())), "{}", said.err);
    let second = cluster.spawn("second", cluster.command("dev --port auto --data second"));
    let second = cluster.ready(&cluster.path().join("second"), second).await;
    assert_eq!(second.client.task(&id).await["status"], "succeeded");
    second.process.stop().await;

    // What another process runs is not taken from it at the start.
    let long = server.client.submit_one(json!({"task": "demo.sleep", "kwargs": {"seconds": 3600}})).await;
    server.client.running(&long, 1).await;
    let third = cluster.spawn("third", cluster.command("dev --port auto --data third"));
    let third = cluster.ready(&cluster.path().join("third"), third).await;
    let task = third.client.task(&long).await;
    assert_eq!((&task["status"], &task["attempt"]), (&json!("running"), &json!(1)), "{task}");
    let (status, _) = third.client.call("POST", &format!("/tasks/{long}/cancel"), None).await.unwrap();
    assert_eq!(status, 200);
    assert_eq!(server.client.ended(&long).await["status"], "revoked");
    third.process.stop().await;
    server.process.stop().await;
    cluster.assert_healthy();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_and_redis_go_together() {
    let Some(redis) = taskloom_testkit::redis() else { return };
    let cluster = Cluster::new("", Some(&redis.url()));
    let dev = cluster.spawn("dev", cluster.command("dev --port auto"));
    let server = cluster.ready(&cluster.path().join("data"), dev).await;
    let health = until("Redis", async || {
        let health = server.client.get("/health").await;
        (health["redis"]["ok"] == true).then_some(health)
    })
    .await;
    assert_eq!(health["status"], "ok", "{health}");
    let id = server.client.submit_one(json!({"task": "demo.echo", "delay": 0.2})).await;
    assert_eq!(server.client.ended(&id).await["status"], "succeeded");
    server.process.stop().await;
    cluster.assert_healthy();
}
