//! Processes that share a database, and perhaps a Redis.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::client::{Client, PATIENCE, until};
use crate::process::{Process, Said};

pub(crate) const PASSWORD: &str = "one password for all";

/// The settings that all processes of a test share.
pub(crate) struct Cluster {
    directory: TempDir,
    environment: Vec<(&'static str, String)>,
}

/// A `taskloom serve` with a client.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) client: Client,
}

impl Cluster {
    pub(crate) fn on_postgres_with_redis() -> Option<Self> {
        let (postgres, redis) = (taskloom_testkit::postgres()?, taskloom_testkit::redis()?);
        Some(Self::new(&postgres.fresh_database(), Some(&redis.url())))
    }

    pub(crate) fn on_mariadb() -> Option<Self> {
        Some(Self::new(&taskloom_testkit::mariadb()?.fresh_database(), None))
    }

    pub(crate) fn new(database: &str, redis: Option<&str>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let artifacts = directory.path().join("artifacts").display().to_string();
        let mut environment: Vec<_> = [
            ("DATABASE_URL", database),
            ("SECRET_KEY", "0123456789abcdef0123456789abcdef"),
            ("TASKLOOM_ADMIN_PASSWORD", PASSWORD),
            ("TASKLOOM_STORAGE__ARTIFACTS_DIR", &artifacts),
            // Lost workers are noticed soon.
            ("TASKLOOM_ENGINE__LEASE_SECONDS", "3"),
            ("TASKLOOM_ENGINE__HEARTBEAT_SECONDS", "1"),
            ("TASKLOOM_DATABASE__CONNECTIONS", "4"),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .into();
        if let Some(url) = redis {
            // A shared Redis keeps the tests apart by their prefix.
            let prefix = uuid::Uuid::new_v4().simple().to_string();
            environment.extend([("REDIS_URL", url.to_owned()), ("TASKLOOM_REDIS__PREFIX", prefix)]);
        }
        Self { directory, environment }
    }

    /// The same without a setting.
    pub(crate) fn without(&self, name: &str) -> Self {
        let mut environment = self.environment.clone();
        environment.retain(|(known, _)| *known != name);
        Self { directory: tempfile::tempdir().unwrap(), environment }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A command in this environment.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_taskloom"));
        command.args(line.split_whitespace()).env_clear().current_dir(self.path()).env("HOME", self.path());
        command.envs(self.environment.iter().map(|(name, value)| (*name, value)));
        command
    }

    /// Runs a command to its end.
    pub(crate) fn say(&self, line: &str) -> Said {
        Said::of(self.command(line))
    }

    /// Starts a process called `name`.
    pub(crate) fn spawn(&self, name: &str, command: Command) -> Process {
        Process::spawn(command, self.path().join(format!("{name}.log")))
    }

    /// Servers that leave the loops to others, started at the same time.
    pub(crate) async fn servers<const N: usize>(&self, names: [&str; N]) -> [Server; N] {
        let started = names.map(|name| {
            let line = format!("serve --no-scheduler --port auto --data {name}");
            (self.path().join(name), self.spawn(name, self.command(&line)))
        });
        let mut servers = Vec::new();
        for (directory, process) in started {
            servers.push(self.ready(&directory, process).await);
        }
        servers.try_into().unwrap_or_else(|_| panic!("as many as were started"))
    }

    /// Waits until a server has told its address in this data directory.
    pub(crate) async fn ready(&self, directory: &Path, mut process: Process) -> Server {
        process.says("Ctrl-C stops.").await;
        let json: Value =
            serde_json::from_slice(&std::fs::read(directory.join("server.json")).unwrap()).unwrap();
        assert_eq!(json["pid"], process.pid());
        let client = Client::log_in(json["url"].as_str().unwrap(), PASSWORD).await;
        Server { process, client }
    }

    pub(crate) async fn scheduler(&self, name: &str) -> Process {
        let mut scheduler = self.spawn(name, self.command("scheduler"));
        scheduler.says("scheduling on ").await;
        scheduler
    }

    /// A worker beside the database.
    pub(crate) async fn worker(&self, name: &str) -> Process {
        let mut worker = self.spawn(name, self.command(&format!("worker --name {name}")));
        worker.says("working on ").await;
        worker
    }

    /// A worker that knows a server and a token, and no database.
    pub(crate) async fn worker_over_http(&self, name: &str, server: &Server, queues: &str) -> Process {
        let line = format!("worker --name {name} --queues {queues} --server {}", server.client.url);
        let mut command = self.command(&line);
        for hidden in ["DATABASE_URL", "REDIS_URL", "SECRET_KEY"] {
            command.env_remove(hidden);
        }
        command.env("TASKLOOM_TOKEN", server.client.worker_token().await);
        let mut worker = self.spawn(name, command);
        worker.says("working for ").await;
        worker
    }

    /// The database keeps every rule.
    #[track_caller]
    pub(crate) fn assert_healthy(&self) {
        assert_eq!(self.say("doctor --json").with_status(0).json()["healthy"], true);
    }

    /// The URL of the database.
    pub(crate) fn database(&self) -> &str {
        &self.environment.iter().find(|(name, _)| *name == "DATABASE_URL").unwrap().1
    }

    pub(crate) fn artifacts(&self) -> PathBuf {
        self.path().join("artifacts")
    }
}

impl Client {
    /// Submits one task; its id.
    pub(crate) async fn submit_one(&self, task: Value) -> String {
        let (status, body) = self.call("POST", "/tasks", Some(task)).await.unwrap();
        assert_eq!(status, 201, "{body}");
        body["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn task(&self, id: &str) -> Value {
        self.get(&format!("/tasks/{id}")).await
    }

    /// Waits for the task's end and gives it.
    pub(crate) async fn ended(&self, id: &str) -> Value {
        until("the end of a task", async || {
            let task = self.get(&format!("/tasks/{id}?wait=5")).await;
            ["succeeded", "failed", "revoked"].contains(&task["status"].as_str().unwrap()).then_some(task)
        })
        .await
    }

    /// Waits until a worker has begun attempt number `attempt`, and gives the task.
    pub(crate) async fn running(&self, id: &str, attempt: u64) -> Value {
        until("a running task", async || {
            let task = self.task(id).await;
            (task["status"] == "running" && task["attempt"] == attempt).then_some(task)
        })
        .await
    }

    /// The states of a task as its event stream tells them, until the stream ends.
    pub(crate) async fn watch(&self, id: &str) -> Vec<String> {
        let request = self.request("GET", &format!("/tasks/{id}/events")).bearer_auth(&self.token);
        let answer = request.timeout(PATIENCE).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let text = answer.text().await.unwrap();
        let event = |block: &str| {
            block.lines().find(|line| *line == "event: state")?;
            let data = block.lines().find_map(|line| line.strip_prefix("data: "))?;
            let state: Value = serde_json::from_str(data).unwrap();
            Some(state["state"].as_str().unwrap().to_owned())
        };
        text.split("\n\n").filter_map(event).collect()
    }
}
