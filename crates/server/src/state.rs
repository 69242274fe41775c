//! What every handler can reach.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http::HeaderMap;
use http::request::Parts;
use taskloom_engine::Engine;
use taskloom_model::Timestamp;
use taskloom_store::Store;
use tokio_util::sync::CancellationToken;

use crate::auth::identity::Identities;
use crate::auth::jwt::Signer;
use crate::auth::password::Hasher;
use crate::auth::throttle::Throttle;
use crate::config::ServerConfig;
use crate::streams::Streams;

/// The handlers' state; a cheap clone.
pub(crate) type App = Arc<AppState>;

/// See [`App`].
pub(crate) struct AppState {
    pub(crate) engine: Engine,
    pub(crate) config: ServerConfig,
    pub(crate) signer: Signer,
    pub(crate) hasher: Hasher,
    pub(crate) throttle: Throttle,
    pub(crate) identities: Identities,
    /// Room for server-sent event streams.
    pub(crate) streams: Arc<Streams>,
}

impl AppState {
    pub(crate) fn new(engine: Engine, config: ServerConfig) -> Self {
        Self {
            signer: Signer::new(&config.secret_key),
            hasher: Hasher::default(),
            throttle: Throttle::new(config.throttle),
            identities: Identities::default(),
            streams: Streams::new(config.max_streams),
            engine,
            config,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.engine.clock().now()
    }

    pub(crate) fn store(&self) -> &Store {
        self.engine.store()
    }

    /// Whose request this is, by address.
    pub(crate) fn client_ip(&self, parts: &Parts) -> IpAddr {
        let forwarded = if self.config.trusted_proxy { forwarded_for(&parts.headers) } else { None };
        let peer = parts.extensions.get::<Connection>().map(|connection| connection.peer.ip());
        forwarded.or(peer).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }
}

/// The address that the nearest proxy saw; entries before the last are the client's own words.
fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?;
    last.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
}

/// The connection a request came by; [`crate::serve()`] puts it into the request's extensions.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) peer: SocketAddr,
    /// Fires when the server shuts down: long answers end then.
    pub(crate) closing: CancellationToken,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn believes_only_the_last_hop() {
        let mut headers = HeaderMap::new();
        assert_eq!(forwarded_for(&headers), None);
        headers.insert("x-forwarded-for", "1.1.1.1, 192.0.2.7".parse().unwrap());
        assert_eq!(forwarded_for(&headers), Some("192.0.2.7".parse().unwrap()));
        headers.append("x-forwarded-for", "rubbish".parse().unwrap());
        assert_eq!(forwarded_for(&headers), None);
    }
}
