//! ICMP probes of loopback; they need the right to open raw sockets.

use std::net::SocketAddr;

use super::*;

#[tokio::test]
async fn echo_requests_are_answered_in_both_ip_versions_or_the_host_is_to_blame() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        match attempt_at(
            &probe(ProbeKind::Icmp),
            address.parse::<SocketAddr>().unwrap(),
        )
        .await
        {
            Ok(took) => assert!(took < TIMEOUT),
            // Without the right to open raw sockets nothing is concluded about the backend.
            Err(Failure::Local(_)) => assert!(!rustix::process::geteuid().is_root()),
            Err(other) => panic!("{address}: {other}"),
        }
    }
}

#[tokio::test]
async fn an_address_to_which_no_route_leads_is_a_failure() {
    // Reserved (RFC 1112 section 4): the kernel sends nothing there.
    let nowhere: SocketAddr = "240.0.0.1:0".parse().unwrap();
    assert!(
        attempt_at(&impatient(ProbeKind::Icmp), nowhere)
            .await
            .is_err()
    );
}
