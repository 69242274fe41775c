//! MariaDB, or MySQL where that is installed instead.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{USUAL, run};
use crate::supervisor::{Server, Supervisor};
use crate::tls::Certificates;
use crate::{Settings, port, program, random};

/// The variable that names another server program than the one installed: a MySQL, or another version.
const MYSQLD: &str = "TASKLOOM_TEST_MYSQLD";

const USER: &str = "taskloom";
const DATABASE: &str = "test";

/// A private MariaDB or MySQL server, stopped when this is dropped.
pub struct MariaDb {
    supervisor: Supervisor,
    port: u16,
    password: String,
    client: PathBuf,
    ca: Option<PathBuf>,
}

impl MariaDb {
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
        let folders = || ["/usr/sbin", "/usr/local/sbin", "/usr/libexec"].map(PathBuf::from).to_vec();
        let daemon = match std::env::var_os(MYSQLD) {
            Some(file) => file.into(),
            None => program::need_or_install(&["mariadbd", "mysqld"], folders, "mariadb-server")?,
        };
        let client = program::need(&["mariadb", "mysql"], &[])?;

        let supervisor = Supervisor::new("mariadb", &["mysql"], |folder| Server {
            command: (daemon.clone(), arguments(folder, port, settings, tls)),
            stop: "TERM",
            end: "KILL",
            last: "",
        })?;
        install_system_tables(&supervisor, &daemon)?;
        let password = random::token();
        // Read at every start, before anybody can connect.
        supervisor.write(
            "init.sql",
            &format!(
                "CREATE DATABASE IF NOT EXISTS {DATABASE} CHARACTER SET utf8mb4;\n\
                 CREATE USER IF NOT EXISTS {USER}@'%' IDENTIFIED BY '{password}';\n\
                 GRANT ALL ON *.* TO {USER}@'%' WITH GRANT OPTION;\n"
            ),
        )?;
        if tls {
            Certificates::make(&supervisor)?;
        }
        let ca = tls.then(|| Certificates::within(supervisor.folder()).ca);
        let server = Self { supervisor, port, password, client, ca };
        server.begin()?;
        Ok(server)
    }

    /// Where its administrator connects: `mysql://taskloom:<password>@127.0.0.1:<port>/test`.
    pub fn url(&self) -> String {
        self.url_of(DATABASE)
    }

    fn url_of(&self, database: &str) -> String {
        format!("mysql://{USER}:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// Makes an empty database (utf8mb4) and gives its URL.
    ///
    /// # Panics
    ///
    /// If the server does not answer.
    pub fn fresh_database(&self) -> String {
        let name = format!("test_{}", random::token());
        match self.sql(&self.url(), &format!("CREATE DATABASE {name} CHARACTER SET utf8mb4")) {
            Ok(_) => self.url_of(&name),
            Err(why) => panic!("no database can be made: {why}"),
        }
    }

    /// Runs SQL statements one after the other until one fails. Gives the rows, one a line, with tabs between the
    /// columns. The URL is one of this server, but may name another user, password and database (no percent signs).
    pub fn sql(&self, database_url: &str, sql: &str) -> Result<String, String> {
        let (user, password, database) =
            parts(database_url).ok_or_else(|| format!("not understood: {database_url}"))?;
        let mut command = Command::new(&self.client);
        for name in ["MYSQL_HOST", "MYSQL_TCP_PORT", "MYSQL_UNIX_PORT", "MYSQL_PWD"] {
            command.env_remove(name);
        }
        command.args([
            "--no-defaults",
            "--protocol=TCP",
            "--host=127.0.0.1",
            &format!("--port={}", self.port),
        ]);
        command.args(["--connect-timeout=5", "--default-character-set=utf8mb4", "--batch", "--raw"]);
        command.args(["--skip-column-names", &format!("--user={user}"), &format!("--password={password}")]);
        if let Some(ca) = &self.ca {
            command.arg(format!("--ssl-ca={}", ca.display()));
        }
        run(command.arg(format!("--database={database}")), sql, USUAL)
    }

    /// Kills the server with SIGKILL. Data and port stay.
    ///
    /// # Panics
    ///
    /// If the process that keeps the server is gone; so [`Self::stop`].
    pub fn kill(&self) {
        self.supervisor.kill();
    }

    /// Stops the server in order: connections are cut, what was committed is kept.
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
        self.supervisor.start(|| self.sql(&self.url(), "SELECT 1").is_ok())
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

fn arguments(folder: &Path, port: u16, settings: Settings, tls: bool) -> Vec<String> {
    let file = |name: &str| folder.join(name).display().to_string();
    let mut arguments = vec![
        "--no-defaults".to_owned(),
        format!("--datadir={}", file("data")),
        format!("--tmpdir={}", file("")),
        format!("--socket={}", file("mysqld.sock")),
        format!("--pid-file={}", file("mysqld.pid")),
        format!("--init-file={}", file("init.sql")),
        format!("--port={port}"),
        "--bind-address=127.0.0.1".to_owned(),
        "--skip-name-resolve".to_owned(),
        "--skip-log-bin".to_owned(),
        "--max-connections=200".to_owned(),
        "--character-set-server=utf8mb4".to_owned(),
        // Debian's MySQL wants a directory there that only its package makes.
        format!("--secure-file-priv={}", file("")),
        // MySQL's second protocol has a port of its own.
        "--loose-mysqlx=OFF".to_owned(),
    ];
    let speed: &[&str] = if settings.durable {
        &["--innodb-flush-log-at-trx-commit=1", "--innodb-buffer-pool-size=1G"]
    } else {
        // 2 writes at each commit, so that what was committed outlives the server; 0 would keep it for a second.
        &["--innodb-flush-log-at-trx-commit=2", "--innodb-buffer-pool-size=128M", "--innodb-doublewrite=0"]
    };
    arguments.extend(speed.iter().map(|option| (*option).to_owned()));
    if tls {
        let tls = Certificates::within(folder);
        arguments.extend([
            "--require-secure-transport=ON".to_owned(),
            format!("--ssl-ca={}", tls.ca.display()),
            format!("--ssl-cert={}", tls.certificate.display()),
            format!("--ssl-key={}", tls.key.display()),
        ]);
    }
    arguments
}

/// MariaDB has a script for this, MySQL's server does it itself.
fn install_system_tables(supervisor: &Supervisor, daemon: &Path) -> Result<(), String> {
    let data = format!("--datadir={}", supervisor.folder().join("data").display());
    if supervisor.prepare(daemon, &["--no-defaults", "--version"])?.contains("MariaDB") {
        let script = program::need(&["mariadb-install-db", "mysql_install_db"], &[])?;
        // Forced: otherwise a machine that cannot look up its own name is refused.
        let options = ["--force", "--skip-test-db", "--auth-root-authentication-method=normal"];
        supervisor.prepare(&script, &[&["--no-defaults", &data], &options[..]].concat()).map(drop)
    } else {
        supervisor.prepare(daemon, &["--no-defaults", "--initialize-insecure", &data]).map(drop)
    }
}

/// User, password and database.
fn parts(url: &str) -> Option<(&str, &str, &str)> {
    let (login, place) = url.strip_prefix("mysql://")?.rsplit_once('@')?;
    let (user, password) = login.split_once(':')?;
    let (_, database) = place.split_once('/')?;
    Some((user, password, database.split('?').next()?))
}
