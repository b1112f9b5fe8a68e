//! HTTP probes, of servers well-behaved and not.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::oneshot,
};

use super::*;
use crate::model::{HttpCheck, Method};

fn http(timeout: Duration) -> Probe {
    Probe {
        timeout,
        ..probe(ProbeKind::Http(HttpCheck::get("/healthz")))
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
        // Who has seen enough closes before the end of a long answer.
        let _ = stream.write_all(answer).await;
        let _ = seen.send(String::from_utf8(head).unwrap());
        let _ = stream.read(&mut [0]).await;
    });
    (address, request)
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
        let result = attempt_at(&http(TIMEOUT), address).await;
        assert!(result.is_ok(), "{answer:?}: {result:?}");
    }
}

#[tokio::test]
async fn the_request_names_path_host_and_sender() {
    let (address, request) = server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    attempt_at(&http(TIMEOUT), address).await.unwrap();
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
    let check = HttpCheck {
        host: Some("www.example.org".to_owned()),
        ..HttpCheck::get("/")
    };
    attempt_at(&probe(ProbeKind::Http(check)), address)
        .await
        .unwrap();
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
    let probe = probe(ProbeKind::Http(HttpCheck::get("/a b")));
    let failure = failure(&probe, address).await;
    assert!(
        failure.starts_with("GET /a b cannot be sent: "),
        "{failure}"
    );
}

#[tokio::test]
async fn a_text_that_is_expected_in_the_body_must_be_there() {
    let expecting = |text: &str| {
        let body = Some(text.to_owned());
        probe(ProbeKind::Http(HttpCheck {
            body,
            ..HttpCheck::get("/")
        }))
    };
    let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nstatus: fine";
    let chunked: &[u8] =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nstat\r\n8\r\nus: fine\r\n0\r\n\r\n";
    for answer in [whole, chunked] {
        let (address, _request) = server(answer).await;
        let result = attempt_at(&expecting("us: fine"), address).await;
        assert!(result.is_ok(), "{result:?}");
        let (address, _request) = server(answer).await;
        assert_eq!(
            failure(&expecting("us: bad"), address).await,
            "\"us: bad\" is not in the first 12 bytes from GET /"
        );
    }
    let (address, _request) =
        server(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\nConnection: close\r\n\r\nstat").await;
    let short = Probe {
        timeout: SHORT_TIMEOUT,
        ..expecting("status")
    };
    assert_eq!(
        failure(&short, address).await,
        "timed out after 100ms waiting for the answer to GET /"
    );
}

#[tokio::test]
async fn what_comes_after_64_kib_of_the_body_is_not_looked_at() {
    const BEFORE: usize = 64 * 1024;
    let answer = |before: usize| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", BEFORE + 4);
        let after = "x".repeat(BEFORE - before);
        let text = format!("{head}{}fine{after}", "x".repeat(before));
        let text: &'static str = Box::leak(text.into_boxed_str());
        text.as_bytes()
    };
    let body = Some("fine".to_owned());
    let probe = probe(ProbeKind::Http(HttpCheck {
        body,
        ..HttpCheck::get("/")
    }));
    let (address, _request) = server(answer(BEFORE - 4)).await;
    attempt_at(&probe, address).await.unwrap();
    let (address, _request) = server(answer(BEFORE - 3)).await;
    assert_eq!(
        failure(&probe, address).await,
        "\"fine\" is not in the first 65536 bytes from GET /"
    );
}

#[tokio::test]
async fn the_head_alone_is_asked_for_by_its_method() {
    let (address, request) = server(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").await;
    let check = HttpCheck {
        method: Method::Head,
        ..HttpCheck::get("/up")
    };
    attempt_at(&probe(ProbeKind::Http(check)), address)
        .await
        .unwrap();
    let request = request.await.unwrap();
    assert!(request.starts_with("HEAD /up HTTP/1.1\r\n"), "{request}");
}

#[tokio::test]
async fn the_request_names_who_answers_and_not_where_it_went() {
    let (address, request) = server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let endpoint = Endpoint {
        address,
        name: "192.0.2.10:80".parse().unwrap(),
    };
    attempt_at(&http(TIMEOUT), endpoint).await.unwrap();
    let request = request.await.unwrap().to_ascii_lowercase();
    assert!(request.contains("\r\nhost: 192.0.2.10:80\r\n"), "{request}");
}
