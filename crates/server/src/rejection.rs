//! Turns serde's complaints into problems that name the field and never repeat what the client sent.

use serde::de::{DeserializeOwned, IgnoredAny};
use serde_path_to_error::Segment;
use taskloom_protocol::{Code, FieldError};

use crate::problem::ApiError;

/// Reads JSON; the slow second pass happens only for a body that is refused, to learn where it went wrong.
pub(crate) fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    // serde would read a list as an object's fields in order; every body of ours is an object.
    if !is_object(body) {
        return Err(refuse_other(body));
    }
    serde_json::from_slice(body).map_err(|error| refuse_json::<T>(body, &error))
}

fn is_object(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'{')
}

#[cold]
fn refuse_other(body: &[u8]) -> ApiError {
    match serde_json::from_slice::<IgnoredAny>(body) {
        Ok(_) => ApiError::field(field_error_at(vec!["body".into()], "invalid type, expected an object")),
        Err(error) => malformed(body, &error),
    }
}

fn malformed(body: &[u8], error: &serde_json::Error) -> ApiError {
    let what = if body.is_empty() { "the body is empty" } else { "the body is not JSON" };
    let (line, column) = (error.line(), error.column());
    ApiError::new(Code::Malformed, format!("{what}: line {line}, column {column}"))
}

#[cold]
fn refuse_json<T: DeserializeOwned>(body: &[u8], error: &serde_json::Error) -> ApiError {
    if !error.is_data() {
        return malformed(body, error);
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    match serde_path_to_error::deserialize::<_, T>(&mut reader) {
        Err(error) => ApiError::field(field_error("body", error.path(), &error.inner().to_string())),
        Ok(_) => ApiError::field(field_error_at(vec!["body".into()], &error.to_string())),
    }
}

/// Reads `application/x-www-form-urlencoded`, in a query (`root` is `query`) or a body (`body`).
pub(crate) fn read_urlencoded<T: DeserializeOwned>(text: &[u8], root: &str) -> Result<T, ApiError> {
    for (key, value) in form_urlencoded::parse(text) {
        if key.contains('\0') || value.contains('\0') {
            let loc = vec![root.into(), key.replace('\0', "")];
            let msg = "a NUL character is not allowed".into();
            return Err(ApiError::field(FieldError { loc, msg, kind: "bad_character".into() }));
        }
    }
    let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(text));
    serde_path_to_error::deserialize(pairs)
        .map_err(|error| ApiError::field(field_error(root, error.path(), &error.inner().to_string())))
}

fn field_error(root: &str, path: &serde_path_to_error::Path, message: &str) -> FieldError {
    let mut loc = vec![root.to_owned()];
    loc.extend(path.iter().filter_map(|segment| match segment {
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Map { key } => Some(short(key)),
        Segment::Enum { variant } => Some(short(variant)),
        Segment::Unknown => None,
    }));
    field_error_at(loc, message)
}

fn field_error_at(mut loc: Vec<String>, message: &str) -> FieldError {
    let message = message.rfind(" at line ").map_or(message, |at| &message[..at]);
    let (kind, msg) = if let Some(rest) = message.strip_prefix("unknown field `") {
        name_field(&mut loc, rest);
        ("unknown_field", "not a field of this call".to_owned())
    } else if let Some(rest) = message.strip_prefix("missing field `") {
        name_field(&mut loc, rest);
        ("missing", "required".to_owned())
    } else if let Some(rest) = message.strip_prefix("duplicate field `") {
        name_field(&mut loc, rest);
        ("duplicate_field", "given twice".to_owned())
    } else if message.starts_with("invalid type") {
        ("wrong_type", expectation(message))
    } else if message.starts_with("invalid value") || message.starts_with("unknown variant") {
        ("bad_value", expectation(message))
    } else {
        ("invalid", expectation(message))
    };
    FieldError { loc, msg, kind: kind.into() }
}

/// Ends `loc` with the field that serde names between backquotes, once.
fn name_field(loc: &mut Vec<String>, rest: &str) {
    let name = short(rest.split('`').next().unwrap_or_default());
    if loc.last() != Some(&name) {
        loc.push(name);
    }
}

/// What was expected, in a user's words; the part before it quotes the client's value and is dropped.
fn expectation(message: &str) -> String {
    if message.starts_with("UUID parsing failed") {
        return "a UUID".to_owned();
    }
    if let Some((said, expected)) = message.rsplit_once("expected ") {
        let is_too_large = said.starts_with("invalid value: integer `") && !said.contains("`-");
        return in_words(expected, is_too_large);
    }
    match message.split(['"', '`']).next().unwrap_or_default().trim_end() {
        "invalid digit found in string" | "cannot parse integer from empty string" => {
            "a whole number, 0 or more".to_owned()
        }
        "number too large to fit in target type" => "a smaller whole number".to_owned(),
        "invalid float literal" | "cannot parse float from empty string" => "a number".to_owned(),
        "provided string was not" => "true or false".to_owned(),
        said => said.to_owned(),
    }
}

/// Rust's types are no words of a user's.
fn in_words(expected: &str, is_too_large: bool) -> String {
    let words = match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize" if is_too_large => {
            "a smaller whole number"
        }
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "a borrowed string" => "a text",
        "a sequence" => "a list",
        "a map" => "an object",
        "a UUID string" | "a formatted UUID string" => "a UUID",
        "unit" | "unit variant" => "the word alone",
        _ if expected.contains("variant") => "an object whose one key is this word",
        _ if expected.starts_with("struct ") => "an object",
        _ => return expected.replace('`', ""),
    };
    words.to_owned()
}

/// A key as the client sent it, cut to a readable length.
fn short(key: &str) -> String {
    key.chars().filter(|c| !c.is_control()).take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use taskloom_protocol::{Batch, SubmitTask};

    fn refusal<T: DeserializeOwned>(body: &str) -> (Code, String, String) {
        let problem = read_json::<T>(body.as_bytes()).err().unwrap().problem;
        let (loc, kind) =
            problem.errors.first().map(|e| (e.loc.join("."), e.kind.clone())).unwrap_or_default();
        (problem.code, loc, kind)
    }

    fn field(loc: &str, kind: &str) -> (Code, String, String) {
        (Code::Validation, loc.into(), kind.into())
    }

    #[test]
    fn names_the_field_and_the_rule() {
        let body = r#"{"tasks":[{"task":"a"},{"task":"a","tags":["x",7]}]}"#;
        assert_eq!(refusal::<Batch>(body), field("body.tasks.1.tags.1", "wrong_type"));
        assert_eq!(refusal::<SubmitTask>(r#"{"task":"a","tsk":1}"#), field("body.tsk", "unknown_field"));
        assert_eq!(refusal::<Batch>("{}"), field("body.tasks", "missing"));
        assert_eq!(
            refusal::<SubmitTask>(r#"{"task":"a","task":"b"}"#),
            field("body.task", "duplicate_field")
        );
        assert_eq!(refusal::<SubmitTask>(r#"{"priority":"urgent"}"#), field("body.priority", "bad_value"));
        assert_eq!(refusal::<SubmitTask>(r#"{"run_at":"yesterday"}"#).1, "body.run_at");
        assert_eq!(refusal::<SubmitTask>("[1]"), field("body", "wrong_type"));
    }

    #[test]
    fn speaks_in_a_users_words() {
        #[derive(Deserialize)]
        struct Body {
            #[serde(rename = "count")]
            _count: Option<u32>,
            #[serde(rename = "ratio")]
            _ratio: Option<f64>,
            #[serde(rename = "words")]
            _words: Option<Vec<String>>,
            #[serde(rename = "inner")]
            _inner: Option<Inner>,
            #[serde(rename = "end")]
            _end: Option<End>,
            #[serde(rename = "id")]
            _id: Option<uuid::Uuid>,
            #[serde(rename = "on")]
            _on: Option<bool>,
        }
        #[derive(Deserialize)]
        struct Inner {}
        #[derive(Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum End {
            Success {},
            Timeout,
        }
        for (body, words) in [
            (r#"{"count":-1}"#, "a whole number, 0 or more"),
            (r#"{"count":"x"}"#, "a whole number, 0 or more"),
            (r#"{"count":4294967296}"#, "a smaller whole number"),
            (r#"{"ratio":"x"}"#, "a number"),
            (r#"{"words":"x"}"#, "a list"),
            (r#"{"words":[1]}"#, "a text"),
            (r#"{"inner":7}"#, "an object"),
            (r#"{"end":"success"}"#, "an object whose one key is this word"),
            (r#"{"end":"triumph"}"#, "success or timeout"),
            (r#"{"id":"zz"}"#, "a UUID"),
            (r#"{"id":"01890000-0000-7000-8000-00000000000"}"#, "a UUID"),
            (r#"{"id":7}"#, "a UUID"),
            (r#"{"on":"yes"}"#, "true or false"),
        ] {
            let problem = read_json::<Body>(body.as_bytes()).err().unwrap().problem;
            assert_eq!(problem.errors[0].msg, words, "{body}");
        }
        assert!(matches!(serde_json::from_str(r#""timeout""#), Ok(End::Timeout)));
        let policy = br#"{"task":"a","on_parent_failure":"stop"}"#;
        let problem = read_json::<SubmitTask>(policy).err().unwrap().problem;
        assert_eq!(problem.errors[0].msg, "one of skip, fail, continue");
        let old = read_json::<SubmitTask>(br#"{"task":"a","on_parent_failure":"run"}"#);
        assert_eq!(old.unwrap().on_parent_failure.map(|policy| policy.name()), Some("continue"));
    }

    #[test]
    fn what_is_no_json_is_malformed() {
        for body in ["", "{", "nul", "{\"task\":\"a\"} x", "{\"task\":\"\u{1}\"}", "{'task':1}"] {
            assert_eq!(refusal::<SubmitTask>(body).0, Code::Malformed, "{body:?}");
        }
        assert_eq!(
            read_json::<SubmitTask>(b"{\"task\":\"\xff\"}").unwrap_err().problem.code,
            Code::Malformed
        );
    }

    #[test]
    fn never_repeats_a_value() {
        for body in
            [r#"{"delay":"hunter2"}"#, r#"{"priority":"hunter2"}"#, r#"{"run_at":"hunter2"}"#, r#""hunter2""#]
        {
            let problem = read_json::<SubmitTask>(body.as_bytes()).unwrap_err().problem;
            assert!(!serde_json::to_string(&problem).unwrap().contains("hunter2"), "{body}");
        }
    }

    #[test]
    fn reads_queries() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Query {
            limit: Option<u32>,
        }
        assert_eq!(read_urlencoded::<Query>(b"limit=3", "query").unwrap().limit, Some(3));
        for (text, loc, kind) in [
            ("limit=x", "query.limit", "invalid"),
            ("limit=1&limit=2", "query.limit", "duplicate_field"),
            ("nope=1", "query.nope", "unknown_field"),
            ("limit=%00", "query.limit", "bad_character"),
        ] {
            let problem = read_urlencoded::<Query>(text.as_bytes(), "query").unwrap_err().problem;
            assert_eq!(
                (problem.errors[0].loc.join("."), problem.errors[0].kind.as_str()),
                (loc.into(), kind),
                "{text}"
            );
        }
    }
}
