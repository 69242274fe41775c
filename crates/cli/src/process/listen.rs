//! The socket to listen on.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};

use crate::error::CliError;

/// Binds; port 0 takes a free one.
///
/// # Errors
/// The port is taken, the address is none of this machine's, or the port needs rights.
pub(crate) fn bind(host: &str, port: u16) -> Result<(TcpListener, SocketAddr), CliError> {
    let addresses: Vec<SocketAddr> = (host, port)
        .to_socket_addrs()
        .map_err(|e| CliError::failed(format!("server.host {host}: {e}")))?
        .collect();
    let bound = TcpListener::bind(addresses.as_slice()).and_then(|listener| {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    bound.map_err(|e| explain(host, port, &e))
}

fn explain(host: &str, port: u16, error: &io::Error) -> CliError {
    match error.kind() {
        ErrorKind::AddrInUse => CliError::failed(format!("port {port} on {host} is in use"))
            .hint("--port auto takes a free one, --port N another"),
        ErrorKind::AddrNotAvailable => CliError::failed(format!("{host} is no address of this machine"))
            .hint("--host 127.0.0.1 listens for this machine only, --host 0.0.0.0 for everybody"),
        ErrorKind::PermissionDenied => CliError::failed(format!("port {port} is not for this user"))
            .hint("ports below 1024 need rights; --port 8000 does not"),
        _ => CliError::failed(format!("cannot listen on {host}:{port}: {error}")),
    }
}

/// The URL under which this machine reaches `address`.
pub(crate) fn url(address: SocketAddr) -> String {
    let host = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => "127.0.0.1".to_owned(),
        IpAddr::V6(ip) if ip.is_unspecified() => "[::1]".to_owned(),
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    format!("http://{host}:{}", address.port())
}

/// The URL under which this machine reaches a server that listens on `host`: an address, or a name.
pub(crate) fn url_of(host: &str, port: u16) -> String {
    match host.parse::<IpAddr>() {
        Ok(ip) => url(SocketAddr::new(ip, port)),
        Err(_) => format!("http://{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_port_says_what_to_do() {
        let (_held, address) = bind("127.0.0.1", 0).unwrap();
        let error = bind("127.0.0.1", address.port()).unwrap_err().to_string();
        assert!(error.contains("is in use") && error.contains("--port auto"), "{error}");
    }

    #[test]
    fn urls_can_be_opened() {
        for (address, expected) in [
            ("127.0.0.1:1", "http://127.0.0.1:1"),
            ("0.0.0.0:80", "http://127.0.0.1:80"),
            ("[::]:2", "http://[::1]:2"),
            ("[fd00::1]:3", "http://[fd00::1]:3"),
        ] {
            assert_eq!(url(address.parse().unwrap()), expected);
        }
        for (host, expected) in [
            ("0.0.0.0", "http://127.0.0.1:9000"),
            ("10.0.0.7", "http://10.0.0.7:9000"),
            ("::", "http://[::1]:9000"),
            ("fd00::1", "http://[fd00::1]:9000"),
            ("localhost", "http://localhost:9000"),
        ] {
            assert_eq!(url_of(host, 9000), expected);
        }
    }
}
