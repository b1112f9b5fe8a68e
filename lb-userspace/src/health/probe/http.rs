//! The HTTP/1.1 probe: one GET (RFC 9110 section 9.3.1), and the head of its answer.

use std::pin::pin;

use http_body_util::Empty;
use hyper::{client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::Failure;
use crate::model::StatusRange;

/// The most bytes the head of an answer may have: a backend cannot make the daemon hold more.
const HEAD_MAX_BYTES: usize = 16 * 1024;

const USER_AGENT: &str = concat!("lbd/", env!("CARGO_PKG_VERSION"));

/// What is asked for and what is expected.
pub(super) struct Request<'a> {
    pub(super) path: &'a str,
    pub(super) host: String,
    pub(super) expected: StatusRange,
}

/// Sends the request and judges the status of the answer; the body is not read. Has no time limit of
/// its own.
pub(super) async fn exchange(stream: TcpStream, request: Request<'_>) -> Result<(), Failure> {
    let Request {
        path,
        host,
        expected,
    } = request;
    let get = hyper::Request::get(path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::CONNECTION, "close")
        .body(Empty::<&'static [u8]>::new())
        .map_err(|source| Failure::Request {
            path: path.to_owned(),
            source,
        })?;
    let status = status(stream, get)
        .await
        .map_err(|source| Failure::Answer {
            path: path.to_owned(),
            source,
        })?;
    if expected.contains(status) {
        Ok(())
    } else {
        Err(Failure::Status {
            status,
            path: path.to_owned(),
            expected,
        })
    }
}

async fn status(
    stream: TcpStream,
    get: hyper::Request<Empty<&'static [u8]>>,
) -> Result<u16, hyper::Error> {
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_MAX_BYTES)
        .handshake(TokioIo::new(stream))
        .await?;
    let mut answer = pin!(sender.send_request(get));
    let answer = tokio::select! {
        biased;
        answer = &mut answer => answer?,
        // The connection may be over as soon as the head is read; it has left the answer behind then.
        _ = connection => answer.await?,
    };
    Ok(answer.status().as_u16())
}
