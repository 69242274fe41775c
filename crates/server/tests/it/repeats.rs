//! Calls that repeat others: idempotency keys, unique keys, the result cache.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::server::{Answer, Server, read};

/// Sends a submission with an idempotency key.
async fn keyed(server: &Server, token: &str, key: &str, path: &str, body: Value) -> Answer {
    let request = server.request("POST", path).bearer_auth(token).header("Idempotency-Key", key);
    read(request.json(&body)).await
}

/// Runs the one task that is ready to its success.
async fn succeed(server: &Server, worker: &(String, uuid::Uuid), result: Value) -> String {
    finish(server, worker, json!({"success": {"result": result}})).await
}

async fn finish(server: &Server, (token, session): &(String, uuid::Uuid), outcome: Value) -> String {
    let (id, epoch) = server.claim(token, *session).await;
    let body = json!({"session": session, "tasks": [{"id": id, "epoch": epoch, "outcome": outcome}]});
    server.post(token, "/worker/finish", body).await.expect(200);
    id
}

#[tokio::test]
async fn an_idempotency_key_is_remembered_for_a_day() {
    let server = Server::start().await;
    let token = server.login("ann").await;
    let first = keyed(&server, &token, "k", "/tasks", json!({"task": "demo.echo"})).await.expect(201);
    server.clock.advance(Duration::from_secs(86_400 - 60));
    server.engine.prune().await.unwrap();
    let token = server.login("ann").await;
    let again = keyed(&server, &token, "k", "/tasks", json!({"task": "demo.echo"})).await.expect(200);
    assert_eq!(again["id"], first["id"]);
    keyed(&server, &token, "k", "/tasks", json!({"task": "demo.echo", "priority": 3}))
        .await
        .problem(422, "idempotency_mismatch");
    keyed(&server, &token, "k", "/tasks/batch", json!({"tasks": [{"task": "demo.sleep"}]}))
        .await
        .problem(422, "idempotency_mismatch");
    server.clock.advance(Duration::from_secs(120));
    server.engine.prune().await.unwrap();
    let token = server.login("ann").await;
    let fresh = keyed(&server, &token, "k", "/tasks", json!({"task": "demo.echo"})).await.expect(201);
    assert_ne!(fresh["id"], first["id"]);
}

#[tokio::test]
async fn twins_with_one_key_are_one_batch() {
    let server = Server::start().await;
    let token = server.login("ann").await;
    let body = json!({"tasks": [{"task": "demo.echo", "args": [1]}, {"task": "demo.echo", "args": [2]}]});
    let twins = (0..8).map(|_| keyed(&server, &token, "batch", "/tasks/batch", body.clone()));
    let answers = join_all(twins).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    let ids = |answer: &Answer| json!([answer.body["items"][0]["id"], answer.body["items"][1]["id"]]);
    assert!(answers.iter().all(|answer| answer.status < 300 && ids(answer) == ids(&answers[0])));
    assert_eq!(server.get(&token, "/tasks/count").await.expect(200)["total"], 2);
}

#[tokio::test]
async fn a_replay_of_a_deleted_task_finds_nothing_and_makes_nothing() {
    let server = Server::start().await;
    let token = server.login("ann").await;
    let task = keyed(&server, &token, "k", "/tasks", json!({"task": "demo.echo"})).await.expect(201);
    let path = format!("/tasks/{}", task["id"].as_str().unwrap());
    read(server.request("DELETE", &path).bearer_auth(&token)).await.expect(204);
    keyed(&server, &token, "k", "/tasks", json!({"task": "demo.echo"})).await.problem(404, "not_found");
    assert_eq!(server.get(&token, "/tasks/count").await.expect(200)["total"], 0);
}

#[tokio::test]
async fn a_unique_key_answers_refuses_or_replaces() {
    let server = Server::start().await;
    let token = server.login("ann").await;
    let unique = |more: Value| {
        let mut task = json!({"task": "demo.echo", "unique_key": "k"});
        task.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        task
    };
    let first = server.post(&token, "/tasks", unique(json!({"unique_ttl": 600}))).await.expect(201);
    let again = server.post(&token, "/tasks", unique(json!({"unique_conflict": "return"}))).await.expect(200);
    assert_eq!((&again["id"], &again["deduplicated_by"]), (&first["id"], &json!("unique_key")));
    let refused = server.post(&token, "/tasks", unique(json!({"unique_conflict": "reject"}))).await;
    let refused = refused.problem(409, "unique_key_taken");
    assert!(refused["detail"].as_str().unwrap().contains(first["id"].as_str().unwrap()), "{refused}");
    let batch = json!({"tasks": [{"task": "demo.echo"}, unique(json!({"unique_conflict": "reject"}))]});
    let refused = server.post(&token, "/tasks/batch", batch).await.problem(409, "unique_key_taken");
    assert!(refused["detail"].as_str().unwrap().starts_with("tasks.1: "), "{refused}");
    let second =
        server.post(&token, "/tasks", unique(json!({"unique_conflict": "replace"}))).await.expect(201);
    assert_eq!(second["replaced"], first["id"]);
    let old = server.get(&token, &format!("/tasks/{}", first["id"].as_str().unwrap())).await.expect(200);
    assert_eq!((&old["status"], &old["reason"]), (&json!("revoked"), &json!("cancelled")));
    assert!(old.get("replaced").is_none() && second.get("deduplicated_by").is_none());
    // A retry by hand asks for the key as well.
    let retry = format!("/tasks/{}/retry", first["id"].as_str().unwrap());
    let taken =
        read(server.request("POST", &retry).bearer_auth(&token)).await.problem(409, "unique_key_taken");
    assert!(taken["detail"].as_str().unwrap().contains(second["id"].as_str().unwrap()), "{taken}");
    let bob = server.login("bob").await;
    server.post(&bob, "/tasks", unique(json!({"unique_conflict": "reject"}))).await.expect(201);
}

#[tokio::test]
async fn wishes_about_keys_are_checked() {
    let server = Server::start().await;
    let token = server.login("ann").await;
    for (body, field) in [
        (json!({"task": "x", "unique_ttl": 5}), "unique_key"),
        (json!({"task": "x", "unique_conflict": "reject"}), "unique_key"),
        (json!({"task": "x", "unique_key": "k", "unique_ttl": 0}), "unique_ttl"),
        (json!({"task": "x", "unique_key": "k", "unique_conflict": "maybe"}), "unique_conflict"),
        (json!({"task": "x", "cache_ttl": -1}), "cache_ttl"),
        (json!({"task": "x", "cache_ttl": 5, "depends_on": [uuid::Uuid::nil()]}), "cache_ttl"),
        (json!({"task": "x", "retry_on": [""]}), "retry_on.0"),
        (json!({"task": "x", "retry_on": vec!["t"; 51]}), "retry_on"),
    ] {
        let problem = server.post(&token, "/tasks", body.clone()).await.problem(422, "validation");
        let named = problem["errors"].to_string();
        assert!(named.contains(&format!("\"{}\"", field.replace('.', "\",\""))), "{body}: {named}");
    }
}

#[tokio::test]
async fn equal_calls_share_one_run() {
    let server = Server::start().await;
    let token = server.login("ann").await;
    let worker = server.worker().await;
    let cached = |args: &str| {
        let body = format!(r#"{{"task": "demo.echo", "args": {args}, "cache_ttl": 60}}"#);
        read(
            server
                .request("POST", "/tasks")
                .bearer_auth(&token)
                .header("Content-Type", "application/json")
                .body(body),
        )
    };
    let calls = join_all((0..6).map(|_| cached(r#"[1, {"a": 2, "b": [3.50]}]"#))).await;
    let outcome = |answer: &Answer| (answer.status, answer.body["cache"].as_str().unwrap().to_owned());
    assert_eq!(calls.iter().filter(|call| outcome(call) == (201, "miss".into())).count(), 1);
    assert_eq!(calls.iter().filter(|call| outcome(call) == (200, "joined".into())).count(), 5);
    let id = succeed(&server, &worker, json!({"answer": 42})).await;
    assert!(calls.iter().all(|call| call.body["id"] == id.as_str()));
    server.clock.advance(Duration::from_secs(50));
    let hit = cached(r#"[1,{"b":[3.5],"a":2}]"#).await;
    assert_eq!(outcome(&hit), (200, "hit".into()));
    assert_eq!((&hit.body["id"], &hit.body["result"]), (&json!(id), &json!({"answer": 42})));
    assert!(hit.body.get("deduplicated_by").is_none());
    assert_eq!(cached("[1.0]").await.expect(201)["cache"], "miss");
    assert_eq!(cached("[1]").await.expect(201)["cache"], "miss", "an integer is no decimal");
    let plain = server.post(&token, "/tasks", json!({"task": "demo.echo", "args": [1]})).await.expect(201);
    assert!(plain.get("cache").is_none(), "only who asks is told");
    assert!(server.get(&token, &format!("/tasks/{id}")).await.expect(200).get("cache").is_none());
    let metrics = read(server.request("GET", "//metrics")).await;
    assert_eq!(metrics.status, 200);
    for (outcome, count) in [("hit", 1), ("joined", 5), ("miss", 3)] {
        let line = format!("taskloom_cache_requests_total{{outcome=\"{outcome}\"}} {count}\n");
        assert!(metrics.text.contains(&line), "{}", metrics.text);
    }
    let listed = server.get(&token, "/cache?limit=2").await.expect(200);
    assert_eq!((&listed["total"], listed["items"].as_array().unwrap().len()), (&json!(3), 2));
    assert_eq!(listed["requests"], json!({"hit": 1, "joined": 5, "miss": 3, "hit_rate": 6.0 / 9.0}));
    let cursor = listed["next_cursor"].as_str().unwrap();
    let rest = server.get(&token, &format!("/cache?limit=2&cursor={cursor}")).await.expect(200);
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next_cursor"]), (1, &Value::Null));
    server.get(&token, "/cache?cursor=rubbish").await.problem(400, "malformed");
}

#[tokio::test]
async fn a_batch_is_answered_from_the_cache_too() {
    let server = Server::start().await;
    let token = server.login("ann").await;
    let worker = server.worker().await;
    let call = |n: u32| json!({"task": "demo.echo", "args": [n], "cache_ttl": 60});
    server.post(&token, "/tasks", call(1)).await.expect(201);
    succeed(&server, &worker, json!("one")).await;
    let batch = json!({"tasks": [call(1), call(2), call(2), {"task": "demo.echo"}]});
    let answer = server.post(&token, "/tasks/batch", batch).await.expect(201);
    let outcomes: Vec<_> =
        answer["items"].as_array().unwrap().iter().map(|task| task["cache"].clone()).collect();
    assert_eq!(json!(outcomes), json!(["hit", "miss", "joined", null]));
    assert_eq!(answer["items"][0]["result"], "one");
    assert_eq!(answer["items"][1]["id"], answer["items"][2]["id"]);
    let known = json!({"tasks": [call(1), call(2)]});
    server.post(&token, "/tasks/batch", known).await.expect(200);
}

#[tokio::test]
async fn a_purge_forgets_ones_own_calls() {
    let server = Server::start().await;
    let (ann, bob, operator) =
        (server.login("ann").await, server.login("bob").await, server.login("operator").await);
    let call = |task: &str| json!({"task": task, "cache_ttl": 60});
    let cache = async |token: &str, task: &str| {
        server.post(token, "/tasks", call(task)).await.body["cache"].as_str().unwrap().to_owned()
    };
    let purge = async |token: &str, query: &str| {
        read(server.request("DELETE", &format!("/cache{query}")).bearer_auth(token)).await
    };
    for (token, task) in [(&ann, "a"), (&ann, "b"), (&bob, "a")] {
        assert_eq!(cache(token, task).await, "miss", "nobody is answered with another's");
    }
    assert_eq!(purge(&ann, "?handler=a").await.expect(200), json!({"purged": 1}));
    assert_eq!(cache(&bob, "a").await, "joined");
    assert_eq!(cache(&ann, "b").await, "joined");
    assert_eq!(cache(&ann, "a").await, "miss");
    let listed = server.get(&ann, "/cache?handler=b").await.expect(200);
    let signature = listed["items"][0]["signature"].as_str().unwrap();
    assert_eq!((listed["total"].as_u64(), signature.len()), (Some(1), 64));
    assert_eq!(purge(&bob, &format!("?signature={signature}")).await.expect(200)["purged"], 0);
    for wrong in ["", "zz", &signature[1..], &format!("{signature}0"), &"g".repeat(64)] {
        let query = format!("?signature={wrong}");
        for answer in [purge(&ann, &query).await, server.get(&ann, &format!("/cache{query}")).await] {
            let problem = answer.problem(422, "validation");
            assert_eq!(problem["errors"][0]["loc"], json!(["query", "signature"]), "{wrong}");
            assert!(problem["errors"][0]["msg"].as_str().unwrap().starts_with("64 hexadecimal digits"));
        }
    }
    let capitals = signature.to_uppercase();
    assert_eq!(purge(&ann, &format!("?signature={capitals}")).await.expect(200)["purged"], 1);
    purge(&ann, "?all=true").await.problem(403, "forbidden");
    server.get(&ann, "/cache?all=true").await.problem(403, "forbidden");
    assert_eq!(purge(&operator, "").await.expect(200)["purged"], 0);
    assert_eq!(server.get(&operator, "/cache?all=true").await.expect(200)["total"], 2);
    assert_eq!(purge(&operator, "?all=true").await.expect(200)["purged"], 2);
    assert_eq!(purge(&ann, "?everything=1").await.problem(422, "validation")["errors"][0]["loc"][0], "query");
}

#[tokio::test]
async fn only_a_success_that_stands_is_served() {
    let server = Server::start().await;
    let token = server.login("ann").await;
    let worker = server.worker().await;
    let call = json!({"task": "demo.echo", "cache_ttl": 600, "max_attempts": 1});
    let submit = async || server.post(&token, "/tasks", call.clone()).await.body;
    assert_eq!(submit().await["cache"], "miss");
    finish(&server, &worker, json!({"fatal": {"error": {"type": "Boom", "message": "no"}}})).await;
    assert_eq!(submit().await["cache"], "miss", "a failure is not served");
    let id = succeed(&server, &worker, json!(1)).await;
    assert_eq!(submit().await["cache"], "hit");
    read(server.request("POST", &format!("/tasks/{id}/retry")).bearer_auth(&token)).await.expect(200);
    let joined = submit().await;
    assert_eq!(
        (&joined["cache"], &joined["id"]),
        (&json!("joined"), &json!(id)),
        "it works on the call again"
    );
    succeed(&server, &worker, json!(2)).await;
    assert_eq!(submit().await["result"], 2);
    read(server.request("DELETE", &format!("/tasks/{id}")).bearer_auth(&token)).await.expect(204);
    assert_eq!(submit().await["cache"], "miss", "what was deleted is not served");
}

#[tokio::test]
async fn handlers_defaults_fill_what_a_task_leaves_open() {
    let server = Server::start().await;
    let token = server.login("ann").await;
    let key = server.api_key("operator", &["worker"]).await;
    let session = uuid::Uuid::new_v4();
    let mut hello = json!({"protocol": 1, "session": session, "name": "w", "queues": ["slow"], "concurrency": 1,
        "handlers": ["report.build", "other"], "defaults": {"report.build": {"max_attempts": 9, "timeout": 30,
        "queue": "slow", "priority": "high", "retry_on": ["Busy"], "cache_ttl": 60}}});
    server.post(&key, "/worker/register", hello.clone()).await.expect(200);
    let task = server.post(&token, "/tasks", json!({"task": "report.build"})).await.expect(201);
    let filled = ["max_attempts", "timeout", "queue", "priority", "cache"].map(|field| task[field].clone());
    assert_eq!(json!(filled), json!([9, 30.0, "slow", "high", "miss"]));
    let own =
        json!({"task": "report.build", "args": [2], "max_attempts": 2, "queue": "default", "cache_ttl": 0});
    let task = server.post(&token, "/tasks", own).await.expect(201);
    assert_eq!((&task["max_attempts"], &task["queue"]), (&json!(2), &json!("default")));
    assert!(task.get("cache").is_none());
    let other = server.post(&token, "/tasks", json!({"task": "other"})).await.expect(201);
    assert_eq!(other["max_attempts"], 3, "the server's own");
    // An error that the handler's list does not name is fatal.
    let body = json!({"session": session, "limit": 1, "wait_ms": 0});
    let claimed = server.post(&key, "/worker/claim", body).await.expect(200)["tasks"][0].clone();
    let outcome = json!({"error": {"error": {"type": "Boom", "message": "no"}}});
    let ends = json!({"session": session, "tasks": [{"id": claimed["id"], "epoch": claimed["epoch"], "outcome": outcome}]});
    server.post(&key, "/worker/finish", ends).await.expect(200);
    let ended = server.get(&token, &format!("/tasks/{}", claimed["id"].as_str().unwrap())).await.expect(200);
    assert_eq!((&ended["status"], &ended["reason"]), (&json!("failed"), &json!("fatal")));
    // A worker that does not say leaves them; one that says so takes them away.
    let defaults = hello.as_object_mut().unwrap().remove("defaults").unwrap();
    server.post(&key, "/worker/register", hello.clone()).await.expect(200);
    assert_eq!(
        server.post(&token, "/tasks", json!({"task": "report.build", "args": [3]})).await.body["max_attempts"],
        9
    );
    hello["defaults"] = json!({});
    server.post(&key, "/worker/register", hello.clone()).await.expect(200);
    assert_eq!(
        server.post(&token, "/tasks", json!({"task": "report.build", "args": [4]})).await.body["max_attempts"],
        3
    );
    for (field, bad) in [("max_attempts", json!(0)), ("queue", json!("a b")), ("soft_timeout", json!(30))] {
        let mut defaults = defaults.clone();
        defaults["report.build"][field] = bad;
        hello["defaults"] = defaults;
        let problem = server.post(&key, "/worker/register", hello.clone()).await.problem(422, "validation");
        assert_eq!(problem["errors"][0]["loc"], json!(["body", "defaults", "report.build", field]));
    }
    hello["defaults"] = json!({"stranger": {"max_attempts": 1}});
    server.post(&key, "/worker/register", hello).await.problem(422, "validation");
}

#[tokio::test]
async fn a_schedule_is_created_and_run_once_for_a_key() {
    let server = Server::start().await;
    let token = server.login("ann").await;
    let body = json!({"name": "saved", "task": "demo.echo", "schedule_type": "manual", "unique_key": "u",
        "unique_ttl": 60, "unique_conflict": "reject", "cache_ttl": 0, "expires_in": 30});
    let twins = (0..4).map(|_| keyed(&server, &token, "s", "/schedules", body.clone()));
    let answers = join_all(twins).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    let first = answers.iter().find(|answer| answer.status == 201).unwrap().body.clone();
    assert!(first.get("deduplicated_by").is_none());
    for name in ["unique_key", "unique_conflict"] {
        assert_eq!(first[name], body[name]);
    }
    assert_eq!((&first["unique_ttl"], &first["expires_in"]), (&json!(60.0), &json!(30.0)));
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!((answer.status, &answer.body["id"]), (200, &first["id"]));
        assert_eq!(answer.body["deduplicated_by"], "idempotency_key");
    }
    let other = json!({"name": "other", "task": "demo.echo", "schedule_type": "manual"});
    keyed(&server, &token, "s", "/schedules", other.clone()).await.problem(422, "idempotency_mismatch");
    // The same key for a task is another request, too.
    keyed(&server, &token, "s", "/tasks", json!({"task": "demo.echo"}))
        .await
        .problem(422, "idempotency_mismatch");
    let long = "k".repeat(201);
    keyed(&server, &token, &long, "/schedules", other).await.problem(422, "validation");

    let run = format!("/schedules/{}/run", first["id"].as_str().unwrap());
    let task = keyed(&server, &token, "r", &run, json!({})).await.expect(201);
    let again = keyed(&server, &token, "r", &run, json!({})).await.expect(200);
    assert_eq!((&again["id"], &again["deduplicated_by"]), (&task["id"], &json!("idempotency_key")));
    keyed(&server, &token, "r", &run, json!({"delay": 1})).await.problem(422, "idempotency_mismatch");
    server.post(&token, &run, json!({})).await.problem(409, "unique_key_taken");
    let answered = server.post(&token, &run, json!({"unique_conflict": "return"})).await.expect(200);
    assert_eq!((&answered["id"], &answered["deduplicated_by"]), (&task["id"], &json!("unique_key")));
    let cached = json!({"unique_key": "v", "cache_ttl": 60});
    assert_eq!(server.post(&token, &run, cached.clone()).await.expect(201)["cache"], "miss");
    assert_eq!(server.post(&token, &run, cached).await.expect(200)["cache"], "joined");
}
