//! Waiting for conditions, which is bounded.

use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Waits until something is so.
#[track_caller]
pub(crate) fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// `host:port` of a URL.
pub(crate) fn place(url: &str) -> &str {
    let place = url.rsplit_once('@').unwrap().1;
    place.split('/').next().unwrap()
}

/// True if somebody listens there.
pub(crate) fn listens(url: &str) -> bool {
    TcpStream::connect(place(url)).is_ok()
}

/// Checks that nobody listens there any more.
#[track_caller]
pub(crate) fn refuses(url: &str) {
    assert!(!listens(url), "{url} still answers");
}
