//! Workflows as users send them.

use serde_json::json;

use crate::server::{Server, read};

#[tokio::test]
async fn a_workflow_is_submitted_read_cancelled_and_run_again() {
    let server = Server::start().await;
    let token = server.login("ann").await;
    let body = json!({"name": "nightly", "tasks": [
        {"key": "load", "task": "demo.echo", "kwargs": {"rows": {"$result": "extract.rows"}}, "on_parent_failure": "skip"},
        {"key": "extract", "task": "demo.echo"}]});
    let submit = || server.request("POST", "/workflows").bearer_auth(&token).header("Idempotency-Key", "k");
    let made = read(submit().json(&body)).await.expect(201);
    assert_eq!(
        (&made["name"], &made["status"], &made["progress"]),
        (&json!("nightly"), &json!("pending"), &json!(0.0))
    );
    let load = made["tasks"]["load"].as_str().unwrap().to_owned();
    let again = read(submit().json(&body)).await.expect(200);
    assert_eq!(
        (&again["id"], &again["tasks"], &again["deduplicated"]),
        (&made["id"], &made["tasks"], &json!(true))
    );
    let other = json!({"tasks": [{"key": "a", "task": "demo.echo"}]});
    read(submit().json(&other)).await.problem(422, "idempotency_mismatch");

    let path = format!("/workflows/{}", made["id"].as_str().unwrap());
    let found = server.get(&token, &path).await.expect(200);
    assert_eq!((&found["counts"]["total"], &found["cancelled_at"]), (&json!(2), &json!(null)));
    assert_eq!(found["tasks"]["load"]["depends_on"], json!(["extract"]));
    assert_eq!(
        (&found["tasks"]["load"]["id"], &found["tasks"]["load"]["state"]),
        (&json!(load), &json!("blocked"))
    );
    let glance = server.get(&token, &format!("{path}?tasks=false")).await.expect(200);
    assert_eq!((&glance["counts"], glance.get("tasks")), (&found["counts"], None));
    let task = server.get(&token, &format!("/tasks/{load}")).await.expect(200);
    assert_eq!((&task["workflow_id"], &task["name"]), (&made["id"], &json!("load")));
    let page = server.get(&token, "/workflows?limit=1").await.expect(200);
    assert_eq!((&page["items"][0]["id"], &page["next_cursor"]), (&made["id"], &json!(null)));

    let bob = server.login("bob").await;
    server.get(&bob, &path).await.problem(404, "not_found");
    assert_eq!(server.get(&bob, "/workflows").await.expect(200)["items"], json!([]));
    read(server.request("POST", &format!("{path}/cancel")).bearer_auth(&bob)).await.problem(404, "not_found");
    let operator = server.login("operator").await;
    server.get(&operator, &path).await.expect(200);

    let post =
        async |what: &str| read(server.request("POST", &format!("{path}/{what}")).bearer_auth(&token)).await;
    post("retry").await.problem(409, "conflict");
    let verdict = post("cancel").await.expect(200);
    assert_eq!((&verdict["tasks"], &verdict["workflow"]["status"]), (&json!(2), &json!("revoked")));
    let again = post("cancel").await.problem(409, "task_ended");
    assert_eq!(again["detail"], "the workflow has ended");
    let empty = server.request("POST", &format!("{path}/retry")).bearer_auth(&token);
    let verdict = read(empty.header("Content-Type", "application/json")).await.expect(200);
    assert_eq!((&verdict["tasks"], &verdict["workflow"]["status"]), (&json!(2), &json!("pending")));
    server
        .post(&token, &format!("{path}/retry"), json!({"from": "nothing"}))
        .await
        .problem(422, "validation");
    server.post(&token, &format!("{path}/retry"), json!({"form": "load"})).await.problem(422, "validation");
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let server = Server::start().await;
    let token = server.login("ann").await;
    let refused = async |tasks: serde_json::Value, loc: &[&str], msg: &str| {
        let problem =
            server.post(&token, "/workflows", json!({"tasks": tasks})).await.problem(422, "validation");
        let error = &problem["errors"][0];
        assert_eq!(error["loc"], json!(loc), "{error}");
        assert!(error["msg"].as_str().unwrap().contains(msg), "{error}");
    };
    let node =
        |key: &str, depends_on: &[&str]| json!({"key": key, "task": "demo.echo", "depends_on": depends_on});
    let cycle = json!([node("a", &["c"]), node("b", &["a"]), node("c", &["b"])]);
    refused(cycle, &["body", "tasks", "0", "depends_on"], "a → b → c → a").await;
    refused(json!([node("a", &["a"])]), &["body", "tasks", "0", "depends_on"], "a → a").await;
    refused(json!([node("a", &["b"])]), &["body", "tasks", "0", "depends_on"], "b, which is not").await;
    refused(json!([node("a", &[]), node("a", &[])]), &["body", "tasks", "1", "key"], "already").await;
    refused(json!([node("a.b", &[])]), &["body", "tasks", "0", "key"], "letters").await;
    refused(json!([{"key": "a", "tusk": "x"}]), &["body", "tasks", "0", "tusk"], "not a field").await;
    refused(json!([{"task": "x"}]), &["body", "tasks", "0", "key"], "required").await;
    refused(json!([{"key": "a", "task": "x", "timeout": -1}]), &["body", "tasks", "0", "timeout"], "seconds")
        .await;
    refused(json!([]), &["body", "tasks"], "1 to").await;
    let args = json!([{"key": "a", "task": "x", "args": [{"$result": "b.x"}]}]);
    refused(args, &["body", "tasks", "0", "args"], "refers to b").await;
    let map = json!([{"key": "a", "task": "x", "map": {"over": {"a": 1}}}]);
    refused(map, &["body", "tasks", "0", "map", "over"], "a list, or {\"$result\"").await;
}
