//! Logs on stderr: text for people on a terminal, JSON otherwise.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::SystemTime;

use crate::config::{Environment, Log, LogFormat};

/// What these libraries log in detail are statements with their parameters, and so what users submit: only who asks for
/// it by name gets it.
const INDISCREET: [&str; 2] = ["tokio_postgres", "mysql_async"];

/// Starts logging; the level was checked with the configuration. A second call changes nothing.
pub(crate) fn start(log: &Log, environment: &Environment) {
    let filter = filter(&log.level);
    let terminal = io::stderr().is_terminal();
    let base =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_timer(SystemTime);
    let human = match log.format {
        LogFormat::Auto => terminal,
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let started = if human {
        base.with_ansi(terminal && environment.get("NO_COLOR").is_none()).with_target(false).try_init()
    } else {
        base.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
    };
    drop(started);
}

fn filter(level: &str) -> EnvFilter {
    let quiet = INDISCREET.iter().filter(|name| !level.contains(**name)).map(|name| format!("{name}=warn"));
    let parts: Vec<String> = std::iter::once(level.to_owned()).chain(quiet).collect();
    EnvFilter::try_new(parts.join(",")).unwrap_or_else(|_| EnvFilter::new("info"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_and_what_users_submit_are_not_logged_by_accident() {
        for (level, expected) in [
            ("debug", "mysql_async=warn,tokio_postgres=warn,debug"),
            ("trace,taskloom_engine=info", "taskloom_engine=info,mysql_async=warn,tokio_postgres=warn,trace"),
            ("info,tokio_postgres=debug", "tokio_postgres=debug,mysql_async=warn,info"),
        ] {
            let parts = |text: &str| {
                let mut parts: Vec<_> = text.split(',').map(str::to_owned).collect();
                parts.sort();
                parts
            };
            assert_eq!(parts(&filter(level).to_string()), parts(expected));
        }
    }
}
