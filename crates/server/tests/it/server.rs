//! A server of one's own for each test.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use taskloom_engine::{Clock, Engine, EngineConfig, ManualClock};
use taskloom_model::{Role, Timestamp};
use taskloom_server::{DrainReport, ServerConfig, hash_password, router, serve};
use taskloom_store::{NewUser, Store, Synchronous};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) const PASSWORD: &str = "correct horse";
pub(crate) const SECRET: &[u8] = b"a secret of at least thirty-two bytes";

static HASH: LazyLock<String> = LazyLock::new(|| hash_password(PASSWORD).unwrap());

/// A server with the users `admin`, `operator`, `ann`, `bob` (users) and `vic` (viewer), all with [`PASSWORD`].
pub(crate) struct Server {
    pub(crate) base: String,
    pub(crate) engine: Engine,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) users: HashMap<&'static str, Uuid>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) http: reqwest::Client,
    pub(crate) serving: JoinHandle<DrainReport>,
    _dir: tempfile::TempDir,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(|_| ()).await
    }

    pub(crate) async fn with(set: impl FnOnce(&mut ServerConfig)) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_file(&dir.path().join("taskloom.db"), Synchronous::Normal).unwrap();
        let start: Timestamp = "2026-01-31T08:00:00Z".parse().unwrap();
        let clock = Arc::new(ManualClock::new(start));
        let mut engine_config = EngineConfig::new(dir.path().join("artifacts"));
        engine_config.max_artifact_bytes = 1 << 20;
        let shared_clock: Arc<dyn Clock> = clock.clone();
        let engine = Engine::new(store, engine_config, shared_clock);
        let users = create_users(&engine).await;
        let mut config = ServerConfig { secret_key: SECRET.to_vec(), ..ServerConfig::default() };
        set(&mut config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let app = router(engine.clone(), config);
        let serving = tokio::spawn(serve(listener, app, shutdown.clone(), Duration::from_secs(30)));
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { base, engine, clock, users, shutdown, http, serving, _dir: dir }
    }

    /// A request to a path below `/api/v1`, or to a path that begins with `//`, meaning the root.
    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let url = match path.strip_prefix("//") {
            Some(rest) => format!("{}/{rest}", self.base),
            None => format!("{}/api/v1{path}", self.base),
        };
        self.http.request(Method::from_bytes(method.as_bytes()).unwrap(), url)
    }

    pub(crate) async fn get(&self, token: &str, path: &str) -> Answer {
        read(self.request("GET", path).bearer_auth(token)).await
    }

    pub(crate) async fn post(&self, token: &str, path: &str, body: Value) -> Answer {
        read(self.request("POST", path).bearer_auth(token).json(&body)).await
    }

    pub(crate) async fn send(&self, method: &str, token: &str, path: &str, body: Value) -> Answer {
        read(self.request(method, path).bearer_auth(token).json(&body)).await
    }

    pub(crate) async fn try_login(&self, user: &str, password: &str) -> Answer {
        let form = [("username", user), ("password", password)];
        read(self.request("POST", "/auth/token").form(&form)).await
    }

    /// The access token and the refresh token of a fresh login.
    pub(crate) async fn pair(&self, user: &str) -> (String, String) {
        let answer = self.try_login(user, PASSWORD).await.expect(200);
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        (text("access_token"), text("refresh_token"))
    }

    pub(crate) async fn login(&self, user: &str) -> String {
        self.pair(user).await.0
    }

    /// A fresh API key of a user.
    pub(crate) async fn api_key(&self, user: &str, scopes: &[&str]) -> String {
        let token = self.login(user).await;
        let body = json!({"name": "test", "scopes": scopes});
        let answer = self.post(&token, "/api-keys", body).await.expect(201);
        answer["key"].as_str().unwrap().to_owned()
    }

    /// Submits a task and gives its id.
    pub(crate) async fn submit(&self, token: &str, body: Value) -> String {
        let task = self.post(token, "/tasks", body).await.expect(201);
        task["id"].as_str().unwrap().to_owned()
    }

    /// Registers a worker for the queue `default`; gives its token and its session.
    pub(crate) async fn worker(&self) -> (String, Uuid) {
        let token = self.api_key("operator", &["worker"]).await;
        let session = Uuid::new_v4();
        let hello =
            json!({"protocol": 1, "session": session, "name": "w", "queues": ["default"], "concurrency": 10});
        self.post(&token, "/worker/register", hello).await.expect(200);
        (token, session)
    }

    /// Claims one task for the session; gives its id and epoch.
    pub(crate) async fn claim(&self, token: &str, session: Uuid) -> (String, u64) {
        let body = json!({"session": session, "limit": 1, "wait_ms": 0});
        let answer = self.post(token, "/worker/claim", body).await.expect(200);
        let task = &answer["tasks"][0];
        (task["id"].as_str().unwrap().to_owned(), task["epoch"].as_u64().unwrap())
    }
}

async fn create_users(engine: &Engine) -> HashMap<&'static str, Uuid> {
    let mut users = HashMap::new();
    for (username, role) in [
        ("admin", Role::Admin),
        ("operator", Role::Operator),
        ("ann", Role::User),
        ("bob", Role::User),
        ("vic", Role::Viewer),
    ] {
        let id = Uuid::now_v7();
        let created_at = engine.clock().now();
        let password_hash = HASH.clone();
        let user = NewUser { id, username: username.into(), email: None, password_hash, role, created_at };
        engine.store().user_create(user).await.unwrap();
        users.insert(username, id);
    }
    users
}

pub(crate) async fn read(request: RequestBuilder) -> Answer {
    whole(request.send().await.unwrap()).await
}

pub(crate) async fn whole(response: Response) -> Answer {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    Answer { status, headers, body, text }
}

impl Answer {
    /// The body of an answer with this status.
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.body
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Checks that this is a whole problem of this status and code, and gives it.
    pub(crate) fn problem(self, status: u16, code: &str) -> Value {
        let what = format!("{} {}", self.status, self.text);
        assert_eq!(self.status, status, "{what}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{what}");
        assert_eq!(self.header("x-content-type-options"), "nosniff", "{what}");
        let problem = &self.body;
        assert_eq!(problem["code"], code, "{what}");
        assert_eq!(problem["status"], status, "{what}");
        assert_eq!(problem["type"], format!("/problems/{code}"), "{what}");
        assert!(problem["title"].is_string() && problem["detail"].is_string(), "{what}");
        assert_eq!(problem["request_id"], self.header("x-request-id"), "{what}");
        match status {
            401 => assert!(self.header("www-authenticate").starts_with("Bearer"), "{what}"),
            405 => assert!(!self.header("allow").is_empty(), "{what}"),
            429 | 503 => assert!(self.header("retry-after").parse::<u64>().unwrap() >= 1, "{what}"),
            422 if code == "validation" => {
                let error = &problem["errors"][0];
                let is_whole =
                    error["loc"].is_array() && error["msg"].is_string() && error["type"].is_string();
                assert!(is_whole, "{what}");
            }
            _ => {}
        }
        self.body
    }
}
