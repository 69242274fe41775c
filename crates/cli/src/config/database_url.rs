//! DATABASE_URL as users have it.

use std::path::PathBuf;

/// Where everything is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Database {
    /// A SQLite file.
    Sqlite(PathBuf),
}

/// Reads a database's URL. A driver after a `+`, as SQLAlchemy writes it, is ignored; so is a query.
///
/// # Errors
/// Why it cannot be used, without quoting it: it may hold a password.
pub(crate) fn parse_database_url(text: &str) -> Result<Database, String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err("not a URL such as sqlite:///var/lib/taskloom/taskloom.db".into());
    };
    match scheme.split_once('+').map_or(scheme, |(base, _)| base).to_ascii_lowercase().as_str() {
        "sqlite" | "sqlite3" => sqlite(rest),
        "postgres" | "postgresql" => Err(later("PostgreSQL")),
        "mysql" | "mariadb" => Err(later("MySQL")),
        other => Err(format!("{other}:// is not supported; use sqlite:///path")),
    }
}

fn later(database: &str) -> String {
    format!("{database} arrives with the next release; this one keeps everything in SQLite: sqlite:///path")
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
            assert_eq!(parse_database_url(url), Ok(Database::Sqlite(path.into())), "{url}");
        }
    }

    #[test]
    fn others_are_refused_without_their_password() {
        for (url, word) in [
            ("postgresql+asyncpg://u:hunter2@db/t", "PostgreSQL arrives with the next release"),
            ("mysql://u:hunter2@db/t", "MySQL arrives with the next release"),
            ("sqlite://:memory:", "names no file"),
            ("sqlite://", "names no file"),
            ("hunter2", "not a URL"),
        ] {
            let error = parse_database_url(url).unwrap_err();
            assert!(error.contains(word) && !error.contains("hunter2"), "{error}");
        }
    }
}
