//! Packets made from 5-tuples, and what stands in the headers of a frame: by etherparse.

use std::net::{IpAddr, SocketAddr};

use etherparse::{
    IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv6ExtensionSlice, Ipv6Extensions,
    Ipv6FlowLabel, Ipv6Header, LaxNetSlice, LaxSlicedPacket, LinkSlice, PacketBuilder,
};

use crate::{
    dataplane::trial::{Fragment, Tuple},
    model::Protocol,
};

/// The MAC address that made frames come from: locally administered, nobody's.
const SENDER: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
const ETHERNET: usize = 14;
/// IANA's numbers of ICMP and ICMPv6.
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// A packet to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// Where it comes from.
    pub source: SocketAddr,
    /// Where it goes; of the same IP version.
    pub destination: SocketAddr,
    /// Its transport.
    pub protocol: Protocol,
    /// Of TCP: whether it is the first packet of a connection.
    pub is_first: bool,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// Bytes of the whole frame; what the headers take if that is more.
    pub size: usize,
    /// The MAC address of the interface that it comes in by.
    pub destination_mac: [u8; 6],
}

impl Recipe {
    /// The frame, with all checksums but that of SCTP, which the program does not look at.
    ///
    /// # Errors
    /// The addresses are not of one IP version, or the packet would be too long.
    pub fn frame(&self) -> Result<Vec<u8>, String> {
        let ip = PacketBuilder::ethernet2(SENDER, self.destination_mac);
        let ip = ip.ip(self.ip_header()?);
        let (source, destination) = (self.source.port(), self.destination.port());
        let mut frame = Vec::new();
        let filled = |length: usize| vec![0; self.size.saturating_sub(length)];
        let written = match self.protocol {
            Protocol::Tcp => {
                let tcp = ip.tcp(source, destination, 1, u16::MAX);
                let tcp = if self.is_first { tcp.syn() } else { tcp.ack(1) };
                let payload = filled(tcp.size(0));
                tcp.write(&mut frame, &payload)
            }
            Protocol::Udp => {
                let udp = ip.udp(source, destination);
                let payload = filled(udp.size(0));
                udp.write(&mut frame, &payload)
            }
            Protocol::Sctp => {
                let mut packet = sctp_init(source, destination);
                let missing = filled(ip.size(packet.len()));
                packet.extend(missing);
                ip.write(&mut frame, IpNumber::SCTP, &packet)
            }
        };
        written.map_err(|error| error.to_string())?;
        Ok(frame)
    }

    fn ip_header(&self) -> Result<IpHeaders, String> {
        match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                // The builder sets length, protocol and checksum.
                let header = Ipv4Header::new(
                    0,
                    self.hop_limit,
                    IpNumber::TCP,
                    source.octets(),
                    destination.octets(),
                );
                let header = header.map_err(|error| error.to_string())?;
                Ok(IpHeaders::Ipv4(header, Ipv4Extensions::default()))
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let header = Ipv6Header {
                    traffic_class: 0,
                    flow_label: Ipv6FlowLabel::ZERO,
                    payload_length: 0,
                    next_header: IpNumber::TCP,
                    hop_limit: self.hop_limit,
                    source: source.octets(),
                    destination: destination.octets(),
                };
                Ok(IpHeaders::Ipv6(header, Ipv6Extensions::default()))
            }
            (source, destination) => Err(format!(
                "source {source} and destination {destination} are not of one IP version"
            )),
        }
    }
}

/// A packet with an INIT chunk (RFC 9260 section 3.3.2), the first one of an association.
fn sctp_init(source: u16, destination: u16) -> Vec<u8> {
    let mut packet = [source, destination].map(u16::to_be_bytes).concat();
    // Verification tag and checksum, then type, flags and length of the chunk, initiate tag, window, streams, TSN.
    packet.extend([0; 8]);
    packet.extend([1, 0, 0, 20]);
    packet.extend([0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1]);
    packet
}

/// What stands in the headers of a frame, as far as they can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Bytes of the frame, or of the IP packet if it is inside another.
    pub bytes: usize,
    /// Source and destination MAC address; zeros for a packet inside another.
    pub macs: [[u8; 6]; 2],
    /// Ids of the VLAN tags, the outermost first.
    pub vlans: Vec<u16>,
    /// Of the IP header, if there is one.
    pub ip: Option<Ip>,
    /// Source and destination port of TCP, UDP and SCTP, but of later fragments.
    pub ports: Option<[u16; 2]>,
    /// Of TCP: FIN, SYN, RST, PSH, ACK, URG from the lowest bit on.
    pub tcp_flags: Option<u8>,
    /// Type and code of ICMP.
    pub icmp: Option<[u8; 2]>,
    /// The packet that an ICMP error is about, or the one in a tunnel.
    pub inner: Option<Box<Seen>>,
}

/// An IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ip {
    /// Who sends it, and to whom.
    pub addresses: [IpAddr; 2],
    /// The transport, behind extension headers.
    pub protocol: u8,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// Bytes of the packet from the header on, by its own length.
    pub length: usize,
    /// If it is a fragment: its datagram, and whether it is a later one.
    pub fragment: Option<(Fragment, bool)>,
}

impl Seen {
    /// Reads a frame. A tunnel is looked into if it is IP in IP, or comes to the UDP port `gue_port`.
    #[must_use]
    pub fn read(frame: &[u8], gue_port: u16) -> Self {
        let mut seen = LaxSlicedPacket::from_ethernet(frame)
            .map(|packet| Self::of(&packet, gue_port))
            .unwrap_or_default();
        seen.bytes = frame.len();
        seen
    }

    /// Reads an IP packet inside another.
    fn inside(packet: &[u8], gue_port: u16) -> Option<Box<Self>> {
        let sliced = LaxSlicedPacket::from_ip(packet).ok()?;
        let mut seen = Self::of(&sliced, gue_port);
        seen.bytes = packet.len();
        seen.ip.is_some().then(|| Box::new(seen))
    }

    fn of(packet: &LaxSlicedPacket<'_>, gue_port: u16) -> Self {
        let mut seen = Self {
            ip: ip(packet),
            vlans: packet.vlan_ids().iter().map(|id| id.value()).collect(),
            ..Self::default()
        };
        if let Some(LinkSlice::Ethernet2(ethernet)) = &packet.link {
            seen.macs = [ethernet.source(), ethernet.destination()];
        }
        let (Some(payload), Some(ip)) = (packet.ip_payload(), seen.ip) else {
            return seen;
        };
        if !matches!(ip.fragment, Some((_, true))) {
            seen.read_transport(ip.protocol, payload.payload, gue_port);
        }
        seen
    }

    fn read_transport(&mut self, protocol: u8, payload: &[u8], gue_port: u16) {
        match protocol {
            ICMP | ICMPV6 => {
                self.icmp = payload.first_chunk().copied();
                let is_error = match (protocol, self.icmp) {
                    (ICMP, Some([3 | 11 | 12, _])) => true,
                    (ICMPV6, Some([kind, _])) => kind < 128,
                    _ => false,
                };
                let quoted = payload.get(8..).filter(|_| is_error);
                self.inner = quoted.and_then(|quoted| Self::inside(quoted, gue_port));
            }
            4 | 41 => self.inner = Self::inside(payload, gue_port),
            _ if Protocol::from_number(protocol).is_some() => {
                self.ports = payload
                    .first_chunk()
                    .map(|[a, b, c, d]| [[*a, *b], [*c, *d]].map(u16::from_be_bytes));
                if protocol == Protocol::Tcp.number() {
                    self.tcp_flags = payload.get(13).copied();
                }
                if protocol == Protocol::Udp.number()
                    && self.ports.is_some_and(|[_, to]| to == gue_port)
                {
                    self.inner = payload.get(8..).and_then(|it| Self::inside(it, gue_port));
                }
            }
            _ => {}
        }
    }

    /// The flow that the packet belongs to: of an ICMP error, that of the packet it is about, as its receiver's packets
    /// show it.
    #[must_use]
    pub fn flow(&self) -> Option<Tuple> {
        let ip = self.ip?;
        if self.icmp.is_some() {
            let quoted = self.inner.as_deref()?.flow()?;
            let [source, destination] = quoted.ports;
            return Some(Tuple {
                source: quoted.destination,
                destination: quoted.source,
                ports: [destination, source],
                protocol: quoted.protocol,
            });
        }
        let [source, destination] = ip.addresses;
        Some(Tuple {
            source,
            destination,
            ports: self.ports?,
            protocol: ip.protocol,
        })
    }

    /// The datagram whose later fragment this is.
    #[must_use]
    pub fn later_fragment(&self) -> Option<Fragment> {
        let (fragment, is_later) = self.ip?.fragment?;
        is_later.then_some(fragment)
    }

    /// Bytes of the headers before the IP header.
    #[must_use]
    pub fn link_bytes(&self) -> usize {
        ETHERNET + 4 * self.vlans.len()
    }
}

fn ip(packet: &LaxSlicedPacket<'_>) -> Option<Ip> {
    let protocol = packet.ip_payload().map_or(0, |payload| payload.ip_number.0);
    match packet.net.as_ref()? {
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            let later = header.fragments_offset().value() > 0;
            let fragment = Fragment {
                identification: header.identification().into(),
                protocol: header.protocol().0,
            };
            Some(Ip {
                addresses: [
                    header.source_addr().into(),
                    header.destination_addr().into(),
                ],
                protocol,
                hop_limit: header.ttl(),
                length: header.total_len().into(),
                fragment: (later || header.more_fragments()).then_some((fragment, later)),
            })
        }
        LaxNetSlice::Ipv6(ip) => {
            let header = ip.header();
            let fragment = ip.extensions().clone().into_iter().find_map(|extension| {
                let Ipv6ExtensionSlice::Fragment(header) = extension else {
                    return None;
                };
                let fragment = Fragment {
                    identification: header.identification(),
                    protocol: header.next_header().0,
                };
                let later = header.fragment_offset().value() > 0;
                (later || header.more_fragments()).then_some((fragment, later))
            });
            Some(Ip {
                addresses: [
                    header.source_addr().into(),
                    header.destination_addr().into(),
                ],
                protocol,
                hop_limit: header.hop_limit(),
                length: 40 + usize::from(header.payload_length()),
                fragment,
            })
        }
        LaxNetSlice::Arp(_) => None,
    }
}

#[cfg(test)]
mod tests;
