//! The configuration in the words of each layer.

use std::path::{Path, PathBuf};
use std::time::Duration;

use taskloom_dispatch::{RedisConfigError, RedisOptions};
use taskloom_engine::{EngineConfig, Keep, Retention};
use taskloom_protocol as protocol;
use taskloom_server::{ServerConfig, ThrottleConfig};
use taskloom_store::{StoreOptions, Synchronous};
use taskloom_tasks::{CollectConfig, TasksConfig};

use crate::config::{self, Config, Database, Secret};
use crate::error::CliError;

/// The database: where the configuration says, else a file in the data directory.
pub(crate) fn store(config: &Config, dir: &Path) -> Result<StoreOptions, CliError> {
    let path = match config.database.url.expose() {
        "" => dir.join("taskloom.db"),
        text => {
            match config::parse_database_url(text)
                .map_err(|e| CliError::usage(format!("database.url: {e}")))?
            {
                Database::Sqlite(path) => path,
                Database::Network(url) => {
                    return Ok(StoreOptions::Network { url, connections: config.database.connections });
                }
            }
        }
    };
    let synchronous = match config.database.synchronous {
        config::Synchronous::Full => Synchronous::Full,
        config::Synchronous::Normal => Synchronous::Normal,
    };
    Ok(StoreOptions::Sqlite { path, synchronous })
}

/// The same for `command`, which needs a database that several processes can share.
pub(crate) fn shared_store(config: &Config, command: &str) -> Result<StoreOptions, CliError> {
    match store(config, Path::new(""))? {
        StoreOptions::Sqlite { .. } => Err(CliError::usage(format!(
            "`taskloom {command}` needs PostgreSQL, MySQL or MariaDB: only one process can use a SQLite file"
        ))
        .hint(
            "set DATABASE_URL to postgres://user:password@host/database or mysql://user:password@host/database, or \
             use `taskloom dev`, which runs everything in one process, on a SQLite file",
        )),
        network @ StoreOptions::Network { .. } => Ok(network),
    }
}

/// Redis, if it is to be used.
pub(super) fn redis(config: &Config) -> Option<RedisOptions> {
    let settings = &config.redis;
    let mut options = RedisOptions::new(settings.url.expose());
    options.prefix.clone_from(&settings.prefix);
    options.ca_file = (!settings.ca_file.is_empty()).then(|| settings.ca_file.clone().into());
    options.insecure = settings.insecure;
    options.max_len = settings.max_len;
    (!settings.url.is_empty()).then_some(options)
}

/// The error for settings of Redis that cannot be used.
pub(super) fn bad_redis(error: &RedisConfigError) -> CliError {
    CliError::usage(format!("[redis] {error}"))
}

/// Where artifacts are kept: where the configuration says, else in the data directory.
pub(super) fn artifacts_dir(config: &Config, dir: &Path) -> PathBuf {
    match config.storage.artifacts_dir.as_str() {
        "" => dir.join("artifacts"),
        elsewhere => elsewhere.into(),
    }
}

pub(crate) fn engine(config: &Config, dir: &Path) -> Result<EngineConfig, CliError> {
    let settings = &config.engine;
    let retention = match settings.retention_days {
        0 => Duration::MAX,
        days => Duration::from_secs(days * 86_400),
    };
    Ok(EngineConfig {
        lease: Duration::from_secs(settings.lease_seconds),
        heartbeat: Duration::from_secs(settings.heartbeat_seconds),
        cancel_grace: Duration::from_secs(settings.cancel_grace_seconds),
        retention,
        keep: keep(&config.retention)?,
        log_lines: config.limits.log_lines,
        default_max_attempts: settings.default_max_attempts,
        aliases: config.aliases.clone().into_iter().collect(),
        limits: protocol::Limits {
            payload_bytes: config.limits.payload_bytes,
            depth: config.limits.depth,
            batch: config.limits.batch,
        },
        max_artifact_bytes: config.server.artifact_bytes,
        ..EngineConfig::new(artifacts_dir(config, dir))
    })
}

/// What is kept of ended tasks.
fn keep(settings: &config::Retention) -> Result<Retention, CliError> {
    let age = |text: &str| config::parse_age(text).map_err(|e| CliError::usage(format!("[retention] {e}")));
    let of = |text: &str, count: u64| {
        let age = if text.is_empty() { None } else { Some(age(text)?) };
        Ok::<_, CliError>(Keep { age, count: (count > 0).then_some(count) })
    };
    Ok(Retention {
        succeeded: of(&settings.succeeded_age, settings.succeeded_count)?,
        failed: of(&settings.failed_age, settings.failed_count)?,
        revoked: of(&settings.revoked_age, settings.revoked_count)?,
        deleted: age(&settings.deleted_age)?,
    })
}

pub(crate) fn server(config: &Config, secret_key: &Secret) -> Result<ServerConfig, CliError> {
    let (server, auth) = (&config.server, &config.auth);
    let settings = ServerConfig {
        secret_key: secret_key.expose().as_bytes().to_vec(),
        access_ttl: Duration::from_secs(auth.access_minutes * 60),
        refresh_ttl: Duration::from_secs(auth.refresh_days * 86_400),
        body_limit: server.body_bytes,
        batch_body_limit: server.batch_body_bytes,
        request_timeout: Duration::from_secs(server.request_timeout_seconds),
        max_streams: server.max_streams,
        cors_origins: server.cors_origins.clone(),
        allow_registration: server.allow_registration,
        throttle: ThrottleConfig {
            free_per_user: auth.login_free_per_user,
            free_per_ip: auth.login_free_per_ip,
            first_wait: Duration::from_secs(auth.login_first_wait_seconds),
            longest_wait: Duration::from_secs(auth.login_longest_wait_seconds),
            ..ThrottleConfig::default()
        },
        trusted_proxy: server.trusted_proxy,
        docs: server.docs,
        ..ServerConfig::default()
    };
    settings.check().map_err(|e| CliError::usage(e.to_string()))?;
    Ok(settings)
}

/// `cache` is where answers are kept if the configuration names no place.
pub(crate) fn tasks(config: &Config, cache: Option<&Path>) -> Result<TasksConfig, CliError> {
    let settings = &config.collect;
    let bad = |e: &dyn std::fmt::Display| CliError::usage(format!("[collect] {e}"));
    let rules = settings.allow_private.iter().map(|rule| rule.parse()).collect::<Result<_, _>>();
    let defaults = CollectConfig::default();
    let collect = CollectConfig {
        allow_private: rules.map_err(|e: taskloom_tasks::BadAllowRule| bad(&e))?,
        max_urls: settings.max_urls,
        max_concurrency: settings.max_concurrency,
        max_bytes: settings.max_bytes,
        max_total_bytes: settings.max_total_bytes,
        timeout: settings.timeout,
        user_agent: or(&settings.user_agent, defaults.user_agent),
        max_redirects: settings.max_redirects,
        cache_dir: match settings.cache_dir.as_str() {
            "" => cache.map(Path::to_owned),
            dir => Some(dir.into()),
        },
    };
    collect.check().map_err(|e| bad(&e))?;
    Ok(TasksConfig { collect })
}

fn or(text: &str, default: String) -> String {
    if text.is_empty() { default } else { text.to_owned() }
}

/// Tasks at once: as configured, else 4 for each processor and at least 8.
pub(crate) fn concurrency(configured: u32) -> usize {
    match configured {
        0 => std::thread::available_parallelism().map_or(8, |cores| (cores.get() * 4).max(8)),
        tasks => tasks as usize,
    }
}
