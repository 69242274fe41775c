//! References inside arguments: `{"$result": …}`, `{"$item": …}`, `{"$index": true}`, and `{"$literal": …}` for an object
//! that only looks like one.
//!
//! Arguments stay text: what is no reference is copied as it was sent, to the last digit.

use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::Json;

/// A place in the arguments that something else is to stand in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// `{"$result": "extract.rows/0"}`: the result of a node, or what stands at a path within.
    Result {
        /// The node's key, or the task's id.
        of: String,
        /// The path behind the first dot.
        path: Option<String>,
    },
    /// `{"$item": ""}`, `{"$item": "name"}`: the element that this child of a map is for, or what stands within.
    Item {
        /// The path; empty is the whole element.
        path: String,
    },
    /// `{"$index": true}`: the element's place in the list, from 0.
    Index,
}

impl Reference {
    /// Reads `extract.rows/0`.
    pub fn result(text: &str) -> Self {
        let (of, path) = text.split_once('.').map_or((text, None), |(of, path)| (of, Some(path.to_owned())));
        Self::Result { of: of.to_owned(), path }
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Result { of, path: None } => write!(f, "{of}"),
            Self::Result { of, path: Some(path) } => write!(f, "{of}.{path}"),
            Self::Item { path } => write!(f, "$item {path:?}"),
            Self::Index => f.write_str("$index"),
        }
    }
}

/// What becomes of a reference.
pub enum Put<'a> {
    /// It stays as it is, for a later look.
    Keep,
    /// This JSON takes its place.
    Json(Cow<'a, str>),
}

/// Why references could not be replaced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// It is written wrongly.
    #[error("{0}")]
    Malformed(String),
    /// The text is no JSON.
    #[error("not JSON")]
    NotJson,
    /// The text grew beyond what is allowed.
    #[error("more than {most} bytes with what it refers to")]
    TooLarge {
        /// Bytes allowed.
        most: usize,
    },
    /// What it refers to is not there.
    #[error("{reference}: {why}")]
    Missing {
        /// The reference.
        reference: Reference,
        /// How far it goes and what is there, in words.
        why: String,
    },
}

/// References in one text: each costs a look at a result whenever its task starts.
const REFERENCES: usize = 1_000;

/// What to do with `{"$literal": …}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Literals {
    /// They stay, for a later look.
    Keep,
    /// What they hold takes their place: this is the last look.
    Unwrap,
}

/// Whether the text may hold references: cheap, and never wrongly false.
pub fn may_refer(text: &str) -> bool {
    // A dollar sign may be written as an escape.
    text.contains('$') || text.contains("\\u0024")
}

/// Whether the JSON can become a list: it is one, or a reference or a literal that may give one. What is written wrongly
/// passes here; [`references_submitted`] names it.
pub fn may_be_list(text: &str) -> bool {
    match Shape::of(text) {
        Ok(Shape::Plain) => text.starts_with('['),
        Ok(Shape::Literal(value)) => value.get().starts_with('['),
        Ok(Shape::Object(_)) => false,
        Ok(Shape::List(_) | Shape::Refers(_)) | Err(_) => true,
    }
}

/// All references in the text, in order.
///
/// # Errors
/// [`ReferenceError::Malformed`] names the first that is written wrongly.
pub fn references(text: &str) -> Result<Vec<Reference>, ReferenceError> {
    gather(text, false)
}

/// The same of what is submitted: here a reference with other keys beside it is taken for a mistake.
///
/// # Errors
/// [`ReferenceError::Malformed`] names the first that is written wrongly.
pub fn references_submitted(text: &str) -> Result<Vec<Reference>, ReferenceError> {
    gather(text, true)
}

fn gather(text: &str, is_strict: bool) -> Result<Vec<Reference>, ReferenceError> {
    let mut found = Vec::new();
    if may_refer(text) {
        let put: &mut dyn FnMut(&Reference) -> Result<Put<'static>, ReferenceError> = &mut |reference| {
            if found.len() == REFERENCES {
                return Err(ReferenceError::Malformed(format!("more than {REFERENCES} references")));
            }
            found.push(reference.clone());
            Ok(Put::Keep)
        };
        let out = String::with_capacity(text.len());
        Replacer { out, literals: Literals::Keep, is_strict, most: usize::MAX, put }.value(text)?;
    }
    Ok(found)
}

/// The text with every reference replaced as `put` says; at most `most` bytes.
///
/// # Errors
/// A reference that is written wrongly, what `put` answers, and [`ReferenceError::TooLarge`].
pub fn replace<'a>(
    text: &str,
    literals: Literals,
    most: usize,
    put: &mut dyn FnMut(&Reference) -> Result<Put<'a>, ReferenceError>,
) -> Result<Json, ReferenceError> {
    let out = String::with_capacity(text.len());
    let mut made = Replacer { out, literals, is_strict: false, most, put };
    made.value(text)?;
    RawValue::from_string(made.out).map_err(|_| ReferenceError::NotJson)
}

/// The JSON with the element of a map and its place put in. Elements that look like references are guarded, if a later
/// look is to come.
///
/// # Errors
/// A path that is not in the element, and [`ReferenceError::TooLarge`].
pub fn put_item(
    text: &str,
    item: &str,
    index: usize,
    literals: Literals,
    most: usize,
) -> Result<Json, ReferenceError> {
    replace(text, literals, most, &mut |reference| match reference {
        Reference::Index => Ok(Put::Json(index.to_string().into())),
        Reference::Item { path } => {
            let path = (!path.is_empty()).then_some(path.as_str());
            let found = walk(item, path).map_err(|why| missing(reference, &why))?;
            Ok(Put::Json(match literals {
                Literals::Keep if may_refer(found) => format!("{{\"$literal\":{found}}}").into(),
                _ => found.to_owned().into(),
            }))
        }
        Reference::Result { .. } => Ok(Put::Keep),
    })
}

/// A reference to what is not there, in words.
pub fn missing(reference: &Reference, why: &str) -> ReferenceError {
    ReferenceError::Missing { reference: reference.clone(), why: why.to_owned() }
}

/// What stands at the path: segments between slashes, `~1` for a slash and `~0` for a tilde within, numbers from 0 for
/// elements of lists. No path is the whole.
///
/// # Errors
/// How far it goes and what is there, in words.
pub fn walk<'a>(text: &'a str, path: Option<&str>) -> Result<&'a str, String> {
    let mut at = text.trim_ascii();
    let mut walked = String::new();
    for segment in path.into_iter().flat_map(|path| path.split('/')) {
        let key = segment.replace("~1", "/").replace("~0", "~");
        at = step(at, &key).map_err(|what| {
            let here = if walked.is_empty() { "it" } else { walked.as_str() };
            format!("{here} is {what}, which has no {key:?}")
        })?;
        if !walked.is_empty() {
            walked.push('/');
        }
        walked.push_str(segment);
    }
    Ok(at)
}

fn step<'a>(text: &'a str, key: &str) -> Result<&'a str, String> {
    match text.as_bytes().first() {
        Some(b'{') => {
            let Entries(entries) = serde_json::from_str(text).map_err(|_| "no JSON".to_owned())?;
            let found = entries.iter().find(|(name, _)| name == key).map(|(_, value)| value.get());
            found.ok_or_else(|| with_keys(&entries))
        }
        Some(b'[') => {
            let list: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| "no JSON".to_owned())?;
            let is_number = key == "0" || (!key.starts_with('0') && key.bytes().all(|b| b.is_ascii_digit()));
            let place = key.parse::<usize>().ok().filter(|_| is_number);
            let found = place.and_then(|place| list.get(place)).map(|value| value.get());
            found.ok_or_else(|| format!("a list of {}", list.len()))
        }
        Some(b'"') => Err("a text".into()),
        Some(b't' | b'f') => Err("true or false".into()),
        Some(b'n') => Err("null".into()),
        _ => Err("a number".into()),
    }
}

fn with_keys(entries: &[(Cow<'_, str>, &RawValue)]) -> String {
    const SHOWN: usize = 8;
    let cut = |name: &str| name.chars().take(40).collect::<String>();
    let mut names: Vec<String> = entries.iter().take(SHOWN).map(|(name, _)| cut(name)).collect();
    if entries.len() > SHOWN {
        names.push("…".into());
    }
    if names.is_empty() { "an empty object".into() } else { format!("an object with {}", names.join(", ")) }
}

/// An object's entries as they were written.
struct Entries<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(Key(key)) = map.next_key()? {
                    entries.push((key, map.next_value()?));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// A key, borrowed where it has no escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Key(text.into()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Key(text.to_owned().into()))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// What a value is, seen from above.
enum Shape<'a> {
    Plain,
    List(Vec<&'a RawValue>),
    Object(Vec<(Cow<'a, str>, &'a RawValue)>),
    Refers(Reference),
    Literal(&'a RawValue),
}

impl<'a> Shape<'a> {
    fn of(text: &'a str) -> Result<Self, ReferenceError> {
        let not_json = |_| ReferenceError::NotJson;
        if !may_refer(text) {
            return Ok(Self::Plain);
        }
        match text.as_bytes().first() {
            Some(b'[') => Ok(Self::List(serde_json::from_str(text).map_err(not_json)?)),
            Some(b'{') => {
                let Entries(entries) = serde_json::from_str(text).map_err(not_json)?;
                match &entries[..] {
                    [(key, value)] => Ok(special(key, value)?.unwrap_or(Self::Object(entries))),
                    _ => Ok(Self::Object(entries)),
                }
            }
            _ => Ok(Self::Plain),
        }
    }
}

fn special<'a>(key: &str, value: &'a RawValue) -> Result<Option<Shape<'a>>, ReferenceError> {
    let text = || {
        serde_json::from_str::<String>(value.get())
            .map_err(|_| ReferenceError::Malformed(format!("{key} takes a text")))
    };
    Ok(Some(match key {
        "$result" => Shape::Refers(Reference::result(&text()?)),
        "$item" => Shape::Refers(Reference::Item { path: text()? }),
        "$index" if value.get() == "true" => Shape::Refers(Reference::Index),
        "$index" => return Err(ReferenceError::Malformed("$index takes true".into())),
        "$literal" => Shape::Literal(value),
        _ => return Ok(None),
    }))
}

/// The keys that mean something when they stand alone.
const SPECIAL: [&str; 4] = ["$result", "$item", "$index", "$literal"];

struct Replacer<'p, 'a> {
    out: String,
    literals: Literals,
    /// Whether what almost is a reference is refused.
    is_strict: bool,
    most: usize,
    put: &'p mut dyn FnMut(&Reference) -> Result<Put<'a>, ReferenceError>,
}

impl Replacer<'_, '_> {
    /// Appends the value. It nests no deeper than JSON that was accepted does.
    fn value(&mut self, text: &str) -> Result<(), ReferenceError> {
        match Shape::of(text)? {
            Shape::List(items) => {
                self.push("[")?;
                for (place, item) in items.into_iter().enumerate() {
                    self.comma(place)?;
                    self.value(item.get())?;
                }
                self.push("]")
            }
            Shape::Object(entries) => {
                if self.is_strict
                    && let Some(key) = entries.iter().map(|(key, _)| &**key).find(|key| SPECIAL.contains(key))
                {
                    return Err(ReferenceError::Malformed(format!(
                        "{key} stands alone in its object; put an object that means itself into $literal"
                    )));
                }
                self.push("{")?;
                for (place, (key, value)) in entries.into_iter().enumerate() {
                    self.comma(place)?;
                    self.push(&serde_json::to_string(&key).map_err(|_| ReferenceError::NotJson)?)?;
                    self.push(":")?;
                    self.value(value.get())?;
                }
                self.push("}")
            }
            Shape::Literal(value) if self.literals == Literals::Unwrap => self.push(value.get()),
            Shape::Plain | Shape::Literal(_) => self.push(text),
            Shape::Refers(reference) => match (self.put)(&reference)? {
                Put::Keep => self.push(text),
                Put::Json(json) => self.push(&json),
            },
        }
    }

    fn comma(&mut self, place: usize) -> Result<(), ReferenceError> {
        if place > 0 { self.push(",") } else { Ok(()) }
    }

    fn push(&mut self, text: &str) -> Result<(), ReferenceError> {
        if self.out.len() + text.len() > self.most {
            return Err(ReferenceError::TooLarge { most: self.most });
        }
        self.out.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str, literals: Literals) -> Result<String, ReferenceError> {
        let result = r#"{"rows":[1.10,{"a/b":"x","":0}],"n":null}"#;
        let put = &mut |reference: &Reference| match reference {
            Reference::Result { path, .. } => {
                let found = walk(result, path.as_deref()).map_err(|why| missing(reference, &why))?;
                Ok(Put::Json(found.into()))
            }
            _ => Ok(Put::Keep),
        };
        replace(text, literals, 1_000, put).map(|json| json.get().to_owned())
    }

    #[test]
    fn results_take_the_place_of_references_and_all_else_stays_as_written() {
        let text = r#"{"z":1e400,"a":[{"$result":"x.rows/0"},{"$result":"x.rows/1/a~1b"},{"$result":"x.n"}],"k":{"$result":"x.rows/1/"}}"#;
        let made = r#"{"z":1e400,"a":[1.10,"x",null],"k":0}"#;
        assert_eq!(filled(text, Literals::Unwrap).as_deref(), Ok(made));
        assert_eq!(filled(r#"{"$result":"x"}"#, Literals::Keep).unwrap().len(), 41);
        // More than the one key, or another one: an object like any other.
        for text in [r#"{"$result":"x","more":1}"#, r#"{"$set":{"a":1}}"#, r#""$result""#, "12"] {
            assert_eq!(filled(text, Literals::Unwrap).as_deref(), Ok(text));
        }
        assert_eq!(filled(r#"{"\u0024result":"x.rows/0"}"#, Literals::Unwrap).as_deref(), Ok("1.10"));
    }

    #[test]
    fn a_literal_is_not_looked_into() {
        let text = r#"{"a":{"$literal":{"$result":"x.no"}},"b":{"$literal":{"$literal":1}}}"#;
        assert_eq!(filled(text, Literals::Keep).as_deref(), Ok(text));
        let bare = r#"{"a":{"$result":"x.no"},"b":{"$literal":1}}"#;
        assert_eq!(filled(text, Literals::Unwrap).as_deref(), Ok(bare));
        assert_eq!(references(text), Ok(vec![]));
    }

    #[test]
    fn what_is_missing_is_named_with_what_was_there() {
        for (path, why) in [
            ("cols", "it is an object with rows, n, which has no \"cols\""),
            ("rows/2", "rows is a list of 2, which has no \"2\""),
            ("rows/00", "rows is a list of 2, which has no \"00\""),
            ("rows/0/x", "rows/0 is a number, which has no \"x\""),
            ("n/x", "n is null, which has no \"x\""),
        ] {
            let error = filled(&format!(r#"[{{"$result":"x.{path}"}}]"#), Literals::Unwrap).unwrap_err();
            assert_eq!(error.to_string(), format!("x.{path}: {why}"));
        }
    }

    #[test]
    fn what_is_written_wrongly_is_refused() {
        for (text, why) in [
            (r#"{"$result":1}"#, "$result takes a text"),
            (r#"[[{"$item":null}]]"#, "$item takes a text"),
            (r#"{"a":{"$index":0}}"#, "$index takes true"),
        ] {
            assert_eq!(references(text).unwrap_err().to_string(), why);
        }
    }

    #[test]
    fn a_reference_with_other_keys_is_refused_when_it_is_submitted() {
        for text in [r#"{"$result":"a","x":1}"#, r#"[{"x":{"y":1,"$item":""}}]"#, r#"{"$literal":1,"b":2}"#] {
            let why = references_submitted(text).unwrap_err().to_string();
            assert!(why.contains("stands alone in its object"), "{why}");
            assert_eq!(references(text), Ok(vec![]), "what was taken before stays as it is");
        }
        let guarded = r#"[{"$literal":{"$result":"a","x":1}},{"$set":1,"x":2},{"$result":"a"}]"#;
        assert_eq!(references_submitted(guarded).unwrap().len(), 1);
    }

    #[test]
    fn an_element_is_put_in_and_guarded_if_another_look_comes() {
        let text =
            r#"[{"$item":""},{"$item":"a"},{"$index":true},{"$result":"x"},{"$literal":{"$item":""}}]"#;
        let item = r#"{"a":{"$result":"no reference"}}"#;
        let guarded = r#"[{"$literal":{"a":{"$result":"no reference"}}},{"$literal":{"$result":"no reference"}},3,{"$result":"x"},{"$literal":{"$item":""}}]"#;
        let bare =
            r#"[{"a":{"$result":"no reference"}},{"$result":"no reference"},3,{"$result":"x"},{"$item":""}]"#;
        let put = |literals| put_item(text, item, 3, literals, 1_000).map(|json| json.get().to_owned());
        assert_eq!(put(Literals::Keep).as_deref(), Ok(guarded));
        assert_eq!(put(Literals::Unwrap).as_deref(), Ok(bare));
        let error = put_item(text, "[1]", 0, Literals::Keep, 1_000).unwrap_err();
        assert_eq!(error.to_string(), "$item \"a\": it is a list of 1, which has no \"a\"");
    }

    #[test]
    fn growth_is_bounded() {
        let put = &mut |_: &Reference| Ok(Put::Json("0".repeat(10).into()));
        let text = format!("[{}0]", r#"{"$index":true},"#.repeat(100));
        assert_eq!(
            replace(&text, Literals::Keep, 1_000, put).unwrap_err(),
            ReferenceError::TooLarge { most: 1_000 }
        );
    }
}
