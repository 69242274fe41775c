//! PostgreSQL.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::command::{USUAL, run};
use crate::supervisor::{Server, Supervisor};
use crate::tls::Certificates;
use crate::{Settings, port, program, random};

const USER: &str = "taskloom";

/// Processes of a killed server may live a moment longer; until then another one refuses to start over the same data.
const ORPHANS: &str = "pre-existing shared memory block";
const ORPHANS_GONE_WITHIN: Duration = Duration::from_secs(30);

/// A killed server leaves a segment of shared memory (a few bytes, but their number is limited) that only the next one
/// over the same data would remove. Line 7 of the file names it.
const REMOVE_SEGMENT: &str =
    "if [ -s data/postmaster.pid ]; then set -- $(sed -n 7p data/postmaster.pid); ipcrm -m \"$2\"; fi";

/// A private PostgreSQL server, stopped when this is dropped.
pub struct Postgres {
    supervisor: Supervisor,
    port: u16,
    password: String,
    psql: PathBuf,
    ca: Option<PathBuf>,
}

impl Postgres {
    /// A server of one's own, quick rather than durable.
    pub fn start() -> Result<Self, String> {
        Self::start_with(Settings::default())
    }

    /// A server of one's own, as durable as the settings say.
    pub fn start_with(settings: Settings) -> Result<Self, String> {
        port::on_free_port(|port| Self::start_on(port, settings, false))
    }

    /// A server that accepts only connections with TLS; see [`Self::ca_file`]. Its certificate is for 127.0.0.1 and
    /// localhost.
    pub fn with_tls() -> Result<Self, String> {
        port::on_free_port(|port| Self::start_on(port, Settings::default(), true))
    }

    fn start_on(port: u16, settings: Settings, tls: bool) -> Result<Self, String> {
        let initdb = program::need_or_install(&["initdb"], installed, "postgresql")?;
        // What comes with this initdb, for all have to be of one version.
        let folder =
            initdb.canonicalize().ok().and_then(|file| file.parent().map(Path::to_owned)).unwrap_or_default();
        let sibling = |name: &str| {
            if folder.join(name).exists() { Ok(folder.join(name)) } else { program::need(&[name], &[]) }
        };
        let (postgres, psql) = (sibling("postgres")?, sibling("psql")?);

        let supervisor = Supervisor::new("postgres", &["postgres"], |_| Server {
            command: (postgres, ["-D", "data", "-p", &port.to_string()].map(str::to_owned).to_vec()),
            stop: "INT",
            end: "QUIT",
            last: REMOVE_SEGMENT,
        })?;
        let password = random::token();
        supervisor.write("password", &password)?;
        let locale = |locale| {
            let options = "-D data --no-sync -E UTF8 --auth=scram-sha-256 --pwfile=password -U";
            let mut arguments: Vec<_> = options.split_whitespace().chain([USER]).collect();
            arguments.push(locale);
            supervisor.prepare(&initdb, &arguments)
        };
        // Not every system has the first.
        locale("--locale=C.UTF-8").or_else(|_| locale("--locale=C"))?;
        let certificates = Certificates::within(supervisor.folder());
        if tls {
            Certificates::make(&supervisor)?;
        }
        let tls = tls.then_some(&certificates);
        supervisor.write("data/postgresql.conf", &configuration(supervisor.folder(), settings, tls))?;
        let connections = if tls.is_some() { "hostssl" } else { "host" };
        supervisor
            .write("data/pg_hba.conf", &format!("{connections} all all 127.0.0.1/32 scram-sha-256\n"))?;
        let ca = tls.map(|tls| tls.ca.clone());
        let server = Self { supervisor, port, password, psql, ca };
        server.begin()?;
        Ok(server)
    }

    /// Where its administrator connects: `postgres://taskloom:<password>@127.0.0.1:<port>/postgres`.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    fn url_of(&self, database: &str) -> String {
        format!("postgres://{USER}:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// Makes an empty database and gives its URL.
    ///
    /// # Panics
    ///
    /// If the server does not answer.
    pub fn fresh_database(&self) -> String {
        let name = format!("test_{}", random::token());
        match self.psql(&self.url(), &format!("CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")) {
            Ok(_) => self.url_of(&name),
            Err(why) => panic!("no database can be made: {why}"),
        }
    }

    /// Runs SQL statements, or commands of `psql`, one after the other until one fails. Gives the rows, one a line, with
    /// `|` between the columns.
    pub fn psql(&self, database_url: &str, sql: &str) -> Result<String, String> {
        let mut command = Command::new(&self.psql);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
            command.env_remove(name);
        }
        command.envs([("PGCONNECT_TIMEOUT", "5"), ("PGCLIENTENCODING", "UTF8")]);
        if let Some(ca) = &self.ca {
            command.env("PGSSLMODE", "verify-full").env("PGSSLROOTCERT", ca);
        }
        run(command.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database_url]), sql, USUAL)
    }

    /// Kills the server with SIGKILL; its other processes notice and end. Data and port stay.
    ///
    /// # Panics
    ///
    /// If the process that keeps the server is gone; so [`Self::stop`].
    pub fn kill(&self) {
        self.supervisor.kill();
    }

    /// Stops the server: connections are cut, what was committed is kept.
    pub fn stop(&self) {
        self.supervisor.stop();
    }

    /// Starts the server again over the same data on the same port, and waits until it answers. Stops it before if it
    /// runs.
    pub fn restart(&self) -> Result<(), String> {
        self.stop();
        self.begin()
    }

    fn begin(&self) -> Result<(), String> {
        let deadline = Instant::now() + ORPHANS_GONE_WITHIN;
        loop {
            match self.supervisor.start(|| self.psql(&self.url(), "SELECT 1").is_ok()) {
                Err(why) if why.contains(ORPHANS) && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                outcome => return outcome,
            }
        }
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

/// Where Debian has the programs, which it keeps out of `PATH`: the highest version first.
fn installed() -> Vec<PathBuf> {
    let entries = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<_> = entries
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path())))
        .collect();
    versions.sort();
    versions.into_iter().rev().map(|(_, path)| path.join("bin")).collect()
}

fn configuration(folder: &Path, settings: Settings, tls: Option<&Certificates>) -> String {
    let speed = if settings.durable {
        "shared_buffers = 1GB"
    } else {
        // Commits stay synchronous, which means written: so they outlive the server. Shared memory is in files of the
        // folder, so killed servers leave nothing behind elsewhere.
        "shared_buffers = 128MB\nfsync = off\nfull_page_writes = off\ndynamic_shared_memory_type = mmap"
    };
    let tls = tls.map_or(String::new(), |tls| {
        let (certificate, key) = (tls.certificate.display(), tls.key.display());
        format!("ssl = on\nssl_cert_file = '{certificate}'\nssl_key_file = '{key}'\n")
    });
    format!(
        "listen_addresses = '127.0.0.1'\nunix_socket_directories = '{}'\nmax_connections = 200\n{speed}\n{tls}",
        folder.display()
    )
}
