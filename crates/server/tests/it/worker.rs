//! A worker that speaks plain HTTP.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::server::{Server, read};

fn done(session: Uuid, id: &str, epoch: u64, outcome: &Value) -> Value {
    json!({"session": session, "tasks": [{"id": id, "epoch": epoch, "outcome": outcome}]})
}

#[tokio::test]
async fn a_task_runs_to_its_result() {
    let server = Server::start().await;
    let ann = server.login("ann").await;
    let (token, session) = server.worker().await;
    let id = server.submit(&ann, json!({"task": "demo.echo", "kwargs": {"a": 1}})).await;
    let (claimed, epoch) = server.claim(&token, session).await;
    assert_eq!(claimed, id);

    let at = "2026-01-31T08:00:00Z";
    let news = json!({"session": session, "tasks": [{"id": id, "epoch": epoch, "progress": 40.0, "detail": {"step": 2},
        "logs": [{"at": at, "message": "half way"}]}]});
    let answer = server.post(&token, "/worker/beat", news).await.expect(200);
    assert_eq!(answer, json!({"lost": [], "cancel": [], "drain": false}));
    let task = server.get(&ann, &format!("/tasks/{id}")).await.expect(200);
    assert_eq!(
        (&task["status"], &task["progress"], &task["worker"]),
        (&json!("running"), &json!(40.0), &json!("w"))
    );
    let logs = server.get(&ann, &format!("/tasks/{id}/logs")).await.expect(200);
    assert_eq!(logs["items"][0]["message"], "half way");
    let after = logs["next_after"].as_u64().unwrap();
    let rest = server.get(&ann, &format!("/tasks/{id}/logs?after={after}")).await.expect(200);
    assert_eq!(rest["items"], json!([]));

    let success = json!({"success": {"result": {"echo": 1}}});
    let answer = server.post(&token, "/worker/finish", done(session, &id, epoch, &success)).await.expect(200);
    assert_eq!(answer, json!({"lost": []}));
    let task = server.get(&ann, &format!("/tasks/{id}?wait=5")).await.expect(200);
    assert_eq!((&task["status"], &task["result"]), (&json!("succeeded"), &json!({"echo": 1})));
    let attempts = server.get(&ann, &format!("/tasks/{id}/attempts")).await.expect(200);
    assert_eq!(attempts["items"][0]["outcome"], "succeeded");
}

#[tokio::test]
async fn an_old_epoch_is_refused() {
    let server = Server::start().await;
    let ann = server.login("ann").await;
    let (token, session) = server.worker().await;
    let id = server.submit(&ann, json!({"task": "demo.echo"})).await;
    let (_, epoch) = server.claim(&token, session).await;
    let success = json!({"success": {"result": null}});
    let stale = done(session, &id, epoch + 1, &success);
    server.post(&token, "/worker/finish", stale).await.problem(409, "lease_lost");
    let beat = json!({"session": session, "tasks": [{"id": id, "epoch": epoch - 1}]});
    let answer = server.post(&token, "/worker/beat", beat).await.expect(200);
    assert_eq!(answer["lost"], json!([{"id": id, "epoch": epoch - 1}]));
    server.post(&token, "/worker/finish", done(session, &id, epoch, &success)).await.expect(200);
    server
        .post(&token, "/worker/finish", done(session, &id, epoch, &success))
        .await
        .problem(409, "lease_lost");

    let second = server.submit(&ann, json!({"task": "demo.echo"})).await;
    let (_, second_epoch) = server.claim(&token, session).await;
    let mixed = json!({"session": session, "tasks": [
        {"id": id, "epoch": epoch, "outcome": "timeout"},
        {"id": second, "epoch": second_epoch, "outcome": success}]});
    let answer = server.post(&token, "/worker/finish", mixed).await.expect(200);
    assert_eq!(answer["lost"], json!([{"id": id, "epoch": epoch}]));
}

#[tokio::test]
async fn a_cancel_reaches_the_worker() {
    let server = Server::start().await;
    let ann = server.login("ann").await;
    let (token, session) = server.worker().await;
    let id = server.submit(&ann, json!({"task": "demo.echo"})).await;
    let (_, epoch) = server.claim(&token, session).await;
    let path = format!("/tasks/{id}/cancel");
    let verdict = read(server.request("POST", &path).bearer_auth(&ann)).await.expect(200);
    assert_eq!(
        (&verdict["task"]["state"], &verdict["task"]["reason"]),
        (&json!("running"), &json!("cancelling"))
    );
    let beat = json!({"session": session, "tasks": [{"id": id, "epoch": epoch}]});
    let answer = server.post(&token, "/worker/beat", beat).await.expect(200);
    assert_eq!(answer["cancel"], json!([{"id": id, "epoch": epoch}]));
    server.post(&token, "/worker/finish", done(session, &id, epoch, &json!("cancelled"))).await.expect(200);
    assert_eq!(server.get(&ann, &format!("/tasks/{id}")).await.expect(200)["state"], "revoked");
}

#[tokio::test]
async fn a_handler_submits_and_gives_back() {
    let server = Server::start().await;
    let ann = server.login("ann").await;
    let (token, session) = server.worker().await;
    let id = server.submit(&ann, json!({"task": "demo.echo"})).await;
    let (_, epoch) = server.claim(&token, session).await;
    let spawn =
        json!({"session": session, "parent": {"id": id, "epoch": epoch}, "tasks": [{"task": "demo.sleep"}]});
    let child = server.post(&token, "/worker/submit", spawn).await.expect(200)["items"][0].clone();
    assert_eq!((&child["parent_id"], &child["user_id"]), (&json!(id), &json!(server.users["ann"])));
    let drain = json!({"session": session, "tasks": [{"id": id, "epoch": epoch}], "leave": true});
    assert_eq!(server.post(&token, "/worker/drain", drain).await.expect(200), json!({"lost": []}));
    assert_eq!(server.get(&ann, &format!("/tasks/{id}")).await.expect(200)["state"], "ready");
}

#[tokio::test]
async fn files_go_in_and_come_out() {
    let server = Server::start().await;
    let (ann, bob) = (server.login("ann").await, server.login("bob").await);
    let (token, session) = server.worker().await;
    let id = server.submit(&ann, json!({"task": "demo.echo"})).await;
    let (_, epoch) = server.claim(&token, session).await;
    let put = |name: &str, bytes: Vec<u8>| {
        let path = format!("/worker/artifacts/{id}/{name}?session={session}&epoch={epoch}");
        server.request("PUT", &path).bearer_auth(&token).header("Content-Type", "text/html").body(bytes)
    };
    let kept = read(put("page.html", b"<script>alert(1)</script>".to_vec())).await.expect(200);
    assert_eq!((&kept["bytes"], &kept["content_type"]), (&json!(25), &json!("text/html")));
    read(put("large.bin", vec![0; (1 << 20) + 1])).await.problem(413, "payload_too_large");
    let chunks = vec![Ok::<_, std::io::Error>(vec![0u8; 700_000]), Ok(vec![0u8; 700_000])];
    let streamed =
        put("large.bin", Vec::new()).body(reqwest::Body::wrap_stream(futures_util::stream::iter(chunks)));
    read(streamed).await.problem(413, "payload_too_large");

    let list = server.get(&ann, &format!("/tasks/{id}/artifacts")).await.expect(200);
    assert_eq!(list["items"], json!([kept]));
    let file = format!("/tasks/{id}/artifacts/page.html");
    let answer = server.get(&ann, &file).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, "<script>alert(1)</script>"));
    assert_eq!(answer.header("content-disposition"), "attachment; filename=\"page.html\"");
    assert!(answer.header("content-security-policy").contains("sandbox"));
    let tag = answer.header("etag").to_owned();
    let again = read(server.request("GET", &file).bearer_auth(&ann).header("If-None-Match", tag)).await;
    assert_eq!((again.status, again.text.as_str()), (304, ""));
    server.get(&bob, &file).await.problem(404, "not_found");
    let left = std::fs::read_dir(server.engine.config().artifacts_dir.join(".incoming")).unwrap().count();
    assert_eq!(left, 0, "nothing is left behind");
}

#[tokio::test]
async fn operators_see_and_drain_workers() {
    let server = Server::start().await;
    let (token, session) = server.worker().await;
    let operator = server.login("operator").await;
    let workers = server.get(&operator, "/workers").await.expect(200);
    let worker = &workers["items"][0];
    assert_eq!(
        (&worker["name"], &worker["alive"], &worker["draining"]),
        (&json!("w"), &json!(true), &json!(false))
    );
    let drain = format!("/workers/{session}/drain");
    read(server.request("POST", &drain).bearer_auth(&operator)).await.expect(204);
    let beat = server.post(&token, "/worker/beat", json!({"session": session})).await.expect(200);
    assert_eq!(beat["drain"], true);
    let nobody = format!("/workers/{}/drain", Uuid::new_v4());
    read(server.request("POST", &nobody).bearer_auth(&operator)).await.problem(404, "not_found");
}

#[tokio::test]
async fn tasks_for_a_worker_that_went_away_come_back() {
    let server = Server::start().await;
    let ann = server.login("ann").await;
    let (token, session) = server.worker().await;
    let claim = server.request("POST", "/worker/claim").bearer_auth(&token);
    let claim = claim.json(&json!({"session": session, "limit": 1, "wait_ms": 60_000}));
    let gone = tokio::spawn(claim.send());
    // The claim is under way once another call on the same server has been answered after it; then its client goes.
    server.get(&ann, "/tasks").await.expect(200);
    gone.abort();
    let _ = gone.await;
    let id = server.submit(&ann, json!({"task": "demo.echo"})).await;
    let claim = json!({"session": session, "limit": 1, "wait_ms": 30_000});
    let answer = server.post(&token, "/worker/claim", claim).await.expect(200);
    assert_eq!(answer["tasks"][0]["id"], json!(id));
}
