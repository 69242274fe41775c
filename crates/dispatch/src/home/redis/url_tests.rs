//! Addresses: what is understood, which rule a bad one breaks, and that no message shows a password.

use proptest::prelude::*;

use super::secret::Secret;
use super::url::{Address, Host, Kind, Login, UrlError};

fn host(name: &str, port: u16) -> Host {
    Host { name: name.into(), port }
}

fn login(user: &str, password: &str) -> Login {
    let present = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Login { user: present(user), password: present(password).map(Secret) }
}

fn single(tls: bool, at: Host, login: Login, database: u16) -> Address {
    Address { kind: Kind::Single, tls, hosts: vec![at], login, database }
}

#[test]
fn single_servers() {
    let nobody = Login::default();
    let cases = [
        ("redis://localhost", single(false, host("localhost", 6379), nobody.clone(), 0)),
        ("redis://localhost/", single(false, host("localhost", 6379), nobody.clone(), 0)),
        ("rediss://10.0.0.1:7000/15", single(true, host("10.0.0.1", 7000), nobody.clone(), 15)),
        ("redis://[::1]:7000", single(false, host("::1", 7000), nobody.clone(), 0)),
        ("redis://[::1]", single(false, host("::1", 6379), nobody, 0)),
        ("redis://:secret@r", single(false, host("r", 6379), login("", "secret"), 0)),
        ("redis://app:a%2Fb%40c:d@r", single(false, host("r", 6379), login("app", "a/b@c:d"), 0)),
        ("redis://app:a@b@r", single(false, host("r", 6379), login("app", "a@b"), 0)),
    ];
    for (url, expected) in cases {
        assert_eq!(Address::parse(url).as_ref(), Ok(&expected), "{url}");
    }
}

#[test]
fn clusters() {
    let parsed = Address::parse("rediss+cluster://u:p@a:1,b,[::1]:3").unwrap();
    let hosts = vec![host("a", 1), host("b", 6379), host("::1", 3)];
    assert_eq!(
        parsed,
        Address { kind: Kind::Cluster, tls: true, hosts, login: login("u", "p"), database: 0 }
    );
}

#[test]
fn sentinels() {
    let url = "redis+sentinel://u:p@a,b:2/my-master/3?sentinel_user=s&sentinel_password=x%26y";
    let parsed = Address::parse(url).unwrap();
    let kind = Kind::Sentinel { master: "my-master".into(), login: login("s", "x&y") };
    let hosts = vec![host("a", 26379), host("b", 2)];
    assert_eq!(parsed, Address { kind, tls: false, hosts, login: login("u", "p"), database: 3 });
    let plain = Address::parse("redis+sentinel://a/m").unwrap();
    assert_eq!(plain.kind, Kind::Sentinel { master: "m".into(), login: Login::default() });
}

#[test]
fn a_bad_address_is_told_the_rule_it_breaks() {
    let cases = [
        ("localhost:6379", UrlError::Scheme),
        ("http://localhost", UrlError::Scheme),
        ("redis://", UrlError::Host),
        ("redis://a b", UrlError::Host),
        ("redis://[::1", UrlError::Host),
        ("redis://[::1]x", UrlError::Host),
        ("redis://[a]:1", UrlError::Host),
        ("redis+cluster://a,,b", UrlError::Host),
        ("redis://a:0", UrlError::Port),
        ("redis://a:65536", UrlError::Port),
        ("redis://a:", UrlError::Port),
        ("redis://a:1:2", UrlError::Port),
        ("redis://a,b", UrlError::Hosts),
        ("redis://a/x", UrlError::Database),
        ("redis://a/-1", UrlError::Database),
        ("redis+cluster://a/1", UrlError::ClusterDatabase),
        ("redis+sentinel://a", UrlError::Master),
        ("redis+sentinel://a/", UrlError::Master),
        ("redis+sentinel://a/m/x", UrlError::Database),
        ("redis+sentinel://a/m?protocol=3", UrlError::Option),
        ("redis://a?sentinel_user=x", UrlError::Option),
        ("redis://secret@a", UrlError::UserAlone),
        ("redis://user:@a", UrlError::UserAlone),
        ("redis+sentinel://a/m?sentinel_user=x", UrlError::UserAlone),
        ("redis://:pa/ss@a", UrlError::Escape),
        ("redis://:pa?ss@a", UrlError::Escape),
        ("redis://:pa#ss@a", UrlError::Escape),
        ("redis://:100%@a", UrlError::Escape),
        ("redis://:%zz@a", UrlError::Escape),
        ("redis://:%ff@a", UrlError::Escape),
        ("redis://:%aä@a", UrlError::Escape),
    ];
    for (url, expected) in cases {
        assert_eq!(Address::parse(url), Err(expected), "{url}");
    }
}

#[test]
fn all_but_passwords_is_shown() {
    for (url, shown) in [
        ("redis://localhost:6379/0", "redis://localhost"),
        ("rediss://:hunter2@10.0.0.1:7000/15", "rediss://:***@10.0.0.1:7000/15"),
        ("redis://a%3Ab:hunt@er2@[::1]", "redis://a%3Ab:***@[::1]"),
        ("rediss+cluster://u:hunter2@a:1,b,[::1]:3", "rediss+cluster://u:***@a:1,b,[::1]:3"),
        ("redis+sentinel://a:26379,b:2/my%2Fmaster", "redis+sentinel://a,b:2/my%2Fmaster"),
        (
            "redis+sentinel://u:hunter2@a/m/3?sentinel_password=hunter2&sentinel_user=s%26t",
            "redis+sentinel://u:***@a/m/3?sentinel_user=s%26t&sentinel_password=***",
        ),
        ("redis+sentinel://a/m?sentinel_password=hunter2", "redis+sentinel://a/m?sentinel_password=***"),
    ] {
        assert_eq!(Address::parse(url).unwrap().to_string(), shown);
    }
}

fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02X}"))
}

proptest! {
    #[test]
    fn no_text_is_a_panic(url in "(redis(s)?(\\+cluster|\\+sentinel)?://)?\\PC{0,40}") {
        let _ = Address::parse(&url);
    }

    #[test]
    fn an_escaped_login_comes_back(user in "\\PC{0,10}", password in "\\PC{1,20}", database in 0u16..) {
        let url = format!("redis://{}:{}@h:1/{database}", escaped(&user), escaped(&password));
        prop_assert_eq!(Address::parse(&url), Ok(single(false, host("h", 1), login(&user, &password), database)));
    }

    #[test]
    fn what_is_shown_without_a_password_is_the_address(
        url in "redis(s)?://[a-z]{1,5}(:[1-9][0-9]{0,3})?(/[0-9]{1,2})?\
            |redis(s)?\\+cluster://[a-z]{1,5}(,\\[::[1-9]\\](:[1-9])?){0,2}\
            |redis(s)?\\+sentinel://[a-z]{1,5}(,[a-z]{1,5}:[1-9]){0,2}/[a-z%23]{1,3}(/[0-9])?",
    ) {
        let Ok(address) = Address::parse(&url) else { return Ok(()) };
        prop_assert_eq!(Address::parse(&address.to_string()), Ok(address));
    }

    #[test]
    fn neither_errors_nor_output_show_a_password(
        password in "[a-z0-9/?#@%:,&=]{12,20}",
        before in "redis://user:|redis\\+cluster://:|redis\\+sentinel://h/m\\?sentinel_password=",
    ) {
        let after = if before.contains('?') { "" } else { "@h" };
        let shown = match Address::parse(&format!("{before}{password}{after}")) {
            Ok(address) => format!("{address} {address:?}"),
            Err(error) => format!("{error} {error:?}"),
        };
        // Seven characters of a random text do not stand in a message by chance.
        prop_assert!(!password.as_bytes().windows(7).any(|part| shown.as_bytes().windows(7).any(|at| at == part)));
    }
}
