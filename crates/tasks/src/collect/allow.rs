//! What an operator lets `collect.http` reach beyond the public internet, and the check of each URL.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::{Host, Url};

use super::address::{effective, is_public};

/// One entry of the list of private destinations that an operator opens.
///
/// | entry | opens |
/// |---|---|
/// | `10.1.0.0/16`, `10.1.2.3`, `fd00::/8` | addresses, also those that a name resolves to, on every port |
/// | `10.1.2.3:8080`, `[fd00::1]:8080` | URLs that spell exactly this address and port |
/// | `wiki.example`, `wiki.example:8080` | URLs of this host (on this port), whatever it resolves to |
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowRule {
    /// Addresses.
    Net(IpNet),
    /// A URL's host as it is spelt, in lower case, and its port if that matters.
    Host(String, Option<u16>),
}

/// Why an entry of the list is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a network (10.0.0.0/8), an address, a host or host:port")]
pub struct BadAllowRule(String);

impl FromStr for AllowRule {
    type Err = BadAllowRule;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadAllowRule(text.to_owned());
        if let Ok(net) = text.parse::<IpNet>() {
            return Ok(Self::Net(net.trunc()));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Net(address.into()));
        }
        if text.contains(['/', '\\', '?', '#', '@']) || text.contains(char::is_whitespace) {
            return Err(bad());
        }
        // The parser of URLs spells the host as it will in the URLs to compare with.
        let url = Url::parse(&format!("http://{text}")).map_err(|_| bad())?;
        let host = url.host_str().ok_or_else(bad)?.to_owned();
        // The parser drops a port that is the scheme's own; here it was written on purpose.
        let port = url.port().or_else(|| text.ends_with(":80").then_some(80));
        Ok(Self::Host(host, port))
    }
}

impl fmt::Display for AllowRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(net) => net.fmt(f),
            Self::Host(host, None) => f.write_str(host),
            Self::Host(host, Some(port)) => write!(f, "{host}:{port}"),
        }
    }
}

impl Serialize for AllowRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AllowRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Why a URL is not fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("only http and https URLs are fetched")]
    Scheme,
    #[error("a URL must not carry a user name or password; send a header instead")]
    Credentials,
    #[error("the URL has no host")]
    Host,
    #[error("the address is not public and the operator has not listed it")]
    Address,
}

/// How far a URL may be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Dial only addresses that pass [`Guard::address`].
    Checked,
    /// The operator listed this very host: dial what it resolves to.
    Listed,
}

/// Decides which URLs and addresses may be reached.
#[derive(Debug, Clone, Default)]
pub(crate) struct Guard {
    nets: Vec<IpNet>,
    hosts: Vec<(String, Option<u16>)>,
}

impl Guard {
    pub(crate) fn new(rules: &[AllowRule]) -> Self {
        let mut guard = Self::default();
        for rule in rules {
            match rule {
                AllowRule::Net(net) => guard.nets.push(*net),
                AllowRule::Host(host, port) => guard.hosts.push((host.clone(), *port)),
            }
        }
        guard
    }

    /// Whether an address may be dialled.
    pub(crate) fn address(&self, address: IpAddr) -> bool {
        is_public(address) || {
            let address = effective(address);
            self.nets.iter().any(|net| net.contains(&address))
        }
    }

    /// Judges a URL by itself; a name is judged again by what it resolves to.
    pub(crate) fn url(&self, url: &Url) -> Result<Trust, Refused> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refused::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::Credentials);
        }
        let host = url.host().ok_or(Refused::Host)?;
        if self.lists(url) {
            return Ok(Trust::Listed);
        }
        let passes = match host {
            Host::Domain(_) => true,
            Host::Ipv4(address) => self.address(address.into()),
            Host::Ipv6(address) => self.address(address.into()),
        };
        if passes { Ok(Trust::Checked) } else { Err(Refused::Address) }
    }

    fn lists(&self, url: &Url) -> bool {
        let port = url.port_or_known_default();
        self.hosts
            .iter()
            .any(|(host, only)| url.host_str() == Some(host) && (only.is_none() || *only == port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(rules: &[&str]) -> Guard {
        Guard::new(&rules.iter().map(|r| r.parse().unwrap()).collect::<Vec<_>>())
    }

    fn judge(guard: &Guard, url: &str) -> Result<Trust, Refused> {
        guard.url(&Url::parse(url).unwrap())
    }

    #[test]
    fn odd_spellings_of_inner_addresses_are_refused() {
        for url in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0177.0.0.1/",
            "http://0x7f.1/",
            "http://0/",
            "http://127.0.0.1./",
            "http://%31%32%37.0.0.1/",
            "http://①②⑦.0.0.1/",
            "http://[::1]/",
            "http://[::]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://[0:0:0:0:0:ffff:a9fe:a9fe]/",
            "http://[64:ff9b::7f00:1]/",
            "http://[fe80::1]/",
            "https://169.254.169.254/latest/meta-data/",
            "http://2852039166/",
            "http://10.0.0.1:8080/",
        ] {
            assert_eq!(judge(&guard(&[]), url), Err(Refused::Address), "{url}");
        }
    }

    #[test]
    fn schemes_and_credentials_are_checked() {
        let open = guard(&["0.0.0.0/0"]);
        for url in ["ftp://example.com/", "file:///etc/passwd", "gopher://127.0.0.1/", "data:text/plain,x"] {
            assert_eq!(judge(&open, url), Err(Refused::Scheme), "{url}");
        }
        for url in ["http://user@example.com/", "http://u:p@example.com/", "http://:p@example.com/"] {
            assert_eq!(judge(&open, url), Err(Refused::Credentials), "{url}");
        }
        assert_eq!(judge(&open, "https://example.com/"), Ok(Trust::Checked));
    }

    #[test]
    fn the_operator_opens_what_is_listed_and_no_more() {
        let guard =
            guard(&["10.1.0.0/16", "127.0.0.1:8080", "Wiki.Example:80", "intern", "[fd00::1]:81", "fd00::2"]);
        for (url, answer) in [
            ("http://10.1.2.3/", Ok(Trust::Checked)),
            ("http://[::ffff:10.1.2.3]/", Ok(Trust::Checked)),
            ("http://10.2.0.1/", Err(Refused::Address)),
            ("http://127.0.0.1:8080/", Ok(Trust::Listed)),
            ("http://127.1:8080/", Ok(Trust::Listed)),
            ("http://127.0.0.1:8081/", Err(Refused::Address)),
            ("http://127.0.0.1/", Err(Refused::Address)),
            ("http://wiki.example/", Ok(Trust::Listed)),
            ("http://wiki.example:81/", Ok(Trust::Checked)),
            ("https://wiki.example/", Ok(Trust::Checked)),
            ("https://intern/", Ok(Trust::Listed)),
            ("https://intern:9/", Ok(Trust::Listed)),
            ("http://x.intern/", Ok(Trust::Checked)),
            ("http://[fd00::1]:81/", Ok(Trust::Listed)),
            ("http://[fd00::1]/", Err(Refused::Address)),
            ("http://[fd00::2]/", Ok(Trust::Checked)),
        ] {
            assert_eq!(judge(&guard, url), answer, "{url}");
        }
    }

    #[test]
    fn rules_survive_a_round_trip_and_rubbish_is_refused() {
        for text in
            ["10.0.0.0/8", "wiki.example", "wiki.example:8080", "127.0.0.1:80", "[::1]:8080", "localhost"]
        {
            assert_eq!(text.parse::<AllowRule>().unwrap().to_string(), text);
        }
        assert_eq!("10.9.9.9/8".parse::<AllowRule>().unwrap().to_string(), "10.0.0.0/8");
        for text in ["", "10.0.0.0/33", "http://x/", "x/y", "u@h", "h:99999", "a b", "h?", "h#", ":80"] {
            assert!(text.parse::<AllowRule>().is_err(), "{text:?}");
        }
    }
}
