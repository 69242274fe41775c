//! The schedule calls as users make them.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::server::{Server, read};

fn weekly() -> Value {
    json!({"name": "weekly report", "task": "reports.build", "kwargs": {}, "schedule_type": "weekly",
        "schedule_config": {"days": [1, 3, 5], "time": "14:30:00"},
        "timezone": "Asia/Shanghai", "overlap": "skip", "misfire": "run_once", "enabled": true})
}

#[tokio::test]
async fn the_users_script_works_verbatim() {
    let server = Server::start().await;
    let token = server.login("ann").await;
    let made = server.post(&token, "/schedules/", weekly()).await.expect(201);
    assert_eq!(made["schedule_config"], json!({"days": [1, 3, 5], "time": "14:30:00"}));
    assert_eq!(
        (&made["schedule_type"], &made["timezone"], &made["overlap"], &made["misfire"], &made["enabled"]),
        (&json!("weekly"), &json!("Asia/Shanghai"), &json!("skip"), &json!("run_once"), &json!(true))
    );
    // The 31st of January 2026 is a Saturday.
    assert_eq!(made["next_run_at"], "2026-02-02T06:30:00.000000Z");
    assert_eq!((&made["last_run_at"], &made["counts"]), (&Value::Null, &json!({"fired": 0, "skipped": 0})));
    let path = format!("/schedules/{}", made["id"].as_str().unwrap());

    server.clock.advance(Duration::from_secs(2 * 86_400));
    assert_eq!(server.engine.fire().await.unwrap(), 1);
    // The first token ended meanwhile.
    let token = server.login("ann").await;
    let now = server.get(&token, &path).await.expect(200);
    assert_eq!(
        (&now["counts"]["fired"], &now["next_run_at"]),
        (&json!(1), &json!("2026-02-04T06:30:00.000000Z"))
    );
    let ticks = server.get(&token, &format!("{path}/ticks")).await.expect(200);
    let tick = &ticks["items"][0];
    assert_eq!((&tick["outcome"], &tick["local"]), (&json!("fired"), &json!("2026-02-02T14:30:00+08:00")));
    assert_eq!(tick["task_id"], now["last_task_id"]);
    let task = server.get(&token, &format!("/tasks/{}", tick["task_id"].as_str().unwrap())).await.expect(200);
    assert_eq!((&task["schedule_id"], &task["task"]), (&made["id"], &json!("reports.build")));
    let filter = format!("/tasks?schedule_id={}", made["id"].as_str().unwrap());
    assert_eq!(server.get(&token, &filter).await.expect(200)["total"], 1);
    let skipped = server.get(&token, &format!("{path}/ticks?outcome=skipped&limit=1")).await.expect(200);
    assert_eq!(skipped, json!({"items": [], "next_cursor": null}));

    let changed = json!({"schedule_type": "cron", "schedule_config": {"cron_expression": "0 0 * * *"}, "timezone": null});
    let changed = server.send("PATCH", &token, &path, changed).await.expect(200);
    assert_eq!(
        (&changed["timezone"], &changed["next_run_at"]),
        (&json!("UTC"), &json!("2026-02-03T00:00:00.000000Z"))
    );
    let post =
        async |tail: &str| read(server.request("POST", &format!("{path}{tail}")).bearer_auth(&token)).await;
    let paused = post("/pause").await.expect(200);
    assert_eq!((&paused["enabled"], &paused["next_run_at"]), (&json!(false), &Value::Null));
    assert_eq!(post("/resume").await.expect(200)["enabled"], true);
    assert_eq!(post("/run").await.expect(201)["schedule_id"], made["id"]);
    // A client may name the type of the body that it does not send.
    let named = server.request("POST", &format!("{path}/run")).bearer_auth(&token);
    let named = read(named.header("Content-Type", "application/json")).await.expect(201);
    assert_eq!(named["schedule_id"], made["id"]);
    let over = json!({"kwargs": {"day": 24}, "priority": "high", "queue": "now"});
    let run = server.post(&token, &format!("{path}/run"), over).await.expect(201);
    assert_eq!(
        (&run["kwargs"], &run["priority"], &run["queue"]),
        (&json!({"day": 24}), &json!("high"), &json!("now"))
    );
    read(server.request("DELETE", &path).bearer_auth(&token)).await.expect(204);
    let problem = server.get(&token, &path).await.problem(404, "not_found");
    assert_eq!(problem["detail"], "no schedule with this id");
}

#[tokio::test]
async fn a_preview_shows_utc_and_the_zone() {
    let server = Server::start().await;
    let token = server.login("vic").await;
    let body = json!({"schedule_type": "daily", "schedule_config": {"time": "02:30"}, "timezone": "America/New_York",
        "after": "2026-03-07T12:00:00Z", "count": 2});
    let preview = server.post(&token, "/schedules/preview", body).await.expect(200);
    assert_eq!(
        preview,
        json!({"times": [
            {"utc": "2026-03-08T07:00:00.000000Z", "local": "2026-03-08T03:00:00-04:00"},
            {"utc": "2026-03-09T06:30:00.000000Z", "local": "2026-03-09T02:30:00-04:00"}]})
    );
    let ann = server.login("ann").await;
    let made = server.post(&ann, "/schedules", weekly()).await.expect(201);
    let path = format!("/schedules/{}/preview?count=3", made["id"].as_str().unwrap());
    let preview = server.get(&ann, &path).await.expect(200);
    assert_eq!(preview["times"].as_array().unwrap().len(), 3);
    assert_eq!(preview["times"][0]["local"], "2026-02-02T14:30:00+08:00");
    server.get(&ann, &path.replace('3', "1000")).await.problem(422, "validation");
}

#[tokio::test]
async fn bad_input_names_field_and_rule() {
    let server = Server::start().await;
    let token = server.login("ann").await;
    let with = |field: &str, value: Value| {
        let mut body = weekly();
        body[field] = value;
        body
    };
    for (body, place, rule) in [
        (
            with("schedule_config", json!({"days": [8], "time": "14:30"})),
            "schedule_config.days",
            "out_of_range",
        ),
        (with("schedule_config", json!({"days": [1], "time": "25:00"})), "schedule_config.time", "bad_value"),
        (with("schedule_config", json!([1])), "schedule_config", "wrong_type"),
        (with("schedule_type", json!("hourly")), "schedule_type", "bad_value"),
        (with("schedule_type", Value::Null), "schedule_type", "missing"),
        (with("timezone", json!("Mars/Olympus")), "timezone", "bad_value"),
        (with("overlap", json!("never")), "overlap", "bad_value"),
        (with("misfire", json!(1)), "misfire", "wrong_type"),
        (with("catch_up", json!(-1)), "catch_up", "bad_value"),
        (with("jitter", json!(1e9)), "jitter", "out_of_range"),
        (with("start_at", json!("soon")), "start_at", "invalid"),
        (with("crontab", json!("* * * * *")), "crontab", "unknown_field"),
        (with("priority", json!("urgent")), "priority", "bad_value"),
        (with("args", json!({})), "args", "wrong_type"),
        (with("task", json!("")), "task", "missing"),
        (with("unique_ttl", json!(60)), "unique_key", "missing"),
        (with("unique_key", json!("")), "unique_key", "too_short"),
        (with("unique_conflict", json!("fight")), "unique_conflict", "bad_value"),
        (with("cache_ttl", json!(-1)), "cache_ttl", "out_of_range"),
        (with("expires_in", json!(0)), "expires_in", "out_of_range"),
        (with("depends_on", json!([])), "depends_on", "invalid"),
        (with("on_parent_failure", json!("skip")), "on_parent_failure", "invalid"),
        (with("run_at", json!("2026-12-25T10:00:00Z")), "run_at", "invalid"),
        (with("delay", json!(5)), "delay", "invalid"),
        (with("expires_at", Value::Null), "expires_at", "invalid"),
    ] {
        let problem = server.post(&token, "/schedules", body.clone()).await.problem(422, "validation");
        let error = &problem["errors"][0];
        let named: Vec<_> =
            error["loc"].as_array().unwrap()[1..].iter().map(|p| p.as_str().unwrap()).collect();
        assert_eq!((named.join("."), error["type"].as_str().unwrap()), (place.into(), rule), "{body}");
    }
    let problem =
        server.post(&token, "/schedules", with("expires_at", json!("x"))).await.problem(422, "validation");
    assert!(problem["errors"][0]["msg"].as_str().unwrap().contains("give expires_in"), "{problem}");
    let made = server.post(&token, "/schedules", weekly()).await.expect(201);
    let path = format!("/schedules/{}", made["id"].as_str().unwrap());
    for change in [
        json!({"depends_on": []}),
        json!({"delay": 1}),
        json!({"expires_in": -1}),
        json!({}),
        json!({"id": "x"}),
        json!({"timezone": "x"}),
        json!({"name": null}),
        json!({"priority": 9}),
    ] {
        server.send("PATCH", &token, &path, change).await.problem(422, "validation");
    }
    let nothing = server.send("PATCH", &token, &path, json!({})).await.problem(422, "validation");
    assert_eq!(nothing["errors"][0]["loc"], json!(["body"]), "{nothing}");
    for over in [
        json!({"expires_at": "x"}),
        json!({"expires_in": 5, "delay": 5}),
        json!({"task": "x"}),
        json!({"queue": "a b"}),
        json!({"delay": -1}),
    ] {
        server.post(&token, &format!("{path}/run"), over).await.problem(422, "validation");
    }
    let plain = server.request("POST", &format!("{path}/run")).bearer_auth(&token).body("x");
    read(plain).await.problem(415, "unsupported_media_type");
    let half = server.request("POST", &format!("{path}/run")).bearer_auth(&token).body("{");
    read(half.header("Content-Type", "application/json")).await.problem(400, "malformed");
    for query in ["limit=0", "limit=501", "schedule_type=x", "enabled=maybe", "nope=1", "user_id=1"] {
        server.get(&token, &format!("/schedules?{query}")).await.problem(422, "validation");
    }
    server.get(&token, "/schedules?cursor=x").await.problem(400, "malformed");
    server.get(&token, "/schedules/x").await.problem(422, "validation");
}

#[tokio::test]
async fn lists_have_filters_and_pages() {
    let server = Server::start().await;
    let token = server.login("ann").await;
    for number in 0..5 {
        let body = json!({"name": format!("n{number}"), "task": "demo.echo", "schedule_type": "manual",
            "enabled": number > 0});
        server.post(&token, "/schedules", body).await.expect(201);
    }
    server.post(&token, "/schedules", weekly()).await.expect(201);
    for (query, total) in [
        ("", 6),
        ("schedule_type=manual", 5),
        ("schedule_type=once", 0),
        ("enabled=false", 1),
        ("task=reports.build", 1),
        ("name=n3", 1),
        ("enabled=true&task=demo.echo", 4),
    ] {
        let page = server.get(&token, &format!("/schedules?{query}")).await.expect(200);
        assert_eq!(page["total"], total, "{query}");
        assert_eq!(page["items"].as_array().unwrap().len(), total, "{query}");
    }
    let first = server.get(&token, "/schedules?limit=4").await.expect(200);
    assert_eq!(first["items"][0]["name"], "weekly report", "latest first");
    let rest = format!("/schedules?limit=4&cursor={}", first["next_cursor"].as_str().unwrap());
    let rest = server.get(&token, &rest).await.expect(200);
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next_cursor"]), (2, &Value::Null));
    assert_eq!(rest["items"][1]["name"], "n0");
}

#[tokio::test]
async fn anothers_schedule_is_like_a_missing_one() {
    let server = Server::start().await;
    let (ann, bob) = (server.login("ann").await, server.login("bob").await);
    let made = server.post(&ann, "/schedules", weekly()).await.expect(201);
    let (theirs, missing) = (made["id"].as_str().unwrap().to_owned(), Uuid::now_v7().to_string());
    for (method, tail, body) in [
        ("GET", "", Value::Null),
        ("GET", "/ticks", Value::Null),
        ("GET", "/preview", Value::Null),
        ("PATCH", "", json!({"name": "mine"})),
        ("POST", "/run", json!({})),
        ("POST", "/pause", Value::Null),
        ("POST", "/resume", Value::Null),
        ("DELETE", "", Value::Null),
    ] {
        let problem_of = async |id: &str| {
            let request = server.request(method, &format!("/schedules/{id}{tail}")).bearer_auth(&bob);
            let request = if body.is_null() { request } else { request.json(&body) };
            let mut problem = read(request).await.problem(404, "not_found");
            problem["request_id"] = Value::Null;
            problem
        };
        assert_eq!(problem_of(&theirs).await, problem_of(&missing).await, "{method} {tail}");
    }
    assert_eq!(server.get(&bob, "/schedules").await.expect(200)["total"], 0);
    let filter = format!("/schedules?user_id={}", server.users["ann"]);
    assert_eq!(server.get(&bob, &filter).await.expect(200)["total"], 0);
    let operator = server.login("operator").await;
    assert_eq!(server.get(&operator, &filter).await.expect(200)["total"], 1);
    let path = format!("/schedules/{theirs}");
    let renamed = server.send("PATCH", &operator, &path, json!({"name": "ours"})).await.expect(200);
    assert_eq!((&renamed["name"], &renamed["user_id"]), (&json!("ours"), &json!(server.users["ann"])));
}
