//! Each kind of probe against real servers on loopback, well-behaved and not.

use std::net::SocketAddr;

use tokio::{io::AsyncReadExt, net::TcpListener};

use super::*;

mod dns;
mod exec;
mod grpc;
mod http;
mod icmp;
mod tls;
mod udp;

const TIMEOUT: Duration = Duration::from_secs(5);
const SHORT_TIMEOUT: Duration = Duration::from_millis(100);

fn probe(kind: ProbeKind) -> Probe {
    Probe {
        timeout: TIMEOUT,
        ..Probe::new(kind)
    }
}

/// The same, with little patience.
fn impatient(kind: ProbeKind) -> Probe {
    Probe {
        timeout: SHORT_TIMEOUT,
        ..Probe::new(kind)
    }
}

async fn attempt_at(probe: &Probe, to: impl Into<Endpoint>) -> Result<Duration, Failure> {
    let service = "web".parse().expect("a valid name");
    let to = to.into();
    let address = to.address;
    attempt(probe, &Target { service, address }, to, None).await
}

async fn failure(probe: &Probe, address: SocketAddr) -> String {
    attempt_at(probe, address).await.unwrap_err().to_string()
}

/// An address on loopback where nobody listens.
async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

#[tokio::test]
async fn a_tcp_probe_succeeds_where_somebody_listens_and_closes_in_the_ordinary_way() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tcp = probe(ProbeKind::Tcp);
    let (result, accepted) = tokio::join!(attempt_at(&tcp, address), listener.accept());
    assert!(result.unwrap() < TIMEOUT);
    let (mut stream, _) = accepted.unwrap();
    let end = stream.read(&mut [0]).await;
    assert_eq!(end.expect("the end of the stream, not a reset"), 0);
}

#[tokio::test]
async fn the_probes_own_port_takes_the_place_of_the_backends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tcp = probe(ProbeKind::Tcp);
    let own = Probe {
        port: Some(listener.local_addr().unwrap().port()),
        ..tcp.clone()
    };
    let elsewhere = nobody().await;
    assert!(attempt_at(&tcp, elsewhere).await.is_err());
    assert!(attempt_at(&own, elsewhere).await.is_ok());
}

#[tokio::test]
async fn nobody_listening_is_told_as_connection_refused() {
    use crate::model::{GrpcCheck, HttpCheck, Tls};
    let http = HttpCheck::get("/");
    let https = HttpCheck {
        tls: Some(Tls {
            trust: crate::model::Trust::Anybody,
            ..Tls::default()
        }),
        ..http.clone()
    };
    for kind in [
        ProbeKind::Tcp,
        ProbeKind::Http(http),
        ProbeKind::Http(https),
        ProbeKind::Grpc(GrpcCheck::default()),
    ] {
        assert_eq!(
            failure(&probe(kind), nobody().await).await,
            "connection refused"
        );
    }
}
