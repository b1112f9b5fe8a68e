//! What is published in the worlds, and the addresses, ports and names that have a meaning there.

use std::ops::{Range, RangeInclusive};

use lb_common::{
    backend::{self, Mode},
    budget::Budget,
    table::Slot,
    vip::Vip,
};
use lb_tests::packet::{CUSTOMER_TAG, Mac, PROVIDER_TAG};

use crate::model::Tag;

/// The client's MAC address, or its router's.
pub(crate) const CLIENT_MAC: Mac = [2, 0, 0, 0, 0, 0xcc];
pub(crate) const INTERFACES: [(&str, Mac); 3] = [
    ("front", [2, 0, 0, 0, 0, 0x1b]),
    ("back", [2, 0, 0, 0, 0, 0x2b]),
    ("aside", [2, 0, 0, 0, 0, 0x3b]),
];
pub(crate) const FRONT: usize = 0;
pub(crate) const BACK: usize = 1;
pub(crate) const ASIDE: usize = 2;
/// The addresses of the VIPs.
pub(crate) const VIPS: [&str; 2] = ["192.0.2.10", "2001:db8::10"];
/// Addresses of which every port has a service.
pub(crate) const ANY_PORT_VIPS: [&str; 2] = ["192.0.2.12", "2001:db8::12"];
/// Prefixes of which all addresses are VIPs; of each version one lies in the other.
pub(crate) const PREFIX_VIPS: [[(&str, u8); 2]; 2] = [
    [("192.0.2.192", 28), ("192.0.2.200", 30)],
    [("2001:db8:77:40::", 60), ("2001:db8:77:48::", 62)],
];
/// Addresses in and around the prefixes, the first of which have VIPs of their own.
pub(crate) const IN_PREFIXES: [[&str; 7]; 2] = [
    [
        "192.0.2.193",
        "192.0.2.192",
        "192.0.2.207",
        "192.0.2.200",
        "192.0.2.203",
        "192.0.2.191",
        "192.0.2.208",
    ],
    [
        "2001:db8:77:41::",
        "2001:db8:77:40::",
        "2001:db8:77:4f:ffff:ffff:ffff:ffff",
        "2001:db8:77:48::",
        "2001:db8:77:4b::7",
        "2001:db8:77:3f:ffff:ffff:ffff:ffff",
        "2001:db8:77:50::",
    ],
];
/// The port of every backend.
pub(crate) const BACKEND_PORT: u16 = 8_080;
/// The sources of outer headers, by IP version, and how many of their low bits vary.
pub(crate) const SOURCES: [&str; 2] = ["172.16.0.0", "fd00:77::"];
pub(crate) const SOURCE_BITS: u8 = 16;
/// The first of our two addresses towards `snat` backends.
pub(crate) const OWN: [&str; 2] = ["172.17.0.2", "fd00:78::2"];
/// The source ports that a world gives out.
pub(crate) const SOURCE_PORTS: Range<u16> = 20_000..20_064;
pub(crate) const SLOTS: usize = 13;
/// Where backends take GUE.
pub(crate) const GUE_PORT: u16 = 6_080;

/// Number, mode, address, interface, flags.
pub(crate) const BACKENDS: [(u32, Mode, &str, usize, u8); 31] = [
    (1, Mode::L2, "10.0.0.1", FRONT, 0),
    (2, Mode::L2, "fd00:b::2", BACK, 0),
    (3, Mode::NAT, "10.0.0.3", BACK, 0),
    (4, Mode::NAT, "fd00:b::4", BACK, 0),
    (5, Mode::NAT, "10.0.0.5", FRONT, 0),
    (6, Mode::NAT, "fd00:b::6", FRONT, 0),
    (7, Mode(77), "10.0.0.7", BACK, 0),
    (8, Mode::L2, "10.0.0.8", ASIDE, 0),
    (10, Mode::L2, "10.0.0.10", FRONT, backend::Backend::INACTIVE),
    (12, Mode::IPIP, "10.0.0.12", FRONT, 0),
    (13, Mode::IPIP, "fd00:b::13", FRONT, 0),
    (14, Mode::IPIP, "10.0.0.14", BACK, 0),
    (15, Mode::IPIP, "fd00:b::15", BACK, 0),
    (16, Mode::GUE, "10.0.0.16", FRONT, 0),
    (17, Mode::GUE, "fd00:b::17", FRONT, 0),
    (18, Mode::GUE, "10.0.0.18", BACK, 0),
    (19, Mode::GUE, "fd00:b::19", BACK, 0),
    (20, Mode::LOCAL, "10.0.0.20", FRONT, 0),
    (21, Mode::L2, "10.0.0.21", FRONT, 0),
    (22, Mode::IPIP, "10.0.0.22", BACK, 0),
    (23, Mode::GUE, "fd00:b::23", BACK, 0),
    (24, Mode::SNAT, "10.0.0.24", BACK, 0),
    (25, Mode::SNAT, "fd00:b::25", BACK, 0),
    (26, Mode::SNAT, "10.0.0.26", FRONT, 0),
    (27, Mode::SNAT, "fd00:b::27", FRONT, 0),
    (28, Mode::L2, "10.0.0.28", FRONT, 0),
    (29, Mode::L2, "fd00:b::29", BACK, 0),
    (30, Mode::NAT, "10.0.0.30", BACK, 0),
    (31, Mode::SNAT, "fd00:b::31", FRONT, 0),
    (32, Mode::IPIP, "10.0.0.32", FRONT, 0),
    (33, Mode::GUE, "fd00:b::33", BACK, 0),
];
/// Backends behind VLAN devices, and their tags.
pub(crate) const TAGGED: [(u32, Tag); 6] = [
    (28, (CUSTOMER_TAG, 100)),
    (29, (PROVIDER_TAG, 4_094)),
    (30, (CUSTOMER_TAG, 7)),
    (31, (PROVIDER_TAG, 1)),
    (32, (CUSTOMER_TAG, 100)),
    (33, (PROVIDER_TAG, 100)),
];
/// Backends to which only short packets may go, and how short.
pub(crate) const NARROW: RangeInclusive<u32> = 21..=23;
pub(crate) const MTU: u16 = 120;

/// A port of each VIP, and the backends in its table: IPv4, IPv6. None: no live backend.
pub(crate) const SERVICES: [(u16, [&[u32]; 2]); 22] = [
    (80, [&[1], &[1]]),
    (81, [&[2], &[2]]),
    (90, [&[3], &[4]]),
    (91, [&[5], &[6]]),
    (92, [&[4], &[3]]),
    (93, [&[24], &[25]]),
    (94, [&[26], &[27]]),
    (95, [&[25], &[24]]),
    (100, [&[], &[]]),
    // Nobody has number 9.
    (101, [&[9], &[9]]),
    (102, [&[7], &[7]]),
    (103, [&[8], &[8]]),
    // Inactive.
    (104, [&[10], &[10]]),
    (105, [&[Slot::MAX_BACKEND], &[Slot::MAX_BACKEND]]),
    (106, [&[20], &[20]]),
    (200, [&[12, 13], &[12, 13]]),
    (201, [&[14, 15], &[14, 15]]),
    (202, [&[16, 17], &[16, 17]]),
    (203, [&[18, 19], &[18, 19]]),
    (204, [&[21, 22, 23], &[21, 22, 23]]),
    (300, [&[28, 29, 30, 32, 33], &[28, 29, 31, 32, 33]]),
    (
        443,
        [
            &[1, 2, 3, 5, 8, 12, 19, 24, 26],
            &[1, 2, 4, 6, 8, 13, 18, 25, 27],
        ],
    ),
];
/// A port of each VIP for every way in which flows get their slots but the usual one, its flag, the number of its service,
/// and the backends in its table. Chance cannot be foreseen: its table is one backend's; loads are
/// not weighed here, so that the first of two slots counts.
pub(crate) const SPREAD: [(u16, u32, u32, &[u32]); 4] = [
    (108, Vip::BY_SOURCE, 8, &[1, 2, 12, 19, 20]),
    (109, Vip::ROUND_ROBIN, TURNING_SERVICE, &[2, 12, 1, 19, 20]),
    (110, Vip::RANDOM, 10, &[1]),
    (111, Vip::LEAST_CONNECTIONS, 11, &[2, 12, 1, 19, 20]),
];
pub(crate) const TURNING_SERVICE: u32 = 9;
/// Ports worth a packet: the services', and some without one.
pub(crate) const PORTS: [u16; 35] = [
    108, 109, 109, 110, 111, QUIC_PORT, QUIC_PORT, QUIC_PORT, 80, 81, 90, 91, 92, 93, 93, 94, 94,
    95, 100, 101, 102, 103, 104, 105, 106, 200, 201, 202, 203, 204, 300, 443, 443, 9_999, 0,
];
pub(crate) const PROTOCOLS: [u8; 3] = [6, 17, 132];

/// A port of each VIP whose service reads QUIC connection ids, its number, and the backends in its table.
pub(crate) const QUIC_PORT: u16 = 107;
pub(crate) const QUIC_SERVICE: u32 = 7;
pub(crate) const QUIC_MEMBERS: [u32; 2] = [1, 21];
/// The QUIC-LB configurations in use: number, bytes of the server ids, whether connection ids tell their length.
pub(crate) const QUIC_CONFIGS: [(u8, usize, bool); 5] = [
    (0, 1, true),
    (1, 2, false),
    (3, 15, false),
    (4, 9, true),
    (6, 1, false),
];
/// Backends that are named, of every mode; one is inactive, one has another generation, and one is not there.
pub(crate) const NAMED: [u32; 12] = [2, 3, 4, 8, 9, 10, 12, 17, 20, 24, 27, RECYCLED];
pub(crate) const RECYCLED: u32 = 5;

/// The server id of the backend `id`, of `length` bytes.
pub(crate) fn server_id(id: u32, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    bytes[0] = u8::try_from(id).expect("few backends");
    bytes
}

/// Sources that are not let in: a client each, sources that are impossible anyway, and a part of what damaged frames
/// come from.
pub(crate) const BLOCKLIST: [(&str, u8); 4] = [
    ("203.0.114.9", 32),
    ("96.0.0.0", 3),
    ("2001:db8:9::", 49),
    ("fe00::", 7),
];
/// The port of each VIP whose service limits what each source may send, and the service's number.
pub(crate) const LIMITED: u16 = 443;
pub(crate) const LIMITED_SERVICE: u32 = 2;
/// One packet a nanosecond, for the four seconds after any pause: more than any machine can send.
pub(crate) const UNREACHED: [u32; 2] = [1_000_000_000, u32::MAX];
/// Who has sent all that they may: an address, and a host of the /64 of another one.
pub(crate) const EXHAUSTED: [&str; 2] = ["198.51.101.7", "2001:db8:e::1234"];
pub(crate) const USED_UP: Budget = Budget {
    spent_until: u64::MAX / 2,
};
