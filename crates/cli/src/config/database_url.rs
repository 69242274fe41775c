//! DATABASE_URL as users have it.

use std::path::PathBuf;

use taskloom_store::DatabaseUrl;

/// Where everything is kept.
#[derive(Debug, Clone)]
pub(crate) enum Database {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A server across a network.
    Network(DatabaseUrl),
}

/// Reads a database's URL. A driver after a `+`, as SQLAlchemy writes it, is ignored; so is the query of a SQLite URL.
///
/// # Errors
/// Why it cannot be used, without quoting it: it may hold a password.
pub(crate) fn parse_database_url(text: &str) -> Result<Database, String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(
            "not a URL such as sqlite:///var/lib/taskloom/taskloom.db or postgres://user@host/database"
                .into(),
        );
    };
    match scheme.split_once('+').map_or(scheme, |(base, _)| base).to_ascii_lowercase().as_str() {
        "sqlite" | "sqlite3" => sqlite(rest),
        "postgres" | "postgresql" | "mysql" | "mariadb" => text.parse().map(Database::Network),
        other => Err(format!("{other}:// is not supported; there are sqlite://, postgres:// and mysql://")),
    }
}

/// A database's URL as it is written, with `***` in place of its passwords.
///
/// # Errors
/// Those of [`parse_database_url`].
pub(super) fn masked_database_url(text: &str) -> Result<String, String> {
    match parse_database_url(text)? {
        // A path: nothing to hide.
        Database::Sqlite(_) => Ok(text.to_owned()),
        Database::Network(_) => DatabaseUrl::masked(text),
    }
}

fn sqlite(rest: &str) -> Result<Database, String> {
    let path = rest.split_once('?').map_or(rest, |(path, _)| path);
    // SQLAlchemy's four slashes for an absolute path, and its three for ./relative.
    let path = match path.strip_prefix('/') {
        Some(inner) if inner.starts_with('/') || inner.starts_with("./") || inner.starts_with("../") => inner,
        _ => path,
    };
    if path.trim_matches('/').is_empty() || path.contains(":memory:") {
        return Err("names no file: a database in memory would lose every task at the stop".into());
    }
    Ok(Database::Sqlite(PathBuf::from(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlite_paths() {
        for (url, path) in [
            ("sqlite:///var/lib/t.db", "/var/lib/t.db"),
            ("sqlite:////var/lib/t.db", "/var/lib/t.db"),
            ("sqlite:///./t.db", "./t.db"),
            ("sqlite://t.db?mode=rwc", "t.db"),
            ("sqlite+aiosqlite:///./data/t.db", "./data/t.db"),
        ] {
            let Database::Sqlite(found) = parse_database_url(url).unwrap() else { panic!("{url}") };
            assert_eq!(found, PathBuf::from(path), "{url}");
        }
    }

    #[test]
    fn servers_whatever_the_driver() {
        for (url, shown) in [
            ("postgresql+asyncpg://u:hunter2@db/t", "postgres://db/t"),
            ("postgres://u:hunter2@db:5433/t?sslmode=require", "postgres://db:5433/t"),
            ("mysql+pymysql://u:hunter2@db/t?charset=utf8mb4", "mysql://db/t"),
            ("mariadb://u:hunter2@db:3307/t", "mysql://db:3307/t"),
        ] {
            let Database::Network(found) = parse_database_url(url).unwrap() else { panic!("{url}") };
            assert_eq!(found.to_string(), shown, "{url}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_without_its_password() {
        for (url, word) in [
            ("oracle://u:hunter2@db/t", "oracle:// is not supported"),
            ("postgres://u:hunter2@db/t?sslmode=maybe", "sslmode is one of"),
            ("mysql://u:hunter2@db", "names its database"),
            ("sqlite://:memory:", "names no file"),
            ("sqlite://", "names no file"),
            ("hunter2", "not a URL"),
        ] {
            let error = parse_database_url(url).unwrap_err();
            assert!(error.contains(word) && !error.contains("hunter2"), "{error}");
        }
    }
}
