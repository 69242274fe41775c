//! TLS to databases, as libpq's `sslmode` names its grades.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::url::{Tls, TlsMode};
use crate::error::{Result, StoreError};

fn bad(what: &str, why: &dyn std::fmt::Display) -> StoreError {
    StoreError::Settings(format!("{what}: {why}"))
}

/// TLS for PostgreSQL.
pub(super) fn connector(tls: &Tls) -> Result<MakeRustlsConnect> {
    let provider = Arc::new(ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = builder.map_err(|e| bad("TLS", &e))?;
    let roots = Arc::new(roots(tls)?);
    let verified = match tls.mode {
        TlsMode::VerifyFull => {
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
            builder.with_webpki_verifier(verifier.map_err(|e| bad("sslrootcert", &e))?)
        }
        mode => {
            // libpq checks the chain as soon as it has a root to check it against.
            let chain = (mode == TlsMode::VerifyCa || tls.root.is_some()).then_some(roots);
            builder.dangerous().with_custom_certificate_verifier(Arc::new(NameBlind { chain, provider }))
        }
    };
    let config = match (&tls.certificate, &tls.key) {
        (Some(certificate), Some(key)) => {
            let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
            let chain: Vec<_> = chain.map_err(|e| bad("sslcert", &e))?;
            let key = PrivateKeyDer::from_pem_file(key).map_err(|e| bad("sslkey", &e))?;
            verified.with_client_auth_cert(chain, key).map_err(|e| bad("sslcert and sslkey", &e))?
        }
        _ => verified.with_no_client_auth(),
    };
    Ok(MakeRustlsConnect::new(config))
}

/// Reads the roots that are named, for a driver that takes a file it cannot use for a server it cannot trust.
pub(super) fn check_roots(tls: &Tls) -> Result<()> {
    roots(tls).map(drop)
}

/// The roots that are named, else those of the web.
fn roots(tls: &Tls) -> Result<RootCertStore> {
    let Some(path) = &tls.root else {
        return Ok(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() });
    };
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|e| bad("sslrootcert", &e))? {
        let certificate = certificate.map_err(|e| bad("sslrootcert", &e))?;
        store.add(certificate).map_err(|e| bad("sslrootcert", &e))?;
    }
    if store.is_empty() { Err(bad("sslrootcert", &"holds no certificate")) } else { Ok(store) }
}

/// Checks the chain, or nothing, but never the name.
#[derive(Debug)]
struct NameBlind {
    chain: Option<Arc<RootCertStore>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for NameBlind {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(roots) = &self.chain {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, algorithms)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
