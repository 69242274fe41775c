//! Lays the layers over each other and checks every value against the defaults' types and the rules.

use std::collections::BTreeMap;
use std::path::PathBuf;

use toml::{Table, Value};

use super::error::{ConfigError, ConfigErrors, did_you_mean};
use super::{Config, DEFAULT, Environment, env, file, rules};

/// The sections whose keys are the user's own.
const FREE: &str = "aliases";

/// A value of one layer.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) value: Value,
    pub(super) source: String,
}

/// The values of one source, in order; a later one wins.
#[derive(Debug, Default)]
pub(super) struct Layer {
    pub(super) entries: Vec<Entry>,
    /// Sections without keys, which still must be known.
    pub(super) sections: Vec<(String, String)>,
}

impl Layer {
    pub(super) fn push(&mut self, key: impl Into<String>, value: Value, source: String) {
        self.entries.push(Entry { key: key.into(), value, source });
    }
}

/// A value from the command line.
#[derive(Debug, Clone)]
pub(crate) struct Override {
    /// Such as `server.port`.
    pub(crate) key: &'static str,
    /// As written.
    pub(crate) text: String,
    /// Such as `--port`.
    pub(crate) flag: &'static str,
}

/// A value in effect and where it comes from; `None` is the default.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) value: Value,
    pub(crate) source: Option<String>,
}

/// A configuration that passed every check.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    /// By `section.key`, in the order of the defaults.
    pub(crate) settings: Vec<(String, Setting)>,
    /// What the user should know and what does not stop the start.
    pub(crate) warnings: Vec<String>,
    /// The file that was read.
    pub(crate) file: Option<PathBuf>,
}

impl Loaded {
    /// Whether somebody set this key, be it to its default.
    pub(crate) fn is_set(&self, key: &str) -> bool {
        self.settings.iter().any(|(known, setting)| known == key && setting.source.is_some())
    }
}

/// The known keys with their defaults.
pub(super) struct Schema(Vec<(String, Value)>);

impl Schema {
    fn new() -> Result<Self, ConfigErrors> {
        let layer = file::parse("default.toml", DEFAULT)?;
        Ok(Self(layer.entries.into_iter().map(|entry| (entry.key, entry.value)).collect()))
    }

    /// The default of a key.
    pub(super) fn value(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    fn is_section(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| section_of(key) == name)
    }

    fn unknown(&self, key: &str) -> String {
        let section = section_of(key);
        if self.is_section(section) {
            let hint = did_you_mean(key, self.0.iter().map(|(known, _)| known.as_str()));
            return format!("unknown key {key}{hint}");
        }
        let hint = did_you_mean(section, self.0.iter().map(|(known, _)| section_of(known)));
        format!("unknown section [{section}]{hint}")
    }
}

fn section_of(key: &str) -> &str {
    key.split_once('.').map_or(key, |(section, _)| section)
}

/// Loads the configuration: defaults, file, environment, flags.
///
/// # Errors
/// Everything that is wrong with it, each with the key and the source.
pub(crate) fn load(
    file: Option<&std::path::Path>,
    environment: &Environment,
    overrides: &[Override],
) -> Result<Loaded, ConfigErrors> {
    let file = file
        .map(PathBuf::from)
        .or_else(|| environment.get("TASKLOOM_CONFIG").map(PathBuf::from))
        .or_else(|| Some(PathBuf::from("taskloom.toml")).filter(|path| path.is_file()));
    let schema = Schema::new()?;
    let mut layers = Vec::new();
    if let Some(path) = &file {
        layers.push(file::read(path)?);
    }
    let (from_env, warnings) = environment.layer(&schema);
    layers.push(from_env);
    layers.push(flags(&schema, overrides));
    merge(&schema, layers).map(|(config, settings)| Loaded { config, settings, warnings, file })
}

fn flags(schema: &Schema, overrides: &[Override]) -> Layer {
    let mut layer = Layer::default();
    for Override { key, text, flag } in overrides {
        let value = schema.value(key).map_or_else(|| text.as_str().into(), |like| env::from_text(text, like));
        layer.push(*key, value, format!("flag {flag}"));
    }
    layer
}

type Merged = (Config, Vec<(String, Setting)>);

fn merge(schema: &Schema, layers: Vec<Layer>) -> Result<Merged, ConfigErrors> {
    let mut settings: Vec<(String, Setting)> = schema
        .0
        .iter()
        .map(|(key, value)| (key.clone(), Setting { value: value.clone(), source: None }))
        .collect();
    let mut wrong = Vec::new();
    for layer in layers {
        for (section, source) in layer.sections {
            if !schema.is_section(&section) {
                wrong.push(ConfigError { source, message: schema.unknown(&section) });
            }
        }
        for entry in layer.entries {
            if let Err(message) = check(schema, &entry) {
                wrong.push(ConfigError { source: entry.source, message });
                continue;
            }
            set(&mut settings, entry);
        }
    }
    if !wrong.is_empty() {
        return Err(ConfigErrors(wrong));
    }
    settings.retain(|(key, setting)| section_of(key) != FREE || setting.value.as_str() != Some(""));
    let config = typed(&settings)?;
    let broken = rules::across(&config);
    if broken.is_empty() {
        return Ok((config, settings));
    }
    let located = |(key, message): (&str, String)| ConfigError { source: source_of(&settings, key), message };
    Err(ConfigErrors(broken.into_iter().map(located).collect()))
}

fn set(settings: &mut Vec<(String, Setting)>, entry: Entry) {
    let setting = Setting { value: entry.value, source: Some(entry.source) };
    if let Some((_, known)) = settings.iter_mut().find(|(key, _)| *key == entry.key) {
        *known = setting;
        return;
    }
    let last = settings.iter().rposition(|(key, _)| section_of(key) == section_of(&entry.key));
    settings.insert(last.map_or(settings.len(), |at| at + 1), (entry.key, setting));
}

/// Checks one value by itself.
fn check(schema: &Schema, entry: &Entry) -> Result<(), String> {
    let Entry { key, value, .. } = entry;
    if section_of(key) == FREE && key != FREE {
        let is_text = value.is_str();
        return if is_text {
            Ok(())
        } else {
            Err(format!("{key}: expected the name of a handler in quotes"))
        };
    }
    let Some(like) = schema.value(key) else {
        let section = schema.is_section(key);
        return Err(if section { format!("{key} is a section: write [{key}]") } else { schema.unknown(key) });
    };
    if value.same_type(like) || (like.is_float() && value.is_integer()) {
        return rules::alone(key, value);
    }
    let got = match value {
        _ if rules::is_secret(key) => "something else".into(),
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    };
    Err(format!("{key}: expected {}, got {got}", kind(like)))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Array(_) => "a list",
        Value::Table(_) => "a section",
        _ => "text in quotes",
    }
}

fn typed(settings: &[(String, Setting)]) -> Result<Config, ConfigErrors> {
    let mut sections: BTreeMap<&str, Table> = BTreeMap::from([(FREE, Table::new())]);
    for (key, setting) in settings {
        if let Some((section, name)) = key.split_once('.') {
            sections.entry(section).or_default().insert(name.into(), setting.value.clone());
        }
    }
    let table: Table = sections.into_iter().map(|(name, table)| (name.into(), Value::Table(table))).collect();
    serde_path_to_error::deserialize::<_, Config>(table).map_err(|error| {
        let key = error.path().to_string();
        let message = error.inner().message().trim_end().to_owned();
        ConfigErrors::one(source_of(settings, &key), format!("{key}: {message}"))
    })
}

fn source_of(settings: &[(String, Setting)], key: &str) -> String {
    // A path may go deeper than a key: `server.cors_origins[0]`.
    let found =
        settings.iter().filter(|(known, _)| key.starts_with(known.as_str())).max_by_key(|(k, _)| k.len());
    found.and_then(|(_, setting)| setting.source.clone()).unwrap_or_else(|| "default".into())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
