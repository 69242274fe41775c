//! Who may call what, and that nobody sees what is another's.

use serde_json::{Value, json};
use taskloom_model::Role;
use uuid::Uuid;

use crate::server::{Server, read};

/// A call and the least role it needs; `None`: no role, only a worker's key.
fn calls() -> Vec<(&'static str, String, Value, Option<Role>)> {
    let id = Uuid::from_u128(7);
    let body = |value: Value| value;
    vec![
        ("GET", "/users/me".into(), Value::Null, Some(Role::Viewer)),
        ("GET", "/api-keys".into(), Value::Null, Some(Role::Viewer)),
        ("GET", "/tasks".into(), Value::Null, Some(Role::Viewer)),
        ("GET", "/tasks/count".into(), Value::Null, Some(Role::Viewer)),
        ("GET", format!("/tasks/{id}"), Value::Null, Some(Role::Viewer)),
        ("GET", format!("/tasks/{id}/events"), Value::Null, Some(Role::Viewer)),
        ("POST", "/tasks".into(), body(json!({"task": "demo.echo"})), Some(Role::User)),
        ("POST", "/tasks/batch".into(), body(json!({"tasks": [{"task": "demo.echo"}]})), Some(Role::User)),
        ("PATCH", format!("/tasks/{id}"), body(json!({"priority": "low"})), Some(Role::User)),
        ("POST", format!("/tasks/{id}/cancel"), Value::Null, Some(Role::User)),
        ("POST", format!("/tasks/{id}/retry"), Value::Null, Some(Role::User)),
        ("DELETE", format!("/tasks/{id}"), Value::Null, Some(Role::User)),
        ("GET", "/workflows".into(), Value::Null, Some(Role::Viewer)),
        ("GET", format!("/workflows/{id}"), Value::Null, Some(Role::Viewer)),
        ("POST", "/workflows".into(), body(json!({"tasks": []})), Some(Role::User)),
        ("POST", format!("/workflows/{id}/cancel"), Value::Null, Some(Role::User)),
        ("POST", format!("/workflows/{id}/retry"), Value::Null, Some(Role::User)),
        ("GET", "/schedules".into(), Value::Null, Some(Role::Viewer)),
        ("GET", format!("/schedules/{id}"), Value::Null, Some(Role::Viewer)),
        ("GET", format!("/schedules/{id}/ticks"), Value::Null, Some(Role::Viewer)),
        ("GET", format!("/schedules/{id}/preview"), Value::Null, Some(Role::Viewer)),
        ("POST", "/schedules/preview".into(), body(json!({"schedule_type": "manual"})), Some(Role::Viewer)),
        ("POST", "/schedules".into(), body(json!({"name": "n"})), Some(Role::User)),
        ("PATCH", format!("/schedules/{id}"), body(json!({"name": "n"})), Some(Role::User)),
        ("DELETE", format!("/schedules/{id}"), Value::Null, Some(Role::User)),
        ("POST", format!("/schedules/{id}/run"), Value::Null, Some(Role::User)),
        ("POST", format!("/schedules/{id}/pause"), Value::Null, Some(Role::User)),
        ("POST", format!("/schedules/{id}/resume"), Value::Null, Some(Role::User)),
        ("GET", "/dead-letters".into(), Value::Null, Some(Role::Viewer)),
        ("POST", "/dead-letters/retry".into(), body(json!({"all": true})), Some(Role::User)),
        ("POST", "/dead-letters/discard".into(), body(json!({"all": true})), Some(Role::User)),
        ("GET", "/cache".into(), Value::Null, Some(Role::Viewer)),
        ("DELETE", "/cache?handler=x".into(), Value::Null, Some(Role::User)),
        ("DELETE", "/cache?all=true".into(), Value::Null, Some(Role::Operator)),
        ("GET", "/queues".into(), Value::Null, Some(Role::Operator)),
        ("GET", "/queues/x".into(), Value::Null, Some(Role::Operator)),
        ("POST", "/queues/x/pause".into(), Value::Null, Some(Role::Operator)),
        ("POST", "/queues/x/resume".into(), Value::Null, Some(Role::Operator)),
        ("PUT", "/queues/x/limits".into(), body(json!({})), Some(Role::Operator)),
        ("GET", "/limits".into(), Value::Null, Some(Role::Operator)),
        ("GET", "/workers".into(), Value::Null, Some(Role::Operator)),
        ("POST", format!("/workers/{id}/drain"), Value::Null, Some(Role::Operator)),
        ("DELETE", format!("/tasks/{id}?purge=true"), Value::Null, Some(Role::Admin)),
        ("POST", "/admin/prune".into(), body(json!({})), Some(Role::Admin)),
        ("GET", "/users".into(), Value::Null, Some(Role::Admin)),
        ("GET", format!("/users/{id}"), Value::Null, Some(Role::Admin)),
        ("PATCH", format!("/users/{id}"), body(json!({"email": "a@b"})), Some(Role::Admin)),
        ("POST", "/users".into(), body(json!({"username": "x"})), Some(Role::Admin)),
        ("POST", "/worker/register".into(), body(json!({})), None),
        ("POST", "/worker/claim".into(), body(json!({})), None),
        ("POST", "/worker/beat".into(), body(json!({})), None),
        ("POST", "/worker/finish".into(), body(json!({})), None),
        ("POST", "/worker/drain".into(), body(json!({})), None),
        ("POST", "/worker/submit".into(), body(json!({})), None),
        ("PUT", format!("/worker/artifacts/{id}/a?session={id}&epoch=1"), body(json!({})), None),
    ]
}

async fn call(
    server: &Server,
    token: Option<&str>,
    method: &str,
    path: &str,
    body: &Value,
) -> crate::server::Answer {
    let mut request = server.request(method, path);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if !body.is_null() {
        request = request.json(body);
    }
    read(request).await
}

#[tokio::test]
async fn the_role_decides() {
    let server = Server::start().await;
    for (user, role) in
        [("vic", Role::Viewer), ("ann", Role::User), ("operator", Role::Operator), ("admin", Role::Admin)]
    {
        let token = server.login(user).await;
        for (method, path, body, least) in calls() {
            let answer = call(&server, Some(&token), method, &path, &body).await;
            let what = format!("{user}: {method} {path}: {} {}", answer.status, answer.text);
            if least.is_some_and(|least| role >= least) {
                assert!(![401, 403, 405, 500].contains(&answer.status), "{what}");
            } else {
                assert_eq!(answer.status, 403, "{what}");
            }
        }
    }
}

#[tokio::test]
async fn nothing_without_credentials() {
    let server = Server::start().await;
    for (method, path, body, _) in calls() {
        call(&server, None, method, &path, &body).await.problem(401, "unauthorized");
        call(&server, Some("rubbish"), method, &path, &body).await.problem(401, "unauthorized");
    }
}

#[tokio::test]
async fn a_worker_token_can_do_nothing_else() {
    let server = Server::start().await;
    let (token, _) = server.worker().await;
    for (method, path, body, least) in calls() {
        let answer = call(&server, Some(&token), method, &path, &body).await;
        if least.is_some() {
            answer.problem(403, "forbidden");
        } else {
            assert!(![401, 403, 500].contains(&answer.status), "{method} {path}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn a_worker_token_falls_with_its_owners_role() {
    let server = Server::start().await;
    let (token, session) = server.worker().await;
    let claim = json!({"session": session, "limit": 1});
    server.post(&token, "/worker/claim", claim.clone()).await.expect(200);
    let admin = server.login("admin").await;
    let path = format!("/users/{}", server.users["operator"]);
    server.send("PATCH", &admin, &path, json!({"role": "user"})).await.expect(200);
    server.post(&token, "/worker/claim", claim).await.problem(403, "forbidden");
}

#[tokio::test]
async fn anothers_task_is_like_a_missing_one() {
    let server = Server::start().await;
    let (ann, bob) = (server.login("ann").await, server.login("bob").await);
    let id = server.submit(&ann, json!({"task": "demo.echo", "unique_key": "k"})).await;
    let missing = Uuid::now_v7().to_string();
    for (method, tail, body) in [
        ("GET", "", Value::Null),
        ("GET", "?wait=1", Value::Null),
        ("GET", "/events", Value::Null),
        ("GET", "/attempts", Value::Null),
        ("GET", "/logs", Value::Null),
        ("GET", "/artifacts", Value::Null),
        ("GET", "/artifacts/a.txt", Value::Null),
        ("GET", "/explain", Value::Null),
        ("PATCH", "", json!({"priority": "low"})),
        ("POST", "/cancel", Value::Null),
        ("POST", "/retry", Value::Null),
        ("DELETE", "", Value::Null),
    ] {
        let problem_of = async |id: &str| {
            let path = format!("/tasks/{id}{tail}");
            let mut problem = call(&server, Some(&bob), method, &path, &body).await.problem(404, "not_found");
            problem["request_id"] = Value::Null;
            problem
        };
        assert_eq!(problem_of(&id).await, problem_of(&missing).await, "{method} {tail}");
    }
    assert_eq!(server.get(&bob, "/tasks").await.expect(200)["total"], 0);
    assert_eq!(server.get(&bob, "/tasks/count").await.expect(200)["total"], 0);
    let filter = format!("/tasks?user_id={}", server.users["ann"]);
    assert_eq!(server.get(&bob, &filter).await.expect(200)["total"], 0);
    assert_eq!(server.get(&ann, &filter).await.expect(200)["total"], 1);
    let child = json!({"task": "demo.echo", "depends_on": [id]});
    server.post(&bob, "/tasks", child).await.problem(422, "validation");
    server.post(&bob, "/tasks", json!({"task": "demo.echo", "unique_key": "k"})).await.expect(201);

    let operator = server.login("operator").await;
    assert_eq!(server.get(&operator, &format!("/tasks/{id}")).await.expect(200)["state"], "ready");
    assert_eq!(server.get(&operator, &filter).await.expect(200)["total"], 1);
}
