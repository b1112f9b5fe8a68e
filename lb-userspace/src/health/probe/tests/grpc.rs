//! gRPC probes, against hyper's server with answers right and wrong.

use std::convert::Infallible;

use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Request, Response,
    body::{Bytes, Incoming},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::*;
use crate::model::GrpcCheck;

/// What a server answers: status of HTTP, message, and the status of gRPC, in the trailers or nowhere.
#[derive(Clone, Copy)]
struct Answer {
    http: u16,
    message: &'static [u8],
    grpc: Option<&'static str>,
}

const SERVING: Answer = Answer {
    http: 200,
    message: &[0, 0, 0, 0, 2, 0x08, 1],
    grpc: Some("0"),
};

/// A server that answers questions about `service`, and others with "not found" in the head alone.
async fn server(service: &'static str, answer: Answer) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let answers = service_fn(move |request: Request<Incoming>| async move {
            Ok::<_, Infallible>(answered(service, answer, request).await)
        });
        let _ = http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), answers)
            .await;
    });
    address
}

async fn answered(
    service: &str,
    answer: Answer,
    request: Request<Incoming>,
) -> Response<impl hyper::body::Body<Data = Bytes, Error = Infallible>> {
    assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
    assert_eq!(request.headers()["content-type"], "application/grpc");
    assert_eq!(request.headers()["te"], "trailers");
    let asked = request.into_body().collect().await.unwrap().to_bytes();
    let mut wanted = vec![0, 0, 0, 0, 0];
    if !service.is_empty() {
        let length = u8::try_from(service.len()).unwrap();
        wanted = [&[0, 0, 0, 0, length + 2, 0x0a, length], service.as_bytes()].concat();
    }
    let mut response = Response::builder().status(answer.http);
    let mut trailers = HeaderMap::new();
    let mut message = answer.message;
    if asked[..] == wanted[..] {
        trailers.extend(answer.grpc.map(|status| {
            let name = hyper::header::HeaderName::from_static("grpc-status");
            (name, status.parse().unwrap())
        }));
    } else {
        message = b"";
        response = response
            .header("grpc-status", "5")
            .header("grpc-message", "unknown service");
    }
    let trailers = async move { (!trailers.is_empty()).then_some(Ok(trailers)) };
    let body = Full::new(Bytes::from_static(message)).with_trailers(trailers);
    response.body(body).unwrap()
}

fn grpc(service: Option<&str>) -> ProbeKind {
    ProbeKind::Grpc(GrpcCheck {
        service: service.map(str::to_owned),
        ..GrpcCheck::default()
    })
}

#[tokio::test]
async fn a_server_or_a_service_that_serves_is_good() {
    for service in [None, Some("shop.Cart")] {
        let server = server(service.unwrap_or_default(), SERVING).await;
        let result = attempt_at(&probe(grpc(service)), server).await;
        assert!(result.is_ok(), "{service:?}: {result:?}");
    }
}

#[tokio::test]
async fn every_other_answer_is_told() {
    let message = |message| Answer { message, ..SERVING };
    let rows = [
        (message(&[0, 0, 0, 0, 2, 0x08, 2]), "NOT_SERVING"),
        (message(&[0, 0, 0, 0, 2, 0x08, 3]), "SERVICE_UNKNOWN"),
        (message(&[0, 0, 0, 0, 0]), "UNKNOWN"),
        (message(&[0, 0, 0, 0, 2, 0x08, 9]), "serving status 9"),
        (
            message(b"\0\0\0\0\x09hi"),
            "no valid answer to Health/Check: not its message",
        ),
        (
            message(b""),
            "no valid answer to Health/Check: not its message",
        ),
        (
            Answer {
                grpc: Some("14"),
                ..SERVING
            },
            "grpc status 14 (unavailable)",
        ),
        (
            Answer {
                grpc: None,
                ..SERVING
            },
            "no valid answer to Health/Check: it has no grpc-status",
        ),
        (
            Answer {
                http: 503,
                ..SERVING
            },
            "http 503 from Health/Check",
        ),
    ];
    for (answer, words) in rows {
        let server = server("", answer).await;
        assert_eq!(failure(&probe(grpc(None)), server).await, words);
    }
    let server = server("shop.Cart", SERVING).await;
    assert_eq!(
        failure(&probe(grpc(Some("shop.Other"))), server).await,
        "grpc status 5 (not found: no such service there): unknown service"
    );
}

#[tokio::test]
async fn what_does_not_speak_http_2_fails() {
    use tokio::io::AsyncWriteExt;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let answer = b"HTTP/1.1 400 Bad Request\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        let _ = stream.read(&mut [0]).await;
    });
    let words = failure(&probe(grpc(None)), address).await;
    assert!(
        words.starts_with("no valid answer to Health/Check: "),
        "{words}"
    );
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let words = failure(&impatient(grpc(None)), silent.local_addr().unwrap()).await;
    assert_eq!(
        words,
        "timed out after 100ms waiting for the answer to Health/Check"
    );
}
