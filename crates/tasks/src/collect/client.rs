//! The HTTP clients: what they dial is what was checked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, redirect};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};

use super::allow::{Guard, Refused, Trust};
use crate::CollectConfig;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const IDLE_CONNECTION: Duration = Duration::from_secs(30);

/// One client for hosts judged by their addresses, one for hosts the operator listed by name.
#[derive(Debug, Clone)]
pub(crate) struct Clients {
    checked: Client,
    listed: Client,
}

impl Clients {
    pub(crate) fn new(config: &CollectConfig, guard: &Arc<Guard>) -> Result<Self, reqwest::Error> {
        let tls = tls();
        let build = |resolver: GuardedDns| {
            Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .dns_resolver(resolver)
                // Each hop is judged before it is followed, so the client must not follow by itself.
                .redirect(redirect::Policy::none())
                // A proxy from the environment would resolve names behind our back.
                .no_proxy()
                .user_agent(&config.user_agent)
                .connect_timeout(CONNECT_TIMEOUT)
                .pool_idle_timeout(IDLE_CONNECTION)
                .build()
        };
        Ok(Self { checked: build(GuardedDns(Some(guard.clone())))?, listed: build(GuardedDns(None))? })
    }

    pub(crate) fn get(&self, trust: Trust) -> &Client {
        match trust {
            Trust::Checked => &self.checked,
            Trust::Listed => &self.listed,
        }
    }
}

/// The name server knows no address, or does not answer.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the host's name cannot be resolved")]
pub(crate) struct Unresolved;

/// Hands back only addresses that may be dialled, so that no later answer of the name server can change the target.
#[derive(Debug, Clone)]
struct GuardedDns(Option<Arc<Guard>>);

impl Resolve for GuardedDns {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.0.clone();
        Box::pin(async move {
            // Port 0: the client puts the URL's own port in.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await.map_err(|_| Unresolved)?;
            let allowed = |address: &SocketAddr| guard.as_ref().is_none_or(|g| g.address(address.ip()));
            let (passed, refused): (Vec<_>, Vec<_>) = found.partition(allowed);
            match (passed.is_empty(), refused.is_empty()) {
                (false, _) => Ok(Box::new(passed.into_iter()) as Addrs),
                (true, false) => Err(Refused::Address.into()),
                (true, true) => Err(Unresolved.into()),
            }
        })
    }
}

/// TLS with the system's certificates, so that a company's own authority counts, or Mozilla's where there are none.
fn tls() -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    // Cannot fail: the provider supports the default versions.
    let builder = builder.with_safe_default_protocol_versions();
    let mut config = match builder {
        Ok(builder) => builder.with_root_certificates(roots).with_no_client_auth(),
        Err(_) => unreachable!("ring supports TLS 1.2 and 1.3"),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}
