//! JSON as users send it: kept as text, checked once.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A JSON value kept as its text, so that it passes through unparsed.
pub type Json = Box<RawValue>;

/// `null` as [`Json`].
pub fn json_null() -> Json {
    RawValue::NULL.to_owned()
}

/// Why JSON is refused although it parses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct JsonError(pub String);

/// Checks that `text` is JSON, at most `max_depth` deep, and that no object has a key twice.
///
/// # Errors
/// The first rule it breaks, in words.
pub fn check_json(text: &str, max_depth: usize) -> Result<(), JsonError> {
    let mut reader = serde_json::Deserializer::from_str(text);
    // Our own limit answers first, with words of its own.
    let seed = Checked { depth: 0, max_depth };
    seed.deserialize(&mut reader).and_then(|()| reader.end()).map_err(|e| JsonError(e.to_string()))
}

#[derive(Clone, Copy)]
struct Checked {
    depth: usize,
    max_depth: usize,
}

impl Checked {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth >= self.max_depth {
            return Err(E::custom(format_args!("nested deeper than {} levels", self.max_depth)));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Checked {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Checked {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while seq.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        let mut keys = Keys::default();
        while let Some(key) = map.next_key::<String>()? {
            if let Some(twice) = keys.insert(key) {
                return Err(A::Error::custom(format_args!("the key {twice:?} stands twice in an object")));
            }
            map.next_value_seed(inner)?;
        }
        Ok(())
    }
}

/// A set that stays a list while it is small, as objects mostly are.
#[derive(Default)]
struct Keys {
    few: Vec<String>,
    many: HashSet<String>,
}

impl Keys {
    fn insert(&mut self, key: String) -> Option<String> {
        if self.few.len() < 8 {
            if self.few.contains(&key) {
                return Some(key);
            }
            self.few.push(key);
            return None;
        }
        if self.few.contains(&key) || self.many.contains(&key) {
            return Some(key);
        }
        self.many.insert(key);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_json_to_the_limit() {
        assert_eq!(check_json(r#"{"a":[1,2.5,null,true,"x"],"b":{"a":-1}}"#, 2), Ok(()));
        assert!(check_json(&"[".repeat(40), 64).is_err(), "unfinished");
    }

    #[test]
    fn refuses_depth_duplicates_and_rubbish() {
        let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
        assert!(check_json(&deep, 64).unwrap_err().0.contains("deeper than 64"));
        let many = (0..20).map(|i| format!("\"k{i}\":1")).collect::<Vec<_>>().join(",");
        for text in
            [r#"{"a":1,"a":2}"#.to_owned(), format!("{{{many},\"k19\":2}}"), r#"[{"\u0061":1,"a":2}]"#.into()]
        {
            assert!(check_json(&text, 64).unwrap_err().0.contains("twice"), "{text}");
        }
        for text in ["", "{", "nul", "1 2", "\"\u{1}\""] {
            assert!(check_json(text, 64).is_err(), "{text:?}");
        }
    }
}
