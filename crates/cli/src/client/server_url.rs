//! The server's address as users write it.

use crate::error::CliError;

/// Where `taskloom dev` listens when nothing else is said.
pub(crate) const DEFAULT_SERVER: &str = "http://127.0.0.1:8000";

/// The URL of a server: `http://` may be left out, slashes at the end do not count.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn normalize(text: &str) -> Result<String, CliError> {
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let wrong = |why: &str| {
        CliError::usage(format!("{text:?} is not a server's URL: {why}"))
            .hint(format!("it looks like {DEFAULT_SERVER} or https://tasks.example.org"))
    };
    let url = url::Url::parse(&with_scheme).map_err(|e| wrong(&e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("only http and https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it must not hold a password; use `taskloom login`"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it must end before ? or #"));
    }
    let base = url.as_str().trim_end_matches('/');
    Ok(base.strip_suffix("/api/v1").unwrap_or(base).to_owned())
}

/// Whether the server is on this machine.
pub(super) fn is_loopback(server: &str) -> bool {
    url::Url::parse(server).is_ok_and(|url| match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    })
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
}
