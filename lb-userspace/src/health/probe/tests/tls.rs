//! TLS probes, with certificates good, foreign, for somebody else, and without any TLS at all.

use std::{io::Write, path::PathBuf, sync::Arc};

use rcgen::{CertifiedIssuer, KeyPair};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

use super::*;
use crate::model::{HttpCheck, Tls, Trust};

/// An authority, and the file that it stands in.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: NamedTempFile,
}

impl Authority {
    fn new() -> Self {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(issuer.pem().as_bytes()).unwrap();
        Self { issuer, file }
    }

    fn trust(&self) -> Trust {
        Trust::File(PathBuf::from(self.file.path()))
    }

    /// A server whose certificate is for `names`; it answers every request alike, and tells who was asked for.
    async fn server(&self, names: &[&str]) -> SocketAddr {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let key = KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(names).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let asked = stream.get_ref().1.server_name().unwrap_or("-").to_owned();
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}", asked.len());
                let _ = stream
                    .write_all(format!("{head}\r\n\r\n{asked}").as_bytes())
                    .await;
                let _ = stream.shutdown().await;
            }
        });
        address
    }
}

fn https(sni: Option<&str>, host: Option<&str>, trust: Trust, body: &str) -> Probe {
    probe(ProbeKind::Http(HttpCheck {
        host: host.map(str::to_owned),
        body: Some(body.to_owned()),
        tls: Some(Tls {
            sni: sni.map(str::to_owned),
            trust,
        }),
        ..HttpCheck::get("/")
    }))
}

#[tokio::test]
async fn the_certificate_must_be_for_the_sni_else_the_host_else_the_address() {
    let authority = Authority::new();
    let server = authority.server(&["web.example", "127.0.0.1"]).await;
    for (sni, host, asked) in [
        (Some("web.example"), Some("other.example"), "web.example"),
        (None, Some("web.example"), "web.example"),
        (None, Some("web.example:8443"), "web.example"),
        // Addresses are not asked for (RFC 6066 section 3).
        (None, None, "-"),
        (None, Some("127.0.0.1:443"), "-"),
    ] {
        let probe = https(sni, host, authority.trust(), asked);
        let result = attempt_at(&probe, server).await;
        assert!(result.is_ok(), "{sni:?} {host:?}: {result:?}");
    }
}

#[tokio::test]
async fn a_certificate_for_somebody_else_or_of_a_stranger_is_refused_unless_nobody_looks() {
    let authority = Authority::new();
    let server = authority.server(&["web.example"]).await;
    let other = https(Some("other.example"), None, authority.trust(), "other");
    let words = failure(&other, server).await;
    assert!(words.starts_with("no TLS: "), "{words}");
    assert!(words.contains("not valid for"), "{words}");
    for trust in [Authority::new().trust(), Trust::System] {
        let stranger = https(Some("web.example"), None, trust, "web.example");
        match attempt_at(&stranger, server).await.unwrap_err() {
            // The host may have no certificates at all.
            Failure::Local(words) => assert!(words.contains("ca"), "{words}"),
            failure @ (Failure::Backend(_) | Failure::TimedOut { .. }) => {
                let words = failure.to_string();
                assert!(
                    words.starts_with("no TLS: invalid peer certificate"),
                    "{words}"
                );
            }
        }
    }
    let blind = https(Some("other.example"), None, Trust::Anybody, "other.example");
    attempt_at(&blind, server).await.unwrap();
}

#[tokio::test]
async fn a_file_without_certificates_is_this_hosts_fault() {
    let authority = Authority::new();
    let server = authority.server(&["web.example"]).await;
    let empty = NamedTempFile::new().unwrap();
    for file in [empty.path().to_owned(), "/does/not/exist.pem".into()] {
        let probe = https(Some("web.example"), None, Trust::File(file.clone()), "");
        let failure = attempt_at(&probe, server).await.unwrap_err();
        let name = file.display().to_string();
        assert!(
            matches!(&failure, Failure::Local(words) if words.contains(&name)),
            "{failure}"
        );
    }
}

#[tokio::test]
async fn what_speaks_no_tls_closes_or_says_nothing_fails() {
    let https = |timeout| Probe {
        timeout,
        ..https(None, None, Trust::Anybody, "")
    };
    for answer in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b""] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
            stream.write_all(answer).await.unwrap();
        });
        let words = failure(&https(TIMEOUT), address).await;
        assert!(words.starts_with("no TLS: "), "{words}");
    }
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    assert_eq!(
        failure(&https(SHORT_TIMEOUT), silent.local_addr().unwrap()).await,
        "timed out after 100ms waiting for the TLS handshake"
    );
}
