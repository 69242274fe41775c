//! kill -9 of each kind of process; the others go on.

use serde_json::{Value, json};

use crate::client::until;
use crate::cluster::Cluster;

crate::on_each_database! {
    what_a_killed_worker_ran_is_run_again
    delayed_tasks_fire_once_though_a_scheduler_is_killed
    a_killed_server_leaves_the_others
}

async fn what_a_killed_worker_ran_is_run_again(cluster: Cluster) {
    let [server] = cluster.servers(["a"]).await;
    let _scheduler = cluster.scheduler("scheduler").await;
    let mut first = cluster.worker("first").await;
    let task = json!({"task": "demo.sleep", "kwargs": {"seconds": 3600},
        "backoff": {"kind": "fixed", "seconds": 0}});
    let id = server.client.submit_one(task).await;
    assert_eq!(server.client.running(&id, 1).await["worker"], "first");
    first.kill();
    let second = cluster.worker("second").await;
    assert_eq!(server.client.running(&id, 2).await["worker"], "second");
    let attempts = server.client.get(&format!("/tasks/{id}/attempts")).await;
    assert_eq!(attempts["items"][0]["outcome"], "lost", "{attempts}");
    let (status, _) = server.client.call("POST", &format!("/tasks/{id}/cancel"), None).await.unwrap();
    assert_eq!(status, 200);
    assert_eq!(server.client.ended(&id).await["status"], "revoked");
    second.stop().await;
    cluster.assert_healthy();
}

async fn delayed_tasks_fire_once_though_a_scheduler_is_killed(cluster: Cluster) {
    const TASKS: u32 = 30;
    let [server] = cluster.servers(["a"]).await;
    let mut first = cluster.scheduler("first").await;
    let _second = cluster.scheduler("second").await;
    let _worker = cluster.worker("worker").await;
    let mut ids = Vec::new();
    for number in 0..TASKS {
        let delay = 1.0 + f64::from(number) * 0.1;
        ids.push(server.client.submit_one(json!({"task": "demo.echo", "delay": delay})).await);
    }
    // In the middle: some have fired, and others wait.
    until("the first of them", async || {
        (server.client.task(&ids[0]).await["status"] == "succeeded").then_some(())
    })
    .await;
    first.kill();
    assert_eq!(
        server.client.task(&ids[TASKS as usize - 1]).await["state"],
        "scheduled",
        "the kill came too late"
    );
    for id in &ids {
        let task = server.client.ended(id).await;
        let run: [&Value; 3] = [&task["status"], &task["attempt"], &task["epoch"]];
        assert_eq!(run, [&json!("succeeded"), &json!(1), &json!(1)], "{task}");
    }
    cluster.assert_healthy();
}

async fn a_killed_server_leaves_the_others(cluster: Cluster) {
    let [mut a, b] = cluster.servers(["a", "b"]).await;
    let _scheduler = cluster.scheduler("scheduler").await;
    let _worker = cluster.worker("worker").await;
    let running = a.client.submit_one(json!({"task": "demo.sleep", "kwargs": {"seconds": 2}})).await;
    let delayed = a.client.submit_one(json!({"task": "demo.echo", "delay": 1})).await;
    a.client.running(&running, 1).await;
    let healthy = |url: &str| cluster.say(&format!("health --server {url}"));
    assert!(healthy(&a.client.url).with_status(0).out.starts_with("ok (Taskloom "));
    a.process.kill();
    healthy(&a.client.url).with_status(1);
    healthy(&b.client.url).with_status(0);
    let new = b.client.submit_one(json!({"task": "demo.echo"})).await;
    for id in [&running, &delayed, &new] {
        let task = b.client.ended(id).await;
        assert_eq!((&task["status"], &task["attempt"]), (&json!("succeeded"), &json!(1)), "{task}");
    }
    b.process.stop().await;
    cluster.assert_healthy();
}
