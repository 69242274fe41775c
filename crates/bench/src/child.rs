//! `taskloom dev` as a process of its own.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tokio::time::sleep;

use crate::BenchError;
use crate::client::{Connection, request};
use crate::proc_stat::Process;
use crate::site::Site;
use crate::stack::PASSWORD;

/// A start or an end may take so long.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often to look.
const LOOK: Duration = Duration::from_micros(500);
/// Settings of the user's own server, which must not reach this one.
const FOREIGN: [&str; 3] = ["DATABASE_URL", "REDIS_URL", "SECRET_KEY"];

/// How to start it.
pub(crate) struct Start<'a> {
    pub(crate) taskloom: &'a Path,
    /// A directory of its own, the data is below, and the database.
    pub(crate) site: &'a Site,
    /// Tasks that its worker runs at once; its default if `None`.
    pub(crate) concurrency: Option<u32>,
}

/// A running server. It ends with this value.
pub(crate) struct Server {
    child: Child,
    log: PathBuf,
    pub(crate) address: SocketAddr,
    /// From exec to the first good answer.
    pub(crate) live: Duration,
}

/// What `taskloom dev` tells scripts.
#[derive(Deserialize)]
struct ServerJson {
    host: String,
    port: u16,
}

/// Where the data of a server in this directory is.
pub(crate) fn data_dir(dir: &Path) -> PathBuf {
    dir.join("data")
}

impl Start<'_> {
    /// Starts it and waits until it answers.
    pub(crate) async fn run(&self) -> Result<Server, BenchError> {
        let log = self.site.dir.join("taskloom.log");
        let mut command = self.command(&log)?;
        let exec = Instant::now();
        let child = command.spawn()?;
        let mut server =
            Server { child, log, address: SocketAddr::from(([127, 0, 0, 1], 0)), live: Duration::ZERO };
        server.address = server.wait_for_address(&data_dir(&self.site.dir).join("server.json"), exec).await?;
        server.wait_for_answer(exec).await?;
        server.live = exec.elapsed();
        Ok(server)
    }

    fn command(&self, log: &Path) -> Result<Command, BenchError> {
        let data = data_dir(&self.site.dir)
            .canonicalize()
            .or_else(|_| self.site.dir.canonicalize().map(|dir| data_dir(&dir)))?;
        let log = File::create(log)?;
        let mut command = Command::new(self.taskloom);
        for (key, _) in std::env::vars_os() {
            let name = key.to_string_lossy();
            if name.starts_with("TASKLOOM_") || FOREIGN.contains(&&*name) {
                command.env_remove(&key);
            }
        }
        command
            .args(["dev", "--host", "127.0.0.1", "--port", "auto", "--data"])
            .arg(data)
            // No taskloom.toml and no .env there.
            .current_dir(&self.site.dir)
            .env("TASKLOOM_ADMIN_PASSWORD", PASSWORD)
            .env("TASKLOOM_DATABASE__SYNCHRONOUS", self.site.target.durability.word())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        if let Some(url) = self.site.database_url() {
            command.env("DATABASE_URL", url);
        }
        if let Some(url) = &self.site.target.redis {
            command.env("REDIS_URL", url).env("TASKLOOM_REDIS__PREFIX", &self.site.prefix);
        }
        if let Some(concurrency) = self.concurrency {
            command.arg("--concurrency").arg(concurrency.to_string());
        }
        Ok(command)
    }
}

impl Server {
    pub(crate) fn process(&self) -> Process {
        Process::of(self.child.id())
    }

    pub(crate) async fn connect(&self) -> Result<Connection, BenchError> {
        Connection::open(self.address).await
    }

    /// Asks it to end, and waits.
    pub(crate) async fn stop(mut self) -> Result<(), BenchError> {
        // It cannot be another process: nobody has waited for this one yet.
        kill_process(Pid::from_child(&self.child), Signal::TERM).map_err(std::io::Error::from)?;
        let status = self.wait_for_end().await?;
        if status.success() { Ok(()) } else { Err(self.failed(&format!("ended with {status}"))) }
    }

    async fn wait_for_end(&mut self) -> Result<ExitStatus, BenchError> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            sleep(Duration::from_millis(5)).await;
        }
        Err(BenchError::Stuck("the server's shutdown"))
    }

    async fn wait_for_address(&mut self, file: &Path, exec: Instant) -> Result<SocketAddr, BenchError> {
        loop {
            if let Ok(text) = std::fs::read(file) {
                let said: ServerJson =
                    serde_json::from_slice(&text).map_err(|e| BenchError::Server(e.to_string()))?;
                let host =
                    said.host.parse().map_err(|_| BenchError::Server(format!("host {}", said.host)))?;
                return Ok(SocketAddr::new(host, said.port));
            }
            self.look(exec).await?;
        }
    }

    async fn wait_for_answer(&mut self, exec: Instant) -> Result<(), BenchError> {
        let question = request("GET", "/health/live", None, None);
        loop {
            if let Ok(mut connection) = self.connect().await
                && connection.send(&question).await.is_ok_and(|answer| answer.status == 200)
            {
                return Ok(());
            }
            self.look(exec).await?;
        }
    }

    /// Waits a little, if waiting makes sense.
    async fn look(&mut self, exec: Instant) -> Result<(), BenchError> {
        if let Some(status) = self.child.try_wait()? {
            return Err(self.failed(&format!("ended with {status}")));
        }
        if exec.elapsed() > PATIENCE {
            return Err(self.failed("did not start in time"));
        }
        sleep(LOOK).await;
        Ok(())
    }

    fn failed(&self, what: &str) -> BenchError {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let last = log.lines().rev().take(5).collect::<Vec<_>>();
        BenchError::Server(format!("{what}: {}", last.into_iter().rev().collect::<Vec<_>>().join(" | ")))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Either it has ended, or a run that failed must not leave it behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
