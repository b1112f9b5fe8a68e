//! The HTTP/1.1 probe, in the clear or by TLS: one request (RFC 9110 section 9.3), the head of its answer and, if a text
//! is expected, the begin of its body.

use std::pin::pin;

use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Deadline, Failure, failure::chain, socket, tls};
use crate::{health::Endpoint, model::HttpCheck};

/// The most bytes the head of an answer may have: a backend cannot make the daemon hold more.
const HEAD_MAX_BYTES: usize = 16 * 1024;
/// The expected text must be in so many bytes of the body.
const BODY_MAX_BYTES: usize = 64 * 1024;

const USER_AGENT: &str = concat!("lbd/", env!("CARGO_PKG_VERSION"));

type Request = hyper::Request<Empty<&'static [u8]>>;

/// Sends the request and judges the answer.
pub(super) async fn probe(
    check: &HttpCheck,
    endpoint: Endpoint,
    deadline: Deadline,
) -> Result<(), Failure> {
    let request = request(check, endpoint)?;
    let during = || format!("waiting for the answer to {} {}", check.method, check.path);
    let host = check.host.as_deref();
    match &check.tls {
        None => {
            let stream = socket::stream(endpoint.address, deadline).await?;
            let exchange = exchange(check, stream, request);
            deadline.limit(exchange, during).await
        }
        Some(tls) => {
            let stream = tls::stream(tls, host, endpoint, b"http/1.1", deadline).await?;
            let exchange = exchange(check, stream, request);
            deadline.limit(exchange, during).await
        }
    }
}

fn request(check: &HttpCheck, endpoint: Endpoint) -> Result<Request, Failure> {
    let HttpCheck {
        method, path, host, ..
    } = check;
    let host = host.clone().unwrap_or_else(|| endpoint.name.to_string());
    hyper::Request::builder()
        .method(method.to_string().as_str())
        .uri(path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::CONNECTION, "close")
        .body(Empty::new())
        .map_err(|error| {
            Failure::Backend(format!(
                "{method} {path} cannot be sent: {error}; correct the probe's path or host"
            ))
        })
}

/// Has no time limit of its own.
async fn exchange(
    check: &HttpCheck,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request,
) -> Result<(), Failure> {
    let HttpCheck { method, path, .. } = check;
    let failed = |error| {
        Failure::Backend(format!(
            "no valid answer to {method} {path}: {}",
            chain(&error)
        ))
    };
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_MAX_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(failed)?;
    let mut judged = pin!(async {
        let answer = sender.send_request(request).await.map_err(failed)?;
        judge(check, answer).await
    });
    tokio::select! {
        biased;
        judged = &mut judged => judged,
        // The connection may be over as soon as the answer is read; it has left the answer behind then.
        _ = connection => judged.await,
    }
}

async fn judge(check: &HttpCheck, answer: hyper::Response<Incoming>) -> Result<(), Failure> {
    let HttpCheck {
        method,
        path,
        status: expected,
        ..
    } = check;
    let status = answer.status().as_u16();
    if !expected.contains(status) {
        return Err(Failure::Backend(format!(
            "http {status} from {method} {path} (expected {}-{})",
            expected.from, expected.to
        )));
    }
    let Some(text) = &check.body else {
        return Ok(());
    };
    let mut body = answer.into_body();
    let mut read = Vec::new();
    while read.len() < BODY_MAX_BYTES {
        let Some(frame) = body.frame().await else {
            break;
        };
        let failed = |error| {
            Failure::Backend(format!(
                "no whole answer to {method} {path}: {}",
                chain(&error)
            ))
        };
        if let Ok(data) = frame.map_err(failed)?.into_data() {
            read.extend_from_slice(&data);
        }
    }
    read.truncate(BODY_MAX_BYTES);
    let holds = read
        .windows(text.len())
        .any(|window| window == text.as_bytes());
    holds.then_some(()).ok_or_else(|| {
        Failure::Backend(format!(
            "{text:?} is not in the first {} bytes from {method} {path}",
            read.len()
        ))
    })
}
