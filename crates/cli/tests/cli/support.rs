//! A home of its own for each test, and servers that never outlive it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) const PASSWORD: &str = "correct horse battery";
/// Nothing here takes long; a test that waits for so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until the answer comes.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Reads one request, answers 200 with this body, and gives the request's first line.
pub(crate) fn answer(stream: TcpStream, content_type: &str, body: &str) -> String {
    answer_with(stream, "200 OK", content_type, |_| body.to_owned())
}

/// Reads one request and answers it with what `body` makes of its first line.
pub(crate) fn answer_with(
    mut stream: TcpStream,
    status: &str,
    content_type: &str,
    body: impl FnOnce(&str) -> String,
) -> String {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
    let first = lines.next().unwrap_or_default();
    lines.find(String::is_empty);
    let body = body(&first);
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {}", body.len());
    // A client that has gone does not want the answer.
    let _ = write!(stream, "{head}\r\nconnection: close\r\n\r\n{body}");
    first
}

/// A directory that stands for the user's home and working directory.
pub(crate) struct Home(TempDir);

/// What a command said.
pub(crate) struct Said {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    fn new(output: &Output) -> Self {
        Self {
            status: output.status.code().expect("ended by a signal"),
            out: String::from_utf8(output.stdout.clone()).unwrap(),
            err: String::from_utf8(output.stderr.clone()).unwrap(),
        }
    }

    /// Itself, if the status is this one.
    #[track_caller]
    pub(crate) fn with_status(self, status: i32) -> Self {
        assert_eq!(self.status, status, "stdout: {}\nstderr: {}", self.out, self.err);
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.out.lines().count(), 1, "JSON is one line: {}", self.out);
        serde_json::from_str(&self.out).unwrap()
    }
}

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    pub(crate) fn credentials(&self) -> PathBuf {
        self.path().join("config/taskloom/credentials.json")
    }

    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_taskloom"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.path())
            .env("XDG_CONFIG_HOME", self.path().join("config"))
            .current_dir(self.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Said {
        Said::new(&self.command(args).output().unwrap())
    }

    /// Runs words separated by blanks.
    pub(crate) fn say(&self, line: &str) -> Said {
        self.run(line.split_whitespace())
    }

    pub(crate) fn with_input(&self, line: &str, input: &str) -> Said {
        let mut child = self.command(line.split_whitespace()).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Said::new(&child.wait_with_output().unwrap())
    }

    /// A server in this home.
    pub(crate) fn serve(&self, environment: &[(&str, &str)]) -> Server {
        self.serve_on("auto", environment)
    }

    pub(crate) fn serve_on(&self, port: &str, environment: &[(&str, &str)]) -> Server {
        let mut command = self.command(["dev", "--port", port]);
        command.env("TASKLOOM_ADMIN_PASSWORD", PASSWORD).envs(environment.iter().copied());
        // Nobody reads a log that could fill its pipe.
        let log = self.path().join("log");
        let file = std::fs::File::create(&log).unwrap();
        command.stderr(file.try_clone().unwrap()).stdout(file);
        let mut process = Process(command.spawn().unwrap());
        let file = self.data().join("server.json");
        let pid = process.0.id();
        let json: Value = eventually("the server", || {
            if let Some(status) = process.0.try_wait().unwrap() {
                panic!("the server ended with {status}: {}", std::fs::read_to_string(&log).unwrap());
            }
            // One that was killed has left its file behind.
            let json: Value = serde_json::from_slice(&std::fs::read(&file).ok()?).ok()?;
            (json["pid"] == pid).then_some(json)
        });
        let (url, port) = (json["url"].as_str().unwrap().into(), json["port"].as_u64().unwrap());
        Server { process, url, port, log }
    }

    /// Logs in as admin.
    pub(crate) fn log_in(&self, server: &Server) {
        let line = format!("login --server {} --username admin --password-stdin", server.url);
        self.with_input(&line, &format!("{PASSWORD}\n")).with_status(0);
    }

    /// A server with a login.
    pub(crate) fn ready(&self, environment: &[(&str, &str)]) -> Server {
        let server = self.serve(environment);
        self.log_in(&server);
        server
    }

    /// Submits and answers the id.
    pub(crate) fn submit(&self, line: &str) -> String {
        let task = self.say(&format!("submit {line} --json")).with_status(0).json();
        task["id"].as_str().unwrap().into()
    }

    pub(crate) fn task(&self, id: &str) -> Value {
        self.say(&format!("get {id} --json")).with_status(0).json()
    }

    pub(crate) fn until_running(&self, id: &str) {
        eventually("the task to run", || (self.task(id)["status"] == "running").then_some(()));
    }
}

/// A process that is killed if the test forgets it.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.0.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let child = &mut self.0;
        eventually("the process to end", || child.try_wait().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) url: String,
    pub(crate) port: u64,
    log: PathBuf,
}

impl Server {
    /// All that it has said since its start.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Stops it as Ctrl-C does; it must end well.
    pub(crate) fn stop(mut self) {
        self.process.signal("INT");
        assert_eq!(self.process.wait().code(), Some(0));
    }

    /// As a power cut would.
    pub(crate) fn kill(mut self) {
        self.process.signal("KILL");
        self.process.wait();
    }
}
