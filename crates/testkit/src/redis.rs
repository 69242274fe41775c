//! Redis, version 7 or newer.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::command::{PROBE, USUAL, run};
use crate::supervisor::{Server, Supervisor};
use crate::tls::Certificates;
use crate::{Settings, port, program, random};

mod cluster;
mod sentinel;

pub use cluster::RedisCluster;
pub use sentinel::RedisSentinel;

/// A private Redis server, stopped when this is dropped.
pub struct Redis {
    supervisor: Supervisor,
    port: u16,
    user: Option<String>,
    password: String,
    client: PathBuf,
    ca: Option<PathBuf>,
}

/// What a server is to be beyond the usual.
#[derive(Default)]
struct Kind<'a> {
    settings: Settings,
    tls: bool,
    cluster: bool,
    login: Option<(&'a str, &'a str)>,
}

impl Redis {
    /// A server of one's own that keeps nothing on disk: it is empty after [`Self::restart`].
    pub fn start() -> Result<Self, String> {
        Self::start_with(Settings::default())
    }

    /// A server of one's own, as durable as the settings say.
    pub fn start_with(settings: Settings) -> Result<Self, String> {
        Self::of_kind(&Kind { settings, ..Kind::default() })
    }

    /// A server that accepts only connections with TLS (`rediss://`); see [`Self::ca_file`]. Its certificate is for
    /// 127.0.0.1 and localhost.
    pub fn with_tls() -> Result<Self, String> {
        Self::of_kind(&Kind { tls: true, ..Kind::default() })
    }

    /// A server that lets in this user only, who may do everything, and not the default user.
    pub fn with_acl(user: &str, password: &str) -> Result<Self, String> {
        Self::of_kind(&Kind { login: Some((user, password)), ..Kind::default() })
    }

    /// A cluster of so many masters (3 or more) without replicas.
    pub fn start_cluster(nodes: usize) -> Result<RedisCluster, String> {
        RedisCluster::start(nodes)
    }

    /// A master and a sentinel that watches it.
    pub fn start_sentinel() -> Result<RedisSentinel, String> {
        RedisSentinel::start()
    }

    fn of_kind(kind: &Kind) -> Result<Self, String> {
        if kind.cluster {
            return port::on_free_cluster_port(|port| Self::start_on(port, kind, &random::token()));
        }
        port::on_free_port(|port| Self::start_on(port, kind, &random::token()))
    }

    fn start_on(port: u16, kind: &Kind, password: &str) -> Result<Self, String> {
        let (daemon, client) = programs()?;
        let supervisor = Supervisor::new("redis", &[], |_| Server {
            command: (daemon, vec!["redis.conf".to_owned()]),
            stop: "TERM",
            end: "TERM",
            last: "",
        })?;
        let certificates = Certificates::within(supervisor.folder());
        if kind.tls {
            Certificates::make(&supervisor)?;
        }
        let tls = kind.tls.then_some(&certificates);
        supervisor.write("redis.conf", &configuration(port, kind, password, tls))?;
        let (user, password) =
            kind.login.map_or((None, password), |(user, password)| (Some(user.to_owned()), password));
        let ca = tls.map(|tls| tls.ca.clone());
        let server = Self { supervisor, port, user, password: password.to_owned(), client, ca };
        server.begin()?;
        Ok(server)
    }

    /// Where one connects: `redis://[user]:<password>@127.0.0.1:<port>/0`, or `rediss://…` with TLS.
    pub fn url(&self) -> String {
        let scheme = if self.ca.is_some() { "rediss" } else { "redis" };
        let user = encode(self.user.as_deref().unwrap_or_default());
        format!("{scheme}://{user}:{}@127.0.0.1:{}/0", encode(&self.password), self.port)
    }

    /// Its port of 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The password of its user.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Sends a command with `redis-cli`, logged in, and gives the answer as that prints it to files. Fails after a minute
    /// without an answer.
    pub fn cli(&self, arguments: &[&str]) -> Result<String, String> {
        self.ask(arguments, USUAL)
    }

    fn ask(&self, arguments: &[&str], at_most: Duration) -> Result<String, String> {
        let mut command = client(&self.client, self.port, &self.password);
        if let Some(user) = &self.user {
            command.args(["--user", user]);
        }
        if let Some(ca) = &self.ca {
            command.arg("--tls").arg("--cacert").arg(ca);
        }
        run(command.args(arguments), "", at_most)
    }

    /// Kills the server with SIGKILL. The port stays, and the data if it is durable.
    ///
    /// # Panics
    ///
    /// If the process that keeps the server is gone; so the others here without a result.
    pub fn kill(&self) {
        self.supervisor.kill();
    }

    /// Stops the server in order.
    pub fn stop(&self) {
        self.supervisor.stop();
    }

    /// Starts the server again on the same port, and waits until it answers. Stops it before if it runs.
    pub fn restart(&self) -> Result<(), String> {
        self.stop();
        self.begin()
    }

    fn begin(&self) -> Result<(), String> {
        self.supervisor.start(|| self.ask(&["PING"], PROBE).is_ok_and(|answer| answer == "PONG"))
    }

    /// Lets the server hang (SIGSTOP): it keeps its connections, and the system accepts new ones, but nothing is answered
    /// until [`Self::thaw`].
    ///
    /// # Panics
    ///
    /// If it does not run; so [`Self::thaw`].
    pub fn freeze(&self) {
        self.supervisor.freeze();
    }

    /// Lets the server go on (SIGCONT).
    pub fn thaw(&self) {
        self.supervisor.thaw();
    }

    /// The certificate of the authority, if this server speaks TLS.
    pub fn ca_file(&self) -> Option<&Path> {
        self.ca.as_deref()
    }

    /// The folder with data and log, which vanishes with the server.
    pub fn folder(&self) -> &Path {
        self.supervisor.folder()
    }
}

/// Server and client.
fn programs() -> Result<(PathBuf, PathBuf), String> {
    let daemon = program::need_or_install(&["redis-server"], Vec::new, "redis-server")?;
    Ok((daemon, program::need(&["redis-cli"], &[])?))
}

fn client(program: &Path, port: u16, password: &str) -> Command {
    let mut command = Command::new(program);
    // `-e` lets errors be failures.
    command.args(["-e", "-h", "127.0.0.1", "-p", &port.to_string()]).env("REDISCLI_AUTH", password);
    command
}

fn configuration(port: u16, kind: &Kind, password: &str, tls: Option<&Certificates>) -> String {
    let listen = match tls {
        None => format!("port {port}"),
        Some(tls) => format!(
            "port 0\ntls-port {port}\ntls-auth-clients no\ntls-ca-cert-file {}\ntls-cert-file {}\ntls-key-file {}",
            tls.ca.display(),
            tls.certificate.display(),
            tls.key.display()
        ),
    };
    let users = match kind.login {
        None => format!("requirepass {password}\nmasterauth {password}"),
        Some((user, password)) => {
            format!(
                "user default off\nuser {} on {} ~* &* +@all",
                quote(user),
                quote(&format!(">{password}"))
            )
        }
    };
    let durable = if kind.settings.durable { "appendonly yes\nappendfsync everysec\n" } else { "" };
    let cluster = if kind.cluster {
        "cluster-enabled yes\ncluster-config-file nodes.conf\ncluster-node-timeout 2000\n"
    } else {
        ""
    };
    format!("bind 127.0.0.1\nsave \"\"\n{listen}\n{users}\n{durable}{cluster}")
}

/// A word of a configuration file.
fn quote(word: &str) -> String {
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A part of a URL.
fn encode(part: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    part.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_urls_are_encoded() {
        assert_eq!(encode("a-Z_9.~"), "a-Z_9.~");
        assert_eq!(encode("p@ss:w/ö"), "p%40ss%3Aw%2F%C3%B6");
    }
}
