//! Encapsulation: an outer IP header, and for GUE a UDP header, before the packet's own (RFC 2003, RFC 2473,
//! RFC 4213; draft-ietf-intarea-gue section 4, variant 1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::{backend::Mode, outcome::Outcome};

use super::{Backend, Model, checksum, forward::hash, parse::Parsed};

/// Hop limit of what we send.
const HOPS: u8 = 64;
const UDP: u8 = 17;

/// Refuses packets that are too long for the way with what is put before them.
pub(super) fn fits(parsed: &Parsed, backend: &Backend) -> Result<(), Outcome> {
    let header = if backend.address.is_ipv4() { 20 } else { 40 };
    let before = match backend.mode {
        Mode::IPIP => header,
        Mode::GUE => header + 8,
        _ => 0,
    };
    if backend.mtu != 0 && parsed.end - parsed.ip + before > usize::from(backend.mtu) {
        return Err(Outcome::TooBig);
    }
    Ok(())
}

impl Model {
    /// Our own address towards the backend: some low bits vary with the flow.
    pub(super) fn source(&self, parsed: &Parsed, backend: &Backend) -> IpAddr {
        let low = hash(&parsed.flow, self.settings.hash_seed).low();
        let mask = u32::MAX.checked_shl(backend.source_bits.into());
        let varied = low & !mask.unwrap_or(0);
        match backend.source {
            IpAddr::V4(source) => Ipv4Addr::from_bits(source.to_bits() | varied).into(),
            IpAddr::V6(source) => Ipv6Addr::from_bits(source.to_bits() | u128::from(varied)).into(),
        }
    }

    /// The packet within the frame, its hop limit decremented, in the backend's tunnel: without padding, and with
    /// the tags as they were.
    pub(super) fn encapsulated(&self, frame: &[u8], parsed: &Parsed, backend: &Backend) -> Vec<u8> {
        let inner = &frame[parsed.ip..parsed.end];
        let low = hash(&parsed.flow, self.settings.hash_seed).low();
        let (protocol, payload) = if backend.mode == Mode::GUE {
            (UDP, gue(inner, low, self.settings.gue_port))
        } else {
            (if parsed.is_v4 { 4 } else { 41 }, inner.to_vec())
        };
        let mut out = frame[..parsed.ip - 2].to_vec();
        match (self.source(parsed, backend), backend.address.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                out.extend([0x08, 0x00]);
                out.extend(outer_v4(
                    inner,
                    payload.len(),
                    protocol,
                    source,
                    destination,
                ));
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                out.extend([0x86, 0xdd]);
                out.extend([0x60 | traffic_class(inner) >> 4]);
                let label = low & 0xf_ffff;
                let rest = u32::from(traffic_class(inner) & 15) << 20 | label;
                out.extend(&rest.to_be_bytes()[1..]);
                out.extend(length(payload.len()));
                out.extend([protocol, HOPS]);
                out.extend(source.octets());
                out.extend(destination.octets());
            }
            _ => unreachable!("a backend has addresses of one IP version"),
        }
        out.extend(payload);
        out
    }
}

/// The source port varies among the dynamic ones; there is no checksum.
fn gue(inner: &[u8], low: u32, port: u32) -> Vec<u8> {
    let source = 0xc000 | low >> 18;
    let mut bytes = source.to_be_bytes()[2..].to_vec();
    bytes.extend(&port.to_be_bytes()[2..]);
    bytes.extend(length(8 + inner.len()));
    bytes.extend([0, 0]);
    bytes.extend(inner);
    bytes
}

/// DSCP and ECN.
fn traffic_class(inner: &[u8]) -> u8 {
    if inner[0] >> 4 == 4 {
        inner[1]
    } else {
        inner[0] << 4 | inner[1] >> 4
    }
}

/// Routers may cut the outer packet if they might cut an inner IPv4 one, whose identification it then has: mixed with
/// the offset, for the outer packets of one datagram's fragments are several datagrams (RFC 6864 section 4.2).
fn outer_v4(
    inner: &[u8],
    behind: usize,
    protocol: u8,
    source: Ipv4Addr,
    destination: Ipv4Addr,
) -> Vec<u8> {
    let mut bytes = vec![0x45, traffic_class(inner)];
    bytes.extend(length(20 + behind));
    if inner[0] >> 4 == 4 {
        bytes.extend([inner[4] ^ inner[6] & 0x1f, inner[5] ^ inner[7]]);
        bytes.extend([inner[6] & 0x40, 0]);
    } else {
        bytes.extend([0, 0, 0x40, 0]);
    }
    bytes.extend([HOPS, protocol, 0, 0]);
    bytes.extend(source.octets());
    bytes.extend(destination.octets());
    let checksum = checksum::of(&bytes);
    bytes[10..12].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

fn length(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).expect("a short packet").to_be_bytes()
}
