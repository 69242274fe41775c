//! What any careful tester would try: each gets its status, code and problem, and never a 500.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::server::{PASSWORD, Server, read};

async fn raw(
    server: &Server,
    token: &str,
    path: &str,
    body: impl Into<reqwest::Body>,
) -> crate::server::Answer {
    let request = server.request("POST", path).bearer_auth(token).header("Content-Type", "application/json");
    read(request.body(body)).await
}

#[tokio::test]
async fn bodies_of_tasks() {
    let server = Server::start().await;
    let ann = server.login("ann").await;
    let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    let long = "x".repeat(201);
    let tags: Vec<_> = (0..21).map(|n| n.to_string()).collect();
    let many_keys = (0..500).fold(String::new(), |all, n| all + &format!(r#","k{n}":1"#));
    let task = |rest: &str| format!(r#"{{"task":"demo.echo",{rest}}}"#);
    for (body, status, code, loc) in [
        (String::new(), 400, "malformed", ""),
        ("{".into(), 400, "malformed", ""),
        ("nul".into(), 400, "malformed", ""),
        (r#"{"task":"demo.echo"} {}"#.into(), 400, "malformed", ""),
        (r#"{"task":"demo.echo","delay":NaN}"#.into(), 400, "malformed", ""),
        (r#"{"task":"demo.echo","delay":Infinity}"#.into(), 400, "malformed", ""),
        (task(r#""delay":1e999"#), 400, "malformed", ""),
        ("[]".into(), 422, "validation", "body"),
        ("null".into(), 422, "validation", "body"),
        ("\"x\"".into(), 422, "validation", "body"),
        ("{}".into(), 422, "validation", "body.task"),
        (r#"{"task":null}"#.into(), 422, "validation", "body.task"),
        (r#"{"task":""}"#.into(), 422, "validation", "body.task"),
        (r#"{"task":7}"#.into(), 422, "validation", "body.task"),
        (r#"{"task":"a\u0000b"}"#.into(), 422, "validation", "body.task"),
        (r#"{"task":"a","celery_task_name":"b"}"#.into(), 422, "validation", "body.task"),
        (task(r#""task":"demo.echo""#), 422, "validation", "body.task"),
        (task(r#""unknown":1"#), 422, "validation", "body.unknown"),
        (format!(r#"{{"task":"demo.echo"{many_keys}}}"#), 422, "validation", "body.k0"),
        (task(r#""args":{}"#), 422, "validation", "body.args"),
        (task(r#""kwargs":[]"#), 422, "validation", "body.kwargs"),
        (task(r#""kwargs":{"a":1,"a":2}"#), 422, "validation", "body.kwargs"),
        (task(r#""kwargs":{"a":{"b":1,"b":2}}"#), 422, "validation", "body.kwargs"),
        (task(&format!(r#""args":{}"#, deep(65))), 422, "validation", "body.args"),
        (task(&format!(r#""args":{}"#, deep(100_000))), 422, "validation", "body.args"),
        (task(&format!(r#""metadata":{{"a":{}}}"#, deep(200))), 422, "validation", "body.metadata"),
        (task(&format!(r#""tags":{}"#, deep(100_000))), 422, "validation", "body.tags.0"),
        (task(r#""priority":0"#), 422, "validation", "body.priority"),
        (task(r#""priority":"urgent""#), 422, "validation", "body.priority"),
        (task(r#""priority":-1"#), 422, "validation", "body.priority"),
        (task(r#""priority":1.5"#), 422, "validation", "body.priority"),
        (task(r#""delay":-1"#), 422, "validation", "body.delay"),
        (task(r#""delay":1e300"#), 422, "validation", "body.delay"),
        (task(r#""timeout":0"#), 422, "validation", "body.timeout"),
        (task(r#""timeout":"5""#), 422, "validation", "body.timeout"),
        (task(r#""max_attempts":0"#), 422, "validation", "body.max_attempts"),
        (task(r#""max_attempts":4294967296"#), 422, "validation", "body.max_attempts"),
        (task(r#""max_attempts":1.0"#), 422, "validation", "body.max_attempts"),
        (task(r#""run_at":"tomorrow""#), 422, "validation", "body.run_at"),
        (task(r#""run_at":"2026-13-01T00:00:00Z""#), 422, "validation", "body.run_at"),
        (task(r#""run_at":"0001-01-01T00:00:00Z""#), 422, "validation", "body.run_at"),
        (task(r#""run_at":1700000000"#), 422, "validation", "body.run_at"),
        (task(r#""queue":"a b""#), 422, "validation", "body.queue"),
        (task(r#""queue":"""#), 422, "validation", "body.queue"),
        (task(r#""queue":"../../etc/passwd""#), 422, "validation", "body.queue"),
        (task(r#""name":"a\u0000b""#), 422, "validation", "body.name"),
        (task(&format!(r#""name":"{long}""#)), 422, "validation", "body.name"),
        (task(&format!(r#""tags":{}"#, json!(tags))), 422, "validation", "body.tags"),
        (task(r#""tags":[""]"#), 422, "validation", "body.tags.0"),
        (task(r#""tags":[1]"#), 422, "validation", "body.tags.0"),
        (task(r#""depends_on":["x"]"#), 422, "validation", "body.depends_on.0"),
        (task(&format!(r#""depends_on":["{}"]"#, Uuid::nil())), 422, "validation", "body.depends_on"),
        (task(r#""backoff":{"kind":"random"}"#), 422, "validation", "body.backoff.kind"),
        (task(r#""backoff":{"seconds":-1}"#), 422, "validation", "body.backoff.seconds"),
        (task(r#""backoff":{"x":1}"#), 422, "validation", "body.backoff.x"),
        (task(r#""backoff":{"seconds":9,"max_seconds":8}"#), 422, "validation", "body.backoff.max_seconds"),
        (task(r#""on_parent_failure":"stop""#), 422, "validation", "body.on_parent_failure"),
        (task(r#""cache_ttl":-5"#), 422, "validation", "body.cache_ttl"),
    ] {
        let shown: String = body.chars().take(100).collect();
        let problem = raw(&server, &ann, "/tasks", body).await.problem(status, code);
        if !loc.is_empty() {
            let found = &problem["errors"][0]["loc"];
            let found: Vec<_> = found.as_array().unwrap().iter().map(|l| l.as_str().unwrap()).collect();
            assert_eq!(found.join("."), loc, "{shown}: {problem}");
        }
    }
    assert_eq!(server.get(&ann, "/tasks/count").await.expect(200)["total"], 0, "nothing was kept");
    raw(&server, &ann, "/tasks", b"{\"task\":\"\xff\xfe\"}".to_vec()).await.problem(400, "malformed");
}

#[tokio::test]
async fn batches() {
    let server = Server::start().await;
    let ann = server.login("ann").await;
    let of = |n: usize| json!({"tasks": vec![json!({"task": "demo.echo"}); n]});
    server.post(&ann, "/tasks/batch", of(0)).await.problem(422, "validation");
    server.post(&ann, "/tasks/batch", of(10_001)).await.problem(422, "validation");
    let one_bad = json!({"tasks": [{"task": "demo.echo"}, {"task": "demo.echo", "timeout": -1}]});
    let problem = server.post(&ann, "/tasks/batch", one_bad).await.problem(422, "validation");
    assert_eq!(problem["errors"][0]["loc"], json!(["body", "tasks", "1", "timeout"]));
    assert_eq!(server.get(&ann, "/tasks/count").await.expect(200)["total"], 0, "all or none");
}

#[tokio::test]
async fn sizes_and_content_types() {
    let server = Server::with(|config| {
        config.body_limit = 10_000;
        config.batch_body_limit = 20_000;
    })
    .await;
    let ann = server.login("ann").await;
    let body = |n: usize| format!(r#"{{"task":"demo.echo","kwargs":{{"a":"{}"}}}}"#, "x".repeat(n));
    raw(&server, &ann, "/tasks", body(9_000)).await.expect(201);
    raw(&server, &ann, "/tasks", body(11_000)).await.problem(413, "payload_too_large");
    let chunks: Vec<Result<Vec<u8>, std::io::Error>> =
        vec![Ok(body(11_000).into_bytes()), Ok(vec![b' '; 9_000])];
    let streamed = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    raw(&server, &ann, "/tasks", streamed).await.problem(413, "payload_too_large");
    raw(&server, &ann, "/tasks/batch", body(21_000)).await.problem(413, "payload_too_large");
    raw(&server, &ann, "/tasks/batch", body(11_000)).await.problem(422, "validation");

    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "jsonish",
        "application/xml",
    ] {
        let request = server.request("POST", "/tasks").bearer_auth(&ann).header("Content-Type", content_type);
        read(request.body(r#"{"task":"demo.echo"}"#)).await.problem(415, "unsupported_media_type");
    }
    let request = server.request("POST", "/tasks").bearer_auth(&ann).body(r#"{"task":"demo.echo"}"#);
    read(request).await.problem(415, "unsupported_media_type");
    let request = server.request("POST", "/tasks").bearer_auth(&ann).json(&json!({"task": "demo.echo"}));
    read(request.header("Content-Encoding", "gzip")).await.problem(415, "unsupported_media_type");
    let request = server.request("POST", "/tasks").bearer_auth(&ann).body(r#"{"task":"demo.echo"}"#);
    read(request.header("Content-Type", "Application/JSON; charset=utf-8")).await.expect(201);
    let json = server.request("POST", "/auth/token").json(&json!({"username": "ann", "password": PASSWORD}));
    read(json).await.problem(415, "unsupported_media_type");
}

#[tokio::test]
async fn a_body_that_does_not_arrive() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = Server::with(|config| config.body_timeout = std::time::Duration::from_millis(50)).await;
    let ann = server.login("ann").await;
    let mut stream = tokio::net::TcpStream::connect(server.base.trim_start_matches("http://")).await.unwrap();
    let head = format!(
        "POST /api/v1/tasks HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {ann}\r\nContent-Type: application/json\r\n\
         Content-Length: 100\r\nConnection: close\r\n\r\n{{\"task\":"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("\"code\":\"request_timeout\""), "{answer}");
}

#[tokio::test]
async fn paths_methods_and_queries() {
    let server = Server::start().await;
    let ann = server.login("ann").await;
    for (path, status, code) in [
        ("/nothing", 404, "not_found"),
        ("/tasks/not-an-id", 422, "validation"),
        ("/tasks/%FF", 422, "validation"),
        ("/tasks/00000000-0000-0000-0000-000000000000", 404, "not_found"),
        ("/tasks/00000000-0000-0000-0000-000000000000/nothing", 404, "not_found"),
        ("/tasks/00000000-0000-0000-0000-000000000000/artifacts/..%2F..%2Fetc%2Fpasswd", 404, "not_found"),
        ("/tasks/00000000-0000-0000-0000-000000000000?wait=61", 422, "validation"),
        ("/tasks/00000000-0000-0000-0000-000000000000?wait=-1", 422, "validation"),
        ("/tasks/00000000-0000-0000-0000-000000000000/logs?limit=0", 422, "validation"),
        ("/tasks/00000000-0000-0000-0000-000000000000/logs?after=18446744073709551615", 422, "validation"),
        ("/tasks?limit=0", 422, "validation"),
        ("/tasks?limit=501", 422, "validation"),
        ("/tasks?limit=ten", 422, "validation"),
        ("/tasks?limit=1&limit=2", 422, "validation"),
        ("/tasks?skip=-1", 422, "validation"),
        ("/tasks?skip=1000001", 422, "validation"),
        ("/tasks?status=done", 422, "validation"),
        ("/tasks?state=", 422, "validation"),
        ("/tasks?order_by=name", 422, "validation"),
        ("/tasks?order_desc=maybe", 422, "validation"),
        ("/tasks?user_id=ann", 422, "validation"),
        ("/tasks?created_after=yesterday", 422, "validation"),
        ("/tasks?q=%00", 422, "validation"),
        ("/tasks?unknown=1", 422, "validation"),
        ("/tasks/count?limit=1", 422, "validation"),
        ("/tasks?cursor=forged", 400, "malformed"),
        ("/tasks?cursor=", 400, "malformed"),
        ("/tasks?cursor=eyJpZCI6MX0", 400, "malformed"),
        ("/tasks?cursor=a&skip=1", 422, "validation"),
    ] {
        let answer = server.get(&ann, path).await;
        assert_eq!(
            (answer.status, answer.body["code"].as_str()),
            (status, Some(code)),
            "{path}: {}",
            answer.text
        );
        answer.problem(status, code);
    }
    let long = format!("/tasks?q={}", "x".repeat(201));
    server.get(&ann, &long).await.problem(422, "validation");
    for q in ["'%20OR%201=1%20--", "%25_%5C", "%22", "%E4%BB%BB%E5%8A%A1", "*", "(", "NEAR"] {
        server.get(&ann, &format!("/tasks?q={q}&tag={q}&queue={q}")).await.expect(200);
    }
    for (method, path) in [
        ("DELETE", "/tasks"),
        ("PUT", "/tasks"),
        ("GET", "/auth/token"),
        ("OPTIONS", "/tasks"),
        ("TRACE", "/tasks"),
    ] {
        read(server.request(method, path).bearer_auth(&ann)).await.problem(405, "method_not_allowed");
    }
    read(server.request("GET", "//nothing")).await.problem(404, "not_found");
}

#[tokio::test]
async fn a_cursor_belongs_to_its_list() {
    let server = Server::start().await;
    let ann = server.login("ann").await;
    for _ in 0..3 {
        server.submit(&ann, json!({"task": "demo.echo"})).await;
    }
    let page = server.get(&ann, "/tasks?limit=2").await.expect(200);
    let cursor = page["next_cursor"].as_str().unwrap();
    let next = server.get(&ann, &format!("/tasks?limit=2&cursor={cursor}")).await.expect(200);
    assert_eq!(next["items"].as_array().unwrap().len(), 1);
    let other = format!("/tasks?limit=2&order_by=priority&cursor={cursor}");
    server.get(&ann, &other).await.problem(400, "malformed");
}

#[tokio::test]
async fn the_account_calls() {
    let server = Server::start().await;
    let admin = server.login("admin").await;
    for (path, body) in [
        ("/users", json!({"username": "ab", "password": "long enough"})),
        ("/users", json!({"username": "a b c", "password": "long enough"})),
        ("/users", json!({"username": "a\0bc", "password": "long enough"})),
        ("/users", json!({"username": "张三丰", "password": "long enough"})),
        ("/users", json!({"username": "eve", "password": "short"})),
        ("/users", json!({"username": "eve", "password": "x".repeat(257)})),
        ("/users", json!({"username": "eve", "password": "long\0enough"})),
        ("/users", json!({"username": "eve", "password": "long enough", "email": "eve"})),
        ("/users", json!({"username": "eve", "password": "long enough", "email": "e\u{0}@x"})),
        ("/users", json!({"username": "eve", "password": "long enough", "role": "root"})),
        ("/users", json!({"username": "eve", "password": "long enough", "is_admin": true})),
        ("/users", json!({"username": "eve"})),
        ("/api-keys", json!({"name": "", "scopes": ["tasks:read"]})),
        ("/api-keys", json!({"name": "a\0b", "scopes": ["tasks:read"]})),
        ("/api-keys", json!({"name": "n"})),
        ("/auth/login/json", json!({"username": "ann"})),
        ("/auth/login/json", json!({"username": ["ann"], "password": {}})),
        ("/auth/refresh", json!({"refresh_token": 1})),
    ] {
        let answer = server.post(&admin, path, body.clone()).await;
        assert_eq!(answer.status, 422, "{path} {body}: {}", answer.text);
        answer.problem(422, "validation");
    }
    let path = format!("/users/{}", server.users["ann"]);
    server.send("PATCH", &admin, &path, json!({})).await.problem(422, "validation");
    server.try_login(&"x".repeat(10_000), "y").await.problem(401, "bad_credentials");
    server.try_login("ann", &"y".repeat(10_000)).await.problem(401, "bad_credentials");
    server.try_login("", "").await.problem(401, "bad_credentials");
    read(server.request("POST", "/auth/token").form(&[("username", "ann")])).await.problem(422, "validation");
    let nul = server.request("POST", "/auth/token").form(&[("username", "a\0"), ("password", "b")]);
    read(nul).await.problem(422, "validation");
}

#[tokio::test]
async fn idempotency_keys() {
    let server = Server::start().await;
    let ann = server.login("ann").await;
    for key in ["", &"k".repeat(256), "ключ", "a b", "a\tb"] {
        let value = reqwest::header::HeaderValue::from_bytes(key.as_bytes()).unwrap();
        let request = server.request("POST", "/tasks").bearer_auth(&ann).header("Idempotency-Key", value);
        read(request.json(&json!({"task": "demo.echo"}))).await.problem(422, "validation");
    }
}

#[tokio::test]
async fn the_worker_protocol() {
    let server = Server::start().await;
    let (token, session) = server.worker().await;
    let hello = |key: &str, value: Value| {
        let mut hello = json!({"protocol": 1, "session": Uuid::new_v4(), "name": "w", "queues": ["default"], "concurrency": 1});
        hello[key] = value;
        hello
    };
    let id = Uuid::now_v7();
    for (path, body, status, code) in [
        ("register", hello("protocol", json!(2)), 422, "validation"),
        ("register", hello("name", json!("")), 422, "validation"),
        ("register", hello("name", json!("a\0b")), 422, "validation"),
        ("register", hello("queues", json!([])), 422, "validation"),
        ("register", hello("queues", json!(["a b"])), 422, "validation"),
        ("register", hello("concurrency", json!(0)), 422, "validation"),
        ("register", hello("session", json!("x")), 422, "validation"),
        ("register", hello("extra", json!(1)), 422, "validation"),
        ("claim", json!({"session": session, "limit": 1_000_000}), 422, "validation"),
        ("claim", json!({"session": session, "limit": 0}), 422, "validation"),
        ("claim", json!({"session": session, "limit": -1}), 422, "validation"),
        ("claim", json!({"session": session, "limit": 1, "wait_ms": 60_001}), 422, "validation"),
        ("claim", json!({"session": Uuid::new_v4(), "limit": 1}), 404, "unknown_session"),
        ("claim", json!({"limit": 1}), 422, "validation"),
        ("beat", json!({"session": Uuid::new_v4()}), 404, "unknown_session"),
        (
            "beat",
            json!({"session": session, "tasks": [{"id": id, "epoch": 1, "progress": 101}]}),
            422,
            "validation",
        ),
        ("beat", json!({"session": session, "tasks": [{"id": id, "epoch": -1}]}), 422, "validation"),
        ("finish", json!({"session": session, "tasks": []}), 422, "validation"),
        (
            "finish",
            json!({"session": session, "tasks": [{"id": id, "epoch": 1, "outcome": "success"}]}),
            422,
            "validation",
        ),
        (
            "finish",
            json!({"session": session, "tasks": [{"id": id, "epoch": 1, "outcome": {"triumph": {}}}]}),
            422,
            "validation",
        ),
        (
            "finish",
            json!({"session": session, "tasks": [{"id": id, "epoch": 1, "outcome": "timeout"}]}),
            409,
            "lease_lost",
        ),
        (
            "submit",
            json!({"session": session, "parent": {"id": id, "epoch": 1}, "tasks": [{"task": "a"}]}),
            409,
            "lease_lost",
        ),
        (
            "submit",
            json!({"session": session, "parent": {"id": id, "epoch": 1}, "tasks": []}),
            422,
            "validation",
        ),
    ] {
        let answer = server.post(&token, &format!("/worker/{path}"), body.clone()).await;
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.text);
        answer.problem(status, code);
    }
    for (path, status, code) in [
        (format!("/worker/artifacts/{id}/a.txt?session={session}&epoch=1"), 409, "lease_lost"),
        (format!("/worker/artifacts/{id}/.hidden?session={session}&epoch=1"), 422, "validation"),
        (format!("/worker/artifacts/{id}/..%2Fa?session={session}&epoch=1"), 422, "validation"),
        (format!("/worker/artifacts/{id}/a.txt?session={session}"), 422, "validation"),
        (format!("/worker/artifacts/{id}/a.txt"), 422, "validation"),
    ] {
        let answer = read(server.request("PUT", &path).bearer_auth(&token).body("content")).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
        answer.problem(status, code);
    }
}
