//! Redis Sentinel.

use crate::command::{PROBE, run};
use crate::redis::{Redis, client, programs};
use crate::supervisor::{Server, Supervisor};
use crate::{port, random};

const MASTER: &str = "taskloom";

/// A private Redis server and a sentinel that watches it; both are stopped when this is dropped.
pub struct RedisSentinel {
    supervisor: Supervisor,
    port: u16,
    master: Redis,
}

impl RedisSentinel {
    pub(super) fn start() -> Result<Self, String> {
        let master = Redis::start()?;
        let (supervisor, port) = port::on_free_port(|port| watch(&master, port))?;
        Ok(Self { supervisor, port, master })
    }

    /// The sentinel's `127.0.0.1:<port>`; it asks for no password.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The name by which the sentinel knows the server.
    pub fn master_name(&self) -> &'static str {
        MASTER
    }

    /// The server that is watched.
    pub fn master(&self) -> &Redis {
        &self.master
    }

    /// Kills the sentinel, not the server.
    ///
    /// # Panics
    ///
    /// If the process that keeps the sentinel is gone.
    pub fn kill(&self) {
        self.supervisor.kill();
    }

    /// Starts the sentinel again on the same port.
    pub fn restart(&self) -> Result<(), String> {
        self.supervisor.stop();
        self.supervisor.start(|| knows(&self.master, self.port))
    }
}

fn watch(master: &Redis, port: u16) -> Result<(Supervisor, u16), String> {
    let (daemon, _) = programs()?;
    let supervisor = Supervisor::new("redis-sentinel", &[], |_| Server {
        command: (daemon, ["sentinel.conf", "--sentinel"].map(str::to_owned).to_vec()),
        stop: "TERM",
        end: "TERM",
        last: "",
    })?;
    let server = master.port();
    supervisor.write(
        "sentinel.conf",
        &format!(
            "bind 127.0.0.1\nport {port}\nsentinel monitor {MASTER} 127.0.0.1 {server} 1\n\
             sentinel auth-pass {MASTER} {}\nsentinel down-after-milliseconds {MASTER} 1000\n\
             sentinel myid {}\n",
            master.password(),
            // 40 hexadecimal digits. Without, two sentinels of the same moment could choose the same.
            [random::token(), random::token(), random::token()].concat().get(..40).unwrap_or_default(),
        ),
    )?;
    supervisor.start(|| knows(master, port))?;
    Ok((supervisor, port))
}

/// True if the sentinel tells where the server is.
fn knows(master: &Redis, port: u16) -> bool {
    let mut ask = client(&master.client, port, "");
    ask.env_remove("REDISCLI_AUTH").args(["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER]);
    run(&mut ask, "", PROBE).is_ok_and(|answer| answer.lines().any(|line| line == master.port().to_string()))
}
