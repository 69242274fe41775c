//! The settings in effect, for people and for machines.

use std::fmt::Write;

use serde_json::{Map, json};
use taskloom_dispatch::RedisOptions;
use toml::Value;

use super::database_url::masked_database_url;
use super::merge::Loaded;
use super::rules::is_secret;

/// TOML with the source of each value as a comment; secrets masked.
pub(crate) fn as_toml(loaded: &Loaded) -> String {
    let mut text = String::new();
    let mut current = "";
    for (key, setting) in &loaded.settings {
        let (section, name) = key.split_once('.').unwrap_or(("", key));
        if section != current {
            let gap = if current.is_empty() { "" } else { "\n" };
            let _ = writeln!(text, "{gap}[{section}]");
            current = section;
        }
        let quoted = if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
            name.to_owned()
        } else {
            Value::String(name.into()).to_string()
        };
        let source = setting.source.as_deref().unwrap_or("default");
        let _ = writeln!(text, "{quoted} = {}  # {source}", masked(key, &setting.value));
    }
    text
}

/// `{"server.port": {"value": 8000, "source": "default"}, …}`; secrets masked.
pub(crate) fn as_json(loaded: &Loaded) -> serde_json::Value {
    let entry = |(key, setting): &(String, super::merge::Setting)| {
        let source = setting.source.as_deref().unwrap_or("default");
        (key.clone(), json!({"value": masked(key, &setting.value), "source": source}))
    };
    serde_json::Value::Object(loaded.settings.iter().map(entry).collect::<Map<_, _>>())
}

fn masked(key: &str, value: &Value) -> Value {
    if !is_secret(key) || value.as_str() == Some("") {
        return value.clone();
    }
    let shown = value.as_str().and_then(|text| without_password(key, text));
    Value::String(shown.unwrap_or_else(|| "***".into()))
}

/// A URL as it is written, but for its passwords; nothing if it cannot be told where they stand.
fn without_password(key: &str, text: &str) -> Option<String> {
    match key {
        "database.url" => masked_database_url(text).ok(),
        "redis.url" => RedisOptions::new(text).masked_url().ok(),
        _ => None,
    }
}
