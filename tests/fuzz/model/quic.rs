//! QUIC: the server id in a packet's destination connection id (QUIC-LB, draft-ietf-quic-load-balancers).

use std::collections::BTreeMap;

use super::{fragment::Part, parse::Parsed, word};

/// The shortest nonce (section 5.3).
const NONCE: usize = 4;

/// What connection ids of one configuration look like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QuicConfig {
    /// Bytes of the server id.
    pub(crate) server_id: usize,
    /// Whether the low bits of the first octet tell how many bytes follow it.
    pub(crate) tells_length: bool,
}

/// The server id of the packet, if it is UDP's and its connection id is routable (section 4.1). Fragments go by their
/// ports, all of a datagram the same way.
pub(super) fn server_id<'a>(
    frame: &'a [u8],
    parsed: &Parsed,
    configs: &BTreeMap<u8, QuicConfig>,
) -> Option<&'a [u8]> {
    if parsed.flow.protocol != 17 || parsed.error.is_some() || parsed.part != Part::Whole {
        return None;
    }
    let datagram = &frame[parsed.transport..];
    let payload = &datagram[8..usize::from(word(datagram, 4))];
    let id = connection_id(payload)?;
    let (first, rest) = id.bytes.split_first()?;
    let config = configs.get(&(first >> 5))?;
    let least = config.server_id + NONCE;
    if rest.len() < least {
        return None;
    }
    let told = usize::from(first & 31);
    let is_consistent = told >= least && (!id.is_whole || told == rest.len());
    if config.tells_length && !is_consistent {
        return None;
    }
    Some(&rest[..config.server_id])
}

/// A destination connection id, or what begins with it: a short header does not say where it ends.
struct ConnectionId<'a> {
    bytes: &'a [u8],
    is_whole: bool,
}

/// RFC 8999 section 5.
fn connection_id(payload: &[u8]) -> Option<ConnectionId<'_>> {
    let (first, behind) = payload.split_first()?;
    if first & 0x80 == 0 {
        return Some(ConnectionId {
            bytes: behind,
            is_whole: false,
        });
    }
    let length = usize::from(*payload.get(5)?);
    Some(ConnectionId {
        bytes: payload.get(6..6 + length)?,
        is_whole: true,
    })
}
