//! Each kind of probe against real servers on loopback, well-behaved and not.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::oneshot,
};

use super::*;

const TIMEOUT: Duration = Duration::from_secs(5);
const SHORT_TIMEOUT: Duration = Duration::from_millis(100);

fn tcp() -> Probe {
    Probe {
        timeout: TIMEOUT,
        ..Probe::new(ProbeKind::Tcp)
    }
}

fn http(timeout: Duration) -> Probe {
    let kind = ProbeKind::Http {
        path: "/healthz".to_owned(),
        host: None,
        status: StatusRange { from: 200, to: 299 },
    };
    Probe {
        timeout,
        ..Probe::new(kind)
    }
}

/// A server for one connection: reads a request head, sends `answer`, then keeps the connection open until
/// the client closes it. What it read can be awaited.
async fn server(answer: &'static [u8]) -> (SocketAddr, oneshot::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (seen, request) = oneshot::channel();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut head).await.unwrap() == 0 {
                break;
            }
        }
        stream.write_all(answer).await.unwrap();
        let _ = seen.send(String::from_utf8(head).unwrap());
        let _ = stream.read(&mut [0]).await;
    });
    (address, request)
}

async fn failure(probe: &Probe, address: SocketAddr) -> String {
    attempt(probe, address).await.unwrap_err().to_string()
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
    let (result, accepted) =
        tokio::join!(async { attempt(&tcp(), address).await }, listener.accept());
    assert!(result.unwrap() < TIMEOUT);
    let (mut stream, _) = accepted.unwrap();
    let end = stream.read(&mut [0]).await;
    assert_eq!(end.expect("the end of the stream, not a reset"), 0);
}

#[tokio::test]
async fn the_probes_own_port_takes_the_place_of_the_backends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let probe = Probe {
        port: Some(listener.local_addr().unwrap().port()),
        ..tcp()
    };
    let elsewhere = nobody().await;
    assert!(attempt(&tcp(), elsewhere).await.is_err());
    assert!(attempt(&probe, elsewhere).await.is_ok());
}

#[tokio::test]
async fn nobody_listening_is_told_as_connection_refused() {
    for probe in [tcp(), http(TIMEOUT)] {
        assert_eq!(failure(&probe, nobody().await).await, "connection refused");
    }
}

#[test]
fn what_this_host_lacks_is_not_blamed_on_the_backend() {
    for errno in [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL] {
        let failure = connect_failure(errno.into());
        assert!(matches!(failure, Failure::Local(_)), "{failure}");
    }
    for (errno, words) in [
        (Errno::CONNREFUSED, "connection refused"),
        (Errno::HOSTUNREACH, "host unreachable"),
        (Errno::NETUNREACH, "network unreachable"),
        (Errno::CONNRESET, "connection reset"),
    ] {
        assert_eq!(connect_failure(errno.into()).to_string(), words);
    }
}

#[tokio::test]
async fn an_http_probe_succeeds_on_an_expected_status() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.0 299 Fine\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\nbegin",
    ] {
        let (address, _request) = server(answer.as_bytes()).await;
        let result = attempt(&http(TIMEOUT), address).await;
        assert!(result.is_ok(), "{answer:?}: {result:?}");
    }
}

#[tokio::test]
async fn the_request_names_path_host_and_sender() {
    let (address, request) = server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    attempt(&http(TIMEOUT), address).await.unwrap();
    let request = request.await.unwrap().to_ascii_lowercase();
    assert!(
        request.starts_with("get /healthz http/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.contains(&format!("\r\nhost: {address}\r\n")),
        "{request}"
    );
    assert!(request.contains("\r\nuser-agent: lbd/"), "{request}");
    assert!(request.contains("\r\nconnection: close\r\n"), "{request}");
}

#[tokio::test]
async fn a_configured_host_is_sent_as_it_stands() {
    let (address, request) = server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let kind = ProbeKind::Http {
        path: "/".to_owned(),
        host: Some("www.example.org".to_owned()),
        status: StatusRange { from: 200, to: 200 },
    };
    attempt(&Probe::new(kind), address).await.unwrap();
    let request = request.await.unwrap().to_ascii_lowercase();
    assert!(
        request.contains("\r\nhost: www.example.org\r\n"),
        "{request}"
    );
}

#[tokio::test]
async fn another_status_is_a_failure_that_names_it() {
    let (address, _request) = server(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(
        failure(&http(TIMEOUT), address).await,
        "http 503 from GET /healthz (expected 200-299)"
    );
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let (address, _request) =
        server(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(
        failure(&http(TIMEOUT), address).await,
        "http 302 from GET /healthz (expected 200-299)"
    );
}

#[tokio::test]
async fn garbage_is_no_answer() {
    let (address, _request) = server(b"SSH-2.0-OpenSSH_9.2\r\n\r\n").await;
    let failure = failure(&http(TIMEOUT), address).await;
    assert!(
        failure.starts_with("no valid answer to GET /healthz: "),
        "{failure}"
    );
}

#[tokio::test]
async fn a_connection_closed_without_an_answer_is_a_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { drop(listener.accept().await) });
    let failure = failure(&http(TIMEOUT), address).await;
    assert!(
        failure.starts_with("no valid answer to GET /healthz: "),
        "{failure}"
    );
}

#[tokio::test]
async fn a_head_without_end_is_refused_before_it_fills_the_memory() {
    static ENDLESS: [u8; 1 << 20] = [b'a'; 1 << 20];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nX: ").await.unwrap();
        while stream.write_all(&ENDLESS).await.is_ok() {}
    });
    let failure = failure(&http(TIMEOUT), address).await;
    assert!(
        failure.starts_with("no valid answer to GET /healthz: "),
        "{failure}"
    );
}

#[tokio::test]
async fn a_listener_that_never_answers_times_out() {
    let (address, _request) = server(b"").await;
    assert_eq!(
        failure(&http(SHORT_TIMEOUT), address).await,
        "timed out after 100ms waiting for the answer to GET /healthz"
    );
}

#[tokio::test]
async fn an_answer_that_trickles_in_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        for byte in "HTTP/1.1 200 OK\r\nX-Slow: "
            .bytes()
            .chain([b'a'].repeat(10_000))
        {
            if stream.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let begin = Instant::now();
    let failure = failure(&http(SHORT_TIMEOUT), address).await;
    assert!(failure.starts_with("timed out after 100ms"), "{failure}");
    assert!(begin.elapsed() < TIMEOUT, "one deadline for all of it");
}

#[tokio::test]
async fn a_path_that_cannot_be_sent_is_told_and_not_tried() {
    let (address, _request) = server(b"").await;
    let kind = ProbeKind::Http {
        path: "/a b".to_owned(),
        host: None,
        status: StatusRange { from: 200, to: 299 },
    };
    let failure = failure(&Probe::new(kind), address).await;
    assert!(
        failure.starts_with("GET /a b cannot be sent: "),
        "{failure}"
    );
}

#[tokio::test]
async fn the_request_names_who_answers_and_not_where_it_went() {
    let (address, request) = server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let endpoint = Endpoint {
        address,
        name: "192.0.2.10:80".parse().unwrap(),
    };
    attempt(&http(TIMEOUT), endpoint).await.unwrap();
    let request = request.await.unwrap().to_ascii_lowercase();
    assert!(request.contains("\r\nhost: 192.0.2.10:80\r\n"), "{request}");
}
