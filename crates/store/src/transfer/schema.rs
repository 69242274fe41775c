//! The tables as the migrations define them: what a transfer copies cannot be forgotten in a list of its own.

use crate::error::{Result, StoreError};
use crate::migrate::definitions;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Uuid,
    Text,
    Int,
    Real,
    Bytes,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<(String, Kind)>,
    /// Places of the key's columns.
    pub(super) key: Vec<usize>,
}

impl Table {
    /// The columns' names, separated by commas.
    pub(super) fn columns(&self) -> String {
        self.columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// The key's columns' names.
    pub(super) fn key_names(&self) -> Vec<&str> {
        self.key.iter().filter_map(|place| self.columns.get(*place)).map(|(name, _)| name.as_str()).collect()
    }
}

/// Every table that holds an installation's data.
pub(super) fn tables() -> Result<Vec<Table>> {
    let mut tables = Vec::new();
    for text in definitions() {
        for block in text.split("CREATE TABLE ").skip(1) {
            let table =
                table(block).ok_or_else(|| StoreError::Sql("a migration that cannot be read".into()))?;
            // Health checks write there; it says nothing.
            if table.name != "pulse" {
                tables.push(table);
            }
        }
    }
    Ok(tables)
}

/// Reads `name (column {kind} …, … PRIMARY KEY (…)) …`.
fn table(block: &str) -> Option<Table> {
    let (name, rest) = block.split_once(" (\n")?;
    let (body, _) = rest.split_once("\n)")?;
    let (mut columns, mut key) = (Vec::new(), Vec::new());
    for line in
        body.lines().map(|line| line.trim().trim_end_matches(',')).filter(|line| !line.starts_with("--"))
    {
        if let Some(names) = line.strip_prefix("PRIMARY KEY (") {
            let place = |name: &str| columns.iter().position(|(known, _): &(String, Kind)| known == name);
            key = names.trim_end_matches(')').split(", ").map(place).collect::<Option<_>>()?;
            continue;
        }
        let mut words = line.split(' ');
        let (column, kind) = (words.next()?, kind(words.next()?)?);
        if line.ends_with("PRIMARY KEY") || line.contains("{serial}") {
            key = vec![columns.len()];
        }
        columns.push((column.to_owned(), kind));
    }
    (!key.is_empty()).then(|| Table { name: name.to_owned(), columns, key })
}

fn kind(word: &str) -> Option<Kind> {
    Some(match word {
        "{uuid}" => Kind::Uuid,
        "{text}" | "{name}" => Kind::Text,
        "{int}" | "{small}" | "{serial}" => Kind::Int,
        "{real}" => Kind::Real,
        "{bytes}" => Kind::Bytes,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_a_key_and_the_migrations_are_understood() {
        let tables = tables().unwrap();
        let find = |name: &str| tables.iter().find(|table| table.name == name).unwrap();
        assert_eq!(find("tasks").key_names(), ["id"]);
        assert_eq!(find("ready").key_names(), ["queue", "band", "id"]);
        assert_eq!(find("logs").columns[0], ("seq".to_owned(), Kind::Int));
        assert_eq!(find("users").columns.len(), 9);
        let created: usize = definitions().map(|text| text.matches("CREATE TABLE").count()).sum();
        assert_eq!(tables.len() + 1, created, "all but pulse");
    }
}
