//! The configuration: typed, layered, and strict about what it does not know.

mod age;
mod database_url;
mod env;
mod error;
mod file;
mod merge;
mod rules;
mod secret;
mod show;

use std::collections::BTreeMap;

use serde::Deserialize;

pub(crate) use age::parse_age;
pub(crate) use database_url::{Database, parse_database_url};
pub(crate) use env::Environment;
pub(crate) use error::ConfigErrors;
pub(crate) use merge::{Override, load};
pub(crate) use secret::Secret;
pub(crate) use show::{as_json, as_toml};

/// The defaults with their explanations: the reference of every key.
pub(crate) const DEFAULT: &str = include_str!("default.toml");

/// All settings. `default.toml` explains each; the names are the same.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) server: Server,
    pub(crate) auth: Auth,
    pub(crate) database: DatabaseSettings,
    pub(crate) redis: Redis,
    pub(crate) storage: Storage,
    pub(crate) engine: Engine,
    pub(crate) retention: Retention,
    pub(crate) limits: Limits,
    pub(crate) worker: Worker,
    pub(crate) aliases: BTreeMap<String, String>,
    pub(crate) collect: Collect,
    pub(crate) log: Log,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) body_bytes: usize,
    pub(crate) batch_body_bytes: usize,
    pub(crate) artifact_bytes: u64,
    pub(crate) max_streams: usize,
    pub(crate) request_timeout_seconds: u64,
    pub(crate) cors_origins: Vec<String>,
    pub(crate) docs: bool,
    pub(crate) allow_registration: bool,
    pub(crate) trusted_proxy: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Auth {
    pub(crate) secret_key: Secret,
    pub(crate) access_minutes: u64,
    pub(crate) refresh_days: u64,
    pub(crate) login_free_per_user: u32,
    pub(crate) login_free_per_ip: u32,
    pub(crate) login_first_wait_seconds: u64,
    pub(crate) login_longest_wait_seconds: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DatabaseSettings {
    pub(crate) url: Secret,
    pub(crate) connections: usize,
    pub(crate) synchronous: Synchronous,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Redis {
    pub(crate) url: Secret,
    pub(crate) prefix: String,
    pub(crate) ca_file: String,
    pub(crate) insecure: bool,
    pub(crate) max_len: usize,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Storage {
    pub(crate) artifacts_dir: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Synchronous {
    Full,
    Normal,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Engine {
    pub(crate) lease_seconds: u64,
    pub(crate) heartbeat_seconds: u64,
    pub(crate) cancel_grace_seconds: u64,
    pub(crate) retention_days: u64,
    pub(crate) default_max_attempts: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retention {
    pub(crate) succeeded_age: String,
    pub(crate) succeeded_count: u64,
    pub(crate) failed_age: String,
    pub(crate) failed_count: u64,
    pub(crate) revoked_age: String,
    pub(crate) revoked_count: u64,
    pub(crate) deleted_age: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    pub(crate) log_lines: u64,
    pub(crate) payload_bytes: usize,
    pub(crate) depth: usize,
    pub(crate) batch: usize,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Worker {
    pub(crate) concurrency: u32,
    pub(crate) queues: Vec<String>,
    pub(crate) drain_seconds: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Collect {
    pub(crate) allow_private: Vec<String>,
    pub(crate) max_urls: usize,
    pub(crate) max_concurrency: usize,
    pub(crate) max_bytes: u64,
    pub(crate) max_total_bytes: u64,
    pub(crate) timeout: f64,
    pub(crate) user_agent: String,
    pub(crate) max_redirects: usize,
    pub(crate) cache_dir: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    pub(crate) level: String,
    pub(crate) format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Auto,
    Human,
    Json,
}
