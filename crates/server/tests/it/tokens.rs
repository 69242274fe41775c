//! Tokens that are forged, foreign, expired or of another kind.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::server::{SECRET, Server, read};

/// A token with any header and payload, signed with HMAC-SHA-256 under `secret`.
fn forge(header: &Value, payload: &Value, secret: &[u8]) -> String {
    use hmac::{Hmac, KeyInit, Mac};
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(header), encode(payload));
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret).unwrap();
    mac.update(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

#[tokio::test]
async fn tokens_that_are_not_ours() {
    let server = Server::start().await;
    let ann = server.login("ann").await;
    let payload: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(ann.split('.').nth(1).unwrap()).unwrap()).unwrap();
    let hs256 = json!({"alg": "HS256", "typ": "JWT"});
    let with = |key: &str, value: Value| {
        let mut changed = payload.clone();
        changed[key] = value;
        changed
    };
    server.get(&forge(&hs256, &payload, SECRET), "/users/me").await.expect(200);
    let none = json!({"alg": "none", "typ": "JWT"});
    let unsigned = forge(&none, &payload, SECRET);
    let unsigned = format!("{}.", unsigned.rsplit_once('.').unwrap().0);
    let admin = with("sub", json!(server.users["admin"]));
    for (what, token) in [
        ("alg none", unsigned),
        ("alg none, signed", forge(&none, &payload, SECRET)),
        ("alg HS512", forge(&json!({"alg": "HS512"}), &payload, SECRET)),
        ("alg RS256", forge(&json!({"alg": "RS256"}), &payload, SECRET)),
        ("another secret", forge(&hs256, &payload, b"another secret of thirty-two bytes!!!")),
        ("empty secret", forge(&hs256, &payload, b"")),
        ("another user", forge(&hs256, &admin, SECRET)),
        ("another login", forge(&hs256, &with("sid", json!(Uuid::now_v7())), SECRET)),
        ("another version", forge(&hs256, &with("ver", json!(1)), SECRET)),
        ("expired", forge(&hs256, &with("exp", json!(1)), SECRET)),
        ("no expiry", forge(&hs256, &with("exp", Value::Null), SECRET)),
        ("another type", forge(&hs256, &with("typ", json!("refresh")), SECRET)),
        ("another issuer", forge(&hs256, &with("iss", json!("elsewhere")), SECRET)),
        ("tampered", format!("{}x", &ann[..ann.len() - 1])),
        ("rubbish", "a.b.c".into()),
        ("empty", String::new()),
        ("unknown key", format!("tlk_{}_{}", Uuid::nil().as_simple(), "A".repeat(43))),
        ("a refresh token", server.pair("ann").await.1),
    ] {
        let answer = server.get(&token, "/users/me").await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.text);
        answer.problem(401, "unauthorized");
    }
    for header in ["Basic YW5uOng=", "Bearer", "bearer", ""] {
        let request = server.request("GET", "/users/me").header("Authorization", header);
        read(request).await.problem(401, "unauthorized");
    }
}
