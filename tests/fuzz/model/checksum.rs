//! Changes of packet bytes that a checksum covers: RFC 1624, equation 3.

use std::net::{IpAddr, SocketAddr};

use super::{parse::Parsed, word};

const TCP: u8 = 6;

/// `HC' = ~(~HC + ~m + m')` over every word that changes.
fn updated(checksum: u16, old: &[u8], new: &[u8]) -> u16 {
    assert_eq!(old.len(), new.len(), "a change keeps lengths");
    let mut sum = u32::from(!checksum);
    for offset in (0..old.len()).step_by(2) {
        sum += u32::from(!word(old, offset)) + u32::from(word(new, offset));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("folded")
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// Writes `new` at an even distance from the IPv4 header, whose checksum follows.
fn write_header(frame: &mut [u8], parsed: &Parsed, offset: usize, new: &[u8]) {
    let at = parsed.ip + offset;
    let old = frame[at..at + new.len()].to_vec();
    frame[at..at + new.len()].copy_from_slice(new);
    if parsed.is_v4 {
        let field = parsed.ip + 10;
        let checksum = updated(word(frame, field), &old, new);
        frame[field..field + 2].copy_from_slice(&checksum.to_be_bytes());
    }
}

/// One less TTL or hop limit.
pub(super) fn decrement(frame: &mut [u8], parsed: &Parsed) {
    if parsed.is_v4 {
        let next = [parsed.ttl - 1, frame[parsed.ip + 9]];
        write_header(frame, parsed, 8, &next);
    } else {
        frame[parsed.ip + 7] = parsed.ttl - 1;
    }
}

/// An end of a packet.
#[derive(Clone, Copy)]
pub(super) enum End {
    Source,
    Destination,
}

/// Replaces address and port of one end.
pub(super) fn readdress(frame: &mut [u8], parsed: &Parsed, end: End, to: SocketAddr) {
    let (was, v4, v6, port) = match end {
        End::Source => (parsed.flow.source, 12, 8, 0),
        End::Destination => (parsed.flow.destination, 16, 24, 2),
    };
    let new = octets(to.ip());
    write_header(frame, parsed, if parsed.is_v4 { v4 } else { v6 }, &new);
    let port = parsed.transport + port;
    frame[port..port + 2].copy_from_slice(&to.port().to_be_bytes());
    let mut before = octets(was.ip());
    before.extend(was.port().to_be_bytes());
    let mut after = new;
    after.extend(to.port().to_be_bytes());
    update_transport(frame, parsed, &before, &after);
}

/// The pseudo-header is part of TCP's and UDP's checksums.
fn update_transport(frame: &mut [u8], parsed: &Parsed, before: &[u8], after: &[u8]) {
    let is_tcp = parsed.flow.protocol == TCP;
    let field = parsed.transport + if is_tcp { 16 } else { 6 };
    let old = word(frame, field);
    // RFC 768: no checksum; nor does RFC 6935 take it for one.
    if !is_tcp && old == 0 {
        return;
    }
    let mut new = updated(old, before, after);
    if !is_tcp && new == 0 {
        new = 0xffff;
    }
    frame[field..field + 2].copy_from_slice(&new.to_be_bytes());
}
