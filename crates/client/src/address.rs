//! The server's address as people write it, and text as a part of a path.

use std::fmt::Write;

use reqwest::Url;

/// Where `taskloom dev` listens when nothing else is said.
pub const DEFAULT_SERVER: &str = "http://127.0.0.1:8000";

/// What is wrong with a server's URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadUrl {
    /// It is no URL.
    #[error("{0}")]
    Malformed(String),
    /// It is of another scheme.
    #[error("only http and https")]
    Scheme,
    /// It holds a user or a password.
    #[error("it must not hold a password")]
    Password,
    /// It goes on after the path.
    #[error("it must end before ? or #")]
    Tail,
}

/// The URL of a server, without a slash at its end: `http://` may be left out, and `/api/v1` may follow.
///
/// # Errors
/// What is wrong with it.
pub fn normalize(text: &str) -> Result<String, BadUrl> {
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&with_scheme).map_err(|e| BadUrl::Malformed(e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(BadUrl::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(BadUrl::Password);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(BadUrl::Tail);
    }
    let base = url.as_str().trim_end_matches('/');
    Ok(base.strip_suffix("/api/v1").unwrap_or(base).to_owned())
}

/// Whether the server is on this machine.
pub(crate) fn is_loopback(server: &str) -> bool {
    let Ok(url) = Url::parse(server) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_local = host == "localhost" || host.ends_with(".localhost");
    is_local || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Text as one segment of a path: everything is escaped but letters, digits, `-`, `_` and `~`.
pub fn segment(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => escaped.push(char::from(byte)),
            // A lone dot would be taken for the directory above.
            _ => _ = write!(escaped, "%{byte:02X}"),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_in_all_their_spellings() {
        for (text, url) in [
            ("127.0.0.1:8000", "http://127.0.0.1:8000"),
            ("http://LocalHost:8000/", "http://localhost:8000"),
            ("https://example.org/taskloom//", "https://example.org/taskloom"),
            ("http://127.0.0.1:8000/api/v1/", "http://127.0.0.1:8000"),
        ] {
            assert_eq!(normalize(text).unwrap(), url);
        }
        for text in ["ftp://x", "http://u:p@x", "http://", "http://x/?a", "http://a b"] {
            assert!(normalize(text).is_err(), "{text}");
        }
    }

    #[test]
    fn this_machine_has_several_names() {
        for server in ["http://127.0.0.1:1", "http://[::1]:8000", "https://localhost", "http://a.localhost"] {
            assert!(is_loopback(server), "{server}");
        }
        for server in ["http://10.0.0.7", "https://localhost.example.org", "http://[2001:db8::1]"] {
            assert!(!is_loopback(server), "{server}");
        }
    }

    #[test]
    fn nothing_leaves_the_segment() {
        assert_eq!(segment("../x?y#z 任"), "%2E%2E%2Fx%3Fy%23z%20%E4%BB%BB");
    }
}
