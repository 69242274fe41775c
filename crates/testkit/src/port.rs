//! Free ports of 127.0.0.1.

use std::net::TcpListener;
use std::ops::Range;

/// Below the range from which systems take the ports of outgoing connections (32768 or 49152 and up). A server that is
/// down for a moment would lose a port of that range to any client, its own reconnecting one included, which then talks
/// to itself.
const SINGLE: Range<u16> = 23_000..30_000;

/// Nodes of Redis Cluster listen on a second port, 10000 further on: these stay below that range, too.
const PAIRED: Range<u16> = 20_000..22_700;
pub(crate) const BUS_OFFSET: u16 = 10_000;

/// What every server says if another program took the port in between; the first letter's case differs.
const IN_USE: &str = "ddress already in use";

/// Starts something on a free port, and on another one if that was taken meanwhile.
pub(crate) fn on_free_port<T>(start: impl Fn(u16) -> Result<T, String>) -> Result<T, String> {
    retry(|| start(pick(SINGLE, is_free)?))
}

/// The same for a node of a cluster, whose bus port is free, too.
pub(crate) fn on_free_cluster_port<T>(start: impl Fn(u16) -> Result<T, String>) -> Result<T, String> {
    retry(|| start(pick(PAIRED, |port| is_free(port) && is_free(port + BUS_OFFSET))?))
}

fn retry<T>(attempt: impl Fn() -> Result<T, String>) -> Result<T, String> {
    for _ in 0..4 {
        match attempt() {
            Err(why) if why.contains(IN_USE) => {}
            outcome => return outcome,
        }
    }
    attempt()
}

fn pick(range: Range<u16>, fits: impl Fn(u16) -> bool) -> Result<u16, String> {
    let random = || range.start + (crate::random::number() % u64::from(range.end - range.start)) as u16;
    (0..1000).map(|_| random()).find(|port| fits(*port)).ok_or_else(|| format!("no free port in {range:?}"))
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn another_port_is_tried_when_one_is_taken() {
        let tried = RefCell::new(Vec::new());
        let got = on_free_port(|port| {
            tried.borrow_mut().push(port);
            if tried.borrow().len() < 3 { Err("bind: Address already in use".to_owned()) } else { Ok(port) }
        });
        assert_eq!(got.unwrap(), tried.borrow()[2]);
    }

    #[test]
    fn other_errors_are_told_at_once() {
        let calls = RefCell::new(0);
        let got: Result<(), _> = on_free_port(|_| {
            *calls.borrow_mut() += 1;
            Err("no".to_owned())
        });
        assert_eq!((got.unwrap_err().as_str(), *calls.borrow()), ("no", 1));
    }

    #[test]
    fn a_port_in_use_is_not_free() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(!is_free(taken.local_addr().unwrap().port()));
    }
}
