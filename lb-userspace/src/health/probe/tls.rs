//! TLS to a backend (RFC 8446, RFC 5246), by rustls and ring.
//!
//! Every probe makes a whole new handshake: a resumed session would not show the certificate.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
        client::{
            Resumption,
            danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        },
        crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
        pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    },
};

use super::{Deadline, Failure, failure::chain, socket};
use crate::{
    health::Endpoint,
    model::{Tls, Trust},
};

/// Connects to `endpoint`, as `host` if the probe names one, and agrees on `protocol` (ALPN, RFC 7301) if the other
/// side knows it.
pub(super) async fn stream(
    tls: &Tls,
    host: Option<&str>,
    endpoint: Endpoint,
    protocol: &[u8],
    deadline: Deadline,
) -> Result<TlsStream<TcpStream>, Failure> {
    let name = server_name(tls, host, endpoint)?;
    let config = config(&tls.trust, protocol)?;
    let stream = socket::stream(endpoint.address, deadline).await?;
    let handshake = async {
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
        let failed = |error| Failure::Backend(format!("no TLS: {}", chain(&error)));
        connecting.await.map_err(failed)
    };
    let during = || "waiting for the TLS handshake".to_owned();
    deadline.limit(handshake, during).await
}

/// Whom the certificate must be for.
fn server_name(
    tls: &Tls,
    host: Option<&str>,
    endpoint: Endpoint,
) -> Result<ServerName<'static>, Failure> {
    let Some(name) = tls.sni.as_deref().or_else(|| host.map(without_port)) else {
        return Ok(ServerName::IpAddress(endpoint.name.ip().into()));
    };
    ServerName::try_from(name.to_owned())
        .map_err(|_| Failure::Local(format!("{name:?} is not the name of a server: correct sni")))
}

/// `host` of a `Host` header (RFC 9110 section 7.2).
fn without_port(host: &str) -> &str {
    if let Some(literal) = host.strip_prefix('[') {
        return literal.split(']').next().unwrap_or(literal);
    }
    host.split_once(':').map_or(host, |(name, _)| name)
}

fn config(trust: &Trust, protocol: &[u8]) -> Result<ClientConfig, Failure> {
    let provider = Arc::new(ring::default_provider());
    let failed = |error: Error| Failure::Local(chain(&error));
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(failed)?;
    let builder = match trust {
        Trust::System => builder.with_root_certificates(system_roots()?),
        Trust::File(file) => builder.with_root_certificates(roots_in(file)?),
        Trust::Anybody => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider))),
    };
    let mut config = builder.with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(config)
}

/// Whom this host trusts, read when it is first needed. The host's own list, not one compiled in: a company's own
/// authorities are in it, and it is kept up to date without us.
fn system_roots() -> Result<Arc<RootCertStore>, Failure> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots = ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    });
    if roots.is_empty() {
        let words = "it has no certificates that it trusts: install them (ca-certificates) and restart lbd, or write ca_file";
        return Err(Failure::Local(words.to_owned()));
    }
    Ok(Arc::clone(roots))
}

/// Read anew each time: who replaces the file need not tell us.
fn roots_in(file: &Path) -> Result<RootCertStore, Failure> {
    let failed = |error: &dyn std::error::Error| {
        Failure::Local(format!(
            "cannot use the certificates in {}: {}",
            file.display(),
            chain(error)
        ))
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| failed(&error))? {
        let certificate = certificate.map_err(|error| failed(&error))?;
        roots.add(certificate).map_err(|error| failed(&error))?;
    }
    if roots.is_empty() {
        let words = format!("there is no PEM certificate in {}", file.display());
        return Err(Failure::Local(words));
    }
    Ok(roots)
}

/// Takes every certificate; that the other side has its key is still checked.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
