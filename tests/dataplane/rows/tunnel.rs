//! Tunnels: IP in IP and GUE, every pair of IP versions, and delivery to this host itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{IpFragOffset, IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header, UdpHeader};
use lb_common::{
    backend::Mode,
    be::Be16,
    family::{Address4, Address6, V4, V6},
    flow::FlowKey,
    hash::flow_hash,
    outcome::Outcome,
};
use lb_tests::packet::{CUSTOMER_TAG, Extension, Flags, PROVIDER_TAG, Packet, ROUTER_ALERT};

use super::{fragment::pieces, patched};
use crate::{
    GUE_PORT,
    family::{Family, sctp, tcp, udp},
    member::{LOCAL, Member, PORT_LOCAL, PORT_TUNNELS, Side, TUNNELS},
    row::{Row, row},
    world::SOURCE_BITS,
};

type Make = fn(Family, u16) -> Packet;

const KINDS: [(&str, Make); 11] = [
    ("a segment", |family, port| {
        tcp(family, port).flags(Flags::ACK)
    }),
    ("a datagram", udp),
    ("an sctp packet", sctp),
    ("an empty datagram", |family, port| {
        udp(family, port).payload([])
    }),
    ("a datagram without checksum", |family, port| match family {
        Family::V4 => udp(family, port).without_checksum(),
        // RFC 8200 section 8.1 forbids it; a computed 0 is sent as 0xffff.
        Family::V6 => udp(family, port).payload([0; 2]),
    }),
    ("1,400 bytes", |family, port| {
        udp(family, port).payload(vec![0x5a; 1_400])
    }),
    ("padding", |family, port| {
        udp(family, port).payload([]).padding(18)
    }),
    ("options or extensions", |family, port| match family {
        Family::V4 => tcp(family, port).options(&ROUTER_ALERT),
        Family::V6 => tcp(family, port)
            .extension(Extension::HopByHop { length: 0 })
            .extension(Extension::DestinationOptions { length: 1 }),
    }),
    ("a tag", |family, port| {
        udp(family, port).tag(CUSTOMER_TAG, 7)
    }),
    ("two tags", |family, port| {
        tcp(family, port).tag(PROVIDER_TAG, 5).tag(CUSTOMER_TAG, 7)
    }),
    ("another flow", |family, port| {
        let packet = udp(family, port);
        let source = (packet.source.ip(), 40_001).into();
        packet.from(source)
    }),
];

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for family in Family::BOTH {
        for (port, member) in (PORT_TUNNELS..).zip(TUNNELS) {
            let to = format!("{family:?} in {member:?}");
            for (kind, make) in KINDS {
                let packet = make(family, port);
                rows.push(leaves(row(format!("{to}: {kind}")), member, &packet));
            }
            let whole = udp(family, port).payload(vec![0x5a; 400]);
            rows.push(
                pieces(&whole, 64)
                    .iter()
                    .fold(row(format!("{to}: fragments")), |row, piece| {
                        leaves(row, member, piece)
                    }),
            );
            let marked = marked(&udp(family, port));
            rows.extend([
                leaves_bytes(
                    row(format!("{to}: traffic class and congestion marks go on")),
                    member,
                    &udp(family, port),
                    &marked,
                ),
                leaves(
                    row(format!("{to}: one hop left")),
                    member,
                    &udp(family, port).ttl(2),
                ),
                row(format!("{to}: no hop left"))
                    .drops(&udp(family, port).ttl(1), Outcome::TtlExceeded),
            ]);
        }
        for (kind, make) in KINDS {
            let packet = make(family, PORT_LOCAL);
            rows.push(
                row(format!("{family:?} to this host itself: {kind}"))
                    .passes(&packet, Outcome::Local),
            );
        }
        let last_hop = tcp(family, PORT_LOCAL).ttl(1);
        rows.push(
            row(format!("{family:?} to this host itself: the last hop"))
                .passes(&last_hop, Outcome::Local)
                .remembers(1, 0),
        );
    }
    rows.push(
        row("a tunnel that becomes a direct route takes the next packet")
            .then(|world| {
                world.put(
                    Member {
                        mode: Mode::L2,
                        ..LOCAL
                    },
                    1,
                    0,
                );
            })
            .transmits(
                &tcp(Family::V4, PORT_LOCAL),
                &Member {
                    mode: Mode::L2,
                    ..LOCAL
                }
                .receives(&tcp(Family::V4, PORT_LOCAL)),
            ),
    );
    rows
}

pub(super) fn leaves(row: Row, member: Member, packet: &Packet) -> Row {
    leaves_bytes(row, member, packet, &packet.frame())
}

/// `frame` are the bytes of `packet`, but for its traffic class.
fn leaves_bytes(row: Row, member: Member, packet: &Packet, frame: &[u8]) -> Row {
    let out = encapsulated(member, packet, frame);
    let frame = frame.to_vec();
    match member.side {
        Side::Front => row.transmits_bytes(&frame, out),
        Side::Back | Side::Aside | Side::Probes => row.redirects_bytes(&frame, out),
    }
}

/// The packet with traffic class 0xb9: expedited forwarding, ECT(1).
fn marked(packet: &Packet) -> Vec<u8> {
    let frame = packet.frame();
    let ip = packet.layers().ip;
    match packet.source {
        std::net::SocketAddr::V4(_) => with_header_checksum(patched(frame, ip + 1, &[0xb9]), ip),
        std::net::SocketAddr::V6(_) => patched(frame, ip, &[0x6b, 0x90]),
    }
}

/// The frame with the checksum of its IPv4 header made right.
fn with_header_checksum(frame: Vec<u8>, ip: usize) -> Vec<u8> {
    let (header, _) = Ipv4Header::from_slice(&frame[ip..]).expect("an IPv4 header");
    patched(frame, ip + 10, &header.calc_header_checksum().to_be_bytes())
}

/// What must leave: MAC addresses, the tags that the way out asks for, the outer headers, and the packet as it
/// came, one hop less.
pub(super) fn encapsulated(member: Member, packet: &Packet, frame: &[u8]) -> Vec<u8> {
    let layers = packet.layers();
    let is_v4 = packet.source.is_ipv4();
    let mut inner = frame[layers.ip..layers.end].to_vec();
    if is_v4 {
        inner[8] -= 1;
        inner = with_header_checksum(inner, 0);
    } else {
        inner[7] -= 1;
    }
    let low = hash(packet);
    let mut payload = Vec::new();
    let protocol = if member.mode == Mode::GUE {
        let udp = UdpHeader {
            source_port: 0xc000 + u16::try_from(low >> 18).expect("14 bits"),
            destination_port: GUE_PORT,
            length: u16::try_from(8 + inner.len()).expect("a short packet"),
            checksum: 0,
        };
        payload.extend(udp.to_bytes());
        IpNumber::UDP
    } else if is_v4 {
        IpNumber::IPV4
    } else {
        IpNumber::IPV6
    };
    payload.extend(&inner);

    let link = member.receives(packet);
    let mut out = link.frame();
    out.truncate(link.layers().ip);
    let ether_type: u16 = match member.family {
        Family::V4 => 0x0800,
        Family::V6 => 0x86dd,
    };
    out.truncate(out.len() - 2);
    out.extend(ether_type.to_be_bytes());
    out.extend(outer(member, &inner, payload.len(), protocol, low));
    out.extend(payload);
    out
}

/// The outer IP header before `length` bytes of `protocol`.
fn outer(member: Member, inner: &[u8], length: usize, protocol: IpNumber, low: u32) -> Vec<u8> {
    let is_v4 = inner[0] >> 4 == 4;
    let class = if is_v4 {
        inner[1]
    } else {
        inner[0] << 4 | inner[1] >> 4
    };
    let length = u16::try_from(length).expect("a short packet");
    match (member.family.source(), member.address().ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let source = Ipv4Addr::from_bits(source.to_bits() | varied(low));
            let mut header =
                Ipv4Header::new(length, 64, protocol, source.octets(), destination.octets())
                    .expect("a short packet");
            header.dscp = (class >> 2).try_into().expect("6 bits");
            header.ecn = (class & 3).try_into().expect("2 bits");
            header.fragment_offset = IpFragOffset::ZERO;
            header.dont_fragment = !is_v4 || inner[6] & 0x40 != 0;
            header.identification = if is_v4 {
                u16::from_be_bytes([inner[4] ^ inner[6] & 0x1f, inner[5] ^ inner[7]])
            } else {
                0
            };
            header.header_checksum = header.calc_header_checksum();
            header.to_bytes().to_vec()
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let header = Ipv6Header {
                traffic_class: class,
                flow_label: Ipv6FlowLabel::try_new(low & 0xf_ffff).expect("20 bits"),
                payload_length: length,
                next_header: protocol,
                hop_limit: 64,
                source: Ipv6Addr::from_bits(source.to_bits() | u128::from(varied(low))).octets(),
                destination: destination.octets(),
            };
            header.to_bytes().to_vec()
        }
        _ => unreachable!("a backend has addresses of one IP version"),
    }
}

fn varied(low: u32) -> u32 {
    low & ((1 << SOURCE_BITS) - 1)
}

/// The low half of the flow's hash.
fn hash(packet: &Packet) -> u32 {
    let protocol = u32::from(packet.protocol().0);
    let (from, to) = (packet.source.port(), packet.destination.port());
    let (source_port, destination_port) = (Be16::new(from), Be16::new(to));
    let hash = match (packet.source.ip(), packet.destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => flow_hash::<V4>(
            &FlowKey {
                source: Address4::from(source),
                destination: Address4::from(destination),
                source_port,
                destination_port,
                protocol,
            },
            0,
        ),
        (IpAddr::V6(source), IpAddr::V6(destination)) => flow_hash::<V6>(
            &FlowKey {
                source: Address6::from(source),
                destination: Address6::from(destination),
                source_port,
                destination_port,
                protocol,
            },
            0,
        ),
        _ => panic!("a packet between two IP versions"),
    };
    hash.low()
}
