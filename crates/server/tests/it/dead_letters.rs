//! Dead letters over HTTP: a dry run first, and nobody moves what is another's.

use serde_json::{Value, json};

use crate::server::Server;

/// Fails `count` tasks of the user for good, with an error of this type.
async fn fail(server: &Server, token: &str, count: usize, kind: &str) {
    let worker = server.worker().await;
    let tasks = vec![json!({"task": "demo.fail", "tags": ["t"]}); count];
    server.post(token, "/tasks/batch", json!({"tasks": tasks})).await.expect(201);
    for _ in 0..count {
        let (id, epoch) = server.claim(&worker.0, worker.1).await;
        let outcome = json!({"fatal": {"error": {"type": kind, "message": "it broke"}}});
        let body = json!({"session": worker.1, "tasks": [{"id": id, "epoch": epoch, "outcome": outcome}]});
        server.post(&worker.0, "/worker/finish", body).await.expect(200);
    }
}

#[tokio::test]
async fn they_are_listed_by_what_went_wrong() {
    let server = Server::start().await;
    let (ann, bob, operator) =
        (server.login("ann").await, server.login("bob").await, server.login("operator").await);
    fail(&server, &ann, 3, "Boom").await;
    fail(&server, &ann, 1, "Other").await;
    fail(&server, &bob, 2, "Boom").await;
    let total = async |token: &str, query: &str| {
        server.get(token, &format!("/dead-letters{query}")).await.expect(200)["total"].as_u64().unwrap()
    };
    assert_eq!((total(&ann, "").await, total(&bob, "").await, total(&operator, "").await), (4, 2, 6));
    assert_eq!(total(&ann, "?error_type=Boom&reason=fatal&task=demo.fail&tag=t&queue=default").await, 3);
    assert_eq!((total(&ann, "?reason=error").await, total(&ann, "?error_type=boom").await), (0, 0));
    assert_eq!(total(&operator, &format!("?user_id={}", server.users["bob"])).await, 2);
    assert_eq!(total(&ann, &format!("?user_id={}", server.users["bob"])).await, 0);
    assert_eq!(total(&ann, "?finished_after=2030-01-01T00:00:00Z").await, 0);
    let page = server.get(&ann, "/dead-letters?limit=3").await.expect(200);
    assert_eq!(
        (page["items"].as_array().unwrap().len(), &page["items"][0]["error"]["type"]),
        (3, &json!("Other"))
    );
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = server.get(&ann, &format!("/dead-letters?limit=3&cursor={cursor}")).await.expect(200);
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next_cursor"]), (1, &Value::Null));
    for reason in ["cancelled", "zzz", ""] {
        let path = format!("/dead-letters?reason={reason}");
        let problem = server.get(&ann, &path).await.problem(422, "validation");
        let error = &problem["errors"][0];
        assert_eq!(error["loc"], json!(["query", "reason"]), "{error}");
        assert_eq!(error["msg"], "one of error, fatal, timeout, lost, poisoned");
    }
    server.get(&ann, "/dead-letters?limit=0").await.problem(422, "validation");
}

#[tokio::test]
async fn a_dry_run_says_what_a_real_one_does() {
    let server = Server::start().await;
    let (ann, bob) = (server.login("ann").await, server.login("bob").await);
    fail(&server, &ann, 12, "Boom").await;
    fail(&server, &ann, 2, "Other").await;
    fail(&server, &bob, 1, "Boom").await;
    let filter = json!({"error_type": "Boom"});
    let dry = server.post(&ann, "/dead-letters/retry", json!({"filter": filter})).await.expect(200);
    assert_eq!((&dry["dry_run"], &dry["matched"], &dry["moved"]), (&json!(true), &json!(12), &json!(0)));
    assert_eq!(dry["sample"].as_array().unwrap().len(), 10);
    assert_eq!(dry["sample"][0]["error"]["type"], "Boom");
    let real = json!({"filter": filter, "dry_run": false, "limit": 5});
    let some = server.post(&ann, "/dead-letters/retry", real).await.expect(200);
    assert_eq!((&some["matched"], &some["moved"], &some["refused"]), (&json!(5), &json!(5), &json!(0)));
    let real = json!({"filter": filter, "dry_run": false, "cursor": some["next_cursor"]});
    let rest = server.post(&ann, "/dead-letters/retry", real).await.expect(200);
    assert_eq!((&rest["moved"], &rest["next_cursor"]), (&json!(7), &Value::Null));
    assert_eq!(server.get(&ann, "/tasks/count").await.expect(200)["pending"], 12);
    let gone =
        server.post(&ann, "/dead-letters/discard", json!({"all": true, "dry_run": false})).await.expect(200);
    assert_eq!(gone["moved"], 2);
    assert_eq!(server.get(&ann, "/tasks/count").await.expect(200)["total"], 12);
    assert_eq!(server.get(&bob, "/dead-letters").await.expect(200)["total"], 1, "Bob's is still there");
    let operator = server.login("operator").await;
    let gone = json!({"filter": {"user_id": server.users["bob"]}, "dry_run": false});
    assert_eq!(server.post(&operator, "/dead-letters/discard", gone).await.expect(200)["moved"], 1);
}

#[tokio::test]
async fn a_filter_is_asked_for() {
    let server = Server::start().await;
    let ann = server.login("ann").await;
    for (body, field) in [
        (json!({}), "filter"),
        (json!({"filter": {}}), "filter"),
        (json!({"filter": {"task": "x"}, "all": true}), "all"),
        (json!({"all": true, "limit": 0}), "limit"),
        (json!({"all": true, "limit": 10_001}), "limit"),
        (json!({"filter": {"reason": "expired"}}), "reason"),
        (json!({"filter": {"reason": "zzz"}}), "one of error, fatal, timeout, lost, poisoned"),
        (json!({"filter": {"tag": "x".repeat(51)}}), "tag"),
        (json!({"filter": {"status": "failed"}}), "status"),
        (json!({"all": true, "dryrun": false}), "dryrun"),
    ] {
        for path in ["/dead-letters/retry", "/dead-letters/discard"] {
            let problem = server.post(&ann, path, body.clone()).await.problem(422, "validation");
            assert!(problem["errors"].to_string().contains(&format!("\"{field}\"")), "{body}: {problem}");
        }
    }
}

#[tokio::test]
async fn a_taken_key_is_told_and_the_others_go_on() {
    let server = Server::start().await;
    let ann = server.login("ann").await;
    let worker = server.worker().await;
    for task in [json!({"task": "demo.fail", "unique_key": "k"}), json!({"task": "demo.fail"})] {
        server.post(&ann, "/tasks", task).await.expect(201);
        let (id, epoch) = server.claim(&worker.0, worker.1).await;
        let outcome = json!({"fatal": {"error": {"type": "Boom", "message": ""}}});
        let body = json!({"session": worker.1, "tasks": [{"id": id, "epoch": epoch, "outcome": outcome}]});
        server.post(&worker.0, "/worker/finish", body).await.expect(200);
    }
    server.post(&ann, "/tasks", json!({"task": "demo.echo", "unique_key": "k"})).await.expect(201);
    let done =
        server.post(&ann, "/dead-letters/retry", json!({"all": true, "dry_run": false})).await.expect(200);
    assert_eq!((&done["matched"], &done["moved"], &done["refused"]), (&json!(2), &json!(1), &json!(1)));
    assert_eq!(done["sample"].as_array().unwrap().len(), 1);
}
