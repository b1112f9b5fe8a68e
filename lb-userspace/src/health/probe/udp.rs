//! The UDP probe: one datagram (RFC 768), and its answer if one is expected.

use std::net::SocketAddr;

use super::{Deadline, Failure, socket};
use crate::model::{Payload, UdpCheck};

/// So much of an unexpected answer is shown, in bytes.
const SHOWN_BYTES: usize = 32;

/// Sends, and waits for an answer that begins as expected. Where none is expected, any answer is good, and so is
/// silence until the deadline: only an ICMP error is bad.
pub(super) async fn probe(
    check: &UdpCheck,
    endpoint: SocketAddr,
    deadline: Deadline,
) -> Result<(), Failure> {
    let socket = socket::datagrams(endpoint).await?;
    socket::send(&socket, check.send.bytes()).await?;
    let mut buffer = [0; Payload::MAX_BYTES];
    let answer = socket::receive(&socket, &mut buffer);
    let Some(expected) = &check.expect else {
        return deadline
            .try_limit(answer)
            .await
            .map_or(Ok(()), |answer| answer.map(drop));
    };
    let answer = deadline
        .limit(answer, || "waiting for the answer".to_owned())
        .await?;
    if answer.starts_with(expected.bytes()) {
        return Ok(());
    }
    let begin = answer.get(..SHOWN_BYTES).unwrap_or(answer).to_vec();
    let begin = Payload::new(begin).map_or_else(String::new, |begin| begin.to_string());
    Err(Failure::Backend(format!(
        "the answer begins with '{begin}' (expected '{expected}')"
    )))
}
