//! The configuration in the words of each layer.

use std::path::Path;
use std::time::Duration;

use taskloom_engine::EngineConfig;
use taskloom_protocol as protocol;
use taskloom_server::{ServerConfig, ThrottleConfig};
use taskloom_store::{StoreOptions, Synchronous};
use taskloom_tasks::{CollectConfig, TasksConfig};

use crate::config::{self, Config, Secret};
use crate::error::CliError;

pub(crate) fn store(config: &Config, database: &Path) -> StoreOptions {
    let synchronous = match config.database.synchronous {
        config::Synchronous::Full => Synchronous::Full,
        config::Synchronous::Normal => Synchronous::Normal,
    };
    StoreOptions { synchronous, ..StoreOptions::sqlite(database) }
}

pub(crate) fn engine(config: &Config, data: &Path) -> EngineConfig {
    let settings = &config.engine;
    let retention = match settings.retention_days {
        0 => Duration::MAX,
        days => Duration::from_secs(days * 86_400),
    };
    EngineConfig {
        lease: Duration::from_secs(settings.lease_seconds),
        heartbeat: Duration::from_secs(settings.heartbeat_seconds),
        cancel_grace: Duration::from_secs(settings.cancel_grace_seconds),
        retention,
        default_max_attempts: settings.default_max_attempts,
        aliases: config.aliases.clone().into_iter().collect(),
        limits: protocol::Limits {
            payload_bytes: config.limits.payload_bytes,
            depth: config.limits.depth,
            batch: config.limits.batch,
        },
        max_artifact_bytes: config.server.artifact_bytes,
        ..EngineConfig::new(data.join("artifacts"))
    }
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
