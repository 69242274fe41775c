//! What the values must keep to, beyond their types.

use std::net::IpAddr;

use taskloom_dispatch::RedisOptions;
use toml::Value;

use super::Config;
use super::age::parse_age;
use super::database_url::parse_database_url;

/// The least and the most of each number; default.toml says the same in words, and a test compares them.
pub(super) const RANGES: [(&str, i64, i64); 33] = [
    ("server.port", 0, 65_535),
    ("server.body_bytes", 1024, 1 << 30),
    ("server.batch_body_bytes", 1024, 1 << 30),
    ("server.artifact_bytes", 1024, 1 << 40),
    ("server.max_streams", 1, 1_000_000),
    ("server.request_timeout_seconds", 1, 3600),
    ("auth.access_minutes", 1, 1440),
    ("auth.refresh_days", 1, 365),
    ("auth.login_free_per_user", 1, 1000),
    ("auth.login_free_per_ip", 1, 100_000),
    ("auth.login_first_wait_seconds", 1, 3600),
    ("auth.login_longest_wait_seconds", 1, 86_400),
    ("database.connections", 1, 200),
    ("redis.max_len", 1, 10_000_000),
    ("engine.lease_seconds", 1, 3600),
    ("engine.heartbeat_seconds", 1, 1200),
    ("engine.cancel_grace_seconds", 0, 3600),
    ("engine.retention_days", 0, 36_500),
    ("engine.default_max_attempts", 1, 1000),
    ("retention.succeeded_count", 0, 1_000_000_000),
    ("retention.failed_count", 0, 1_000_000_000),
    ("retention.revoked_count", 0, 1_000_000_000),
    ("limits.log_lines", 10, 1_000_000),
    ("limits.payload_bytes", 1024, 64 << 20),
    ("limits.depth", 1, 120),
    ("limits.batch", 1, 10_000),
    ("worker.concurrency", 0, 100_000),
    ("worker.drain_seconds", 0, 86_400),
    ("collect.max_urls", 1, 1_000_000),
    ("collect.max_concurrency", 1, 1024),
    ("collect.max_bytes", 1, 1 << 40),
    ("collect.max_total_bytes", 1, 1 << 40),
    ("collect.max_redirects", 0, 20),
];

/// The shortest secret key, in characters.
const SECRET_KEY_LEAST: usize = 32;

/// Keys whose values are secret, or hold a password.
pub(crate) fn is_secret(key: &str) -> bool {
    matches!(key, "auth.secret_key" | "database.url" | "redis.url")
}

/// Checks a value that has the right type.
pub(super) fn alone(key: &str, value: &Value) -> Result<(), String> {
    match value {
        Value::Integer(number) => in_range(key, *number),
        Value::String(text) => text_rule(key, text),
        Value::Array(items) => items.iter().try_for_each(|item| item_rule(key, item)),
        _ => Ok(()),
    }
}

fn in_range(key: &str, number: i64) -> Result<(), String> {
    match RANGES.iter().find(|(known, ..)| *known == key) {
        Some((_, least, most)) if !(*least..=*most).contains(&number) => {
            Err(format!("{key}: {number} is outside {least} to {most}"))
        }
        _ => Ok(()),
    }
}

fn text_rule(key: &str, text: &str) -> Result<(), String> {
    match key {
        "server.host" if text.parse::<IpAddr>().is_err() && !is_host_name(text) => {
            Err(format!("{key}: {text:?} is neither an address nor a host name"))
        }
        "auth.secret_key" if !text.is_empty() && text.chars().count() < SECRET_KEY_LEAST => Err(format!(
            "{key}: must have at least {SECRET_KEY_LEAST} characters (`openssl rand -hex 32` makes a good one)"
        )),
        "database.url" if !text.is_empty() => {
            parse_database_url(text).map(drop).map_err(|e| format!("{key}: {e}"))
        }
        "redis.url" if !text.is_empty() => {
            RedisOptions::new(text).masked_url().map(drop).map_err(|e| format!("{key}: {e}"))
        }
        "redis.prefix" if !is_redis_prefix(text) => {
            Err(format!("{key}: {text:?} is not 1 to 64 letters, digits, '.', '_' or '-'"))
        }
        "retention.succeeded_age" | "retention.failed_age" | "retention.revoked_age" if text.is_empty() => {
            Ok(())
        }
        "retention.succeeded_age"
        | "retention.failed_age"
        | "retention.revoked_age"
        | "retention.deleted_age" => parse_age(text).map(drop).map_err(|e| format!("{key}: {e}")),
        "database.synchronous" => one_of(key, text, &["full", "normal"]),
        "log.format" => one_of(key, text, &["auto", "human", "json"]),
        "log.level" => log_filter(key, text),
        _ => Ok(()),
    }
}

fn is_redis_prefix(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

/// Every part is a level, or a target with its level: a mistyped level alone would be taken for a target.
fn log_filter(key: &str, text: &str) -> Result<(), String> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    let level = |part: &str| part.rsplit('=').next().unwrap_or_default().trim().to_ascii_lowercase();
    match text.split(',').find(|part| !LEVELS.contains(&level(part).as_str())) {
        Some(part) => {
            let hint = super::error::did_you_mean(&level(part), LEVELS.into_iter());
            Err(format!("{key}: {part:?} is no log level; one of {}{hint}", LEVELS.join(", ")))
        }
        None => tracing_subscriber::EnvFilter::try_new(text).map(drop).map_err(|e| format!("{key}: {e}")),
    }
}

fn one_of(key: &str, text: &str, known: &[&str]) -> Result<(), String> {
    if known.contains(&text) {
        return Ok(());
    }
    let hint = super::error::did_you_mean(text, known.iter().copied());
    Err(format!("{key}: {text:?} is not one of {}{hint}", known.join(", ")))
}

fn is_host_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-')
}

fn item_rule(key: &str, item: &Value) -> Result<(), String> {
    let Value::String(text) = item else { return Err(format!("{key}: every item must be text in quotes")) };
    match key {
        "collect.allow_private" => {
            text.parse::<taskloom_tasks::AllowRule>().map(drop).map_err(|e| format!("{key}: {e}"))
        }
        "server.cors_origins" if !is_origin(text) => {
            Err(format!("{key}: {text:?} is no origin such as https://app.example.org"))
        }
        "worker.queues" if !is_queue(text) => {
            Err(format!("{key}: {text:?} is no queue: 1 to 100 letters, digits, '.', '_', '-' or ':'"))
        }
        _ => Ok(()),
    }
}

fn is_origin(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == text
    })
}

/// Whether `text` can name a queue.
pub(crate) fn is_queue(text: &str) -> bool {
    (1..=100).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || "._:-".contains(c))
}

/// Checks values against each other: the key to blame and what is wrong.
pub(super) fn across(config: &Config) -> Vec<(&'static str, String)> {
    let mut wrong = Vec::new();
    let (lease, beat) = (config.engine.lease_seconds, config.engine.heartbeat_seconds);
    if beat * 3 > lease {
        let message = format!(
            "engine.heartbeat_seconds: {beat} is more than a third of engine.lease_seconds ({lease}), so one lost \
             heartbeat would lose the task"
        );
        wrong.push(("engine.heartbeat_seconds", message));
    }
    let (payload, body) = (config.limits.payload_bytes, config.server.body_bytes);
    if payload > body {
        let message = format!("limits.payload_bytes: {payload} does not fit into server.body_bytes ({body})");
        wrong.push(("limits.payload_bytes", message));
    }
    if config.worker.queues.is_empty() {
        wrong.push(("worker.queues", "worker.queues: name at least one queue".into()));
    }
    wrong
}
