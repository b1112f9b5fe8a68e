//! From bytes to what stands in them, by etherparse.

use std::{fmt, net::IpAddr};

use etherparse::{
    IpNumber, LaxNetSlice, LaxSlicedPacket, LinkExtSlice, LinkSlice, NetSlice, SlicedPacket,
    TransportSlice, checksum::Sum16BitWords,
};

use super::{Mac, sctp};

/// What stands in the headers of a frame, as far as they can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Source MAC address.
    pub source_mac: Mac,
    /// Destination MAC address.
    pub destination_mac: Mac,
    /// Ids of the VLAN tags, the outermost first.
    pub vlans: Vec<u16>,
    /// Source and destination address.
    pub addresses: Option<(IpAddr, IpAddr)>,
    /// TTL or hop limit.
    pub ttl: Option<u8>,
    /// The transport's protocol number.
    pub protocol: Option<u8>,
    /// Source and destination port.
    pub ports: Option<(u16, u16)>,
    /// The transport's payload, or what could not be read any more.
    pub payload: Vec<u8>,
}

impl Seen {
    /// Reads `frame` as far as its headers can be understood.
    #[must_use]
    pub fn read(frame: &[u8]) -> Self {
        let mut seen = Self::default();
        let Ok(packet) = LaxSlicedPacket::from_ethernet(frame) else {
            return seen;
        };
        if let Some(LinkSlice::Ethernet2(ethernet)) = &packet.link {
            seen.source_mac = ethernet.source();
            seen.destination_mac = ethernet.destination();
        }
        seen.vlans = packet.vlan_ids().iter().map(|id| id.value()).collect();
        match &packet.net {
            Some(LaxNetSlice::Ipv4(ip)) => {
                let header = ip.header();
                let source = header.source_addr().into();
                seen.addresses = Some((source, header.destination_addr().into()));
                seen.ttl = Some(header.ttl());
            }
            Some(LaxNetSlice::Ipv6(ip)) => {
                let header = ip.header();
                let source = header.source_addr().into();
                seen.addresses = Some((source, header.destination_addr().into()));
                seen.ttl = Some(header.hop_limit());
            }
            _ => {}
        }
        if let Some(ip) = packet.ip_payload() {
            seen.protocol = Some(ip.ip_number.0);
            seen.payload = ip.payload.to_vec();
        }
        match &packet.transport {
            Some(TransportSlice::Tcp(tcp)) => {
                seen.ports = Some((tcp.source_port(), tcp.destination_port()));
                seen.payload = tcp.payload().to_vec();
            }
            Some(TransportSlice::Udp(udp)) => {
                seen.ports = Some((udp.source_port(), udp.destination_port()));
                seen.payload = udp.payload().to_vec();
            }
            _ => {}
        }
        seen
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} -> {}",
            mac(self.source_mac),
            mac(self.destination_mac)
        )?;
        for vlan in &self.vlans {
            write!(f, ", vlan {vlan}")?;
        }
        if let Some((source, destination)) = self.addresses {
            write!(f, ", {source} -> {destination}")?;
        }
        if let Some(ttl) = self.ttl {
            write!(f, ", ttl {ttl}")?;
        }
        if let Some(protocol) = self.protocol {
            write!(f, ", {:?}", IpNumber(protocol))?;
        }
        if let Some((source, destination)) = self.ports {
            write!(f, ", port {source} -> {destination}")?;
        }
        write!(f, ", {} bytes of payload", self.payload.len())
    }
}

fn mac(address: Mac) -> String {
    let bytes: Vec<String> = address.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(":")
}

/// What is wrong with the checksums of `frame`: IPv4 header, TCP, UDP, SCTP, ICMP. Empty if all that are there hold.
#[must_use]
pub fn checksum_faults(frame: &[u8]) -> Vec<String> {
    let mut faults = Vec::new();
    let packet = match SlicedPacket::from_ethernet(frame) {
        Ok(packet) => packet,
        Err(error) => return vec![format!("cannot be read: {error}")],
    };
    if packet
        .link_exts
        .iter()
        .any(|ext| !matches!(ext, LinkExtSlice::Vlan(_)))
    {
        faults.push("carries a link header that is not a VLAN tag".to_owned());
    }
    let addresses = match &packet.net {
        Some(NetSlice::Ipv4(ip)) => {
            let header = ip.header();
            expect_checksum(
                "IPv4 header",
                header.header_checksum(),
                header.to_header().calc_header_checksum(),
                &mut faults,
            );
            Addresses::V4(header.source(), header.destination())
        }
        Some(NetSlice::Ipv6(ip)) => Addresses::V6(ip.header().source(), ip.header().destination()),
        _ => return vec!["carries neither IPv4 nor IPv6".to_owned()],
    };
    match &packet.transport {
        Some(TransportSlice::Tcp(tcp)) => {
            let right = match addresses {
                Addresses::V4(from, to) => tcp.calc_checksum_ipv4(from, to),
                Addresses::V6(from, to) => tcp.calc_checksum_ipv6(from, to),
            };
            let right = right.expect("a segment that fits");
            expect_checksum("TCP", tcp.checksum(), right, &mut faults);
        }
        Some(TransportSlice::Udp(udp)) => {
            let header = udp.to_header();
            let right = match addresses {
                Addresses::V4(from, to) => header.calc_checksum_ipv4_raw(from, to, udp.payload()),
                Addresses::V6(from, to) => header.calc_checksum_ipv6_raw(from, to, udp.payload()),
            };
            let right = right.expect("a datagram that fits");
            // RFC 768: 0 means that the sender made none; RFC 8200 section 8.1: never in IPv6.
            if !(udp.checksum() == 0 && matches!(addresses, Addresses::V4(..))) {
                expect_checksum("UDP", udp.checksum(), right, &mut faults);
            }
        }
        Some(TransportSlice::Icmpv4(icmp)) => {
            // With its checksum, what is right sums up to all ones; so does it with either zero.
            let sum = Sum16BitWords::new().add_slice(icmp.slice());
            if sum.ones_complement() != 0 {
                faults.push("ICMP checksum is wrong".to_owned());
            }
        }
        Some(TransportSlice::Icmpv6(icmp)) => {
            let Addresses::V6(from, to) = addresses else {
                return vec!["carries ICMPv6 in IPv4".to_owned()];
            };
            let length = u32::try_from(icmp.slice().len()).expect("a packet that fits");
            let sum = Sum16BitWords::new()
                .add_16bytes(from)
                .add_16bytes(to)
                .add_4bytes(length.to_be_bytes())
                .add_2bytes([0, IpNumber::IPV6_ICMP.0])
                .add_slice(icmp.slice());
            if sum.ones_complement() != 0 {
                faults.push("ICMPv6 checksum is wrong".to_owned());
            }
        }
        Some(TransportSlice::Igmp(_)) => {}
        None => {
            let sctp = packet
                .ip_payload()
                .filter(|ip| ip.ip_number == IpNumber::SCTP);
            faults.extend(
                sctp.filter(|ip| !ip.fragmented)
                    .and_then(|ip| sctp::fault(ip.payload)),
            );
        }
    }
    faults
}

#[derive(Clone, Copy)]
enum Addresses {
    V4([u8; 4], [u8; 4]),
    V6([u8; 16], [u8; 16]),
}

fn expect_checksum(what: &str, found: u16, right: u16, faults: &mut Vec<String>) {
    if found != right {
        faults.push(format!("{what} checksum is {found:#06x}, not {right:#06x}"));
    }
}

/// `bytes`, 16 in a line, each line with its offset.
#[must_use]
pub fn hex_dump(bytes: &[u8]) -> String {
    let mut lines = Vec::new();
    for (index, line) in bytes.chunks(16).enumerate() {
        let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        lines.push(format!("    {:04x}  {}", index * 16, hex.join(" ")));
    }
    lines.join("\n")
}
