//! The settings in effect, for people and for machines.

use std::fmt::Write;

use serde_json::{Map, json};
use toml::Value;

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
    let empty = value.as_str() == Some("");
    if is_secret(key) && !empty && !harmless(key, value) {
        Value::String("***".into())
    } else {
        value.clone()
    }
}

/// A SQLite URL is a path: nothing to hide.
fn harmless(key: &str, value: &Value) -> bool {
    key == "database.url" && value.as_str().is_some_and(|url| url.starts_with("sqlite"))
}
