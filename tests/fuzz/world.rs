//! A namespace, the loaded program and the model, all told the same.

use std::net::{IpAddr, SocketAddr};

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
    packet::{Mac, PROVIDER_TAG},
};

use crate::{
    model::{Backend, Hop, Model, Prefix, QuicConfig, Route, Service, Spread, Tag, single},
    published::{
        ANY_PORT_VIPS, ASIDE, BACK, BACKEND_PORT, BACKENDS, BLOCKLIST, CLIENT_MAC, EXHAUSTED,
        FRONT, IN_PREFIXES, INTERFACES, LIMITED, LIMITED_SERVICE, MTU, NAMED, NARROW, OWN,
        PREFIX_VIPS, PROTOCOLS, QUIC_CONFIGS, QUIC_MEMBERS, QUIC_PORT, QUIC_SERVICE, RECYCLED,
        SERVICES, SLOTS, SOURCE_BITS, SOURCES, SPREAD, TAGGED, TURNING_SERVICE, UNREACHED, USED_UP,
        VIPS, server_id,
    },
};

/// Both sides.
pub(crate) struct World {
    pub(crate) object: Object,
    pub(crate) model: Model,
    /// The interfaces' numbers.
    pub(crate) interfaces: [u32; 3],
}

impl World {
    /// Forgets all flows on both sides, and what sources have sent.
    pub(crate) fn renew(&mut self) {
        self.object.forget_flows();
        self.object.forget_sources();
        for source in EXHAUSTED.map(ip) {
            self.object.put_budget(LIMITED_SERVICE, source, USED_UP);
        }
        self.object.rewind_ports();
        self.object.rewind_turns(TURNING_SERVICE);
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
            let spread = SPREAD.map(|(port, _, _, members)| (port, members));
            self.serve(vip, &spread, &mut offset);
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
        for (prefix, length) in BLOCKLIST {
            self.object.block((ip(prefix), length));
            self.model.blocklist.push((ip(prefix), length));
        }
        self.name_servers();
        self.model.exhausted = EXHAUSTED.map(ip).into();
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

    fn is_snat(&self, id: u32) -> bool {
        let backend = self.model.backends.get(&id);
        backend.is_some_and(|backend| backend.mode == Mode::SNAT)
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
            let members = members.iter().copied().cycle().take(SLOTS);
            let spread = SPREAD.iter().find(|(other, ..)| other == port);
            let (flags, number) = spread.map_or((0, 1), |(_, flag, number, _)| (*flag, *number));
            let draws = flags & (Vip::RANDOM | Vip::ROUND_ROBIN | Vip::LEAST_CONNECTIONS) != 0;
            // Every other round; of `snat` flows always, for their source ports, and where slots are drawn.
            let table: Vec<(u32, bool)> = (0..)
                .zip(members)
                .map(|(place, id)| (id, place / 2 % 2 == 0 || self.is_snat(id) || draws))
                .collect();
            let slots: Vec<Slot> = table.iter().map(|slot| slot_of(*slot)).collect();
            self.object.write_table(*offset, &slots);
            let is_quic = *port == QUIC_PORT;
            let is_limited = *port == LIMITED;
            let [source_rate, source_burst] = if is_limited { UNREACHED } else { [0, 0] };
            let mut vip = Vip {
                table_offset: *offset,
                table_slots: u32::try_from(table.len()).expect("a small table"),
                generation: 1,
                service: match *port {
                    QUIC_PORT => QUIC_SERVICE,
                    LIMITED => LIMITED_SERVICE,
                    _ => number,
                },
                flags,
                source_rate,
                source_burst,
                ..Vip::default()
            };
            let mut service = Service {
                table,
                is_limited,
                spread: match flags {
                    Vip::BY_SOURCE => Spread::BySource,
                    Vip::RANDOM => Spread::Random,
                    Vip::ROUND_ROBIN => Spread::ByTurns,
                    Vip::LEAST_CONNECTIONS => Spread::ByLoad,
                    _ => Spread::ByFlow,
                },
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

const fn slot_of((id, is_tracked): (u32, bool)) -> Slot {
    let slot = Slot::new(BackendId(id));
    if is_tracked { slot.tracked() } else { slot }
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
