//! Servers, a scheduler and workers: each does its part, and none knows of the others.

use serde_json::json;

use crate::cluster::Cluster;

crate::on_each_database! {
    a_task_crosses_all_processes
    without_a_scheduler_nothing_that_waits_for_a_time_begins
    artifacts_are_the_same_at_every_server
}

/// Submitted at one server, promoted by the scheduler, run by a worker, seen at the other server as it happens.
async fn a_task_crosses_all_processes(cluster: Cluster) {
    let [a, b] = cluster.servers(["a", "b"]).await;
    let scheduler = cluster.scheduler("scheduler").await;
    let beside = cluster.worker("beside").await;
    let across = cluster.worker_over_http("across", &a, "far").await;
    for (queue, worker) in [("default", "beside"), ("far", "across")] {
        let task = json!({"task": "demo.fail", "queue": queue, "kwargs": {"succeed_on_attempt": 2}, "delay": 1,
            "backoff": {"kind": "fixed", "seconds": 1}});
        let id = a.client.submit_one(task).await;
        let states = b.client.watch(&id).await;
        // A state that has gone by at once may be left out; the order may not change, and the end is told.
        let course = ["scheduled", "ready", "running", "scheduled", "ready", "running", "succeeded"];
        let mut ahead = course.iter();
        assert!(states.iter().all(|state| ahead.any(|next| next == state)), "{states:?}");
        assert_eq!(
            (states.first().unwrap().as_str(), states.last().unwrap().as_str()),
            ("scheduled", "succeeded")
        );
        let task = b.client.ended(&id).await;
        assert_eq!((&task["status"], &task["attempt"]), (&json!("succeeded"), &json!(2)), "{task}");
        assert_eq!((&task["worker"], &task["result"]), (&json!(worker), &json!({"attempt": 2})), "{task}");
    }
    // A login counts at every server.
    let (status, _) = b.client.call_as(&a.client.token, "GET", "/tasks", None).await.unwrap();
    assert_eq!(status, 200);
    let shown: Vec<bool> = [&a, &b].map(|s| s.process.log().contains("User admin was created")).into();
    assert_eq!(
        shown.iter().filter(|created| **created).count(),
        1,
        "one server made the first user: {shown:?}"
    );
    for process in [across, beside, scheduler, a.process, b.process] {
        process.stop().await;
    }
    assert!(!cluster.path().join("a/server.json").exists());
    cluster.assert_healthy();
}

async fn without_a_scheduler_nothing_that_waits_for_a_time_begins(cluster: Cluster) {
    let [server] = cluster.servers(["a"]).await;
    let _worker = cluster.worker("worker").await;
    let delayed = server.client.submit_one(json!({"task": "demo.echo", "delay": 1})).await;
    // When this one has ended, the other's time has come.
    let now = server.client.submit_one(json!({"task": "demo.sleep", "kwargs": {"seconds": 2}})).await;
    assert_eq!(server.client.ended(&now).await["status"], "succeeded");
    assert_eq!(server.client.task(&delayed).await["state"], "scheduled");
    let _scheduler = cluster.scheduler("scheduler").await;
    assert_eq!(server.client.ended(&delayed).await["status"], "succeeded");
}

async fn artifacts_are_the_same_at_every_server(cluster: Cluster) {
    let [a, b] = cluster.servers(["a", "b"]).await;
    let allowed = a.client.url.strip_prefix("http://").unwrap().to_owned();
    let mut command = cluster.command("worker --name worker");
    command.env("TASKLOOM_COLLECT__ALLOW_PRIVATE", allowed);
    let mut worker = cluster.spawn("worker", command);
    worker.says("working on ").await;
    let fetch =
        json!({"task": "collect.http", "kwargs": {"urls": [format!("{}/health/live", a.client.url)]}});
    let id = a.client.submit_one(fetch).await;
    let task = a.client.ended(&id).await;
    assert_eq!(task["status"], "succeeded", "{task}");
    let list = b.client.get(&format!("/tasks/{id}/artifacts")).await;
    let name = list["items"][0]["name"].as_str().unwrap_or_else(|| panic!("no artifact: {list}")).to_owned();
    for server in [&a, &b] {
        let path = format!("/tasks/{id}/artifacts/{name}");
        let file =
            server.client.request("GET", &path).bearer_auth(&server.client.token).send().await.unwrap();
        assert_eq!(file.status(), 200);
        assert!(file.text().await.unwrap().contains("/health/live"));
    }
    assert!(cluster.artifacts().join(&id).is_dir());
}
