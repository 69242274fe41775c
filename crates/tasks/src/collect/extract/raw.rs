//! `extract` as users send it.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use crate::collect::output::SOURCE;
use crate::collect::request::Broken;

const MAX_FIELDS: usize = 200;
const MAX_NAME: usize = 200;
pub(crate) const MAX_QUERY: usize = 500;

/// `{"rows": query, "fields": {name: query or object}}`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawExtract {
    pub(crate) rows: Option<String>,
    pub(crate) fields: RawFields,
}

/// The fields in the order in which they were given.
#[derive(Debug, Clone)]
pub(crate) struct RawFields(pub(crate) Vec<(String, RawField)>);

/// One field: a query, or an object that says more.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "a query, or an object with \"css\", \"attr\", \"many\" (HTML) or \"json\", \"many\" (JSON)"
)]
pub(crate) enum RawField {
    Query(String),
    Long(LongField),
}

/// A field with all that can be said about it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LongField {
    /// A CSS selector; without it the row's element itself.
    pub(crate) css: Option<String>,
    /// A JSON Pointer or JSONPath.
    pub(crate) json: Option<String>,
    /// The attribute to take instead of the text.
    pub(crate) attr: Option<String>,
    /// All matches as a list instead of the first.
    pub(crate) many: bool,
}

impl RawField {
    pub(crate) fn into_long(self, json: bool) -> LongField {
        match self {
            Self::Long(field) => field,
            Self::Query(query) if json => LongField { json: Some(query), ..LongField::default() },
            Self::Query(query) => LongField { css: Some(query), ..LongField::default() },
        }
    }

    fn is_json(&self) -> bool {
        match self {
            Self::Query(query) => is_json(query),
            Self::Long(field) => field.json.is_some(),
        }
    }
}

fn is_json(query: &str) -> bool {
    query.starts_with(['$', '/'])
}

impl RawExtract {
    /// Whether any query is for JSON; then all must be.
    pub(crate) fn is_json(&self) -> bool {
        self.rows.as_deref().is_some_and(is_json) || self.fields.0.iter().any(|(_, field)| field.is_json())
    }

    pub(crate) fn check_names(&self) -> Result<(), Broken> {
        let fields = &self.fields.0;
        if !(1..=MAX_FIELDS).contains(&fields.len()) {
            return Err(Broken::new("extract.fields", format!("1 to {MAX_FIELDS} fields")));
        }
        for (at, (name, _)) in fields.iter().enumerate() {
            let broken = |rule: &str| Err(Broken::new(field_path(name), rule));
            if !(1..=MAX_NAME).contains(&name.len()) {
                return broken("a name has 1 to 200 bytes");
            }
            if name == SOURCE {
                return broken("every row has its source under this name already; choose another");
            }
            if fields[..at].iter().any(|(earlier, _)| earlier == name) {
                return broken("given twice");
            }
        }
        Ok(())
    }
}

pub(crate) fn field_path(name: &str) -> String {
    format!("extract.fields.{name}")
}

impl<'de> Deserialize<'de> for RawFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = RawFields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of fields")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawFields, A::Error> {
                let mut fields = Vec::new();
                while let Some((name, field)) = map.next_entry()? {
                    if fields.len() == MAX_FIELDS {
                        return Err(A::Error::custom(format_args!("at most {MAX_FIELDS} fields")));
                    }
                    fields.push((name, field));
                }
                Ok(RawFields(fields))
            }
        }

        deserializer.deserialize_map(Fields)
    }
}
