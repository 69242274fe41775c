//! The task calls as users make them.

use serde_json::json;

use crate::server::{Server, read};

#[tokio::test]
async fn the_users_script_works_verbatim() {
    let server = Server::start().await;
    let token = server.login("ann").await;
    let body = r#"{
  "name": "数据处理任务", "task_type": "data_processing",
  "celery_task_name": "app.tasks.common_tasks.long_running_task",
  "args": [60], "kwargs": {"param": "value"}, "priority": "normal"}"#;
    let request =
        server.request("POST", "/tasks/").bearer_auth(&token).header("Content-Type", "application/json");
    let task = read(request.body(body)).await.expect(201);
    assert_eq!(task["name"], "数据处理任务");
    assert_eq!(task["status"], "pending");
    assert_eq!(task["celery_id"], task["id"]);
    assert_eq!(task["args"], json!([60]));
    let id = task["id"].as_str().unwrap();

    let page = server.get(&token, "/tasks/?status=running&limit=10").await.expect(200);
    assert_eq!(page, json!({"items": [], "next_cursor": null, "total": 0}));
    let page = server.get(&token, "/tasks/?status=pending&limit=10").await.expect(200);
    assert_eq!(page["items"][0]["id"], task["id"]);
    assert_eq!(server.get(&token, &format!("/tasks/{id}")).await.expect(200)["task_type"], "data_processing");

    let verdict =
        read(server.request("POST", &format!("/tasks/{id}/cancel")).bearer_auth(&token)).await.expect(200);
    assert_eq!(verdict["success"], true);
    assert_eq!(
        (&verdict["task"]["status"], &verdict["message"]),
        (&json!("revoked"), &json!("task cancelled"))
    );
    let again = read(server.request("POST", &format!("/tasks/{id}/cancel")).bearer_auth(&token)).await;
    again.problem(409, "task_ended");
    read(server.request("DELETE", &format!("/tasks/{id}")).bearer_auth(&token)).await.expect(204);
    server.get(&token, &format!("/tasks/{id}")).await.problem(404, "not_found");
}

#[tokio::test]
async fn an_idempotency_key_makes_one_task() {
    let server = Server::start().await;
    let token = server.login("ann").await;
    let submit = async |key: &str, task: &str| {
        let request = server.request("POST", "/tasks").bearer_auth(&token).header("Idempotency-Key", key);
        read(request.json(&json!({"task": task}))).await
    };
    let first = submit("k1", "demo.echo").await.expect(201);
    let again = submit("k1", "demo.echo").await.expect(200);
    assert_eq!((&again["id"], &again["deduplicated_by"]), (&first["id"], &json!("idempotency_key")));
    submit("k1", "demo.sleep").await.problem(422, "idempotency_mismatch");
    assert_ne!(submit("k2", "demo.echo").await.expect(201)["id"], first["id"]);
    let unique = json!({"task": "demo.echo", "unique_key": "u"});
    let first = server.post(&token, "/tasks", unique.clone()).await.expect(201);
    let again = server.post(&token, "/tasks", unique).await.expect(200);
    assert_eq!((&again["id"], &again["deduplicated_by"]), (&first["id"], &json!("unique_key")));
}

#[tokio::test]
async fn a_batch_keeps_its_order() {
    let server = Server::start().await;
    let token = server.login("ann").await;
    let tasks: Vec<_> = (0..20).map(|n| json!({"task": "demo.echo", "args": [n]})).collect();
    let answer = server.post(&token, "/tasks/batch", json!({"tasks": tasks})).await.expect(201);
    for (n, task) in answer["items"].as_array().unwrap().iter().enumerate() {
        assert_eq!(task["args"], json!([n]));
    }
    let counts = server.get(&token, "/tasks/count").await.expect(200);
    assert_eq!((&counts["total"], &counts["pending"]), (&json!(20), &json!(20)));
}

#[tokio::test]
async fn waiting_tasks_are_changed_and_explained() {
    let server = Server::start().await;
    let token = server.login("ann").await;
    let id = server.submit(&token, json!({"task": "demo.echo"})).await;
    let path = format!("/tasks/{id}");
    let changed =
        server.send("PATCH", &token, &path, json!({"priority": 4, "queue": "night"})).await.expect(200);
    assert_eq!((&changed["priority"], &changed["queue"]), (&json!("critical"), &json!("night")));
    server.send("PATCH", &token, &path, json!({"progress": 5})).await.problem(409, "wrong_state");
    for change in [json!({}), json!({"priority": 1, "progress": 5})] {
        let problem = server.send("PATCH", &token, &path, change).await.problem(422, "validation");
        assert_eq!(problem["errors"][0]["loc"], json!(["body"]), "{problem}");
    }
    server.send("PATCH", &token, &path, json!({"state": "succeeded"})).await.problem(422, "validation");
    let why = server.get(&token, &format!("{path}/explain")).await.expect(200);
    assert!(why["summary"].is_string() && why["details"].is_array());
    assert_eq!(server.get(&token, &format!("{path}/attempts")).await.expect(200), json!({"items": []}));
    assert_eq!(server.get(&token, &format!("{path}/artifacts")).await.expect(200), json!({"items": []}));
    read(server.request("POST", &format!("{path}/retry")).bearer_auth(&token))
        .await
        .problem(409, "task_not_ended");
    read(server.request("POST", &format!("{path}/cancel")).bearer_auth(&token)).await.expect(200);
    let again = read(server.request("POST", &format!("{path}/retry")).bearer_auth(&token)).await.expect(200);
    assert_eq!(again["task"]["state"], "ready");
}

#[tokio::test]
async fn purging_is_for_admins() {
    let server = Server::start().await;
    let (ann, admin) = (server.login("ann").await, server.login("admin").await);
    let id = server.submit(&ann, json!({"task": "demo.echo"})).await;
    let path = format!("/tasks/{id}?purge=true");
    read(server.request("DELETE", &path).bearer_auth(&ann)).await.problem(403, "forbidden");
    read(server.request("DELETE", &path).bearer_auth(&admin)).await.expect(204);
    server.get(&admin, &format!("/tasks/{id}")).await.problem(404, "not_found");
}
