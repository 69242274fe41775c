//! A `taskloom dev` of the test's own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::client::{Client, until};

const PASSWORD: &str = "survival-password";

pub(crate) struct Server {
    dir: TempDir,
    env: Vec<(&'static str, String)>,
    child: Child,
    pub(crate) client: Client,
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
        .env_remove("REDIS_URL")
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
    let client = Client::log_in(&url, PASSWORD).await;
    (child, client)
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
