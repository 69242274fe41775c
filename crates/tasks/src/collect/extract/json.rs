//! Fields out of JSON by JSON Pointer (RFC 6901) or JSONPath (RFC 9535).

use serde_json::Value;
use serde_json_path::JsonPath;

use super::raw::{LongField, MAX_QUERY, RawExtract, field_path};
use super::{ExtractError, Limit};
use crate::collect::request::Broken;

/// Compiled queries.
#[derive(Debug)]
pub(crate) struct JsonExtract {
    rows: Option<Query>,
    fields: Vec<JsonField>,
}

#[derive(Debug)]
struct JsonField {
    name: String,
    query: Query,
    many: bool,
}

#[derive(Debug)]
enum Query {
    Pointer(String),
    Path(JsonPath),
}

impl JsonExtract {
    pub(crate) fn new(raw: RawExtract) -> Result<Self, Broken> {
        let rows = raw.rows.map(|query| Query::new("extract.rows", query)).transpose()?;
        let fields =
            raw.fields.0.into_iter().map(|(name, field)| JsonField::new(name, field.into_long(true)));
        Ok(Self { rows, fields: fields.collect::<Result<_, _>>()? })
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.fields.iter().map(|field| field.name.clone()).collect()
    }

    pub(crate) fn run(
        &self,
        text: &str,
        limit: &mut Limit,
        row: &mut dyn FnMut(Vec<Value>),
    ) -> Result<(), ExtractError> {
        // A byte-order mark is decoded away; the parser bounds the depth.
        let document: Value = serde_json::from_str(text).map_err(|e| ExtractError::NotJson(e.to_string()))?;
        for value in self.row_values(&document) {
            limit.spend_row()?;
            let fields = self.fields.iter().map(|field| field.value(value, limit));
            row(fields.collect::<Result<_, _>>()?);
        }
        Ok(())
    }

    /// Each match is a row; a single list stands for its elements; without a query the document itself.
    fn row_values<'a>(&self, document: &'a Value) -> Vec<&'a Value> {
        let found = match &self.rows {
            None => vec![document],
            Some(query) => query.find(document),
        };
        match found.as_slice() {
            [Value::Array(elements)] => elements.iter().collect(),
            _ => found,
        }
    }
}

impl JsonField {
    fn new(name: String, field: LongField) -> Result<Self, Broken> {
        let path = field_path(&name);
        if field.css.is_some() || field.attr.is_some() {
            return Err(Broken::new(path, "\"css\" and \"attr\" do not go with queries for JSON"));
        }
        let query = field.json.ok_or_else(|| Broken::new(path.as_str(), "give \"json\""))?;
        Ok(Self { name, query: Query::new(&path, query)?, many: field.many })
    }

    fn value(&self, row: &Value, limit: &mut Limit) -> Result<Value, ExtractError> {
        let found = self.query.find(row);
        if !self.many {
            return found.first().map_or(Ok(Value::Null), |value| copy(value, limit));
        }
        found.into_iter().map(|value| copy(value, limit)).collect::<Result<_, _>>().map(Value::Array)
    }
}

/// Copies a value after it was paid for, so that a few bytes of query cannot ask for gigabytes.
fn copy(value: &Value, limit: &mut Limit) -> Result<Value, ExtractError> {
    pay(value, limit)?;
    Ok(value.clone())
}

/// Recursion is as deep as the document, which the parser bounds.
fn pay(value: &Value, limit: &mut Limit) -> Result<(), ExtractError> {
    match value {
        Value::String(text) => limit.spend(text.len() + 2)?,
        Value::Array(elements) => {
            limit.spend(2)?;
            elements.iter().try_for_each(|element| pay(element, limit))?;
        }
        Value::Object(entries) => {
            limit.spend(2)?;
            entries.iter().try_for_each(|(key, value)| {
                limit.spend(key.len() + 4)?;
                pay(value, limit)
            })?;
        }
        _ => limit.spend(8)?,
    }
    Ok(())
}

impl Query {
    fn new(field: &str, text: String) -> Result<Self, Broken> {
        if text.len() > MAX_QUERY {
            return Err(Broken::new(field, format!("at most {MAX_QUERY} bytes")));
        }
        if text.starts_with('/') {
            return Ok(Self::Pointer(text));
        }
        if !text.starts_with('$') {
            return Err(Broken::new(field, "a JSON Pointer starts with /, a JSONPath with $"));
        }
        check_cost(&text).map_err(|rule| Broken::new(field, rule))?;
        let path = JsonPath::parse(&text)
            .map_err(|e| Broken::new(field, format!("{text:?} is not a JSONPath: {}", e.message())))?;
        Ok(Self::Path(path))
    }

    fn find<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        match self {
            Self::Pointer(pointer) => value.pointer(pointer).into_iter().collect(),
            Self::Path(path) => path.query(value).all(),
        }
    }
}

/// Refuses queries whose cost grows faster than the document: a JSONPath may list a node again and again
/// (`$[*,*][*,*]…` doubles at each step), descend from each descendant, or start at the root for each node.
fn check_cost(path: &str) -> Result<(), &'static str> {
    let bare = without_strings(path);
    let count = |what: &str| bare.matches(what).count();
    if count("..") > 1 {
        return Err("at most one `..`");
    }
    if count(",") > 4 {
        return Err("at most four commas");
    }
    if count("$") > 1 {
        return Err("`$` only at the start");
    }
    if count("(") > 10 || count("[") > 50 {
        return Err("too many brackets");
    }
    Ok(())
}

/// The query without the content of its quoted names.
fn without_strings(path: &str) -> String {
    let mut bare = String::with_capacity(path.len());
    let mut quote = None;
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        match quote {
            None => {
                bare.push(c);
                quote = matches!(c, '\'' | '"').then_some(c);
            }
            Some(_) if c == '\\' => {
                chars.next();
            }
            Some(open) if c == open => quote = None,
            Some(_) => {}
        }
    }
    bare
}
