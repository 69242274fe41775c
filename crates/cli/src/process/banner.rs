//! What a server says when it is ready.

use std::fmt::Display;
use std::net::SocketAddr;

use taskloom_store::StoreOptions;

use super::admin::{self, FirstPassword};
use super::listen;
use crate::config::Config;
use crate::output::{Output, Tone};

/// What it tells of.
pub(super) struct Banner {
    state: &'static str,
    url: String,
    /// Whether others than this machine reach it.
    open: bool,
    facts: Vec<(&'static str, String)>,
}

impl Banner {
    /// A server in this state, such as "is ready".
    pub(super) fn new(state: &'static str, address: SocketAddr, docs: bool) -> Self {
        let url = listen::url(address);
        let mut facts = Vec::new();
        if docs {
            facts.extend([("docs", format!("{url}/docs")), ("redoc", format!("{url}/redoc"))]);
        }
        facts.push(("health", format!("{url}/api/v1/health")));
        Self { state, url, open: !address.ip().is_loopback(), facts }
    }

    /// Adds a line.
    pub(super) fn fact(mut self, name: &'static str, value: impl Display) -> Self {
        self.facts.push((name, value.to_string()));
        self
    }

    /// Adds what other processes share with this one.
    pub(super) fn shared(self, config: &Config, database: &StoreOptions) -> Self {
        if !matches!(database, StoreOptions::Network { .. }) {
            return self;
        }
        let redis = if config.redis.url.is_empty() { "not used" } else { "used" };
        self.fact("database", database).fact("redis", redis)
    }

    /// Prints it. The first steps are for people on this machine.
    pub(super) fn print(&self, first_password: &FirstPassword, first_steps: bool, out: Output) {
        let Self { state, url, open, facts } = self;
        let title = concat!("Taskloom ", env!("CARGO_PKG_VERSION"));
        let mut lines = vec![format!("{} {state} on {url}", out.paint(Tone::Strong, title))];
        let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        lines.extend(facts.iter().map(|(name, value)| format!("  {name:width$}  {value}")));
        if *open {
            let warning = "  It listens beyond this machine, without TLS: put a proxy in front.";
            lines.push(out.paint(Tone::Warn, warning));
        }
        lines.push(String::new());
        lines.extend(about(first_password, out));
        if first_steps {
            lines.push("Try, in another shell:".into());
            let taskloom = program();
            lines.push(format!("  {taskloom} login --server {url} --username {}", admin::NAME));
            lines.push(format!("  {taskloom} submit demo.sleep --kwarg seconds=5 --watch"));
        }
        lines.push("Ctrl-C stops.".into());
        out.line(lines.join("\n"));
    }
}

fn about(first_password: &FirstPassword, out: Output) -> Vec<String> {
    let name = admin::NAME;
    match first_password {
        FirstPassword::Generated(password) => vec![
            format!("User {name}, password {}", out.paint(Tone::Strong, password.expose())),
            "Keep it: it is shown only now.".into(),
            String::new(),
        ],
        FirstPassword::FromEnvironment => {
            vec![format!("User {name} was created with TASKLOOM_ADMIN_PASSWORD."), String::new()]
        }
        FirstPassword::NotNeeded => Vec::new(),
    }
}

/// How this program is called from the directory it was started in: by its name if a shell would find it so.
fn program() -> String {
    let name = "taskloom".to_owned();
    let Ok(this) = std::env::current_exe() else { return name };
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|dir| dir.join(&name).canonicalize().is_ok_and(|found| found == this))
    {
        return name;
    }
    let here = std::env::current_dir().unwrap_or_default();
    let shown = this.strip_prefix(&here).map_or(this.clone(), |below| std::path::Path::new(".").join(below));
    shown.display().to_string()
}
