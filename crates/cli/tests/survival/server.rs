//! A `taskloom dev` of the test's own, and a client for it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;

const PASSWORD: &str = "survival-password";
/// Nothing here takes long; what does not come in this time never comes.
const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) struct Server {
    dir: TempDir,
    env: Vec<(&'static str, String)>,
    child: Child,
    pub(crate) client: Client,
}

/// A client that is logged in.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    pub(crate) url: String,
    pub(crate) token: String,
}

impl Server {
    /// A server whose leases are short and whose worker serves these queues.
    pub(crate) async fn start(queues: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let env = vec![
            ("TASKLOOM_ADMIN_PASSWORD", PASSWORD.to_owned()),
            ("TASKLOOM_ENGINE__LEASE_SECONDS", "5".to_owned()),
            ("TASKLOOM_ENGINE__HEARTBEAT_SECONDS", "1".to_owned()),
            ("TASKLOOM_WORKER__QUEUES", queues.to_owned()),
            ("TASKLOOM_LOG", "warn".to_owned()),
        ];
        let (child, client) = spawn(&dir, &env).await;
        Self { dir, env, child, client }
    }

    /// SIGKILL, then a new start over the same data.
    pub(crate) async fn kill_and_restart(&mut self) {
        self.kill();
        (self.child, self.client) = spawn(&self.dir, &self.env).await;
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// What `taskloom doctor` says of the data; the server may run on.
    pub(crate) fn doctor(&self) -> Value {
        let doctor = Command::new(env!("CARGO_BIN_EXE_taskloom"))
            .args(["doctor", "--json", "--data"])
            .arg(self.dir.path())
            .output()
            .unwrap();
        serde_json::from_slice(&doctor.stdout).unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn spawn(dir: &TempDir, env: &[(&str, String)]) -> (Child, Client) {
    let announced = dir.path().join("server.json");
    let _ = std::fs::remove_file(&announced);
    let log = std::fs::OpenOptions::new().create(true).append(true).open(dir.path().join("log")).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_taskloom"))
        .args(["dev", "--port", "auto", "--data"])
        .arg(dir.path())
        .current_dir(dir.path())
        .env_remove("DATABASE_URL")
        .envs(env.iter().map(|(key, value)| (*key, value)))
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let url = until("the server's address", async || {
        let text = std::fs::read_to_string(&announced).ok()?;
        Some(serde_json::from_str::<Value>(&text).ok()?["url"].as_str()?.to_owned())
    })
    .await;
    // The library wants to be told whose cryptography to use, also where there is none.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
    let token = until("a login", async || {
        let form = [("username", "admin"), ("password", PASSWORD)];
        let answer = http.post(format!("{url}/api/v1/auth/token")).form(&form).send().await.ok()?;
        Some(answer.json::<Value>().await.ok()?["access_token"].as_str()?.to_owned())
    })
    .await;
    (child, Client { http, url, token })
}

impl Client {
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
        let method = method.parse().unwrap();
        let mut request = self.http.request(method, format!("{}/api/v1{path}", self.url)).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.ok()?;
        let status = answer.status();
        Some((status, answer.json().await.ok()?))
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

/// A worker process of its own whose handler `ledger.write` notes each start and end in a file.
pub(crate) struct LedgerWorker(Child);

impl LedgerWorker {
    pub(crate) fn start(client: &Client, token: &str, ledger: &Path) -> Self {
        let child = Command::new(example("ledger_worker"))
            .args(["--server", &client.url, "--token", token, "--concurrency", "8", "--ledger"])
            .arg(ledger)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.pid().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for LedgerWorker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The path of a built example of the worker's crate; builds it if it is not there.
fn example(name: &str) -> PathBuf {
    let profile = Path::new(env!("CARGO_BIN_EXE_taskloom")).parent().unwrap();
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "-p", "taskloom-worker", "--example", name])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .unwrap();
    assert!(built.success());
    profile.join("examples").join(name)
}

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) start: bool,
    pub(crate) task: String,
    pub(crate) epoch: u64,
    pub(crate) attempt: u64,
    pub(crate) pid: u32,
}

pub(crate) fn read_ledger(path: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
    whole
        .lines()
        .map(|line| {
            let words: Vec<_> = line.split(' ').collect();
            Line {
                start: words[0] == "start",
                task: words[1].to_owned(),
                epoch: words[2].parse().unwrap(),
                attempt: words[3].parse().unwrap(),
                pid: words[4].parse().unwrap(),
            }
        })
        .collect()
}
