//! URLs of databases across a network.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mysql_async::{OptsBuilder, SslOpts};
use tokio_postgres::config::SslMode;

/// How well a connection is protected; the words of libpq.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// Never encrypted.
    Disable,
    /// Encrypted if the server can; nobody is checked. PostgreSQL only.
    Prefer,
    /// Encrypted; the certificate is checked against `sslrootcert` if there is one.
    Require,
    /// The certificate's chain is checked.
    VerifyCa,
    /// The chain and the name are checked.
    VerifyFull,
}

impl TlsMode {
    /// The mode of this name, in PostgreSQL's words or MySQL's.
    fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().replace('_', "-").as_str() {
            "disable" | "disabled" => Self::Disable,
            "allow" | "prefer" | "preferred" => Self::Prefer,
            "require" | "required" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" | "verify-identity" => Self::VerifyFull,
            _ => return None,
        })
    }
}

/// Protection of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tls {
    pub(crate) mode: TlsMode,
    pub(crate) root: Option<PathBuf>,
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
}

/// Which kind of server, with what its driver needs.
#[derive(Clone)]
pub enum Server {
    /// PostgreSQL.
    Postgres(Box<tokio_postgres::Config>),
    /// MySQL or MariaDB.
    Mysql(Box<OptsBuilder>),
}

/// A checked URL. Its debug form shows no password.
#[derive(Clone)]
pub struct DatabaseUrl {
    /// The server.
    pub server: Server,
    pub(crate) tls: Tls,
    shown: String,
}

impl DatabaseUrl {
    /// A URL as it is written, with `***` in place of its passwords.
    ///
    /// # Errors
    /// Why it cannot be used: nobody knows then where its password ends.
    pub fn masked(text: &str) -> Result<String, String> {
        text.parse::<Self>()?;
        let (scheme, place, query) = parts(text)?;
        let login = place.rsplit_once('@').and_then(|(login, host)| Some((login.split_once(':')?.0, host)));
        let mut shown = match login {
            Some((user, host)) => format!("{scheme}://{user}:***@{host}"),
            None => format!("{scheme}://{place}"),
        };
        for (index, option) in query.split('&').filter(|option| !option.is_empty()).enumerate() {
            shown.push(if index == 0 { '?' } else { '&' });
            shown.push_str(&masked_option(option));
        }
        Ok(shown)
    }

    pub(super) fn show_database(&mut self, name: &str) {
        let (server, _) = self.shown.rsplit_once('/').unwrap_or((&self.shown, ""));
        self.shown = format!("{server}/{name}");
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// `host:port/database`, fit for people.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl std::str::FromStr for DatabaseUrl {
    type Err = String;

    /// # Errors
    /// Which part breaks which rule, without quoting what may be a password.
    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, place, query) = parts(text)?;
        let scheme = scheme.split_once('+').map_or(scheme, |(base, _)| base).to_ascii_lowercase();
        let (options, left) = take_tls(query)?;
        match scheme.as_str() {
            "postgres" | "postgresql" => postgres(place, &left, options),
            "mysql" | "mariadb" => mysql(place, &left, options),
            other => Err(format!("{other}:// is no database across a network: postgres:// or mysql://")),
        }
    }
}

/// A URL's scheme, what stands before its `?`, and its query.
fn parts(text: &str) -> Result<(&str, &str, &str), String> {
    let (scheme, rest) = text.split_once("://").ok_or("not a URL such as postgres://user@host/database")?;
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    // It comes from a password in which a ? was not escaped: an error would quote the rest of that as an option.
    if query.contains('@') {
        let escapes = "% / ? # @ in a user name, a password or an option are written %25 %2F %3F %23 %40";
        return Err(format!("in the URL of a database, the characters {escapes}"));
    }
    Ok((scheme, place, query))
}

/// An option of a query; PostgreSQL takes a password there as well.
fn masked_option(option: &str) -> String {
    let mut named = url::form_urlencoded::parse(option.as_bytes());
    let is_secret = named.any(|(name, _)| name.to_ascii_lowercase().contains("pass"));
    match option.split_once('=') {
        Some((name, _)) if is_secret => format!("{name}=***"),
        _ => option.to_owned(),
    }
}

/// Options of a query and their values.
type Options = Vec<(String, String)>;

/// The TLS options of a query, and the rest of it.
fn take_tls(query: &str) -> Result<(Option<Tls>, Options), String> {
    let mut tls = Tls { mode: TlsMode::Prefer, root: None, certificate: None, key: None };
    let (mut named, mut left) = (false, Vec::new());
    for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match key.replace(['-', '_'], "").to_ascii_lowercase().as_str() {
            "sslmode" => {
                let modes = "sslmode is one of disable, prefer, require, verify-ca, verify-full";
                tls.mode = TlsMode::parse(&value).ok_or(modes)?;
            }
            "sslrootcert" | "sslca" => tls.root = Some(existing("sslrootcert", &value)?),
            "sslcert" => tls.certificate = Some(existing("sslcert", &value)?),
            "sslkey" => tls.key = Some(existing("sslkey", &value)?),
            _ => {
                left.push((key.into_owned(), value.into_owned()));
                continue;
            }
        }
        named = true;
    }
    if tls.mode == TlsMode::VerifyCa && tls.root.is_none() {
        // Any certificate of any public authority would do, for whatever name.
        return Err("sslmode=verify-ca needs sslrootcert".into());
    }
    if tls.certificate.is_some() != tls.key.is_some() {
        return Err("sslcert and sslkey belong together".into());
    }
    Ok((named.then_some(tls), left))
}

fn existing(option: &str, path: &str) -> Result<PathBuf, String> {
    let path = Path::new(path);
    if path.is_file() {
        Ok(path.to_owned())
    } else {
        Err(format!("{option}: there is no file {}", path.display()))
    }
}

fn postgres(place: &str, left: &[(String, String)], tls: Option<Tls>) -> Result<DatabaseUrl, String> {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(left).finish();
    let text =
        if query.is_empty() { format!("postgres://{place}") } else { format!("postgres://{place}?{query}") };
    let mut config: tokio_postgres::Config =
        text.parse().map_err(|e: tokio_postgres::Error| format!("not a PostgreSQL URL: {}", cause(&e)))?;
    let tls = tls.unwrap_or(Tls { mode: TlsMode::Prefer, root: None, certificate: None, key: None });
    config.ssl_mode(match tls.mode {
        TlsMode::Disable => SslMode::Disable,
        TlsMode::Prefer => SslMode::Prefer,
        TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => SslMode::Require,
    });
    if config.get_application_name().is_none() {
        config.application_name("taskloom");
    }
    config.keepalives_idle(Duration::from_secs(10)).tcp_user_timeout(Duration::from_secs(15));
    let shown = shown("postgres", place);
    Ok(DatabaseUrl { server: Server::Postgres(Box::new(config)), tls, shown })
}

/// The driver's own words, which name the option but never its value.
fn cause(error: &tokio_postgres::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

fn mysql(place: &str, left: &[(String, String)], tls: Option<Tls>) -> Result<DatabaseUrl, String> {
    if let Some((key, _)) = left.iter().find(|(key, _)| !key.eq_ignore_ascii_case("charset")) {
        return Err(format!("{key} is no option for MySQL; there are sslmode, sslrootcert, sslcert, sslkey"));
    }
    let url = url::Url::parse(&format!("mysql://{place}")).map_err(|e| format!("not a MySQL URL: {e}"))?;
    let database = url.path().trim_start_matches('/');
    if database.is_empty() || database.contains('/') {
        return Err("a MySQL URL names its database: mysql://user:password@host/database".into());
    }
    let text = |part: &str| percent_decoded(part);
    let mut options = OptsBuilder::default()
        .ip_or_hostname(url.host_str().unwrap_or("127.0.0.1").trim_matches(['[', ']']).to_owned())
        .tcp_port(url.port().unwrap_or(3306))
        .user(Some(text(url.username())?))
        .pass(url.password().map(text).transpose()?)
        .db_name(Some(text(database)?));
    let tls = tls.unwrap_or(Tls { mode: TlsMode::Disable, root: None, certificate: None, key: None });
    if !matches!(tls.mode, TlsMode::Disable | TlsMode::Prefer) || tls.root.is_some() {
        options = options.ssl_opts(ssl(&tls));
    }
    let shown = shown("mysql", place);
    Ok(DatabaseUrl { server: Server::Mysql(Box::new(options)), tls, shown })
}

fn ssl(tls: &Tls) -> SslOpts {
    let mut ssl = SslOpts::default();
    match &tls.root {
        Some(root) => ssl = ssl.with_root_certs(vec![root.clone().into()]).with_disable_built_in_roots(true),
        None if tls.mode == TlsMode::Require => ssl = ssl.with_danger_accept_invalid_certs(true),
        None => {}
    }
    if let (Some(certificate), Some(key)) = (&tls.certificate, &tls.key) {
        let identity = mysql_async::ClientIdentity::new(certificate.clone().into(), key.clone().into());
        ssl = ssl.with_client_identity(Some(identity));
    }
    ssl.with_danger_skip_domain_validation(tls.mode != TlsMode::VerifyFull)
}

fn percent_decoded(text: &str) -> Result<String, String> {
    let bytes = percent_encoding::percent_decode_str(text);
    bytes.decode_utf8().map(Into::into).map_err(|_| "the URL is no UTF-8 once decoded".into())
}

fn shown(scheme: &str, place: &str) -> String {
    let host = place.rsplit_once('@').map_or(place, |(_, host)| host);
    format!("{scheme}://{host}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(text: &str) -> String {
        text.parse::<DatabaseUrl>().unwrap_err()
    }

    #[test]
    fn postgres_urls() {
        let url: DatabaseUrl =
            "postgresql+asyncpg://me:hunter2@db:5433/tasks?sslmode=require&connect_timeout=3"
                .parse()
                .unwrap();
        let Server::Postgres(config) = &url.server else { panic!("no PostgreSQL") };
        assert_eq!((config.get_user(), config.get_dbname()), (Some("me"), Some("tasks")));
        assert_eq!((config.get_ports(), config.get_ssl_mode()), (&[5433][..], SslMode::Require));
        assert_eq!(format!("{url:?}"), "postgres://db:5433/tasks");
    }

    #[test]
    fn mysql_urls() {
        let url: DatabaseUrl = "mysql+pymysql://me:p%40ss@db/tasks?charset=utf8mb4".parse().unwrap();
        let Server::Mysql(options) = &url.server else { panic!("no MySQL") };
        let options = mysql_async::Opts::from((**options).clone());
        assert_eq!((options.user(), options.pass()), (Some("me"), Some("p@ss")));
        assert_eq!((options.db_name(), options.tcp_port()), (Some("tasks"), 3306));
    }

    #[test]
    fn errors_name_the_rule_and_no_password() {
        for (text, rule) in [
            ("hunter2", "not a URL"),
            ("oracle://me:hunter2@db/t", "no database across a network"),
            ("postgres://me:hunter2@db/t?sslmode=maybe", "sslmode is one of"),
            ("postgres://me:hunter2@db/t?sslrootcert=/no/such/file", "there is no file"),
            ("postgres://me:hunter2@db/t?sslcert=/dev/null", "there is no file"),
            ("postgres://me:hunter2@db/t?sslmode=verify-ca", "needs sslrootcert"),
            ("postgres://me:hunter2@db/t?wishes=3", "wishes"),
            ("mysql://me:hunter2@db", "names its database"),
            ("mysql://me:hunter2@db/t?wishes=3", "wishes is no option"),
            ("mysql://me:p?hunter2@db/t", "are written %25"),
            ("postgres://me:12?hunter2@db/t=1", "are written %25"),
        ] {
            let error = error(text);
            assert!(error.contains(rule) && !error.contains("hunter2"), "{text}: {error}");
        }
    }

    #[test]
    fn all_but_passwords_is_shown() {
        for (text, shown) in [
            ("postgres://me:hunter2@db/t", "postgres://me:***@db/t"),
            ("postgresql+asyncpg://me:hun/ter2@db:1/t", "postgresql+asyncpg://me:***@db:1/t"),
            ("postgres://me:hun@ter2@db/t", "postgres://me:***@db/t"),
            ("postgres://me@db/t?connect_timeout=3", "postgres://me@db/t?connect_timeout=3"),
            (
                "postgres://db/t?user=me&password=hunter2&sslmode=require",
                "postgres://db/t?user=me&password=***&sslmode=require",
            ),
            ("postgres://db/t?%70assword=hunter2", "postgres://db/t?%70assword=***"),
            ("mysql://me:hunter2@db:3307/t?ssl-mode=DISABLED", "mysql://me:***@db:3307/t?ssl-mode=DISABLED"),
            ("mariadb://db/t", "mariadb://db/t"),
        ] {
            assert_eq!(DatabaseUrl::masked(text).as_deref(), Ok(shown));
        }
        assert!(DatabaseUrl::masked("postgres://me:p?hunter2@db/t").is_err());
    }

    proptest! {
        #[test]
        fn no_part_of_a_password_is_shown(
            scheme in "postgres|mysql",
            password in "[a-z0-9/?#@%:&=]{12,20}",
        ) {
            let text = format!("{scheme}://user:{password}@h/db");
            let shown = match text.parse::<DatabaseUrl>() {
                Ok(url) => format!("{url} {url:?} {}", DatabaseUrl::masked(&text).unwrap()),
                Err(error) => error,
            };
            // Seven characters of a random text do not stand in a message by chance.
            let parts = |text: &str| text.as_bytes().windows(7).map(<[u8]>::to_vec).collect::<Vec<_>>();
            let shown = parts(&shown);
            prop_assert!(parts(&password).iter().all(|part| !shown.contains(part)));
        }
    }
}
