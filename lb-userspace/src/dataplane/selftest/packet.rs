//! The packets of the self-test: UDP over IPv4 (RFC 791) or IPv6 (RFC 8200), built without the program's own code.

use std::net::{IpAddr, SocketAddr};

/// Bytes of an Ethernet header without a tag.
pub(super) const ETHERNET: usize = 14;
/// IANA's number of UDP.
const UDP: u8 = 17;
const PAYLOAD: &[u8] = b"self-test of the balancer";

/// A UDP datagram in an Ethernet frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    pub(super) source_mac: [u8; 6],
    pub(super) destination_mac: [u8; 6],
    /// Of the same IP version as `destination`.
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
    /// TTL or hop limit.
    pub(super) hop_limit: u8,
}

impl Packet {
    /// The whole frame, with all checksums.
    pub(super) fn frame(&self) -> Vec<u8> {
        let mut frame = [self.destination_mac, self.source_mac].concat();
        frame.extend(ethertype(self.destination.ip()));
        frame.extend(self.ip());
        frame
    }

    /// The IP packet alone.
    pub(super) fn ip(&self) -> Vec<u8> {
        let (source, destination) = (self.source.ip(), self.destination.ip());
        let mut udp = [self.source.port(), self.destination.port()]
            .map(u16::to_be_bytes)
            .concat();
        let length = length(udp.len() + 4 + PAYLOAD.len());
        udp.extend(length);
        udp.extend([0, 0]);
        udp.extend(PAYLOAD);
        let pseudo = [octets(source), octets(destination)].concat();
        let sum = checksum(&[&pseudo, &length, &[0, UDP], &udp]);
        for (byte, value) in udp.iter_mut().skip(6).zip(sum.to_be_bytes()) {
            *byte = value;
        }
        let mut packet = header(source, destination, UDP, self.hop_limit, udp.len());
        packet.extend(udp);
        packet
    }
}

/// The ethertype of packets to `address`, as bytes.
pub(super) const fn ethertype(address: IpAddr) -> [u8; 2] {
    if address.is_ipv4() {
        [0x08, 0x00]
    } else {
        [0x86, 0xdd]
    }
}

/// An address in network byte order.
pub(super) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// The Internet checksum (RFC 1071) of all parts but the last of which have an even number of bytes.
pub(super) fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u32;
    for pair in parts.iter().flat_map(|part| part.chunks(2)) {
        let [high, low] = [pair.first(), pair.get(1)].map(|byte| byte.copied().unwrap_or_default());
        sum += u32::from(u16::from_be_bytes([high, low]));
    }
    while let Ok(carry @ 1..) = u16::try_from(sum >> 16) {
        sum = (sum & 0xffff) + u32::from(carry);
    }
    !u16::try_from(sum).unwrap_or_default()
}

/// A length that fits 16 bits, as bytes.
fn length(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes()
}

/// An IP header without options before so many bytes.
pub(super) fn header(
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    hop_limit: u8,
    payload: usize,
) -> Vec<u8> {
    let addresses = [octets(source), octets(destination)].concat();
    if destination.is_ipv6() {
        let mut header = vec![0x60, 0, 0, 0];
        header.extend(length(payload));
        header.extend([protocol, hop_limit]);
        header.extend(addresses);
        return header;
    }
    let [high, low] = length(20 + payload);
    let before = [0x45, 0, high, low, 0, 1, 0, 0, hop_limit, protocol];
    let sum = checksum(&[&before, &addresses]);
    let mut header = before.to_vec();
    header.extend(sum.to_be_bytes());
    header.extend(addresses);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_rfc_1071() {
        // Section 3 of the RFC: the sum of these bytes is ddf2.
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(checksum(&[&bytes]), !0xddf2);
        assert_eq!(checksum(&[&bytes[..4], &bytes[4..]]), !0xddf2);
        assert_eq!(checksum(&[&[0xff]]), !0xff00);
    }

    #[test]
    fn headers_hold_what_they_should() {
        let packet = Packet {
            source_mac: [1; 6],
            destination_mac: [2; 6],
            source: "198.18.0.1:7".parse().unwrap(),
            destination: "240.0.0.1:8".parse().unwrap(),
            hop_limit: 9,
        };
        let frame = packet.frame();
        assert_eq!(
            frame[..ETHERNET],
            [2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 8, 0]
        );
        // A header with its checksum in it sums up to nothing.
        assert_eq!(checksum(&[&frame[ETHERNET..ETHERNET + 20]]), 0);
        assert_eq!(frame[ETHERNET + 8], 9);
        assert_eq!(usize::from(frame[ETHERNET + 3]), frame.len() - ETHERNET);
    }
}
