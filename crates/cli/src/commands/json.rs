//! JSON that flags give: as it stands, in a file, or through standard input.

use std::io::Read;

use serde_json::value::RawValue;
use serde_json::{Map, Value};
use taskloom_protocol::Json;

use crate::error::CliError;

/// The largest file or standard input that is read as JSON, in bytes.
const MOST_BYTES: u64 = 64 << 20;

/// Refuses that two flags read standard input.
pub(super) fn one_reads_stdin(texts: &[Option<&str>]) -> Result<(), CliError> {
    if texts.iter().filter(|text| **text == Some("-")).count() > 1 {
        return Err(CliError::usage("only one flag can read standard input"));
    }
    Ok(())
}

/// Positional arguments.
pub(super) fn list(text: &str) -> Result<Json, CliError> {
    shaped("--args", text, '[', "a list")
}

/// `--metadata`
pub(super) fn metadata(text: &str) -> Result<Json, CliError> {
    shaped("--metadata", text, '{', "an object")
}

/// `--kwargs` and the `--kwarg`s together; a pair wins.
pub(super) fn named(kwargs: Option<&str>, pairs: &[String]) -> Result<Option<Json>, CliError> {
    let whole = kwargs.map(|text| shaped("--kwargs", text, '{', "an object")).transpose()?;
    if pairs.is_empty() {
        return Ok(whole);
    }
    let mut object: Map<String, Value> = match &whole {
        Some(json) => {
            serde_json::from_str(json.get()).map_err(|e| CliError::usage(format!("--kwargs: {e}")))?
        }
        None => Map::new(),
    };
    for pair in pairs {
        let (key, value) = pair.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(|| {
            CliError::usage(format!("--kwarg {pair}: expected KEY=VALUE, such as seconds=5"))
        })?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.into()));
        object.insert(key.into(), value);
    }
    let raw = serde_json::value::to_raw_value(&object);
    raw.map(Some).map_err(|e| CliError::usage(format!("--kwarg: {e}")))
}

/// JSON of any kind, from the argument itself, from `@FILE`, or from standard input.
pub(super) fn any(flag: &str, text: &str) -> Result<Json, CliError> {
    let unread = |e: std::io::Error| CliError::usage(format!("{flag} {text}: cannot be read: {e}"));
    let mut source = String::new();
    let read = match text.strip_prefix('@') {
        Some(path) => std::fs::File::open(path).map_err(unread)?.take(MOST_BYTES).read_to_string(&mut source),
        None if text == "-" => std::io::stdin().lock().take(MOST_BYTES).read_to_string(&mut source),
        None => {
            text.clone_into(&mut source);
            Ok(0)
        }
    };
    read.map_err(unread)?;
    RawValue::from_string(source.trim().to_owned())
        .map_err(|e| CliError::usage(format!("{flag} is not JSON: {e}")).hint(quoting(flag)))
}

fn shaped(flag: &str, text: &str, opening: char, what: &str) -> Result<Json, CliError> {
    let value = any(flag, text)?;
    if value.get().starts_with(opening) {
        return Ok(value);
    }
    Err(CliError::usage(format!("{flag} must be {what}")).hint(quoting(flag)))
}

fn quoting(flag: &str) -> String {
    match flag {
        "--args" => "in a shell, quote it: --args '[1, \"two\"]'".into(),
        "--kwargs" => "in a shell, quote it: --kwargs '{\"url\": \"https://example.org\"}', or use --kwarg \
            url=https://example.org"
            .into(),
        _ => format!("in a shell, quote it: {flag} '{{\"rows\": 3}}'"),
    }
}

#[cfg(test)]
mod tests {

    fn named(kwargs: Option<&str>, pairs: &[&str]) -> Result<String, String> {
        let pairs: Vec<String> = pairs.iter().map(|pair| (*pair).to_owned()).collect();
        super::named(kwargs, &pairs).map(|json| json.unwrap().get().to_owned()).map_err(|e| e.message)
    }

    #[test]
    fn pairs_are_json_or_text_and_win() {
        assert_eq!(
            named(Some(r#"{"a":1}"#), &["a=2", "b=two", "c=[1]", "d=", "e=x=y"]).unwrap(),
            r#"{"a":2,"b":"two","c":[1],"d":"","e":"x=y"}"#
        );
        // Untouched, the object passes through as it was written.
        assert_eq!(named(Some(r#"{"big": 1e400 }"#), &[]).unwrap(), r#"{"big": 1e400 }"#);
    }

    #[test]
    fn mistakes_are_named() {
        assert!(named(Some("{"), &[]).unwrap_err().starts_with("--kwargs is not JSON"));
        assert_eq!(named(Some("[1]"), &[]).unwrap_err(), "--kwargs must be an object");
        assert_eq!(named(None, &["x"]).unwrap_err(), "--kwarg x: expected KEY=VALUE, such as seconds=5");
        assert!(named(Some("@/does/not/exist"), &[]).unwrap_err().contains("cannot be read"));
        let error = super::metadata("7").unwrap_err().to_string();
        assert!(
            error.contains("--metadata must be an object") && error.contains("'{\"rows\": 3}'"),
            "{error}"
        );
    }

    #[test]
    fn standard_input_is_read_once() {
        assert!(super::one_reads_stdin(&[Some("-"), None, Some("[]")]).is_ok());
        assert!(super::one_reads_stdin(&[Some("-"), None, Some("-")]).is_err());
    }
}
