//! Echo requests to a VIP, which we answer (RFC 792, RFC 4443 section 4.2).

use lb_common::outcome::Outcome;
use lb_tests::object::Action;

use super::{Verdict, checksum, guard, parse::Parsed};

/// The hop limit of an answer.
const HOPS: u8 = 64;

/// The answer to an ICMP message of which the header is whole, or [`Outcome::Icmp`]: requests with IPv4 options or
/// IPv6 extension headers, and all other messages, are for the host's own stack.
pub(super) fn echo(frame: &[u8], parsed: &Parsed) -> Result<Verdict, Outcome> {
    let fixed = if parsed.is_v4 { 20 } else { 40 };
    let (request, reply) = if parsed.is_v4 { (8, 0) } else { (128, 129) };
    let at = parsed.transport;
    if at != parsed.ip + fixed || frame[at..at + 2] != [request, 0] {
        return Err(Outcome::Icmp);
    }
    guard::source(parsed)?;
    let mut out = frame.to_vec();
    out[..6].copy_from_slice(&frame[6..12]);
    out[6..12].copy_from_slice(&frame[..6]);
    checksum::turn(&mut out, parsed);
    checksum::set_hops(&mut out, parsed, HOPS);
    checksum::write_icmp(&mut out, at, [reply, 0]);
    Ok(Verdict {
        outcome: Outcome::Echoed,
        action: Action::Transmit,
        frame: Some(out),
        backend: None,
        begins: false,
    })
}
