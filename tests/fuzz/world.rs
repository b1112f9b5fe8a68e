//! A namespace, the loaded program and the model, all told the same.

use std::{
    net::{IpAddr, SocketAddr},
    ops::{Range, RangeInclusive},
};

use lb_common::{
    backend::{self, BackendId, Mode},
    be::{Be16, Be32},
    family::{Address, Address4, Address6},
    quic::Server,
    settings::Settings,
    table::{SLOTS_PER_ELEMENT, Slot},
    vip::Vip,
    vlan::{Vlan, VlanDevice},
};
use lb_tests::{
    netns::{Namespace, join},
    object::{Form, Object},
    packet::{CUSTOMER_TAG, Mac, PROVIDER_TAG},
};

use crate::model::{Backend, Hop, Model, Prefix, QuicConfig, Route, Service, Tag, single};

/// The client's MAC address, or its router's.
pub(crate) const CLIENT_MAC: Mac = [2, 0, 0, 0, 0, 0xcc];
const INTERFACES: [(&str, Mac); 3] = [
    ("front", [2, 0, 0, 0, 0, 0x1b]),
    ("back", [2, 0, 0, 0, 0, 0x2b]),
    ("aside", [2, 0, 0, 0, 0, 0x3b]),
];
const FRONT: usize = 0;
const BACK: usize = 1;
const ASIDE: usize = 2;
/// The addresses of the VIPs.
pub(crate) const VIPS: [&str; 2] = ["192.0.2.10", "2001:db8::10"];
/// Addresses of which every port has a service.
pub(crate) const ANY_PORT_VIPS: [&str; 2] = ["192.0.2.12", "2001:db8::12"];
/// Prefixes of which all addresses are VIPs; of each version one lies in the other.
const PREFIX_VIPS: [[(&str, u8); 2]; 2] = [
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
const SOURCES: [&str; 2] = ["172.16.0.0", "fd00:77::"];
const SOURCE_BITS: u8 = 16;
/// The first of our two addresses towards `snat` backends.
const OWN: [&str; 2] = ["172.17.0.2", "fd00:78::2"];
/// The source ports that a world gives out.
pub(crate) const SOURCE_PORTS: Range<u16> = 20_000..20_064;
const SLOTS: usize = 13;
/// Where backends take GUE.
pub(crate) const GUE_PORT: u16 = 6_080;

/// Number, mode, address, interface, flags.
const BACKENDS: [(u32, Mode, &str, usize, u8); 31] = [
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
const TAGGED: [(u32, Tag); 6] = [
    (28, (CUSTOMER_TAG, 100)),
    (29, (PROVIDER_TAG, 4_094)),
    (30, (CUSTOMER_TAG, 7)),
    (31, (PROVIDER_TAG, 1)),
    (32, (CUSTOMER_TAG, 100)),
    (33, (PROVIDER_TAG, 100)),
];
/// Backends to which only short packets may go, and how short.
const NARROW: RangeInclusive<u32> = 21..=23;
const MTU: u16 = 120;

/// A port of each VIP, and the backends in its table: IPv4, IPv6. None: no live backend.
const SERVICES: [(u16, [&[u32]; 2]); 22] = [
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
/// Ports worth a packet: the services', and some without one.
pub(crate) const PORTS: [u16; 30] = [
    QUIC_PORT, QUIC_PORT, QUIC_PORT, 80, 81, 90, 91, 92, 93, 93, 94, 94, 95, 100, 101, 102, 103,
    104, 105, 106, 200, 201, 202, 203, 204, 300, 443, 443, 9_999, 0,
];
const PROTOCOLS: [u8; 3] = [6, 17, 132];

/// A port of each VIP whose service reads QUIC connection ids, its number, and the backends in its table.
const QUIC_PORT: u16 = 107;
const QUIC_SERVICE: u32 = 7;
const QUIC_MEMBERS: [u32; 2] = [1, 21];
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
const RECYCLED: u32 = 5;

/// The server id of the backend `id`, of `length` bytes.
pub(crate) fn server_id(id: u32, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    bytes[0] = u8::try_from(id).expect("few backends");
    bytes
}

/// Both sides.
pub(crate) struct World {
    pub(crate) object: Object,
    pub(crate) model: Model,
    /// The interfaces' numbers.
    pub(crate) interfaces: [u32; 3],
}

impl World {
    /// Forgets all flows on both sides.
    pub(crate) fn renew(&mut self) {
        self.object.forget_flows();
        self.object.rewind_ports();
        self.model.forget_flows();
    }

    fn hop(&self, side: usize, destination: Mac) -> Hop {
        Hop {
            egress: self.interfaces[side],
            source: INTERFACES[side].1,
            destination,
            tag: None,
        }
    }

    /// Makes an interface one of VLANs: `parent` transmits for it, with this tag.
    fn put_vlan(&mut self, side: usize, parent: usize, tag: Option<Tag>) {
        let [index, parent] = [side, parent].map(|side| self.interfaces[side]);
        self.model.vlans.insert(index, (parent, tag));
        let device = VlanDevice {
            parent,
            vlan: vlan(tag),
            reserved: 0,
        };
        self.object.put_vlan(index, device);
    }

    fn fill(&mut self) {
        // One world has a client behind a VLAN device, the other one an interface that carries some.
        if self.model.settings.drop_unmatched == 0 {
            self.put_vlan(ASIDE, BACK, Some((PROVIDER_TAG, 200)));
        } else {
            self.put_vlan(FRONT, FRONT, None);
        }
        for side in [FRONT, BACK] {
            self.object.allow_device(self.interfaces[side]);
            self.model.devices.insert(self.interfaces[side]);
        }
        for (id, mode, address, side, flags) in BACKENDS {
            let address = SocketAddr::new(ip(address), BACKEND_PORT);
            let last = u8::try_from(id).expect("few backends");
            let tagged = TAGGED.iter().find(|(other, _)| *other == id);
            let hop = Hop {
                tag: tagged.map(|(_, tag)| *tag),
                ..self.hop(side, [2, 0, 0, 0, 1, last])
            };
            let backend = Backend {
                generation: 1,
                is_inactive: flags != 0,
                mode,
                address,
                hop,
                source: ip(
                    if mode == Mode::SNAT { OWN } else { SOURCES }[usize::from(address.is_ipv6())]
                ),
                source_bits: if mode == Mode::SNAT { 1 } else { SOURCE_BITS },
                mtu: if NARROW.contains(&id) { MTU } else { 0 },
            };
            self.model.backends.insert(id, backend);
            self.object
                .put_backend(BackendId(id), entry(&backend, flags));
        }
        let mut offset = 0;
        for (family, vip) in VIPS.into_iter().enumerate() {
            let vip = single(ip(vip));
            let services = SERVICES.map(|(port, members)| (port, members[family]));
            self.serve(vip, &services, &mut offset);
            self.serve(vip, &[(QUIC_PORT, &QUIC_MEMBERS)], &mut offset);
            let nat = 3 + u32::try_from(family).expect("two of them");
            let any_port = single(ip(ANY_PORT_VIPS[family]));
            self.serve(any_port, &[(0, &[2, nat]), (100, &[])], &mut offset);
            let [outer, inner] = PREFIX_VIPS[family].map(|(first, bits)| (ip(first), bits));
            let services: [(u16, &[u32]); 3] = [(80, &[1]), (90, &[nat]), (0, &[1, 2, 12, 19])];
            self.serve(outer, &services, &mut offset);
            self.serve(inner, &[(80, &[2]), (443, &[1, nat])], &mut offset);
            let own = single(ip(IN_PREFIXES[family][0]));
            self.serve(own, &[(80, &[2]), (100, &[])], &mut offset);
        }
        self.name_servers();
        let client = |side| self.hop(side, CLIENT_MAC);
        self.model.routes = vec![
            Route::by(ip("198.51.100.7"), client(FRONT)),
            Route::by(ip("2001:db8:c::7"), client(FRONT)),
            Route::by(ip("198.51.101.7"), client(ASIDE)),
            Route::by(ip("2001:db8:e::7"), client(ASIDE)),
        ];
        // This host's own addresses, and in IPv4 the last of a network (RFC 919), in IPv6 the first (RFC 4291 section
        // 2.6.1). IPv4's first one is a host's like others, since Linux 5.14.
        let own = [
            "198.51.100.1",
            "198.51.100.255",
            "198.51.101.1",
            "198.51.101.255",
            "10.0.0.1",
            "10.0.0.255",
            "2001:db8:c::",
            "2001:db8:c::1",
            "2001:db8:e::",
            "2001:db8:e::1",
            "fd00:b::",
            "fd00:b::1",
        ];
        let own = own.into_iter().map(|text| Route::own(ip(text)));
        self.model.routes.extend(own);
        self.model.routes.extend([
            Route::unresolved(ip("198.51.100.0"), 8),
            Route::unresolved(ip("198.51.101.0"), 8),
            Route::unresolved(ip("10.0.0.0"), 8),
            Route::unresolved(ip("2001:db8:c::"), 64),
            Route::unresolved(ip("2001:db8:e::"), 64),
            Route::unresolved(ip("fd00:b::"), 64),
            Route::refused(ip("203.0.114.0"), 8),
            Route::refused(ip("2001:db8:f::"), 64),
        ]);
    }

    fn name_servers(&mut self) {
        for id in NAMED {
            let generation = if id == RECYCLED { 2 } else { 1 };
            for (_, length, _) in QUIC_CONFIGS {
                let server_id = server_id(id, length);
                let server = Server {
                    backend: id,
                    generation,
                };
                self.object.put_server(QUIC_SERVICE, &server_id, server);
                self.model.servers.insert(server_id, (id, generation));
            }
        }
    }

    /// Publishes a service on each of these ports of `prefix`, for all protocols, with tables from `offset` on; that of
    /// [`QUIC_PORT`] goes by connection ids.
    fn serve(&mut self, prefix: Prefix, services: &[(u16, &[u32])], offset: &mut u32) {
        let (first, bits) = prefix;
        // What one address has, no trie knows.
        let is_single = prefix == single(first);
        let length = if is_single { 0 } else { bits };
        self.model.prefixes.insert(prefix);
        if is_single {
            self.object.put_vip(first, 0, 0, Vip::default());
        } else {
            self.object.announce_prefix(prefix);
        }
        for (port, members) in services {
            let table: Vec<u32> = members.iter().copied().cycle().take(SLOTS).collect();
            let slots: Vec<Slot> = table.iter().map(|id| Slot::new(BackendId(*id))).collect();
            self.object.write_table(*offset, &slots);
            let is_quic = *port == QUIC_PORT;
            let mut vip = Vip {
                table_offset: *offset,
                table_slots: u32::try_from(table.len()).expect("a small table"),
                generation: 1,
                service: if is_quic { QUIC_SERVICE } else { 1 },
                ..Vip::default()
            };
            let mut service = Service {
                table,
                ..Service::default()
            };
            for (number, server_id, tells_length) in QUIC_CONFIGS.into_iter().filter(|_| is_quic) {
                let length = u32::try_from(server_id).expect("a few bytes");
                vip = vip.with_quic(u32::from(number), length, tells_length);
                let config = QuicConfig {
                    server_id,
                    tells_length,
                };
                service.quic.insert(number, config);
            }
            for protocol in PROTOCOLS {
                self.object
                    .put_prefix_vip((first, length), *port, protocol, vip);
                let key = (prefix, *port, protocol);
                self.model.vips.insert(key, service.clone());
            }
            *offset += SLOTS_PER_ELEMENT;
        }
    }
}

/// The address that `text` says.
pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn entry(backend: &Backend, flags: u8) -> backend::Backend {
    let (version, address) = words(backend.address.ip());
    let (_, source) = words(backend.source);
    backend::Backend {
        generation: backend.generation,
        service: 1,
        vlan: vlan(backend.hop.tag),
        address,
        destination_mac: backend.hop.destination,
        source_mac: backend.hop.source,
        egress: backend.hop.egress,
        port: Be16::new(backend.address.port()),
        mode: backend.mode,
        version,
        flags,
        source_bits: backend.source_bits,
        mtu: backend.mtu,
        source,
    }
}

/// A tag as it stands in the maps.
fn vlan(tag: Option<Tag>) -> Vlan {
    tag.map_or(Vlan::NONE, |(ethertype, id)| {
        Vlan::new(id, ethertype == PROVIDER_TAG)
    })
}

/// An address as it stands in a backend's entry, and its IP version.
fn words(address: IpAddr) -> (u8, [Be32; 4]) {
    match address {
        IpAddr::V4(v4) => {
            let Address([word]) = Address4::from(v4);
            (4, [word, Be32::default(), Be32::default(), Be32::default()])
        }
        IpAddr::V6(v6) => (6, Address6::from(v6).0),
    }
}

/// Calls `inside` with a world of its own, in a namespace of its own.
pub(crate) fn in_world<T: Send>(
    settings: Settings,
    form: Form,
    inside: impl FnOnce(&mut World) -> T + Send,
) -> T {
    let namespace = Namespace::new("fuzz");
    for (interface, mac) in INTERFACES {
        let peer = format!("{interface}-peer");
        join((&namespace, interface), (&namespace, &peer));
        let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
        namespace.ip(&format!("link set {interface} address {mac}"));
        namespace.sysctl(&format!("ipv4/conf/{interface}/forwarding"), "1");
        namespace.sysctl(&format!("ipv6/conf/{interface}/forwarding"), "1");
    }
    let client = CLIENT_MAC.map(|byte| format!("{byte:02x}")).join(":");
    for command in [
        "address add 198.51.100.1/24 dev front".to_owned(),
        "address add 2001:db8:c::1/64 dev front nodad".to_owned(),
        "address add 10.0.0.1/24 dev back".to_owned(),
        "address add fd00:b::1/64 dev back nodad".to_owned(),
        "address add 198.51.101.1/24 dev aside".to_owned(),
        "address add 2001:db8:e::1/64 dev aside nodad".to_owned(),
        "route add prohibit 203.0.114.0/24".to_owned(),
        "route add prohibit 2001:db8:f::/64".to_owned(),
        format!("neighbour add 198.51.100.7 lladdr {client} dev front nud permanent"),
        format!("neighbour add 2001:db8:c::7 lladdr {client} dev front nud permanent"),
        format!("neighbour add 198.51.101.7 lladdr {client} dev aside nud permanent"),
        format!("neighbour add 2001:db8:e::7 lladdr {client} dev aside nud permanent"),
    ] {
        namespace.ip(&command);
    }
    let interfaces = INTERFACES.map(|(interface, _)| namespace.interface(interface).0);
    namespace.enter(|| {
        let mut world = World {
            object: Object::load(settings, form),
            model: Model {
                settings,
                ..Model::default()
            },
            interfaces,
        };
        world.fill();
        inside(&mut world)
    })
}
