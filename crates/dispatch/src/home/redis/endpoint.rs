//! From an address to a connection.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::AsyncPushSender;
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo,
    ProtocolVersion, RedisConnectionInfo, RedisError, RedisResult, TlsCertificates,
};

use super::connection::Connection;
use super::options::{RedisConfigError, RedisOptions};
use super::url::{Address, Host, Kind, Login};

/// Commands that may wait inside the client before callers wait.
const PIPELINE_BUFFER: usize = 1_024;

/// Where to connect to, and how.
pub(super) struct Endpoint {
    address: Address,
    ca: Option<Vec<u8>>,
    insecure: bool,
    timeout: Duration,
}

impl Endpoint {
    /// Reads the address and the file of certificates; talks to nobody.
    pub(super) fn new(options: &RedisOptions) -> Result<Self, RedisConfigError> {
        let address = Address::parse(&options.url)?;
        if !address.tls && (options.ca_file.is_some() || options.insecure) {
            return Err(RedisConfigError::NoTls);
        }
        if address.tls {
            // Somebody else in the process may have installed it: then there is one all the same.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let ca = options.ca_file.as_deref().map(read_ca).transpose()?;
        Ok(Self { address, ca, insecure: options.insecure, timeout: options.command_timeout })
    }

    /// Connects; what is heard goes to `push`. The caller limits the time.
    pub(super) async fn connect(&self, push: Arc<dyn AsyncPushSender>) -> RedisResult<Connection> {
        match &self.address.kind {
            Kind::Single => self.connect_to(self.first_host()?, push).await,
            Kind::Cluster => {
                let connection = self.cluster(push)?.get_async_connection().await?;
                Ok(Connection::Cluster(connection))
            }
            Kind::Sentinel { master, login } => {
                let host = self.ask_sentinels(master, login).await?;
                self.connect_to(&host, push).await
            }
        }
    }

    fn first_host(&self) -> RedisResult<&Host> {
        let none = || RedisError::from((ErrorKind::InvalidClientConfig, "no host"));
        self.address.hosts.first().ok_or_else(none)
    }

    async fn connect_to(&self, host: &Host, push: Arc<dyn AsyncPushSender>) -> RedisResult<Connection> {
        let info = self.info(host, &self.address.login, self.address.database, ProtocolVersion::RESP3)?;
        let config = self.config().set_push_sender(push);
        let client = Client::open(info)?;
        Ok(Connection::Single(client.get_multiplexed_async_connection_with_config(&config).await?))
    }

    fn cluster(&self, push: Arc<dyn AsyncPushSender>) -> RedisResult<ClusterClient> {
        let info = |host| self.info(host, &self.address.login, 0, ProtocolVersion::RESP3);
        let nodes = self.address.hosts.iter().map(info).collect::<RedisResult<Vec<_>>>()?;
        let mut builder = ClusterClientBuilder::new(nodes)
            .use_protocol(ProtocolVersion::RESP3)
            .push_sender(push)
            .tcp_settings(tcp_settings())
            .connection_timeout(self.timeout)
            .response_timeout(self.timeout)
            .retries(2);
        if let (true, Some(certificates)) = (self.address.tls, self.certificates()) {
            builder = builder.certs(certificates);
        }
        builder.build()
    }

    /// Asks all sentinels at once: the first answer counts, so one that is away costs no time.
    async fn ask_sentinels(&self, master: &str, login: &Login) -> RedisResult<Host> {
        let asked = self.address.hosts.iter().map(|host| Box::pin(self.ask_sentinel(host, master, login)));
        let (host, _) = futures_util::future::select_ok(asked).await?;
        Ok(host)
    }

    async fn ask_sentinel(&self, sentinel: &Host, master: &str, login: &Login) -> RedisResult<Host> {
        let client = Client::open(self.info(sentinel, login, 0, ProtocolVersion::RESP2)?)?;
        let mut connection = client.get_multiplexed_async_connection_with_config(&self.config()).await?;
        let command = redis::cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(master).to_owned();
        let answer: Option<(String, u16)> = command.query_async(&mut connection).await?;
        let unknown = || RedisError::from((ErrorKind::MasterNameNotFoundBySentinel, "unknown master"));
        answer.map(|(name, port)| Host { name, port }).ok_or_else(unknown)
    }

    fn info(
        &self,
        host: &Host,
        login: &Login,
        database: u16,
        protocol: ProtocolVersion,
    ) -> RedisResult<ConnectionInfo> {
        let address = if self.address.tls {
            let (host, port) = (host.name.clone(), host.port);
            ConnectionAddr::TcpTls { host, port, insecure: self.insecure, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host.name.clone(), host.port)
        };
        let mut settings = RedisConnectionInfo::default()
            .set_db(i64::from(database))
            .set_protocol(protocol)
            .set_skip_set_lib_name();
        if let Some(user) = &login.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &login.password {
            settings = settings.set_password(&password.0);
        }
        let info =
            address.into_connection_info()?.set_redis_settings(settings).set_tcp_settings(tcp_settings());
        match (self.address.tls, self.certificates()) {
            (true, Some(certificates)) => {
                Ok(Client::build_with_tls(info, certificates)?.get_connection_info().clone())
            }
            _ => Ok(info),
        }
    }

    fn certificates(&self) -> Option<TlsCertificates> {
        let ca = self.ca.clone()?;
        Some(TlsCertificates { client_tls: None, root_cert: Some(ca) })
    }

    fn config(&self) -> AsyncConnectionConfig {
        AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout))
            .set_response_timeout(Some(self.timeout))
            .set_pipeline_buffer_size(PIPELINE_BUFFER)
    }
}

/// A small command must not wait for the next one to fill a packet.
fn tcp_settings() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

fn read_ca(path: &Path) -> Result<Vec<u8>, RedisConfigError> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    let unusable = |reason: String| RedisConfigError::CaFile { path: path.to_owned(), reason };
    let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() { Err(unusable("it holds no certificate".into())) } else { Ok(pem) }
}
