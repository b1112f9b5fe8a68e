//! Frames: whole ones with every kind of header, some of which are then damaged.

use std::net::IpAddr;

use crate::{
    damage::mutate,
    fragments::{fragment_header, fragment_word, identification},
    published::{
        ANY_PORT_VIPS, BACKEND_PORT, CLIENT_MAC, IN_PREFIXES, NAMED, PORTS, QUIC_CONFIGS,
        SOURCE_PORTS, VIPS, server_id,
    },
    random::Random,
    world::ip,
};

const CLIENTS: [[&str; 7]; 2] = [
    [
        "198.51.100.7",
        "198.51.100.7",
        "198.51.100.8",
        "198.51.101.7",
        "203.0.113.7",
        "203.0.114.7",
        "203.0.114.9",
    ],
    [
        "2001:db8:c::7",
        "2001:db8:c::7",
        "2001:db8:c::8",
        "2001:db8:e::7",
        "2001:db8:d::7",
        "2001:db8:f::7",
        "2001:db8:9::9",
    ],
];
/// Sources and destinations that are somebody special.
const OTHERS: [[&str; 10]; 2] = [
    [
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "224.0.0.1",
        "239.255.255.255",
        "255.255.255.255",
        "240.0.0.1",
        "198.51.100.1",
        "192.0.2.10",
        "192.0.2.11",
    ],
    [
        "::",
        "::1",
        "ff02::1",
        "ffff::1",
        "fe80::1",
        "::ffff:127.0.0.1",
        "::2",
        "2001:db8:c::1",
        "2001:db8::10",
        "2001:db8::11",
    ],
];
const NAT_BACKENDS: [[&str; 2]; 2] = [["10.0.0.3", "10.0.0.5"], ["fd00:b::4", "fd00:b::6"]];
const SNAT_BACKENDS: [[&str; 2]; 2] = [["10.0.0.24", "10.0.0.26"], ["fd00:b::25", "fd00:b::27"]];
/// Ours towards them.
const OWN: [[&str; 2]; 2] = [["172.17.0.2", "172.17.0.3"], ["fd00:78::2", "fd00:78::3"]];
const CLIENT_PORTS: [u16; 3] = [40_000, 40_001, 40_002];
const TTLS: [u8; 12] = [0, 1, 2, 2, 64, 64, 64, 64, 64, 64, 255, 255];
const PROTOCOLS: [u8; 20] = [
    6, 6, 6, 6, 6, 17, 17, 17, 17, 1, 1, 1, 58, 58, 58, 132, 132, 2, 59, 255,
];
/// SCTP's data, init, heartbeat, abort, shutdown complete, and one that nobody knows.
const CHUNKS: [u8; 7] = [0, 0, 1, 4, 6, 14, 0xbf];
const EXTENSIONS: [u8; 7] = [0, 43, 44, 60, 60, 51, 135];

/// A frame and the interface it comes in by: 0 front, 1 back, 2 aside.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) frame: Vec<u8>,
    pub(crate) side: usize,
}

/// What one end has to say to the other one.
#[derive(Clone, Debug)]
pub(crate) struct Datagram {
    /// 0 for IPv4, 1 for IPv6.
    pub(crate) family: usize,
    pub(crate) ends: (IpAddr, IpAddr),
    pub(crate) protocol: u8,
    pub(crate) content: Vec<u8>,
    is_reply: bool,
}

impl Datagram {
    pub(crate) fn new(random: &mut Random) -> Self {
        let family = random.below(2);
        let is_reply = random.once_in(4);
        let (from, to, ports) = ends(random, family, is_reply);
        let protocol = random.pick(&PROTOCOLS);
        let content = if protocol == [1, 58][family] && !random.once_in(8) {
            icmp(random, family, (from, to), ports)
        } else {
            transport(random, protocol, ports)
        };
        Self {
            family,
            ends: (from, to),
            protocol,
            content,
            is_reply,
        }
    }

    /// A request to a `nat` backend, and what the backend answers.
    pub(crate) fn exchange(random: &mut Random) -> [Self; 2] {
        let family = random.below(2);
        let client = ip(random.pick(&CLIENTS[family]));
        let client_port = random.pick(&CLIENT_PORTS);
        let protocol = random.pick(&[6, 17]);
        let (port, backend) = random.pick(&[(90, 0), (91, 1)]);
        let backend = ip(NAT_BACKENDS[family][backend]);
        let to_vip = ((client, ip(VIPS[family])), [client_port, port]);
        let to_client = ((backend, client), [BACKEND_PORT, client_port]);
        [(to_vip, false), (to_client, true)].map(|((ends, ports), is_reply)| Self {
            family,
            ends,
            protocol,
            content: transport(random, protocol, ports),
            is_reply,
        })
    }

    /// As it comes in, or a part of it, if `packet` is one: perhaps padded, perhaps damaged.
    pub(crate) fn arrival(&self, random: &mut Random, packet: Vec<u8>) -> Arrival {
        let mut frame = link(random, self.family);
        frame.extend(packet);
        if random.once_in(8) {
            let padding = random.below(40);
            frame.extend(random.bytes(padding));
        }
        match random.below(10) {
            0..=5 => {}
            6..=8 => mutate(random, &mut frame, 1),
            _ => {
                let times = 1 + random.below(8);
                mutate(random, &mut frame, times);
            }
        }
        let side = random.pick(if self.is_reply {
            &[1, 1, 0, 2]
        } else {
            &[0, 0, 0, 1, 2]
        });
        Arrival { frame, side }
    }
}

/// A frame that has nothing to do with others.
pub(crate) fn arrival(random: &mut Random) -> Arrival {
    let datagram = Datagram::new(random);
    let Datagram {
        family,
        ends,
        protocol,
        ..
    } = datagram;
    let packet = packet(random, family, ends, protocol, datagram.content.clone());
    datagram.arrival(random, packet)
}

/// An IP packet: in IPv4 with options, in IPv6 with extension headers before `protocol`, or without.
pub(crate) fn packet(
    random: &mut Random,
    family: usize,
    ends: (IpAddr, IpAddr),
    protocol: u8,
    content: Vec<u8>,
) -> Vec<u8> {
    if family == 0 {
        v4(random, ends, protocol, content)
    } else {
        v6(random, ends, protocol, content)
    }
}

fn link(random: &mut Random, family: usize) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 0x1b];
    if random.once_in(64) {
        frame[0] = random.pick(&[0xff, 0x01, 0x33, 0x03, 0x00]);
    }
    frame.extend(CLIENT_MAC);
    let tags = random.pick(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3]);
    for _ in 0..tags {
        frame.extend(random.pick(&[[0x81, 0x00], [0x88, 0xa8]]));
        frame.extend(random.bytes(2));
    }
    frame.extend([[0x08, 0x00], [0x86, 0xdd]][family]);
    frame
}

fn ends(random: &mut Random, family: usize, is_reply: bool) -> (IpAddr, IpAddr, [u16; 2]) {
    let client = if random.once_in(16) {
        random.pick(&OTHERS[family])
    } else {
        random.pick(&CLIENTS[family])
    };
    let client_port = random.pick(&CLIENT_PORTS);
    if is_reply && random.once_in(2) {
        let backend = random.pick(&SNAT_BACKENDS[family]);
        // Those that are given out first.
        let port = SOURCE_PORTS.start + u16::try_from(random.below(20)).expect("a port");
        return (
            ip(backend),
            ip(random.pick(&OWN[family])),
            [BACKEND_PORT, port],
        );
    }
    if is_reply {
        let backend = random.pick(&NAT_BACKENDS[family]);
        return (ip(backend), ip(client), [BACKEND_PORT, client_port]);
    }
    let to = match random.below(16) {
        0 => random.pick(&OTHERS[family]),
        1 => ANY_PORT_VIPS[family],
        2..=4 => random.pick(&IN_PREFIXES[family]),
        _ => VIPS[family],
    };
    (ip(client), ip(to), [client_port, random.pick(&PORTS)])
}

fn transport(random: &mut Random, protocol: u8, [from, to]: [u16; 2]) -> Vec<u8> {
    let payload = random.pick(&[0, 0, 1, 2, 7, 40, 200]);
    let payload = if protocol == 17 && random.once_in(2) {
        quic(random)
    } else {
        random.bytes(payload)
    };
    let mut bytes = Vec::new();
    match protocol {
        6 => {
            bytes.extend(from.to_be_bytes());
            bytes.extend(to.to_be_bytes());
            bytes.extend(random.bytes(8));
            let words = random.pick(&[5, 5, 5, 6, 10, 15]);
            let flags = random.pick(&[2, 0x10, 0x12, 0x18, 0x11, 0x04, 0x14, 0x29]);
            bytes.extend([words << 4, flags]);
            bytes.extend(random.bytes(6));
            bytes.extend(random.bytes(usize::from(words) * 4 - 20));
            let checksum = checksum(random);
            bytes[16..18].copy_from_slice(&checksum);
        }
        17 => {
            bytes.extend(from.to_be_bytes());
            bytes.extend(to.to_be_bytes());
            let length = u16::try_from(8 + payload.len()).expect("a short datagram");
            bytes.extend(length.to_be_bytes());
            bytes.extend(checksum(random));
        }
        132 => {
            bytes.extend(from.to_be_bytes());
            bytes.extend(to.to_be_bytes());
            bytes.extend(random.bytes(8));
            bytes.extend([random.pick(&CHUNKS), random.byte()]);
            let length = u16::try_from(4 + payload.len()).expect("a short chunk");
            bytes.extend(length.to_be_bytes());
        }
        _ => bytes.extend(random.bytes(8)),
    }
    bytes.extend(payload);
    bytes
}

/// A QUIC packet to a connection id that names a server, or nearly does.
fn quic(random: &mut Random) -> Vec<u8> {
    let (config, length, tells_length) = random.pick(&QUIC_CONFIGS);
    let config = if random.once_in(8) {
        u8::try_from(random.below(8)).expect("three bits")
    } else {
        config
    };
    let mut id = server_id(random.pick(&NAMED), length);
    if random.once_in(8) {
        id = random.bytes(length);
    }
    let nonce = random.pick(&[4, 4, 4, 5, 8, 3, 0]);
    id.extend(random.bytes(nonce));
    let low = if tells_length && !random.once_in(4) {
        u8::try_from(id.len()).expect("a short id")
    } else {
        random.byte() & 0x1f
    };
    id.insert(0, config << 5 | low);
    let mut packet = if random.once_in(2) {
        let mut told = u8::try_from(id.len()).expect("a short id");
        if random.once_in(8) {
            told = random.pick(&[0, 1, 4, 5, told - 1, told + 1, 20, 255]);
        }
        let mut header = vec![random.byte() | 0x80];
        header.extend(random.bytes(4));
        header.push(told);
        header
    } else {
        vec![random.byte() & 0x7f]
    };
    packet.extend(id);
    let rest = random.pick(&[0, 0, 1, 20, 40]);
    packet.extend(random.bytes(rest));
    if random.once_in(8) {
        let cut = random.below(packet.len());
        packet.truncate(cut);
    }
    packet
}

/// An echo request, or an error about a packet that went the other way; sometimes of another type.
fn icmp(random: &mut Random, family: usize, ends: (IpAddr, IpAddr), ports: [u16; 2]) -> Vec<u8> {
    let is_echo = random.once_in(3);
    let kinds: &[u8] = match (is_echo, family) {
        (true, 0) => &[8, 8, 8, 0],
        (true, _) => &[128, 128, 128, 129],
        (false, 0) => &[3, 11, 12, 3, 5],
        (false, _) => &[1, 2, 3, 4, 137],
    };
    let code = random.pick(&[0, 0, 0, 1, 4]);
    let mut bytes = vec![random.pick(kinds), code];
    bytes.extend(checksum(random));
    bytes.extend(random.bytes(4));
    if is_echo {
        let payload = random.pick(&[0, 1, 8, 56]);
        bytes.extend(random.bytes(payload));
        return bytes;
    }
    let (from, to) = ends;
    let from = if random.once_in(16) {
        ip(random.pick(&CLIENTS[family]))
    } else {
        from
    };
    let [from_port, to_port] = ports;
    let protocol = random.pick(&[6, 6, 17, 17, 17, 1, 132]);
    let content = transport(random, protocol, [to_port, from_port]);
    let mut quote = packet(random, family, (to, from), protocol, content);
    if random.once_in(2) {
        let fixed = [20, 40][family] + random.pick(&[7, 8, 8, 8, 9, 17, 18, 28, 60]);
        quote.truncate(fixed);
    }
    bytes.extend(quote);
    bytes
}

/// Checksums are not verified on the way, only kept as right or wrong as they were: any will do.
fn checksum(random: &mut Random) -> [u8; 2] {
    let other = random.pick(&[0, 0xffff, 0xfffe, 1]);
    if random.once_in(4) {
        other
    } else {
        u16::from_be_bytes([random.byte(), random.byte()])
    }
    .to_be_bytes()
}

fn v4(random: &mut Random, ends: (IpAddr, IpAddr), protocol: u8, content: Vec<u8>) -> Vec<u8> {
    let words = random.pick(&[5, 5, 5, 5, 6, 7, 15]);
    let length = usize::from(words) * 4 + content.len();
    let fragment = if random.once_in(8) {
        fragment_word(random)
    } else {
        random.pick(&[0, 0x4000])
    };
    let mut bytes = vec![0x40 | words, random.byte()];
    bytes.extend(u16::try_from(length).expect("a short packet").to_be_bytes());
    bytes.extend(&identification(random)[2..]);
    bytes.extend(fragment.to_be_bytes());
    bytes.extend([random.pick(&TTLS), protocol]);
    bytes.extend(checksum(random));
    extend_ends(&mut bytes, ends);
    bytes.extend(random.bytes(usize::from(words) * 4 - 20));
    bytes.extend(content);
    bytes
}

fn v6(random: &mut Random, ends: (IpAddr, IpAddr), protocol: u8, content: Vec<u8>) -> Vec<u8> {
    let count = random.pick(&[0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9]);
    let kinds: Vec<u8> = (0..count).map(|_| random.pick(&EXTENSIONS)).collect();
    let kinds: Vec<u8> = if random.once_in(4) {
        kinds
    } else {
        let walked = |kind| if matches!(kind, 51 | 135) { 60 } else { kind };
        kinds.into_iter().map(walked).collect()
    };
    let mut behind = Vec::new();
    for (index, kind) in kinds.iter().enumerate() {
        let next = kinds.get(index + 1).copied().unwrap_or(protocol);
        if *kind == 44 {
            let fragment = if random.once_in(2) {
                fragment_word(random)
            } else {
                0
            };
            let identification = identification(random);
            behind.extend(fragment_header(next, fragment, identification));
        } else {
            let units = random.pick(&[0, 0, 0, 1, 2]);
            behind.extend([next, units]);
            behind.extend(random.bytes(6 + 8 * usize::from(units)));
        }
    }
    behind.extend(content);
    let mut bytes = vec![0x60, 0, 0, 0];
    bytes.extend(
        u16::try_from(behind.len())
            .expect("a short packet")
            .to_be_bytes(),
    );
    bytes.extend([
        kinds.first().copied().unwrap_or(protocol),
        random.pick(&TTLS),
    ]);
    extend_ends(&mut bytes, ends);
    bytes.extend(behind);
    bytes
}

fn extend_ends(bytes: &mut Vec<u8>, (from, to): (IpAddr, IpAddr)) {
    for end in [from, to] {
        match end {
            IpAddr::V4(address) => bytes.extend(address.octets()),
            IpAddr::V6(address) => bytes.extend(address.octets()),
        }
    }
}
