//! The gRPC probe: `grpc.health.v1.Health/Check` over HTTP/2 with prior knowledge (RFC 9113 section 3.3), in the clear or
//! by TLS.
//!
//! Its two messages have one field each, which is written and read here
//! (<https://github.com/grpc/grpc/blob/master/doc/health-checking.md>, PROTOCOL-HTTP2.md beside it).

use std::pin::pin;

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    HeaderMap, Response,
    body::{Bytes, Incoming},
    client::conn::http2,
    header,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Deadline, Failure, failure::chain, socket, tls};
use crate::{health::Endpoint, model::GrpcCheck};

const METHOD: &str = "/grpc.health.v1.Health/Check";
/// The most bytes of an answer's body: its message has two.
const ANSWER_MAX_BYTES: usize = 4 * 1024;
/// The most bytes that its header fields may have.
const HEADERS_MAX_BYTES: u32 = 16 * 1024;
/// The value of `HealthCheckResponse.ServingStatus` that is good.
const SERVING: u64 = 1;

type Request = hyper::Request<Full<Bytes>>;

/// Calls, and judges the answer.
pub(super) async fn probe(
    check: &GrpcCheck,
    endpoint: Endpoint,
    deadline: Deadline,
) -> Result<(), Failure> {
    let request = request(check, endpoint)?;
    let during = || "waiting for the answer to Health/Check".to_owned();
    let host = check.host.as_deref();
    match &check.tls {
        None => {
            let stream = socket::stream(endpoint.address, deadline).await?;
            deadline.limit(exchange(stream, request), during).await
        }
        Some(tls) => {
            let stream = tls::stream(tls, host, endpoint, b"h2", deadline).await?;
            deadline.limit(exchange(stream, request), during).await
        }
    }
}

fn request(check: &GrpcCheck, endpoint: Endpoint) -> Result<Request, Failure> {
    let authority = check
        .host
        .clone()
        .unwrap_or_else(|| endpoint.name.to_string());
    let scheme = if check.tls.is_some() { "https" } else { "http" };
    hyper::Request::post(format!("{scheme}://{authority}{METHOD}"))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .body(Full::from(message(
            check.service.as_deref().unwrap_or_default(),
        )))
        .map_err(|error| {
            Failure::Backend(format!(
                "Health/Check cannot be sent: {error}; correct the probe's host"
            ))
        })
}

/// A `HealthCheckRequest` for `service`, at most 1,024 bytes, as a message of gRPC: not compressed, its length, and
/// field 1 as text.
fn message(service: &str) -> Vec<u8> {
    let mut field = Vec::new();
    if !service.is_empty() {
        // Seven bits in each byte, the lowest first; all but the last have the highest bit.
        let [high, low] = u16::try_from(service.len())
            .unwrap_or(u16::MAX)
            .to_be_bytes();
        let (first, second) = (low & 0x7f, high << 1 | low >> 7);
        field.push(0x0a);
        match second {
            0 => field.push(first),
            _ => field.extend([first | 0x80, second]),
        }
        field.extend(service.as_bytes());
    }
    let mut message = vec![0];
    let length = u32::try_from(field.len()).unwrap_or(u32::MAX);
    message.extend(length.to_be_bytes());
    message.extend(field);
    message
}

/// Has no time limit of its own.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request,
) -> Result<(), Failure> {
    let failed = |error: hyper::Error| no_answer(&chain(&error));
    let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
        .max_header_list_size(HEADERS_MAX_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(failed)?;
    let mut judged = pin!(async {
        let answer = sender.send_request(request).await.map_err(failed)?;
        judge(answer).await
    });
    tokio::select! {
        biased;
        judged = &mut judged => judged,
        _ = connection => judged.await,
    }
}

fn no_answer(why: &str) -> Failure {
    Failure::Backend(format!("no valid answer to Health/Check: {why}"))
}

async fn judge(answer: Response<Incoming>) -> Result<(), Failure> {
    let status = answer.status().as_u16();
    if status != 200 {
        return Err(Failure::Backend(format!("http {status} from Health/Check")));
    }
    // An answer that is nothing but an error has its trailers in the head.
    refuse(answer.headers())?;
    let body = Limited::new(answer.into_body(), ANSWER_MAX_BYTES).collect();
    let body = body.await.map_err(|error| no_answer(&chain(&*error)))?;
    match body.trailers() {
        Some(trailers) if trailers.contains_key("grpc-status") => refuse(trailers)?,
        Some(_) | None => return Err(no_answer("it has no grpc-status")),
    }
    let status = serving_status(&body.to_bytes()).ok_or_else(|| no_answer("not its message"))?;
    if status == SERVING {
        return Ok(());
    }
    let word = match status {
        0 => "UNKNOWN",
        2 => "NOT_SERVING",
        3 => "SERVICE_UNKNOWN",
        _ => return Err(Failure::Backend(format!("serving status {status}"))),
    };
    Err(Failure::Backend(word.to_owned()))
}

/// An error, if `fields` have a status other than OK.
fn refuse(fields: &HeaderMap) -> Result<(), Failure> {
    let text = |name| fields.get(name).and_then(|value| value.to_str().ok());
    let Some(status) = text("grpc-status").filter(|status| *status != "0") else {
        return Ok(());
    };
    let meaning = match status {
        "5" => " (not found: no such service there)",
        "12" => " (unimplemented: no health service there)",
        "14" => " (unavailable)",
        _ => "",
    };
    let message = text("grpc-message").map_or_else(String::new, |words| format!(": {words}"));
    Err(Failure::Backend(format!(
        "grpc status {status}{meaning}{message}"
    )))
}

/// The status in a `HealthCheckResponse`, as a message of gRPC: field 1, a number, 0 if it is left out. Fields that are
/// not known are no reason to refuse it, but there are none of other wire types than numbers and bytes.
fn serving_status(message: &[u8]) -> Option<u64> {
    let (head, mut rest) = message.split_first_chunk::<5>()?;
    let [0, length @ ..] = *head else {
        return None;
    };
    if u32::from_be_bytes(length) as usize != rest.len() {
        return None;
    }
    let mut status = 0;
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        match tag & 7 {
            0 if tag >> 3 == 1 => status = varint(&mut rest)?,
            0 => drop(varint(&mut rest)?),
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                rest = rest.get(length..)?;
            }
            _ => return None,
        }
    }
    Some(status)
}

/// The number at the begin of `bytes`, which then begin after it.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_of_services_have_their_length_in_two_bytes() {
        let name = "x".repeat(300);
        let message = message(&name);
        // 300 is 0b10_0101100.
        assert_eq!(message[..8], [0, 0, 0, 1, 47, 0x0a, 0b1010_1100, 0b10]);
        assert_eq!(&message[8..], name.as_bytes());
    }

    #[test]
    fn a_status_is_found_among_fields_that_are_not_known() {
        for (message, status) in [
            (&[0, 0, 0, 0, 0][..], Some(0)),
            (&[0, 0, 0, 0, 3, 0x08, 0x81, 0], Some(1)),
            (&[0, 0, 0, 0, 8, 0x12, 2, 9, 9, 0x18, 5, 0x08, 1], Some(1)),
            (&[1, 0, 0, 0, 2, 0x08, 1], None),
            (&[0, 0, 0, 0, 1, 0x08], None),
            (&[0, 0, 0, 0, 2, 0x12, 9], None),
            (&[0, 0, 0, 0, 2, 0x0d, 1], None),
            (&[0, 0, 0], None),
        ] {
            assert_eq!(serving_status(message), status, "{message:?}");
        }
    }
}
