//! Queues and limits over HTTP.

use serde_json::json;

use crate::server::Server;

#[tokio::test]
async fn an_operator_pauses_and_limits_a_queue() {
    let server = Server::start().await;
    let ann = server.login("ann").await;
    let operator = server.login("operator").await;
    let (token, session) = server.worker().await;
    server.post(&ann, "/queues/default/pause", json!(null)).await.problem(403, "forbidden");
    let queue = server.post(&operator, "/queues/default/pause", json!(null)).await.expect(200);
    assert_eq!((&queue["name"], &queue["paused"]), (&json!("default"), &json!(true)));
    let id = server.submit(&ann, json!({"task": "demo.echo"})).await;
    let told = server.get(&ann, &format!("/tasks/{id}/explain")).await.expect(200);
    assert_eq!(told["cause"], "queue_paused");
    let claim = json!({"session": session, "limit": 5});
    let none = server.post(&token, "/worker/claim", claim.clone()).await.expect(200);
    assert_eq!(none["tasks"], json!([]));
    server.post(&operator, "/queues/default/resume", json!(null)).await.expect(200);
    let limits = json!({"max_running": 1, "rate_limit": {"count": 100, "seconds": 60.0}});
    let queue = server.send("PUT", &operator, "/queues/default/limits", limits.clone()).await.expect(200);
    assert_eq!(queue["limits"], limits);
    let second = server.submit(&ann, json!({"task": "demo.echo"})).await;
    let one = server.post(&token, "/worker/claim", claim).await.expect(200);
    assert_eq!(one["tasks"][0]["id"], json!(id));
    assert_eq!(one["tasks"].as_array().map(Vec::len), Some(1));
    let told = server.get(&ann, &format!("/tasks/{second}/explain")).await.expect(200);
    assert_eq!((&told["cause"], &told["limit"]["holders"]), (&json!("queue_limit"), &json!([id])));
    let queues = server.get(&operator, "/queues").await.expect(200);
    let default = queues["items"].as_array().unwrap().iter().find(|q| q["name"] == "default").unwrap();
    assert_eq!((&default["ready"], &default["running"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn a_limit_by_key_is_told_to_whoever_waits_for_it() {
    let server = Server::start().await;
    let (ann, bob) = (server.login("ann").await, server.login("bob").await);
    let operator = server.login("operator").await;
    let keyed = json!({"task": "demo.echo", "concurrency_key": "gpu", "concurrency_limit": 1});
    let first = server.submit(&ann, keyed.clone()).await;
    let second = server.submit(&ann, keyed.clone()).await;
    let third = server.submit(&bob, keyed).await;
    let task = server.get(&ann, &format!("/tasks/{second}")).await.expect(200);
    assert_eq!(
        (&task["status"], &task["state"], &task["reason"]),
        (&json!("pending"), &json!("limited"), &json!("concurrency"))
    );
    let told = server.get(&ann, &format!("/tasks/{second}/explain")).await.expect(200);
    assert_eq!((&told["cause"], &told["limit"]["key"]), (&json!("concurrency_limit"), &json!("gpu")));
    assert_eq!(told["limit"]["holders"], json!([first]));
    let told = server.get(&bob, &format!("/tasks/{third}/explain")).await.expect(200);
    assert_eq!(told["limit"]["holders"], json!([]), "another user's task is not his to see");
    assert_eq!(
        (&told["limit"]["others"], &told["limit"]["waiting"]),
        (&json!(1), &json!(0)),
        "his turn comes before her second"
    );
    let limits = server.get(&operator, "/limits").await.expect(200);
    assert_eq!(
        limits["items"][0],
        json!({"kind": "concurrency", "key": "gpu", "concurrency_limit": 1,
        "held": 1, "waiting": 2, "next_at": null})
    );
}

#[tokio::test]
async fn bad_limits_name_the_field_and_the_rule() {
    let server = Server::start().await;
    let operator = server.login("operator").await;
    for (body, loc) in [
        (json!({"max_running": 0}), json!(["body", "max_running"])),
        (json!({"max_running": 100_001}), json!(["body", "max_running"])),
        (json!({"max_running": -1}), json!(["body", "max_running"])),
        (json!({"rate_limit": {"count": 0, "seconds": 1}}), json!(["body", "rate_limit", "count"])),
        (json!({"rate_limit": {"count": 1, "seconds": 0}}), json!(["body", "rate_limit", "seconds"])),
        (json!({"rate_limit": {"count": 1, "seconds": "x"}}), json!(["body", "rate_limit", "seconds"])),
    ] {
        let problem =
            server.send("PUT", &operator, "/queues/default/limits", body).await.problem(422, "validation");
        assert_eq!(problem["errors"][0]["loc"], loc, "{problem}");
    }
    server.send("PUT", &operator, "/queues/no%20name/limits", json!({})).await.problem(422, "validation");
    server
        .send("PUT", &operator, "/queues/default/limits", json!({"max": 1}))
        .await
        .problem(422, "validation");
}
