//! The environment, with the `.env` file behind it, and the settings it carries.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Value;

use super::error::{ConfigErrors, did_you_mean};
use super::merge::{Entry, Layer, Schema};

/// The variables that are no settings of a section.
const OTHERS: [&str; 9] = [
    "TASKLOOM_CONFIG",
    "TASKLOOM_LOG",
    "TASKLOOM_SERVER",
    "TASKLOOM_TOKEN",
    "TASKLOOM_USERNAME",
    "TASKLOOM_PASSWORD",
    "TASKLOOM_ADMIN_PASSWORD",
    "TASKLOOM_DATA",
    "TASKLOOM_BENCH",
];

/// Familiar names and the keys they stand for; a TASKLOOM_ variable for the same key wins.
const FAMILIAR: [(&str, &str); 4] = [
    ("DATABASE_URL", "database.url"),
    ("REDIS_URL", "redis.url"),
    ("SECRET_KEY", "auth.secret_key"),
    ("TASKLOOM_LOG", "log.level"),
];

/// A variable and where it was found.
#[derive(Debug, Clone)]
struct Variable {
    value: String,
    from_file: bool,
}

/// The process's environment; a `.env` file fills what it does not have.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment(BTreeMap<String, Variable>);

impl Environment {
    /// Reads the process's environment, and `.env` in the working directory if it is there.
    pub(crate) fn read() -> Result<Self, ConfigErrors> {
        let process =
            std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        Self::from_parts(process, Path::new(".env"))
    }

    fn from_parts(
        process: impl Iterator<Item = (String, String)>,
        dotenv: &Path,
    ) -> Result<Self, ConfigErrors> {
        let mut variables = BTreeMap::new();
        if dotenv.is_file() {
            let wrong = |e: dotenvy::Error| ConfigErrors::one(".env", describe(&e));
            for pair in dotenvy::from_path_iter(dotenv).map_err(wrong)? {
                match pair {
                    Ok((name, value)) => _ = variables.insert(name, Variable { value, from_file: true }),
                    // Another program's line, in a form that it may understand.
                    Err(dotenvy::Error::LineParse(line, _)) if !is_ours(&line) => {}
                    Err(error) => return Err(wrong(error)),
                }
            }
        }
        variables.extend(process.map(|(name, value)| (name, Variable { value, from_file: false })));
        Ok(Self(variables))
    }

    /// The value of a variable; empty ones count as not set.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|v| v.value.as_str()).filter(|v| !v.is_empty())
    }

    /// Where a variable stands, for messages.
    fn source(&self, name: &str) -> String {
        let file = self.0.get(name).is_some_and(|v| v.from_file);
        if file { format!("{name} in .env") } else { format!("environment variable {name}") }
    }

    /// The settings in it, and warnings about what looks like one and is none.
    pub(super) fn layer(&self, schema: &Schema) -> (Layer, Vec<String>) {
        let mut layer = Layer::default();
        let mut warnings = Vec::new();
        for (name, key) in FAMILIAR {
            if let Some(text) = self.get(name) {
                layer.push(key, Value::String(text.into()), self.source(name));
            }
        }
        for (name, variable) in &self.0 {
            let Some(rest) = name.strip_prefix("TASKLOOM_").filter(|_| !variable.value.is_empty()) else {
                continue;
            };
            match rest.split_once("__") {
                Some((section, key)) => {
                    layer.entries.push(self.entry(schema, name, section, key, &variable.value));
                }
                None if OTHERS.contains(&name.as_str()) => {}
                None => {
                    let hint = did_you_mean(name, OTHERS.into_iter());
                    warnings.push(format!("{} means nothing to Taskloom{hint}", self.source(name)));
                }
            }
        }
        (layer, warnings)
    }

    fn entry(&self, schema: &Schema, name: &str, section: &str, key: &str, text: &str) -> Entry {
        let key = format!("{}.{}", section.to_lowercase(), key.to_lowercase());
        let value = match schema.value(&key) {
            Some(like) => from_text(text, like),
            None => Value::String(text.into()),
        };
        Entry { key, value, source: self.source(name) }
    }
}

/// Reads `text` as the kind of value that `like` is; what cannot be read stays text, for the type check to refuse.
pub(super) fn from_text(text: &str, like: &Value) -> Value {
    let as_is = || Value::String(text.to_owned());
    match like {
        Value::Integer(_) => text.trim().parse().map_or_else(|_| as_is(), Value::Integer),
        Value::Float(_) => text.trim().parse().map_or_else(|_| as_is(), Value::Float),
        Value::Boolean(_) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Value::Boolean(true),
            "false" | "0" | "no" | "off" => Value::Boolean(false),
            _ => as_is(),
        },
        Value::Array(_) if text.trim_start().starts_with('[') => {
            let table = format!("list = {text}").parse::<toml::Table>().ok();
            table.and_then(|mut t| t.remove("list")).unwrap_or_else(as_is)
        }
        Value::Array(_) => Value::Array(
            text.split(',')
                .map(str::trim)
                .filter(|s| !s.is_empty())
                .map(|s| Value::String(s.into()))
                .collect(),
        ),
        _ => as_is(),
    }
}

/// Whether a line of `.env` sets one of our variables.
fn is_ours(line: &str) -> bool {
    let line = line.trim_start();
    let name = line.strip_prefix("export ").unwrap_or(line).trim_start();
    name.starts_with("TASKLOOM_") || FAMILIAR.iter().any(|(familiar, _)| name.starts_with(familiar))
}

/// The message of the library without the line itself, which may hold a secret.
fn describe(error: &dotenvy::Error) -> String {
    match error {
        dotenvy::Error::LineParse(_, at) => format!("a line cannot be read at its character {at}"),
        dotenvy::Error::Io(e) => e.to_string(),
        _ => "it cannot be read".into(),
    }
}

#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(pairs: [(&str, &str); N]) -> Self {
        let variable = |(k, v): (&str, &str)| (k.into(), Variable { value: v.into(), from_file: false });
        Self(pairs.into_iter().map(variable).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_wins_over_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(".env");
        std::fs::write(&file, "A=file\nB='file two' # note\nexport C=3\n").unwrap();
        let process = [("A".to_owned(), "process".to_owned())];
        let env = Environment::from_parts(process.into_iter(), &file).unwrap();
        assert_eq!(
            (env.get("A"), env.get("B"), env.get("C")),
            (Some("process"), Some("file two"), Some("3"))
        );
        assert_eq!(env.source("B"), "B in .env");
    }

    #[test]
    fn other_programs_lines_do_not_matter() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(".env");
        std::fs::write(&file, "OTHER=two words\nTASKLOOM_SERVER=x\n").unwrap();
        let env = Environment::from_parts(std::iter::empty(), &file).unwrap();
        assert_eq!(env.get("TASKLOOM_SERVER"), Some("x"));
    }

    #[test]
    fn a_broken_file_is_named_and_not_quoted() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(".env");
        std::fs::write(&file, "SECRET_KEY='hunter2\n").unwrap();
        let error = Environment::from_parts(std::iter::empty(), &file).unwrap_err().to_string();
        assert!(error.starts_with(".env: "), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn text_becomes_what_the_default_is() {
        let list = Value::Array(Vec::new());
        let ab = Value::Array(vec!["a".into(), "b".into()]);
        assert_eq!(from_text("a, b", &list), ab);
        assert_eq!(from_text(r#"["a", 'b']"#, &list), ab);
        assert_eq!(from_text("yes", &true.into()), Value::Boolean(true));
        assert_eq!(from_text(" 12 ", &1.into()), Value::Integer(12));
        assert_eq!(from_text("twelve", &1.into()), Value::String("twelve".into()));
    }
}
