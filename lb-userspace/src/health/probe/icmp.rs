//! The ICMP probe: one echo request and its reply (RFC 792, RFC 4443 section 4).
//!
//! By a raw socket: the kernel's own ping sockets are closed even to root unless `net.ipv4.ping_group_range` says
//! otherwise. A raw socket that is connected gets what comes from that address, and from no other.

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket as Datagrams},
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, ipproto, socket_with};
use tokio::net::UdpSocket;

use super::{Deadline, Failure, socket};
use crate::health::chance;

/// The header of an echo message: type, code, checksum, identifier, sequence number.
const HEADER_BYTES: usize = 8;
/// What a reply must bring back after the header.
const PAYLOAD: &[u8; 16] = b"lbd health probe";
/// The checksum's place.
const CHECKSUM: std::ops::Range<usize> = 2..4;

/// What differs between the IP versions.
struct Version {
    request: u8,
    reply: u8,
}

const V4: Version = Version {
    request: 8,
    reply: 0,
};
const V6: Version = Version {
    request: 128,
    reply: 129,
};

const fn version(address: IpAddr) -> Version {
    if address.is_ipv4() { V4 } else { V6 }
}

/// Sends an echo request, and waits for the reply with its identifier, sequence number and payload.
pub(super) async fn probe(address: IpAddr, deadline: Deadline) -> Result<(), Failure> {
    let socket = open(address).map_err(Failure::of_socket)?;
    let request = request(address, (chance::bits() >> 32) as u32);
    socket::send(&socket, &request).await?;
    let reply = async {
        // An IPv4 header has at most 60 bytes.
        let mut buffer = [0; 60 + HEADER_BYTES + PAYLOAD.len()];
        loop {
            let packet = socket::receive(&socket, &mut buffer).await?;
            if is_reply(address, &request, packet) {
                return Ok(());
            }
        }
    };
    let during = || "waiting for the echo reply".to_owned();
    deadline.limit(reply, during).await
}

/// A raw socket has datagrams, as a UDP socket has: only the type is borrowed.
fn open(address: IpAddr) -> io::Result<UdpSocket> {
    let (family, protocol) = match address {
        IpAddr::V4(_) => (AddressFamily::INET, ipproto::ICMP),
        IpAddr::V6(_) => (AddressFamily::INET6, ipproto::ICMPV6),
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::RAW, flags, Some(protocol))?;
    connect(&socket, &SocketAddr::new(address, 0))?;
    UdpSocket::from_std(Datagrams::from(socket))
}

/// An echo request whose identifier and sequence number are `mark`. The kernel puts the checksum of ICMPv6 in.
fn request(address: IpAddr, mark: u32) -> Vec<u8> {
    let mut message = vec![version(address).request, 0, 0, 0];
    message.extend(mark.to_be_bytes());
    message.extend(PAYLOAD);
    if address.is_ipv4() {
        let sum = checksum(&message).to_be_bytes();
        message.splice(CHECKSUM, sum);
    }
    message
}

/// Whether `packet`, as a raw socket hands it over, is the reply to `request`.
fn is_reply(address: IpAddr, request: &[u8], packet: &[u8]) -> bool {
    let message = if address.is_ipv4() {
        // With its header, whose length is in the lower half of the first byte, in words of four bytes.
        let length = packet
            .first()
            .map_or(0, |first| usize::from(first & 0xf) * 4);
        packet.get(length..).unwrap_or_default()
    } else {
        packet
    };
    let after_checksum = CHECKSUM.end..;
    message.get(..2) == Some(&[version(address).reply, 0])
        && message.get(after_checksum.clone()) == request.get(after_checksum)
}

/// The Internet checksum (RFC 1071) of an even number of bytes, in host byte order.
fn checksum(bytes: &[u8]) -> u16 {
    let (words, _) = bytes.as_chunks::<2>();
    let words = words.iter().map(|word| u16::from_be_bytes(*word));
    !words.fold(0, |sum: u16, word| {
        let (sum, carry) = sum.overflowing_add(word);
        sum.wrapping_add(u16::from(carry))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An IPv4 header whose length is `words` times four bytes; nothing else of it matters here.
    fn header(words: u8) -> Vec<u8> {
        let mut header = vec![0; usize::from(words) * 4];
        header[0] = 0x40 | words;
        header
    }

    #[test]
    fn only_the_reply_with_identifier_sequence_and_payload_counts() {
        let (v4, v6) = ("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
        for (address, header, reply) in [
            (v4, header(5), 0),
            (v4, header(15), 0),
            (v6, Vec::new(), 129),
        ] {
            let request = request(address, 0x1234_5678);
            let mut good = request.clone();
            good[0] = reply;
            // The checksum is the kernel's business.
            good[2] ^= 0xff;
            let packet = |message: &[u8]| [&header, message].concat();
            assert!(is_reply(address, &request, &packet(&good)));
            assert!(!is_reply(address, &request, &packet(&request)));
            assert!(!is_reply(
                address,
                &request,
                &packet(&good[..good.len() - 1])
            ));
            assert!(!is_reply(address, &request, b""));
            for byte in [1, 4, 5, 6, 7, 8, good.len() - 1] {
                let mut bad = good.clone();
                bad[byte] ^= 1;
                assert!(!is_reply(address, &request, &packet(&bad)), "byte {byte}");
            }
        }
    }

    #[test]
    fn a_message_with_its_checksum_sums_up_to_nothing() {
        for mark in [0, 1, 0xffff_ffff, 0x1234_5678] {
            let request = request("192.0.2.1".parse().unwrap(), mark);
            assert_eq!(checksum(&request), 0, "{mark:x}");
        }
    }
}
