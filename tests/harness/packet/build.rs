//! From the description to bytes, by etherparse.

use std::net::IpAddr;

use etherparse::{
    EtherType, Ethernet2Header, IpFragOffset, IpNumber, Ipv4Header, Ipv6FragmentHeader, Ipv6Header,
    Ipv6RawExtHeader, SingleVlanHeader, TcpHeader, UdpHeader, VlanId, VlanPcp,
    checksum::Sum16BitWords,
};

use super::{Extension, Flags, Layers, Packet, Transport};

impl Packet {
    /// The bytes on the wire, every checksum computed.
    #[must_use]
    pub fn frame(&self) -> Vec<u8> {
        let mut frame = self.link();
        frame.extend(self.network());
        frame.extend(self.datagram());
        frame.extend(vec![0xee; self.padding]);
        frame
    }

    /// Where the headers begin.
    #[must_use]
    pub fn layers(&self) -> Layers {
        let ip = self.link().len();
        let transport = ip + self.network().len();
        let end = transport + self.datagram().len();
        Layers {
            ip,
            transport,
            payload: end - self.payload.len(),
            end,
        }
    }

    fn link(&self) -> Vec<u8> {
        let network = match self.source.ip() {
            IpAddr::V4(_) => EtherType::IPV4,
            IpAddr::V6(_) => EtherType::IPV6,
        };
        let types: Vec<EtherType> = self
            .tags
            .iter()
            .map(|tag| EtherType(tag.ether_type))
            .chain([network])
            .collect();
        let mut types = types.into_iter();
        let mut next = || types.next().expect("one ethertype for each header");
        let ethernet = Ethernet2Header {
            source: self.source_mac,
            destination: self.destination_mac,
            ether_type: next(),
        };
        let mut bytes = ethernet.to_bytes().to_vec();
        for tag in &self.tags {
            let header = SingleVlanHeader {
                pcp: VlanPcp::try_new(tag.priority).expect("a priority of 3 bits"),
                vlan_id: VlanId::try_new(tag.id).expect("a VLAN id of 12 bits"),
                ether_type: next(),
                ..SingleVlanHeader::default()
            };
            bytes.extend(header.to_bytes());
        }
        bytes
    }

    fn network(&self) -> Vec<u8> {
        let length = self.datagram().len();
        match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let payload_length = u16::try_from(length).expect("a datagram that fits");
                let mut header = Ipv4Header::new(
                    payload_length,
                    self.ttl,
                    self.protocol(),
                    source.octets(),
                    destination.octets(),
                )
                .expect("a datagram that fits");
                header.options = self.options.as_slice().try_into().expect("valid options");
                header.total_len += u16::try_from(self.options.len()).expect("short options");
                let (offset, more) = self.fragment;
                header.identification = self.identification;
                header.dont_fragment = self.fragment == (0, false);
                header.fragment_offset = IpFragOffset::try_new(offset).expect("13 bits");
                header.more_fragments = more;
                header.header_checksum = header.calc_header_checksum();
                header.to_bytes().to_vec()
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let (next_header, extensions) = self.extension_headers();
                let header = Ipv6Header {
                    payload_length: u16::try_from(extensions.len() + length)
                        .expect("a datagram that fits"),
                    next_header,
                    hop_limit: self.ttl,
                    source: source.octets(),
                    destination: destination.octets(),
                    ..Ipv6Header::default()
                };
                let mut bytes = header.to_bytes().to_vec();
                bytes.extend(extensions);
                bytes
            }
            _ => panic!("a packet between two IP versions"),
        }
    }

    /// The first extension header's number (the transport's if there is none) and the bytes of all.
    fn extension_headers(&self) -> (IpNumber, Vec<u8>) {
        let mut next = self.protocol();
        let mut bytes = Vec::new();
        for extension in self.extensions.iter().rev() {
            let (number, mut header) = extension.header(next);
            header.extend(bytes);
            bytes = header;
            next = number;
        }
        (next, bytes)
    }

    /// The transport's protocol number.
    #[must_use]
    pub const fn protocol(&self) -> IpNumber {
        match self.transport {
            Transport::Tcp(_) => IpNumber::TCP,
            Transport::Udp { .. } => IpNumber::UDP,
            Transport::Sctp(_) => IpNumber::SCTP,
            Transport::Raw(number) => IpNumber(number),
        }
    }

    /// The transport header, checksum included, and the payload; the payload alone in later fragments.
    fn datagram(&self) -> Vec<u8> {
        let later = |extension: &Extension| matches!(extension, Extension::Fragment { offset, .. } if *offset > 0);
        let mut bytes = if self.fragment.0 > 0 || self.extensions.iter().any(later) {
            Vec::new()
        } else {
            match self.transport {
                Transport::Tcp(flags) => self.tcp_header(flags),
                Transport::Udp { checksum } => self.udp_header(checksum),
                Transport::Sctp(chunk) => self.sctp_headers(chunk),
                Transport::Raw(_) => Vec::new(),
            }
        };
        bytes.extend(&self.payload);
        bytes
    }

    fn tcp_header(&self, flags: Flags) -> Vec<u8> {
        let mut header = TcpHeader::new(
            self.source.port(),
            self.destination.port(),
            0x1020_3040,
            8_192,
        );
        header.fin = flags.has(Flags::FIN);
        header.syn = flags.has(Flags::SYN);
        header.rst = flags.has(Flags::RST);
        header.ack = flags.has(Flags::ACK);
        header.checksum = match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                header.calc_checksum_ipv4_raw(source.octets(), destination.octets(), &self.payload)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                header.calc_checksum_ipv6_raw(source.octets(), destination.octets(), &self.payload)
            }
            _ => panic!("a packet between two IP versions"),
        }
        .expect("a segment that fits");
        header.to_bytes().to_vec()
    }

    fn udp_header(&self, checksum: bool) -> Vec<u8> {
        let length = UdpHeader::LEN + self.payload.len();
        let mut header = UdpHeader {
            source_port: self.source.port(),
            destination_port: self.destination.port(),
            length: u16::try_from(length).expect("a datagram that fits"),
            checksum: 0,
        };
        if checksum {
            header.checksum = match (self.source.ip(), self.destination.ip()) {
                (IpAddr::V4(source), IpAddr::V4(destination)) => header.calc_checksum_ipv4_raw(
                    source.octets(),
                    destination.octets(),
                    &self.payload,
                ),
                (IpAddr::V6(source), IpAddr::V6(destination)) => header.calc_checksum_ipv6_raw(
                    source.octets(),
                    destination.octets(),
                    &self.payload,
                ),
                _ => panic!("a packet between two IP versions"),
            }
            .expect("a datagram that fits");
        }
        header.to_bytes().to_vec()
    }
}

impl Extension {
    /// The header's own number, and its bytes when `next` follows it.
    fn header(self, next: IpNumber) -> (IpNumber, Vec<u8>) {
        let padded = |length: u8| {
            let options = usize::from(length) * 8 + 6;
            // PadN (RFC 8200 section 4.2), as often as its length of one byte needs.
            let mut bytes = Vec::with_capacity(options);
            while bytes.len() < options {
                let data = (options - bytes.len()).saturating_sub(2).min(255);
                bytes.extend([1, u8::try_from(data).expect("at most 255")]);
                bytes.extend(vec![0; data]);
            }
            bytes.truncate(options);
            raw_extension(next, &bytes)
        };
        match self {
            Self::HopByHop { length } => (IpNumber::IPV6_HEADER_HOP_BY_HOP, padded(length)),
            Self::DestinationOptions { length } => {
                (IpNumber::IPV6_DESTINATION_OPTIONS, padded(length))
            }
            Self::Routing => {
                // Type 3 (RFC 6554), 0 segments left, no addresses.
                let bytes = raw_extension(next, &[3, 0, 0, 0, 0, 0]);
                (IpNumber::IPV6_ROUTE_HEADER, bytes)
            }
            Self::Fragment { offset, more } => {
                let offset = IpFragOffset::try_new(offset).expect("13 bits");
                let header = Ipv6FragmentHeader::new(next, offset, more, 0x4711_4712);
                (
                    IpNumber::IPV6_FRAGMENTATION_HEADER,
                    header.to_bytes().to_vec(),
                )
            }
        }
    }
}

fn raw_extension(next: IpNumber, payload: &[u8]) -> Vec<u8> {
    let header = Ipv6RawExtHeader::new_raw(next, payload).expect("a length in 8-byte units");
    header.to_bytes().to_vec()
}

/// The checksum of `packet`, whose payload is ICMP of its IP version.
///
/// # Panics
/// If it is too short to have one.
#[must_use]
pub fn icmp_checksum(packet: &Packet) -> u16 {
    let [kind, code, _, _, rest @ ..] = packet.payload.as_slice() else {
        panic!("ICMP of {} bytes", packet.payload.len());
    };
    let mut sum = Sum16BitWords::new()
        .add_2bytes([*kind, *code])
        .add_slice(rest);
    let sum = match (packet.source.ip(), packet.destination.ip()) {
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let length = u32::try_from(packet.payload.len()).expect("a packet that fits");
            sum.add_16bytes(source.octets())
                .add_16bytes(destination.octets())
                .add_4bytes(length.to_be_bytes())
                .add_2bytes([0, IpNumber::IPV6_ICMP.0])
        }
        _ => sum,
    };
    sum.ones_complement().to_be()
}
