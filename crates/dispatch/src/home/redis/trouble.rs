//! What is wrong with Redis, in words fit for clients, and whether a new connection may help.

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// What went wrong, without hosts, names or what the server said.
pub(super) fn describe(error: &RedisError) -> &'static str {
    match error.kind() {
        ErrorKind::AuthenticationFailed => REFUSED_LOGIN,
        ErrorKind::RESP3NotSupported => "this Redis is too old: version 6.2 or newer is needed",
        ErrorKind::Server(kind) => describe_server(kind, error.detail().unwrap_or_default()),
        ErrorKind::Extension => describe_code(error.code().unwrap_or_default(), &error.to_string()),
        ErrorKind::ClusterConnectionNotFound => "the Redis cluster cannot be reached",
        ErrorKind::MasterNameNotFoundBySentinel => "the sentinels do not know this master of Redis",
        _ if error.is_timeout() => "Redis does not answer in time",
        ErrorKind::Io if is_tls(error) => {
            "the TLS connection to Redis failed: its certificate is not trusted, or names another host"
        }
        ErrorKind::Io => "Redis cannot be reached",
        _ => "Redis answered with an error",
    }
}

const REFUSED_LOGIN: &str = "Redis refused the user name or password";
const NO_PERMISSION: &str = "the user in Redis lacks a permission";

fn describe_server(kind: ServerErrorKind, text: &str) -> &'static str {
    match kind {
        _ if text.contains("DB index is out of range") => "Redis has no database of the URL's number",
        _ if text.contains("cluster support disabled") => {
            "this Redis is no cluster: its URL begins with redis:// or rediss://"
        }
        ServerErrorKind::BusyLoading => "Redis is loading its data",
        ServerErrorKind::ReadOnly => "this Redis is a replica that cannot be written to",
        ServerErrorKind::MasterDown => "the Redis replica has lost its master",
        ServerErrorKind::ClusterDown => "the Redis cluster is down",
        ServerErrorKind::NoPerm => NO_PERMISSION,
        _ => "Redis answered with an error",
    }
}

/// Codes that the client has no name for; a pipeline has only the text.
fn describe_code(code: &str, text: &str) -> &'static str {
    let is = |name: &str| code == name || code.is_empty() && text.contains(name);
    if is("WRONGPASS") || is("NOAUTH") {
        REFUSED_LOGIN
    } else if is("NOPERM") {
        NO_PERMISSION
    } else if is("OOM") {
        "Redis is out of memory"
    } else if is("MISCONF") {
        "Redis cannot save its data and refuses writes"
    } else {
        "Redis answered with an error"
    }
}

/// Whether TLS itself failed, not what carries it.
fn is_tls(error: &RedisError) -> bool {
    type Shared = std::sync::Arc<dyn std::error::Error + Send + Sync>;

    let cause = std::error::Error::source(error).and_then(|source| source.downcast_ref::<Shared>());
    let io = cause.and_then(|cause| cause.downcast_ref::<std::io::Error>()).and_then(std::io::Error::get_ref);
    io.is_some_and(|inner| inner.is::<rustls::Error>())
}

/// Whether the connection is to be replaced: it is broken, slow, or leads to a server that is not the right one any more.
pub(super) fn needs_new_connection(error: &RedisError) -> bool {
    let wrong_server = matches!(
        error.kind(),
        ErrorKind::Server(
            ServerErrorKind::ReadOnly
                | ServerErrorKind::MasterDown
                | ServerErrorKind::BusyLoading
                | ServerErrorKind::ClusterDown
        ) | ErrorKind::ClusterConnectionNotFound
            | ErrorKind::AuthenticationFailed
            | ErrorKind::Parse
    );
    wrong_server || error.is_io_error() || error.code() == Some("NOAUTH")
}

/// The error of a command that took too long.
pub(super) fn too_slow() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_outs_and_broken_connections_need_a_new_one() {
        let broken = RedisError::from(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        assert!(needs_new_connection(&broken) && needs_new_connection(&too_slow()));
        assert_eq!(describe(&too_slow()), "Redis does not answer in time");
        assert_eq!(describe(&broken), "Redis cannot be reached");
    }

    #[test]
    fn a_certificate_that_is_not_trusted_is_told() {
        let untrusted = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let error = RedisError::from(std::io::Error::new(std::io::ErrorKind::InvalidData, untrusted));
        assert!(describe(&error).contains("certificate"));
    }

    #[test]
    fn an_answer_that_is_an_error_does_not() {
        let error = RedisError::from((ErrorKind::Server(ServerErrorKind::NoPerm), "no"));
        assert!(!needs_new_connection(&error));
        assert_eq!(describe(&error), NO_PERMISSION);
    }
}
