//! The OpenAPI document, the pages over it, headers and health.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use crate::server::{Server, read};

#[tokio::test]
async fn the_document_lists_every_call() {
    let server = Server::start().await;
    let document = read(server.request("GET", "//openapi.json")).await.expect(200);
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut drawn = String::new();
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            let statuses: Vec<_> = operation["responses"].as_object().unwrap().keys().cloned().collect();
            writeln!(drawn, "{} {path} {id} {}", method.to_uppercase(), statuses.join(" ")).unwrap();
            assert!(ids.insert(id.to_owned()), "{id} twice");
            assert!(operation["summary"].is_string(), "{id} has no summary");
        }
    }
    insta::assert_snapshot!("calls", drawn);
}

#[tokio::test]
async fn the_documents_references_lead_somewhere() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(target)) = map.get("$ref") {
                    found.insert(target.clone());
                }
                map.values().for_each(|v| references(v, found));
            }
            Value::Array(list) => list.iter().for_each(|v| references(v, found)),
            _ => {}
        }
    }
    let document = taskloom_server::openapi_document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.contains("#/components/responses/Problem"));
    for target in found {
        assert!(document.pointer(target.trim_start_matches('#')).is_some(), "{target}");
    }
    let flow = &document["components"]["securitySchemes"]["password"]["flows"]["password"];
    assert_eq!(flow["tokenUrl"], "/api/v1/auth/token");
}

#[tokio::test]
async fn the_pages_need_nothing_from_elsewhere() {
    let server = Server::start().await;
    for path in ["//docs", "//docs/", "//redoc"] {
        let page = read(server.request("GET", path)).await;
        assert_eq!(page.status, 200);
        assert!(page.header("content-type").starts_with("text/html"), "{path}");
        assert!(page.text.contains("/openapi.json"), "{path}");
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
        assert!(!policy.contains("http"), "{policy}");
        for sign in [
            "<link",
            "src=\"http",
            "src='http",
            "@import",
            "url(http",
            "cdn.redoc.ly/redoc",
            "fonts.googleapis",
        ] {
            assert!(!page.text.split("<script>").next().unwrap().contains(sign), "{path}: {sign}");
        }
        assert!(!page.text.contains("https://cdn."), "{path}");
    }
    let server = Server::with(|config| config.docs = false).await;
    for path in ["//docs", "//redoc", "//openapi.json"] {
        read(server.request("GET", path)).await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn health_answers_without_credentials() {
    let server = Server::start().await;
    for prefix in ["/", ""] {
        let health = read(server.request("GET", &format!("{prefix}/health"))).await.expect(200);
        assert_eq!(health["status"], "ok");
        assert!(health["database"]["ok"].as_bool().unwrap() && health["database"]["latency_ms"].is_number());
        assert!(health["redis"].is_null());
        assert_eq!(health["queue"]["ready"], 0);
        assert_eq!(health["workers"]["alive"], 0);
        read(server.request("GET", &format!("{prefix}/health/live"))).await.expect(200);
        read(server.request("GET", &format!("{prefix}/health/ready/"))).await.expect(200);
    }
}

#[tokio::test]
async fn answers_carry_ids_and_security_headers() {
    let server = Server::start().await;
    let answer = read(server.request("GET", "/health/live").header("X-Request-Id", "trace-1.a_B")).await;
    assert_eq!(answer.header("x-request-id"), "trace-1.a_B");
    assert_eq!(answer.header("x-frame-options"), "DENY");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    assert_eq!(answer.header("content-security-policy"), "default-src 'none'; frame-ancestors 'none'");
    assert_eq!(answer.header("cache-control"), "no-store");
    let answer = read(server.request("GET", "/health/live").header("X-Request-Id", "no\tsane id")).await;
    assert_eq!(answer.header("x-request-id").len(), 36);
}

#[tokio::test]
async fn cors_is_off_until_an_origin_is_named() {
    let preflight = async |server: &Server| {
        let request = server.request("OPTIONS", "/tasks").header("Origin", "https://app.example.org");
        let request = request.header("Access-Control-Request-Method", "POST");
        read(request.header("Access-Control-Request-Headers", "authorization,content-type")).await
    };
    let server = Server::start().await;
    let answer = preflight(&server).await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
    answer.problem(405, "method_not_allowed");

    let server = Server::with(|config| config.cors_origins = vec!["https://app.example.org".into()]).await;
    let answer = preflight(&server).await;
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (200, "https://app.example.org")
    );
    let other = server.request("GET", "/health/live").header("Origin", "https://evil.example.org");
    assert_eq!(read(other).await.header("access-control-allow-origin"), "");
}
