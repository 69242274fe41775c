//! `taskloom worker`

use std::path::PathBuf;

use clap::Args;
use taskloom_client::address::DEFAULT_SERVER;
use taskloom_store::StoreOptions;

use super::process::{self, Setting};
use crate::client::normalize;
use crate::config::{Config, Environment, Override, Secret};
use crate::error::{CliError, CliResult};
use crate::process::settings;
use crate::process::worker::{self, Setup};

/// Run a worker with the built-in handlers, for a server or beside the database
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  TASKLOOM_TOKEN=$(taskloom api-key create worker-1 --scope worker --json | jq -r .key) \
    \\\n    taskloom worker --server https://tasks.example.org\n  \
    DATABASE_URL=postgres://… REDIS_URL=redis://… taskloom worker\n  \
    taskloom worker --queues high_priority,default --concurrency 16 --name gpu-1\n\nWith --database-url it works beside \
    the database; so it does without a token, if database.url names\nPostgreSQL or MySQL. With a token (--token or \
    TASKLOOM_TOKEN) and without --database-url it works for the\nserver. Ctrl-C lets running tasks finish (at most \
    worker.drain_seconds); a second one hands them back to their\nqueue."
)]
pub(crate) struct Worker {
    /// The server [default: TASKLOOM_SERVER, else http://127.0.0.1:8000]
    #[arg(long, value_name = "URL", conflicts_with_all = DATABASE_FLAGS)]
    server: Option<String>,
    /// An API key of scope worker [default: TASKLOOM_TOKEN, which other users of this machine cannot see]
    #[arg(long, conflicts_with_all = DATABASE_FLAGS)]
    token: Option<String>,
    /// The queues to serve, in order [default: high_priority,default,low_priority]
    #[arg(long, value_name = "A,B")]
    queues: Option<String>,
    /// Tasks to run at once [default: 4 for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    concurrency: Option<u32>,
    /// A name for people [default: host:pid]
    #[arg(long)]
    name: Option<String>,
    /// Where running tasks keep their files [default: below the system's temporary directory]
    #[arg(long, value_name = "DIR")]
    work_dir: Option<PathBuf>,
    #[command(flatten)]
    setting: Setting,
}

/// What means nothing to a worker that works for a server.
const DATABASE_FLAGS: [&str; 2] = ["database_url", "redis_url"];

/// Where the tasks come from.
enum Source {
    Database(StoreOptions),
    Server { url: String, token: Secret },
}

impl Worker {
    pub(crate) fn run(self, environment: &Environment) -> CliResult {
        let by_flag = self.setting.database_url.is_some();
        let queues = self.queues.map(|text| Override { key: "worker.queues", text, flag: "--queues" });
        let flags = queues.into_iter().chain(process::concurrency(self.concurrency));
        let launch = self.setting.load(flags, environment)?;
        let asked = Asked { by_flag, server: self.server, token: self.token };
        let source = asked.source(&launch.config, environment)?;
        let setup = |data| Setup::new(&launch.config, data);
        match source {
            Source::Server { url, token } => {
                let setup = setup(None)?.name(self.name).work_dir(self.work_dir);
                process::run(worker::over_http(launch, &url, &token, setup))
            }
            Source::Database(database) => {
                let setup = setup(Some(&launch.dir))?.name(self.name).work_dir(self.work_dir);
                process::run_with_handlers(|threads| async move {
                    worker::beside_database(launch, database, setup, &threads).await
                })
            }
        }
    }
}

/// What the command line says about where the tasks come from.
struct Asked {
    /// `--database-url` was given.
    by_flag: bool,
    server: Option<String>,
    token: Option<String>,
}

impl Asked {
    fn source(self, config: &Config, environment: &Environment) -> Result<Source, CliError> {
        let token = self.token.or_else(|| environment.get("TASKLOOM_TOKEN").map(str::to_owned));
        let shared = settings::shared_store(config, "worker");
        match (self.by_flag, token, self.server) {
            (true, ..) => shared.map(Source::Database),
            (false, Some(token), server) => {
                let server = server.as_deref().or_else(|| environment.get("TASKLOOM_SERVER"));
                let url = normalize(server.unwrap_or(DEFAULT_SERVER))?;
                Ok(Source::Server { url, token: Secret::new(token) })
            }
            (false, None, Some(_)) => Err(no_token()),
            (false, None, None) => shared.map(Source::Database).map_err(|_| neither()),
        }
    }
}

fn no_token() -> CliError {
    CliError::usage("a worker needs a token: --token or TASKLOOM_TOKEN")
        .hint("make one: taskloom api-key create worker-1 --scope worker")
}

fn neither() -> CliError {
    CliError::usage("a worker needs a server and a token, or a database that it shares with the server").hint(
        "for a server: --server URL, and TASKLOOM_TOKEN from `taskloom api-key create worker-1 --scope worker`\n  \
         beside a database: DATABASE_URL=postgres://user:password@host/database, or mysql://",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    const POSTGRES: (&str, &str) = ("DATABASE_URL", "postgres://u:p@db/t");
    const TOKEN: (&str, &str) = ("TASKLOOM_TOKEN", "key");

    fn source(asked: Asked, environment: impl Into<Environment>) -> Result<Source, CliError> {
        let environment = environment.into();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("empty.toml");
        std::fs::write(&file, "").unwrap();
        let config = config::load(Some(&file), &environment, &[]).unwrap().config;
        asked.source(&config, &environment)
    }

    fn nothing() -> Asked {
        Asked { by_flag: false, server: None, token: None }
    }

    #[test]
    fn a_database_is_enough() {
        assert!(matches!(source(nothing(), [POSTGRES]), Ok(Source::Database(_))));
        let elsewhere = ("TASKLOOM_SERVER", "http://elsewhere");
        assert!(matches!(source(nothing(), [POSTGRES, elsewhere]), Ok(Source::Database(_))));
    }

    #[test]
    fn a_token_means_the_server_and_the_flag_means_the_database() {
        let Ok(Source::Server { url, token }) = source(nothing(), [POSTGRES, TOKEN]) else {
            panic!("no server")
        };
        assert_eq!((url.as_str(), token.expose()), (DEFAULT_SERVER, "key"));
        let by_flag = Asked { by_flag: true, ..nothing() };
        assert!(matches!(source(by_flag, [POSTGRES, TOKEN]), Ok(Source::Database(_))));
    }

    #[test]
    fn errors_name_what_is_missing() {
        let error = |asked, environment: &[(&str, &str)]| match environment {
            [] => source(asked, []).err().unwrap().to_string(),
            [one, ..] => source(asked, [*one]).err().unwrap().to_string(),
        };
        let text = error(nothing(), &[]);
        assert!(text.contains("TASKLOOM_TOKEN") && text.contains("DATABASE_URL=postgres://"), "{text}");
        let with_server = Asked { server: Some("http://x".into()), ..nothing() };
        assert!(error(with_server, &[POSTGRES]).contains("needs a token"));
        let on_sqlite = Asked { by_flag: true, ..nothing() };
        assert!(
            error(on_sqlite, &[("DATABASE_URL", "sqlite:///t.db")])
                .contains("`taskloom worker` needs PostgreSQL")
        );
    }
}
