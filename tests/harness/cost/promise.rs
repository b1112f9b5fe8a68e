//! What a row's mode promises of the packet that comes out; said of the first packet and of the third.

use std::net::{IpAddr, SocketAddr};

use etherparse::{IpNumber, Ipv4HeaderSlice, Ipv6HeaderSlice, UdpHeaderSlice};

use super::{
    scenario::{Family, Kind, Mode},
    world::{
        CLIENT_MAC, FRONT_MAC, GUE_PORT, SOURCE_PORT, World, backend_mac, own_address, request,
    },
    wrapper::Run,
};
use crate::{
    object::Action,
    packet::{Packet, Seen, checksum_faults, hex_dump},
};

/// Bytes of an Ethernet header.
const ETHERNET: usize = 14;

/// Sees that a run ended as the mode promises.
///
/// # Panics
/// If not.
pub(super) fn assert_kept(world: &World, run: &Run) {
    let mode = world.scenario.mode;
    let expected = match mode {
        Mode::Local | Mode::Pass => Action::Pass,
        Mode::L2 | Mode::Nat | Mode::Snat | Mode::Ipip | Mode::Gue => Action::Transmit,
    };
    assert_eq!(run.action, expected, "{}", world.scenario.name());
    // UDP around a packet whose own checksum covers what matters has none (RFC 6935 section 5).
    if (mode, world.scenario.family) != (Mode::Gue, Family::V6) {
        let faults = checksum_faults(&run.frame);
        assert!(faults.is_empty(), "{}: {faults:?}", world.scenario.name());
    }
    match mode {
        Mode::Local | Mode::Pass => same(world, &run.frame, &world.packet.frame()),
        Mode::L2 | Mode::Nat | Mode::Snat => {
            same(world, &run.frame, &rewritten(world, &run.frame).frame());
        }
        Mode::Ipip | Mode::Gue => {
            let (outer, inner) = run.frame.split_at(ETHERNET + overhead(world));
            let addresses = Seen::read(&run.frame).addresses;
            assert_outer(world, outer, inner.len(), addresses.expect("an IP packet"));
            let expected = one_hop_less(&world.packet).frame();
            same(world, inner, expected.get(ETHERNET..).unwrap_or_default());
        }
    }
}

fn same(world: &World, is: &[u8], expected: &[u8]) {
    assert!(
        is == expected,
        "{}: expected\n{}\nnot\n{}",
        world.scenario.name(),
        hex_dump(expected),
        hex_dump(is)
    );
}

fn one_hop_less(packet: &Packet) -> Packet {
    packet.clone().ttl(packet.ttl - 1)
}

/// The packet as it must leave without a tunnel, for the backend or source port that `out` names.
fn rewritten(world: &World, out: &[u8]) -> Packet {
    let seen = Seen::read(out);
    let packet = one_hop_less(&world.packet);
    if world.scenario.kind == Kind::TcpReply {
        let request = request(world.scenario);
        return packet
            .from(request.destination)
            .to(request.source)
            .macs(FRONT_MAC, CLIENT_MAC);
    }
    let id = (1..=world.backends()).find(|id| backend_mac(*id) == seen.destination_mac);
    let id = id.unwrap_or_else(|| panic!("{}: to no backend: {seen}", world.scenario.name()));
    let packet = packet.macs(FRONT_MAC, backend_mac(id));
    match world.scenario.mode {
        Mode::Nat => packet.to(world.backend_address(id)),
        Mode::Snat => {
            let (port, _) = seen.ports.expect("a TCP segment");
            assert!(port >= SOURCE_PORT, "{seen}");
            let source: SocketAddr = (own_address(world.scenario.family), port).into();
            packet.from(source).to(world.backend_address(id))
        }
        Mode::L2 | Mode::Ipip | Mode::Gue | Mode::Local | Mode::Pass => packet,
    }
}

/// Bytes between the Ethernet header and the packet.
const fn overhead(world: &World) -> usize {
    let shim = if matches!(world.scenario.mode, Mode::Gue) {
        8
    } else {
        0
    };
    let header = match world.scenario.family {
        Family::V4 => 20,
        Family::V6 => 40,
    };
    header + shim
}

/// Sees that `outer`, with these addresses, stands before a packet of `length` bytes and leads to a backend.
fn assert_outer(
    world: &World,
    outer: &[u8],
    length: usize,
    (source, destination): (IpAddr, IpAddr),
) {
    let (ethernet, outer) = outer.split_at(ETHERNET);
    let name = world.scenario.name();
    let is_gue = world.scenario.mode == Mode::Gue;
    let (header, protocol, payload) = match world.scenario.family {
        Family::V4 => {
            let ip = Ipv4HeaderSlice::from_slice(outer).expect("an IPv4 header");
            let payload = ip.payload_len().expect("a length");
            (20, ip.protocol(), payload)
        }
        Family::V6 => {
            let ip = Ipv6HeaderSlice::from_slice(outer).expect("an IPv6 header");
            (40, ip.next_header(), ip.payload_length())
        }
    };
    let expected = match (is_gue, world.scenario.family) {
        (true, _) => IpNumber::UDP,
        (false, Family::V4) => IpNumber::IPV4,
        (false, Family::V6) => IpNumber::IPV6,
    };
    assert_eq!(protocol, expected, "{name}");
    assert_eq!(source, own_address(world.scenario.family), "{name}");
    let shim = outer.len() - header;
    assert_eq!(usize::from(payload), shim + length, "{name}");
    let id = (1..=world.backends()).find(|id| world.backend_address(*id).ip() == destination);
    let id = id.unwrap_or_else(|| panic!("{name}: a tunnel to {destination}"));
    let addresses = [backend_mac(id), FRONT_MAC].concat();
    assert_eq!(ethernet.get(..12), Some(addresses.as_slice()), "{name}");
    if is_gue {
        let udp = outer.get(header..).unwrap_or_default();
        let udp = UdpHeaderSlice::from_slice(udp).expect("a UDP header");
        let lengths = (udp.destination_port(), usize::from(udp.length()));
        assert_eq!(lengths, (GUE_PORT, shim + length), "{name}");
    }
}
