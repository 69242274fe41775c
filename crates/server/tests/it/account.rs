//! Logins, tokens, passwords, users and API keys.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use crate::server::{PASSWORD, Server, read};

#[tokio::test]
async fn the_users_script_logs_in() {
    let server = Server::start().await;
    let request = server
        .request("POST", "/auth/token")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body("username=admin&password=correct%20horse");
    let answer = read(request).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    let pair = answer.expect(200);
    assert_eq!((&pair["token_type"], &pair["expires_in"]), (&json!("bearer"), &json!(1800)));
    let me = server.get(pair["access_token"].as_str().unwrap(), "/users/me").await.expect(200);
    assert_eq!(
        (&me["username"], &me["role"], &me["is_active"]),
        (&json!("admin"), &json!("admin"), &json!(true))
    );
    assert!(me.get("password_hash").is_none());
}

#[tokio::test]
async fn every_way_to_log_in() {
    let server = Server::start().await;
    let oauth = [
        ("grant_type", "password"),
        ("username", "ann"),
        ("password", PASSWORD),
        ("scope", ""),
        ("client_id", "x"),
        ("client_secret", "y"),
    ];
    for path in ["/auth/token", "/auth/login", "/auth/login/"] {
        read(server.request("POST", path).form(&oauth)).await.expect(200);
    }
    let body = json!({"username": "ann", "password": PASSWORD});
    read(server.request("POST", "/auth/login/json").json(&body)).await.expect(200);
}

#[tokio::test]
async fn wrong_credentials_look_alike() {
    let server = Server::start().await;
    let wrong = server.try_login("ann", "wrong horse").await.problem(401, "bad_credentials");
    let nobody = server.try_login("nobody", "wrong horse").await.problem(401, "bad_credentials");
    assert_eq!(wrong["detail"], nobody["detail"]);
    let admin = server.login("admin").await;
    let path = format!("/users/{}", server.users["ann"]);
    server.send("PATCH", &admin, &path, json!({"is_active": false})).await.expect(200);
    let inactive = server.try_login("ann", PASSWORD).await.problem(401, "bad_credentials");
    assert_eq!(inactive["detail"], nobody["detail"]);
}

#[tokio::test]
async fn a_refresh_token_works_once_and_theft_ends_the_login() {
    let server = Server::start().await;
    let (access, first) = server.pair("ann").await;
    let refresh =
        |token: String| read(server.request("POST", "/auth/refresh").json(&json!({"refresh_token": token})));
    let next = refresh(first.clone()).await.expect(200);
    let second = next["refresh_token"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    server.get(next["access_token"].as_str().unwrap(), "/users/me").await.expect(200);
    server.get(&access, "/users/me").await.expect(200);

    refresh(first).await.problem(401, "unauthorized");
    refresh(second).await.problem(401, "unauthorized");
    server.get(&access, "/users/me").await.problem(401, "unauthorized");
    server.get(next["access_token"].as_str().unwrap(), "/users/me").await.problem(401, "unauthorized");
    for rubbish in ["", "tlr_", "tlr_0123456789abcdef0123456789abcdef_x", &access] {
        refresh(rubbish.to_owned()).await.problem(401, "unauthorized");
    }
}

#[tokio::test]
async fn tokens_end_in_time() {
    let server = Server::start().await;
    let (access, refresh) = server.pair("ann").await;
    server.clock.advance(Duration::from_secs(1_799));
    server.get(&access, "/users/me").await.expect(200);
    server.clock.advance(Duration::from_secs(1));
    server.get(&access, "/users/me").await.problem(401, "unauthorized");
    server.clock.advance(Duration::from_hours(14 * 24));
    let body = json!({"refresh_token": refresh});
    read(server.request("POST", "/auth/refresh").json(&body)).await.problem(401, "unauthorized");
}

#[tokio::test]
async fn logout_ends_one_login_at_once() {
    let server = Server::start().await;
    let (here, refresh) = server.pair("ann").await;
    let elsewhere = server.login("ann").await;
    server.get(&here, "/users/me").await.expect(200);
    read(server.request("POST", "/auth/logout").bearer_auth(&here)).await.expect(204);
    server.get(&here, "/users/me").await.problem(401, "unauthorized");
    server.get(&elsewhere, "/users/me").await.expect(200);
    let body = json!({"refresh_token": refresh});
    read(server.request("POST", "/auth/refresh").json(&body)).await.problem(401, "unauthorized");
}

#[tokio::test]
async fn a_new_password_ends_all_logins() {
    let server = Server::start().await;
    let (here, elsewhere) = (server.login("ann").await, server.login("ann").await);
    let change = |old: &str, new: &str| json!({"old_password": old, "new_password": new});
    let path = "/auth/password-change";
    server.post(&here, path, change("wrong horse", "battery staple")).await.problem(401, "bad_credentials");
    server.post(&here, path, change(PASSWORD, "short")).await.problem(422, "validation");
    server.get(&elsewhere, "/users/me").await.expect(200);
    server.post(&here, path, change(PASSWORD, "battery staple")).await.expect(204);
    for token in [here, elsewhere] {
        server.get(&token, "/users/me").await.problem(401, "unauthorized");
    }
    server.try_login("ann", PASSWORD).await.problem(401, "bad_credentials");
    server.try_login("ann", "battery staple").await.expect(200);
}

#[tokio::test]
async fn deactivation_and_another_role_count_at_once() {
    let server = Server::start().await;
    let (admin, ann) = (server.login("admin").await, server.login("ann").await);
    let key = server.api_key("ann", &["tasks:read", "tasks:write"]).await;
    let path = format!("/users/{}", server.users["ann"]);
    let task = json!({"task": "demo.echo"});
    server.post(&key, "/tasks", task.clone()).await.expect(201);
    let changed = server.send("PATCH", &admin, &path, json!({"role": "viewer"})).await.expect(200);
    assert_eq!(changed["role"], "viewer");
    server.post(&key, "/tasks", task.clone()).await.problem(403, "forbidden");
    server.get(&ann, "/users/me").await.problem(401, "unauthorized");
    let ann = server.login("ann").await;
    server.post(&ann, "/tasks", task).await.problem(403, "forbidden");

    server.send("PATCH", &admin, &path, json!({"is_active": false})).await.expect(200);
    server.get(&ann, "/users/me").await.problem(401, "unauthorized");
    server.get(&key, "/tasks").await.problem(401, "unauthorized");
    server.send("PATCH", &admin, &path, json!({"is_active": true})).await.expect(200);
    server.get(&ann, "/users/me").await.problem(401, "unauthorized");
    server.login("ann").await;
}

#[tokio::test]
async fn guessing_is_slowed_down() {
    let server = Server::start().await;
    for _ in 0..5 {
        server.try_login("ann", "wrong horse").await.problem(401, "bad_credentials");
    }
    let refused = server.try_login("ann", PASSWORD).await;
    assert_eq!(refused.header("retry-after"), "1");
    refused.problem(429, "too_many_requests");
    server.try_login("bob", PASSWORD).await.expect(200);
    server.clock.advance(Duration::from_secs(1));
    server.try_login("ann", PASSWORD).await.expect(200);
    server.try_login("ann", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn right_passwords_at_once_all_log_in() {
    let server = Server::start().await;
    for answer in join_all((0..20).map(|_| server.try_login("ann", PASSWORD))).await {
        answer.expect(200);
    }
}

#[tokio::test]
async fn guesses_at_once_gain_nothing() {
    let server = Server::start().await;
    let token = server.login("bob").await;
    let logins = join_all((0..20).map(|_| server.try_login("ann", "wrong horse"))).await;
    let change = json!({"old_password": "wrong horse", "new_password": "battery staple"});
    let changes =
        join_all((0..20).map(|_| server.post(&token, "/auth/password-change", change.clone()))).await;
    for answers in [logins, changes] {
        let (told, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 401);
        assert_eq!((told.len(), refused.len()), (5, 15));
        for answer in refused {
            answer.problem(429, "too_many_requests");
        }
    }
}

#[tokio::test]
async fn users_are_managed() {
    let server = Server::start().await;
    let admin = server.login("admin").await;
    let new =
        json!({"username": "eve", "password": "long enough", "email": "eve@example.org", "role": "operator"});
    let eve = server.post(&admin, "/users", new.clone()).await.expect(201);
    assert_eq!((&eve["username"], &eve["role"]), (&json!("eve"), &json!("operator")));
    server.post(&admin, "/users", new).await.problem(409, "conflict");
    server.try_login("eve", "long enough").await.expect(200);
    let path = format!("/users/{}", eve["id"].as_str().unwrap());
    assert_eq!(server.get(&admin, &path).await.expect(200)["email"], "eve@example.org");
    let first = server.get(&admin, "/users?limit=4").await.expect(200);
    let after = first["next_after"].as_str().unwrap();
    let second = server.get(&admin, &format!("/users?limit=4&after={after}")).await.expect(200);
    let names: Vec<_> = [&first, &second]
        .iter()
        .flat_map(|page| page["items"].as_array().unwrap())
        .map(|user| user["username"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["admin", "ann", "bob", "eve", "operator", "vic"]);
    assert!(second["next_after"].is_null());
    let own = format!("/users/{}", server.users["admin"]);
    server.send("PATCH", &admin, &own, json!({"role": "user"})).await.problem(409, "conflict");
    server.send("PATCH", &admin, &own, json!({"is_active": false})).await.problem(409, "conflict");
    let nobody = format!("/users/{}", uuid::Uuid::new_v4());
    server.get(&admin, &nobody).await.problem(404, "not_found");
    server.send("PATCH", &admin, &nobody, json!({"email": "a@b"})).await.problem(404, "not_found");
}

#[tokio::test]
async fn registration_is_off_unless_allowed() {
    let new = json!({"username": "eve", "password": "long enough"});
    let server = Server::start().await;
    read(server.request("POST", "/auth/register").json(&new)).await.problem(403, "forbidden");
    let server = Server::with(|config| config.allow_registration = true).await;
    let greedy = json!({"username": "eve", "password": "long enough", "role": "admin"});
    read(server.request("POST", "/auth/register").json(&greedy)).await.problem(403, "forbidden");
    let eve = read(server.request("POST", "/auth/register").json(&new)).await.expect(201);
    assert_eq!(eve["role"], "user");
    read(server.request("POST", "/auth/register").json(&new)).await.problem(409, "conflict");
    server.try_login("eve", "long enough").await.expect(200);
}

#[tokio::test]
async fn api_keys_live_within_their_scopes() {
    let server = Server::start().await;
    let ann = server.login("ann").await;
    let reader = server.api_key("ann", &["tasks:read"]).await;
    let writer = server.api_key("ann", &["tasks:write"]).await;
    let task = json!({"task": "demo.echo"});
    server.get(&reader, "/tasks").await.expect(200);
    read(server.request("GET", "/tasks").header("X-API-Key", &reader)).await.expect(200);
    server.post(&reader, "/tasks", task.clone()).await.problem(403, "forbidden");
    server.post(&writer, "/tasks", task).await.expect(201);
    server.get(&writer, "/tasks").await.problem(403, "forbidden");
    server.get(&reader, "/users/me").await.expect(200);
    server.get(&reader, "/api-keys").await.problem(403, "forbidden");
    server.post(&reader, "/worker/claim", json!({})).await.problem(403, "forbidden");

    let keys = server.get(&ann, "/api-keys").await;
    assert!(!keys.text.contains(&reader[40..]), "secrets are shown once");
    let keys = keys.expect(200);
    assert_eq!(keys["items"].as_array().unwrap().len(), 2);
    let id = keys["items"].as_array().unwrap().iter().find(|k| k["scopes"] == json!(["tasks:read"])).unwrap()
        ["id"]
        .clone();
    let path = format!("/api-keys/{}", id.as_str().unwrap());
    let bob = server.login("bob").await;
    read(server.request("DELETE", &path).bearer_auth(&bob)).await.problem(404, "not_found");
    read(server.request("DELETE", &path).bearer_auth(&ann)).await.expect(204);
    server.get(&reader, "/tasks").await.problem(401, "unauthorized");
    read(server.request("DELETE", &path).bearer_auth(&ann)).await.expect(204);
}

#[tokio::test]
async fn api_keys_end_in_time() {
    let server = Server::start().await;
    let ann = server.login("ann").await;
    let body = |end: &str| json!({"name": "n", "scopes": ["tasks:read"], "expires_at": end});
    server.post(&ann, "/api-keys", body("2026-01-31T08:00:00Z")).await.problem(422, "validation");
    let key = server.post(&ann, "/api-keys", body("2026-01-31T08:00:01Z")).await.expect(201);
    let key = key["key"].as_str().unwrap();
    server.get(key, "/tasks").await.expect(200);
    server.clock.advance(Duration::from_secs(1));
    server.get(key, "/tasks").await.problem(401, "unauthorized");
}

#[tokio::test]
async fn nobody_mints_more_than_the_own_rights() {
    let server = Server::start().await;
    for (user, scopes, status) in [
        ("vic", json!(["tasks:read"]), 201),
        ("vic", json!(["tasks:write"]), 403),
        ("ann", json!(["worker"]), 403),
        ("operator", json!(["worker"]), 201),
        ("admin", json!(["worker"]), 201),
        ("admin", json!(["worker", "tasks:read"]), 422),
        ("admin", json!([]), 422),
        ("admin", json!(["tasks:read", "tasks:read"]), 422),
        ("admin", json!(["everything"]), 422),
    ] {
        let token = server.login(user).await;
        let answer = server.post(&token, "/api-keys", json!({"name": "n", "scopes": scopes})).await;
        assert_eq!(answer.status, status, "{user} {scopes}: {}", answer.text);
    }
}
