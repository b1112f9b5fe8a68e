//! Changes of packet bytes that a checksum covers: RFC 1624, equation 3.

use std::net::IpAddr;

use super::{FlowKey, fragment::Part, parse::Parsed, word};

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

/// The checksum of bytes among which its field is 0 (RFC 1071).
pub(super) fn of(bytes: &[u8]) -> u16 {
    let nothing = vec![0; bytes.len()];
    updated(0xffff, &nothing, bytes)
}

/// One less TTL or hop limit.
pub(super) fn decrement(frame: &mut [u8], parsed: &Parsed) {
    set_hops(frame, parsed, parsed.ttl - 1);
}

/// Another TTL or hop limit.
pub(super) fn set_hops(frame: &mut [u8], parsed: &Parsed, hops: u8) {
    if parsed.is_v4 {
        let next = [hops, frame[parsed.ip + 9]];
        write_header(frame, parsed, 8, &next);
    } else {
        frame[parsed.ip + 7] = hops;
    }
}

/// Source becomes destination, and the other way round.
pub(super) fn turn(frame: &mut [u8], parsed: &Parsed) {
    let (source, destination) = if parsed.is_v4 { (12, 16) } else { (8, 24) };
    write_header(frame, parsed, source, &octets(parsed.destination));
    write_header(frame, parsed, destination, &octets(parsed.source));
}

/// Replaces type and code of the ICMP message at `at`. Its checksum is never 0 afterwards, for which all ones stand:
/// where all else is 0 only they are right (RFC 1624 section 3).
pub(super) fn write_icmp(frame: &mut [u8], at: usize, kind: [u8; 2]) {
    let old = [frame[at], frame[at + 1]];
    frame[at..at + 2].copy_from_slice(&kind);
    let checksum = match updated(word(frame, at + 2), &old, &kind) {
        0 => 0xffff,
        other => other,
    };
    frame[at + 2..at + 4].copy_from_slice(&checksum.to_be_bytes());
}

/// Addresses and ports as a transport's checksum covers them.
fn covered(flow: &FlowKey) -> Vec<u8> {
    [flow.source, flow.destination]
        .into_iter()
        .flat_map(|end| [octets(end.ip()), end.port().to_be_bytes().to_vec()].concat())
        .collect()
}

/// Makes `to` of the packet's flow.
pub(super) fn readdress(frame: &mut [u8], parsed: &Parsed, to: &FlowKey) {
    if let Some(error) = parsed.error {
        return readdress_error(frame, parsed, error, to);
    }
    write_addresses(frame, parsed, to.source.ip(), to.destination.ip());
    // The first fragment has the ports, and the checksum of the whole datagram.
    if matches!(parsed.part, Part::Later(_)) {
        return;
    }
    write_ports(frame, parsed, to.source.port(), to.destination.port());
    update_transport(frame, parsed, &covered(&parsed.flow), &covered(to));
}

fn write_addresses(frame: &mut [u8], parsed: &Parsed, source: IpAddr, destination: IpAddr) {
    let (first, second) = if parsed.is_v4 { (12, 16) } else { (8, 24) };
    write_header(frame, parsed, first, &octets(source));
    write_header(frame, parsed, second, &octets(destination));
}

fn write_ports(frame: &mut [u8], parsed: &Parsed, source: u16, destination: u16) {
    let at = parsed.transport;
    frame[at..at + 2].copy_from_slice(&source.to_be_bytes());
    frame[at + 2..at + 4].copy_from_slice(&destination.to_be_bytes());
}

/// Makes `to` of the flow that an ICMP error at `error` is about: the quoted packet has it the other way round
/// (RFC 5508 section 4). The source of an error stays if it is a router's, unless both ends change: then no side
/// has a way to the other's routers.
fn readdress_error(frame: &mut [u8], parsed: &Parsed, error: usize, to: &FlowKey) {
    let before = frame[error + 4..parsed.end].to_vec();
    let flow = parsed.flow;
    let changes_both =
        flow.source.ip() != to.source.ip() && flow.destination.ip() != to.destination.ip();
    let source = if parsed.source == flow.source.ip() || changes_both {
        to.source.ip()
    } else {
        parsed.source
    };
    write_addresses(frame, parsed, source, to.destination.ip());
    let quote = Parsed {
        ip: error + 8,
        ..*parsed
    };
    let back = to.reversed();
    write_addresses(frame, &quote, back.source.ip(), back.destination.ip());
    write_ports(frame, parsed, back.source.port(), back.destination.port());
    let field = if flow.protocol == TCP { 16 } else { 6 };
    if parsed.transport + field + 2 <= parsed.end {
        update_transport(frame, parsed, &covered(&flow), &covered(to));
    }
    // The message, and in ICMPv6 the pseudo-header.
    let mut before = before;
    let mut after = frame[error + 4..parsed.end].to_vec();
    if before.len() % 2 == 1 {
        before.push(0);
        after.push(0);
    }
    if !parsed.is_v4 {
        before.extend([octets(parsed.source), octets(parsed.destination)].concat());
        after.extend([octets(source), octets(to.destination.ip())].concat());
    }
    let checksum = updated(word(frame, error + 2), &before, &after);
    frame[error + 2..error + 4].copy_from_slice(&checksum.to_be_bytes());
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
