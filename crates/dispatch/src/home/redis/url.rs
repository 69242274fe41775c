//! The address of a Redis: one server, a cluster, or a master that sentinels know.

use std::fmt::{self, Write as _};

use super::secret::Secret;

const DEFAULT_PORT: u16 = 6379;
const DEFAULT_SENTINEL_PORT: u16 = 26379;
const HOSTS_AT_MOST: usize = 64;

/// Why an address is none. No message repeats any part of the address: each could be a part of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// The scheme is unknown.
    #[error(
        "the address of Redis begins with redis://, rediss:// (TLS), redis+cluster://, rediss+cluster://, \
         redis+sentinel:// or rediss+sentinel://"
    )]
    Scheme,
    /// Something in a name or password is not escaped.
    #[error(
        "in the address of Redis, the characters % / ? # @ in a user name or password are written %25 %2F %3F %23 %40"
    )]
    Escape,
    /// A user name without a password.
    #[error(
        "in the address of Redis, a user name comes with a password, user:password@host; a password alone is written \
         :password@host"
    )]
    UserAlone,
    /// No host, or one with characters that no host has.
    #[error("in the address of Redis, a host is a name, an IPv4 address or an IPv6 address in brackets")]
    Host,
    /// The port is no number from 1 to 65535.
    #[error("in the address of Redis, a port is a number from 1 to 65535")]
    Port,
    /// Several hosts where one belongs, or too many.
    #[error(
        "only redis+cluster:// and redis+sentinel:// take several hosts, separated by commas, at most 64"
    )]
    Hosts,
    /// The database is no number from 0 to 65535.
    #[error("in the address of Redis, the database after the / is a number from 0 to 65535")]
    Database,
    /// A cluster with a database.
    #[error("a cluster has only database 0, so redis+cluster:// has nothing after the hosts")]
    ClusterDatabase,
    /// Sentinels without the name of the master.
    #[error(
        "redis+sentinel:// names the master after the hosts: redis+sentinel://host:26379/name or …/name/database"
    )]
    Master,
    /// An option that does not exist there.
    #[error(
        "the only options in the address of Redis are sentinel_user and sentinel_password, with redis+sentinel://"
    )]
    Option,
}

/// What an address says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) kind: Kind,
    pub(super) tls: bool,
    pub(super) hosts: Vec<Host>,
    pub(super) login: Login,
    pub(super) database: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Single,
    Cluster,
    /// The hosts are sentinels; `login` of the address is the master's, this one theirs.
    Sentinel {
        master: String,
        login: Login,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) port: u16,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
}

impl Address {
    /// Reads an address; what may stand in one is told by [`RedisOptions::url`](super::RedisOptions::url).
    pub(super) fn parse(url: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = url.split_once("://").ok_or(UrlError::Scheme)?;
        let (tls, cluster, sentinel) = match scheme {
            "redis" => (false, false, false),
            "rediss" => (true, false, false),
            "redis+cluster" => (false, true, false),
            "rediss+cluster" => (true, true, false),
            "redis+sentinel" => (false, false, true),
            "rediss+sentinel" => (true, false, true),
            _ => return Err(UrlError::Scheme),
        };
        let Parts { login, hosts, path, query } = Parts::split(rest)?;
        let port = if sentinel { DEFAULT_SENTINEL_PORT } else { DEFAULT_PORT };
        let hosts = hosts.split(',').map(|host| Host::parse(host, port)).collect::<Result<Vec<_>, _>>()?;
        if hosts.len() > HOSTS_AT_MOST || hosts.len() > 1 && !cluster && !sentinel {
            return Err(UrlError::Hosts);
        }
        let login = Login::parse(login)?;
        if sentinel {
            let (master, database) = path.split_once('/').unwrap_or((path, ""));
            let kind = Kind::Sentinel { master: master_name(master)?, login: sentinel_login(query)? };
            return Ok(Self { kind, tls, hosts, login, database: database_number(database)? });
        }
        if !query.is_empty() {
            return Err(UrlError::Option);
        }
        if cluster {
            let none = matches!(path, "" | "0").then_some(0).ok_or(UrlError::ClusterDatabase)?;
            return Ok(Self { kind: Kind::Cluster, tls, hosts, login, database: none });
        }
        Ok(Self { kind: Kind::Single, tls, hosts, login, database: database_number(path)? })
    }
}

/// As it is written, with `***` in place of its passwords; what goes without saying is left out.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, default_port) = match self.kind {
            Kind::Single => ("", DEFAULT_PORT),
            Kind::Cluster => ("+cluster", DEFAULT_PORT),
            Kind::Sentinel { .. } => ("+sentinel", DEFAULT_SENTINEL_PORT),
        };
        write!(f, "redis{}{kind}://", if self.tls { "s" } else { "" })?;
        if self.login.password.is_some() {
            write!(f, "{}:***@", escape(self.login.user.as_deref().unwrap_or_default()))?;
        }
        for (index, host) in self.hosts.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "," })?;
            host.write(f, default_port)?;
        }
        if let Kind::Sentinel { master, .. } = &self.kind {
            write!(f, "/{}", escape(master))?;
        }
        if self.database != 0 {
            write!(f, "/{}", self.database)?;
        }
        match &self.kind {
            Kind::Sentinel { login: Login { user, password: Some(_) }, .. } => {
                let user = user.as_ref().map(|user| format!("sentinel_user={}&", escape(user)));
                write!(f, "?{}sentinel_password=***", user.unwrap_or_default())
            }
            _ => Ok(()),
        }
    }
}

struct Parts<'a> {
    login: &'a str,
    hosts: &'a str,
    path: &'a str,
    query: &'a str,
}

impl<'a> Parts<'a> {
    fn split(rest: &'a str) -> Result<Self, UrlError> {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        // An @ behind the first / or ? can only come from a password in which those were not escaped.
        if path.contains('@')
            || query.contains('@')
            || query.contains('?')
            || [rest, query].iter().any(|s| s.contains('#'))
        {
            return Err(UrlError::Escape);
        }
        let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        Ok(Self { login, hosts, path, query })
    }
}

impl Host {
    fn parse(text: &str, default_port: u16) -> Result<Self, UrlError> {
        let (name, port) = match text.strip_prefix('[') {
            Some(bracketed) => {
                let (name, rest) = bracketed.split_once(']').ok_or(UrlError::Host)?;
                name.parse::<std::net::Ipv6Addr>().map_err(|_| UrlError::Host)?;
                if !rest.is_empty() && !rest.starts_with(':') {
                    return Err(UrlError::Host);
                }
                (name, rest.strip_prefix(':'))
            }
            None => match text.split_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (text, None),
            },
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
        if name.is_empty() || name.len() > 253 || !name.chars().all(fits) {
            return Err(UrlError::Host);
        }
        let port = port.map_or(Ok(default_port), |port| port.parse().map_err(|_| UrlError::Port))?;
        if port == 0 {
            return Err(UrlError::Port);
        }
        Ok(Self { name: name.to_owned(), port })
    }

    /// As it stands in an address.
    fn write(&self, f: &mut fmt::Formatter<'_>, default_port: u16) -> fmt::Result {
        // Only an IPv6 address has colons.
        let (open, close) = if self.name.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{open}{}{close}", self.name)?;
        if self.port == default_port { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.port)
    }
}

impl Login {
    fn parse(text: &str) -> Result<Self, UrlError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let (user, password) = text.split_once(':').ok_or(UrlError::UserAlone)?;
        Self::of(unescape(user)?, unescape(password)?)
    }

    /// Empty texts are absent ones.
    fn of(user: String, password: String) -> Result<Self, UrlError> {
        if password.is_empty() && !user.is_empty() {
            return Err(UrlError::UserAlone);
        }
        let present = |text: String| (!text.is_empty()).then_some(text);
        Ok(Self { user: present(user), password: present(password).map(Secret) })
    }
}

fn sentinel_login(query: &str) -> Result<Login, UrlError> {
    let (mut user, mut password) = (String::new(), String::new());
    for option in query.split('&').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some(("sentinel_user", value)) => user = unescape(value)?,
            Some(("sentinel_password", value)) => password = unescape(value)?,
            _ => return Err(UrlError::Option),
        }
    }
    Login::of(user, password)
}

fn master_name(text: &str) -> Result<String, UrlError> {
    let name = unescape(text).map_err(|_| UrlError::Master)?;
    if name.is_empty() { Err(UrlError::Master) } else { Ok(name) }
}

fn database_number(text: &str) -> Result<u16, UrlError> {
    if text.is_empty() { Ok(0) } else { text.parse().map_err(|_| UrlError::Database) }
}

/// Undoes the percent-encoding.
fn unescape(text: &str) -> Result<String, UrlError> {
    let mut pieces = text.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let code = piece.get(..2).filter(|code| code.bytes().all(|b| b.is_ascii_hexdigit()));
        let byte = code.and_then(|code| u8::from_str_radix(code, 16).ok()).ok_or(UrlError::Escape)?;
        bytes.push(byte);
        bytes.extend_from_slice(&piece.as_bytes()[2..]);
    }
    String::from_utf8(bytes).map_err(|_| UrlError::Escape)
}

/// Escapes what would mean something else in an address.
fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, c| {
        if "%/?#@:&=".contains(c) {
            // Writing to a text does not fail.
            let _ = write!(escaped, "%{:02X}", u32::from(c));
        } else {
            escaped.push(c);
        }
        escaped
    })
}
