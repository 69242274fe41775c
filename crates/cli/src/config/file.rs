//! Settings from a TOML file, each with the line it stands on.

use std::path::Path;

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::error::ConfigErrors;
use super::merge::Layer;

/// The largest configuration file, in bytes.
const MOST_BYTES: u64 = 1 << 20;

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<Layer, ConfigErrors> {
    let name = path.display().to_string();
    let wrong = |e: std::io::Error| ConfigErrors::one(&name, format!("cannot be read: {e}"));
    if std::fs::metadata(path).map_err(wrong)?.len() > MOST_BYTES {
        return Err(ConfigErrors::one(&name, "is larger than 1 MiB; is it a configuration file?"));
    }
    parse(&name, &std::fs::read_to_string(path).map_err(wrong)?)
}

/// Reads the text of a file called `name`.
pub(super) fn parse(name: &str, text: &str) -> Result<Layer, ConfigErrors> {
    let syntax = |e: &toml::de::Error| {
        let line = e.span().map_or(1, |span| line_of(text, span.start));
        ConfigErrors::one(format!("{name}:{line}"), e.message().to_owned())
    };
    let table = text.parse::<Table>().map_err(|e| syntax(&e))?;
    let spans = DeTable::parse(text).map_err(|e| syntax(&e))?;
    let mut layer = Layer::default();
    for (section, at) in spans.get_ref() {
        let section_name: &str = section.get_ref();
        let (Some(Value::Table(values)), DeValue::Table(keys)) = (table.get(section_name), at.get_ref())
        else {
            let line = line_of(text, section.span().start);
            let value = table.get(section_name).cloned().unwrap_or(Value::Boolean(false));
            layer.push(section_name, value, format!("{name}:{line}"));
            continue;
        };
        if keys.is_empty() {
            layer
                .sections
                .push((section_name.into(), format!("{name}:{}", line_of(text, section.span().start))));
        }
        for key in keys.keys() {
            let key_name: &str = key.get_ref();
            let line = line_of(text, key.span().start);
            if let Some(value) = values.get(key_name) {
                layer.push(format!("{section_name}.{key_name}"), value.clone(), format!("{name}:{line}"));
            }
        }
    }
    Ok(layer)
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|b| *b == b'\n').count()
}
