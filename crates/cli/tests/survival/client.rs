//! A client of the API, and patience.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};

/// Nothing here takes long; what does not come in this time never comes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A client that is logged in.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    pub(crate) url: String,
    pub(crate) token: String,
}

impl Client {
    /// Logs in as the admin, as soon as the server lets it.
    pub(crate) async fn log_in(url: &str, password: &str) -> Self {
        // The library wants to be told whose cryptography to use, also where there is none.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
        let token = until("a login", async || {
            let form = [("username", "admin"), ("password", password)];
            let answer = http.post(format!("{url}/api/v1/auth/token")).form(&form).send().await.ok()?;
            Some(answer.json::<Value>().await.ok()?["access_token"].as_str()?.to_owned())
        })
        .await;
        Self { http, url: url.to_owned(), token }
    }

    /// Calls the API as the admin; gives the status and the body.
    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Option<(StatusCode, Value)> {
        self.call_as(&self.token, method, path, body).await
    }

    pub(crate) async fn call_as(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Option<(StatusCode, Value)> {
        let mut request = self.request(method, path).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.ok()?;
        let status = answer.status();
        Some((status, answer.json().await.ok()?))
    }

    /// A request as nobody.
    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method.parse().unwrap(), format!("{}/api/v1{path}", self.url))
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call("GET", path, None).await.unwrap();
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Submits tasks; their ids if the server acknowledged them.
    pub(crate) async fn submit(&self, task: &Value, count: usize) -> Option<Vec<String>> {
        let batch = json!({"tasks": vec![task; count]});
        let (status, body) = self.call("POST", "/tasks/batch", Some(batch)).await?;
        assert_eq!(status, 201, "{body}");
        Some(body["items"].as_array()?.iter().map(|task| task["id"].as_str().unwrap().to_owned()).collect())
    }

    /// Waits until no task waits or runs.
    pub(crate) async fn all_ended(&self) {
        until("the end of all tasks", async || {
            let counts = self.get("/tasks/count").await;
            (counts["pending"] == 0 && counts["running"] == 0).then_some(())
        })
        .await;
    }

    /// A key that can be a worker and nothing else.
    pub(crate) async fn worker_token(&self) -> String {
        let key = json!({"name": "test", "scopes": ["worker"]});
        let (status, body) = self.call("POST", "/api-keys", Some(key)).await.unwrap();
        assert_eq!(status, 201, "{body}");
        body["key"].as_str().unwrap().to_owned()
    }
}

/// Looks again and again until there is something.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
