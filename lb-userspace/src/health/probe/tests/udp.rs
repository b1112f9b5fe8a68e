//! UDP probes: answers, silence, and what comes back by ICMP.

use tokio::net::UdpSocket;

use super::*;
use crate::model::UdpCheck;

fn udp(expect: Option<&str>) -> ProbeKind {
    ProbeKind::Udp(UdpCheck {
        send: "ping\\x00".parse().unwrap(),
        expect: expect.map(|text| text.parse().unwrap()),
    })
}

/// A server that answers the datagram that is expected with `answer`, or not at all.
async fn server(answer: Option<&'static [u8]>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 64];
        let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..length], b"ping\0");
        if let Some(answer) = answer {
            socket.send_to(answer, from).await.unwrap();
        }
        // Whoever is silent still has its port.
        std::future::pending::<()>().await;
    });
    address
}

#[tokio::test]
async fn an_answer_must_begin_as_expected() {
    let expecting = probe(udp(Some("po\\x00")));
    let server_of = |answer: &'static [u8]| server(Some(answer));
    attempt_at(&expecting, server_of(b"po\0ng").await)
        .await
        .unwrap();
    for (answer, words) in [
        (
            &b"other\xff"[..],
            "the answer begins with 'other\\xff' (expected 'po\\x00')",
        ),
        (b"", "the answer begins with '' (expected 'po\\x00')"),
    ] {
        assert_eq!(failure(&expecting, server_of(answer).await).await, words);
    }
}

#[tokio::test]
async fn silence_is_a_failure_only_where_an_answer_is_expected() {
    assert_eq!(
        failure(&impatient(udp(Some("pong"))), server(None).await).await,
        "timed out after 100ms waiting for the answer"
    );
    let took = attempt_at(&impatient(udp(None)), server(None).await).await;
    assert!(took.unwrap() >= SHORT_TIMEOUT, "it waits for an ICMP error");
}

#[tokio::test]
async fn any_answer_ends_the_wait_where_none_is_expected() {
    let took = attempt_at(&probe(udp(None)), server(Some(b"what?")).await).await;
    assert!(took.unwrap() < TIMEOUT);
}

#[tokio::test]
async fn an_unreachable_port_is_told_by_icmp() {
    for expect in [None, Some("pong")] {
        let closed = UdpSocket::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap();
        assert_eq!(
            failure(&probe(udp(expect)), closed).await,
            "connection refused"
        );
    }
}
