//! Rows as lines of JSON or CSV.

use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::extract::Extract;

/// The name of the column that every row has: the URL it came from.
pub(crate) const SOURCE: &str = "url";

/// The columns of a row that describes a response, when nothing is extracted from it.
const RECORD: [&str; 6] = [SOURCE, "status", "content_type", "bytes", "title", "text"];

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Output {
    /// One JSON object a line.
    #[default]
    Jsonl,
    /// RFC 4180 with a header line.
    Csv,
}

impl Output {
    pub(crate) fn default_filename(self) -> &'static str {
        match self {
            Self::Jsonl => "rows.jsonl",
            Self::Csv => "rows.csv",
        }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Jsonl => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }
}

/// The columns of a file and their spelling.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    names: Vec<String>,
    pub(crate) output: Output,
    /// A record leaves out what a response does not have; an extracted row says null.
    skip_null: bool,
}

impl Columns {
    pub(crate) fn new(output: Output, extract: Option<&Extract>) -> Self {
        let names = match extract {
            None => RECORD.map(str::to_owned).to_vec(),
            Some(extract) => [SOURCE.to_owned()].into_iter().chain(extract.names()).collect(),
        };
        Self { names, output, skip_null: extract.is_none() }
    }

    /// What stands before the first row.
    pub(crate) fn header(&self) -> Vec<u8> {
        match self.output {
            Output::Jsonl => Vec::new(),
            Output::Csv => csv_line(self.names.iter().map(|name| safe_cell(name.clone()))),
        }
    }

    /// One row, ended by a line feed; `values` stand in the columns' order.
    pub(crate) fn row(&self, values: &[Value]) -> Vec<u8> {
        match self.output {
            Output::Jsonl => {
                let row = Row { names: &self.names, values, skip_null: self.skip_null };
                // Values of JSON with string keys always serialise.
                let mut line = serde_json::to_vec(&row).unwrap_or_default();
                line.push(b'\n');
                line
            }
            Output::Csv => csv_line(values.iter().map(cell)),
        }
    }
}

struct Row<'a> {
    names: &'a [String],
    values: &'a [Value],
    skip_null: bool,
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.names.iter().zip(self.values) {
            if !(self.skip_null && value.is_null()) {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    }
}

fn csv_line(cells: impl Iterator<Item = String>) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    // Writing to memory does not fail, and a single record has no other length to differ from.
    let _ = writer.write_record(cells.collect::<Vec<_>>());
    writer.into_inner().unwrap_or_default()
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => safe_cell(text.clone()),
        // A list or an object stays JSON; it starts with a bracket, a number is no formula.
        other => other.to_string(),
    }
}

/// A text that a spreadsheet would take for a formula gets an apostrophe in front.
/// Source: OWASP, "CSV Injection".
fn safe_cell(mut text: String) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        text.insert(0, '\'');
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn columns(output: Output) -> Columns {
        Columns { names: vec!["url".into(), "b".into(), "a".into()], output, skip_null: false }
    }

    #[test]
    fn jsonl_keeps_the_columns_order_and_nulls() {
        let line = columns(Output::Jsonl).row(&[json!("u"), json!("x\ny"), Value::Null]);
        assert_eq!(String::from_utf8(line).unwrap(), "{\"url\":\"u\",\"b\":\"x\\ny\",\"a\":null}\n");
        assert!(columns(Output::Jsonl).header().is_empty());
    }

    #[test]
    fn csv_quotes_and_disarms() {
        let columns = columns(Output::Csv);
        assert_eq!(columns.header(), b"url,b,a\n");
        for (value, cell) in [
            (json!("a,\"b\"\n"), "\"a,\"\"b\"\"\n\""),
            (json!("=1+1"), "'=1+1"),
            (json!("+1"), "'+1"),
            (json!("-x"), "'-x"),
            (json!("@SUM(A1)"), "'@SUM(A1)"),
            (json!("\t=1"), "'\t=1"),
            (json!("\r=1"), "\"'\r=1\""),
            (json!(-5), "-5"),
            (json!(null), ""),
            (json!(["=x", 1]), "\"[\"\"=x\"\",1]\""),
            (json!("数据"), "数据"),
        ] {
            let line = columns.row(&[json!("u"), value, json!(true)]);
            assert_eq!(String::from_utf8(line).unwrap(), format!("u,{cell},true\n"));
        }
    }
}
