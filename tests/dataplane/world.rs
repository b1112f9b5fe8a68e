//! Where the rows play: two interfaces, a client, VIPs of both families, backends for every case.

use std::net::IpAddr;

use lb_common::{
    backend::{Backend, BackendId, Mode},
    be::{Be16, Be32},
    family::{Address, Address4, Address6},
    load::Load,
    path,
    quic::Server,
    settings::Settings,
    table::{SLOTS_PER_ELEMENT, Slot},
    vip::Vip,
    vlan::{Vlan, VlanDevice},
};
use lb_tests::{
    netns::{Namespace, join},
    object::{Form, Object},
};

use crate::{
    family::Family,
    member::{
        BACK_MAC, CLIENT_MAC, FIRST, FRONT_MAC, GONE, L2_BACK, L2_FRONT, LOCAL, Member, NAT_BACK,
        NAT_FRONT, NO_DEVICE, PORT_BEYOND, PORT_CHANGING, PORT_EMPTY, PORT_L2_BACK, PORT_L2_FRONT,
        PORT_LOCAL, PORT_NAT_BACK, PORT_NAT_FRONT, PORT_NO_DEVICE, PORT_QUIC, PORT_QUIC_EMPTY,
        PORT_SNAT_BACK, PORT_SNAT_FRONT, PORT_SNAT_WRONG_FAMILY, PORT_STALE, PORT_STRANGE_MODE,
        PORT_TAGGED, PORT_TUNNELS, PORT_WRONG_FAMILY, SECOND, SIDE_MAC, SNAT_BACK, SNAT_FRONT,
        STRANGE_MODE, Side, TAGGED, TUNNELS, of,
    },
};

/// The number of every service.
pub(crate) const SERVICE: u32 = 1;
/// The parts of the prefix whose first address has a VIP of its own: for one port, for every port.
pub(crate) const OWN_PORT: u8 = 1;
pub(crate) const OWN_ANY_PORT: u8 = 2;
/// Slots of every lookup table.
const SLOTS: u32 = 13;
/// The place among the tables of backends of those with several, one of each family.
const SPREAD: u32 = 60;
/// Low bits of outer sources that vary with the flow.
pub(crate) const SOURCE_BITS: u8 = 16;
const UDP: u8 = 17;

/// The QUIC-LB configurations in use: number, length of the server ids, whether connection ids tell their length.
pub(crate) const QUIC_CONFIGS: [(u8, usize, bool); 6] = [
    (0, 3, true),
    (1, 5, true),
    (2, 1, false),
    (3, 15, false),
    (4, 8, true),
    (6, 2, false),
];
/// The number of the service with those configurations.
const QUIC_SERVICE: u32 = 7;

/// The server id of `member`, `length` bytes that end with its number.
pub(crate) fn server_id(member: Member, length: usize) -> Vec<u8> {
    let mut id: Vec<u8> = (0x91..).take(length).collect();
    id[length - 1] = u8::try_from(member.id).expect("few backends");
    id
}
const PROTOCOLS: [u8; 3] = [6, UDP, 132];

/// The program, filled, and its interfaces.
pub(crate) struct World {
    /// The program.
    pub(crate) object: Object,
    /// Packets that each source may send to a service, in a second and at once; 0: as many as it likes.
    limit: [u32; 2],
    front: u32,
    back: u32,
    side: u32,
    probes: u32,
}

impl World {
    /// The index of the interface.
    pub(crate) const fn index(&self, side: Side) -> u32 {
        match side {
            Side::Front => self.front,
            Side::Back => self.back,
            Side::Aside => self.side,
            Side::Probes => self.probes,
        }
    }

    /// Makes everything as it was at first, and forgets all flows and sources.
    pub(crate) fn renew(&mut self) {
        self.object.forget_flows();
        self.object.forget_sources();
        self.object.unblock_all();
        self.object.forget_vlans();
        self.object.rewind_ports();
        self.object.rewind_turns(SERVICE);
        for member in [FIRST, SECOND] {
            self.object.put_load(member.id, Load::default());
        }
        let several = [L2_FRONT, L2_BACK, STRANGE_MODE, NO_DEVICE, FIRST, SECOND];
        let several = several.into_iter().chain(NAT_BACK).chain(NAT_FRONT);
        let several = several.chain(SNAT_BACK).chain(SNAT_FRONT);
        for member in several.chain(TUNNELS).chain(TAGGED).chain([LOCAL]) {
            self.put(member, 1, 0);
        }
        self.limit(0, 0);
        let probed = [L2_FRONT, L2_BACK, NO_DEVICE, GONE, FIRST];
        for member in probed.into_iter().chain(TUNNELS).chain(TAGGED) {
            self.lead(member);
        }
    }

    /// Gives a backend of generation 1 an alias of each family.
    fn lead(&mut self, member: Member) {
        for family in Family::BOTH {
            let addresses = [family.alias(member), family.vip(), family.own()];
            self.object
                .put_path(addresses, BackendId(member.id), 1, self.probes);
        }
    }

    /// Publishes all VIPs again, of services that let each source send so many packets; of a rate of 0, any number.
    pub(crate) fn limit(&mut self, rate: u32, burst: u32) {
        self.limit = [rate, burst];
        for family in Family::BOTH {
            self.object.put_vip(family.vip(), 0, 0, Vip::default());
            self.publish(family, PORT_EMPTY, 0, 0);
            for (port, backend) in [
                (PORT_L2_FRONT, L2_FRONT.id),
                (PORT_L2_BACK, L2_BACK.id),
                (PORT_NAT_BACK, of(family, NAT_BACK).id),
                (PORT_NAT_FRONT, of(family, NAT_FRONT).id),
                (PORT_WRONG_FAMILY, of(family.other(), NAT_BACK).id),
                (PORT_SNAT_BACK, of(family, SNAT_BACK).id),
                (PORT_SNAT_FRONT, of(family, SNAT_FRONT).id),
                (PORT_SNAT_WRONG_FAMILY, of(family.other(), SNAT_BACK).id),
                (PORT_STALE, GONE.id),
                (PORT_STRANGE_MODE, STRANGE_MODE.id),
                (PORT_NO_DEVICE, NO_DEVICE.id),
                (PORT_CHANGING, FIRST.id),
                (PORT_BEYOND, Slot::MAX_BACKEND),
                (PORT_LOCAL, LOCAL.id),
            ] {
                self.serve(family, port, backend);
            }
            self.serve_any(family, L2_BACK.id);
            for (port, member) in (PORT_TAGGED..).zip(TAGGED) {
                self.serve(family, port, member.id);
            }
            self.serve_prefixes(family);
            self.serve_quic(family);
            for (port, member) in (PORT_TUNNELS..).zip(TUNNELS) {
                self.serve(family, port, member.id);
            }
        }
        let named = [SECOND, L2_BACK, LOCAL, GONE];
        for member in named.into_iter().chain(NAT_BACK).chain(TUNNELS) {
            self.name(member, 1);
        }
    }

    /// Gives a backend of this generation its server ids of every length in use.
    pub(crate) fn name(&mut self, member: Member, generation: u32) {
        let backend = member.id;
        let server = Server {
            backend,
            generation,
        };
        for (_, length, _) in QUIC_CONFIGS {
            self.object
                .put_server(QUIC_SERVICE, &server_id(member, length), server);
        }
    }

    /// Writes a backend with this generation and these flags.
    pub(crate) fn put(&mut self, member: Member, generation: u32, flags: u8) {
        let backend = self.entry(member, generation, flags);
        self.object.put_backend(BackendId(member.id), backend);
    }

    /// Lets the way to a backend carry no IP packet of more than `mtu` bytes.
    pub(crate) fn narrow(&mut self, member: Member, mtu: u16) {
        let backend = Backend {
            mtu,
            ..self.entry(member, 1, 0)
        };
        self.object.put_backend(BackendId(member.id), backend);
    }

    fn entry(&self, member: Member, generation: u32, flags: u8) -> Backend {
        let address = member.address();
        let (version, address_words) = words(address.ip());
        let (source, source_bits) = match member.mode {
            Mode::SNAT => (member.family.own(), 0),
            _ => (member.family.source(), SOURCE_BITS),
        };
        let (_, source) = words(source);
        Backend {
            generation,
            service: u16::try_from(SERVICE).expect("a small number"),
            vlan: member.vlan,
            address: address_words,
            destination_mac: member.mac(),
            source_mac: member.egress_mac(),
            egress: self.index(member.side),
            port: Be16::new(address.port()),
            mode: member.mode,
            version,
            flags,
            source_bits,
            mtu: 0,
            source,
        }
    }

    /// Makes an interface one whose frames leave by `parent` with the tag of `vlan`; with none, and as its own parent,
    /// one that carries VLAN devices.
    pub(crate) fn put_vlan(&mut self, side: Side, parent: Side, vlan: Vlan) {
        let device = VlanDevice {
            parent: self.index(parent),
            vlan,
            reserved: 0,
        };
        self.object.put_vlan(self.index(side), device);
    }

    /// Publishes a table of nothing but `backend` for a port, TCP, UDP and SCTP.
    pub(crate) fn serve(&mut self, family: Family, port: u16, backend: u32) {
        let Vip {
            table_offset,
            table_slots,
            ..
        } = self.table_of(backend);
        self.publish(family, port, table_offset, table_slots);
    }

    /// Publishes a table of nothing but `backend` for every port that has none of its own, of the address
    /// that has such a VIP.
    fn serve_any(&mut self, family: Family, backend: u32) {
        let vip = self.table_of(backend);
        let address = family.any_port_vip();
        self.object.put_vip(address, 0, 0, Vip::default());
        self.object.put_vip(address, 0, UDP, vip);
        // One port has a VIP of its own, in whose service nobody lives.
        self.object.put_vip(
            address,
            PORT_EMPTY,
            UDP,
            Vip {
                table_slots: 0,
                ..vip
            },
        );
    }

    /// Publishes a table of nothing but `backend`, whose flows are not remembered, for a port, TCP, UDP and SCTP.
    pub(crate) fn serve_untracked(&mut self, family: Family, port: u16, backend: u32) {
        let slot = Slot::new(BackendId(backend));
        // The last regions are nobody else's.
        let region = match family {
            Family::V4 => 62,
            Family::V6 => 63,
        };
        let table_offset = region * SLOTS_PER_ELEMENT;
        self.object
            .write_table(table_offset, &[slot; SLOTS as usize]);
        self.publish(family, port, table_offset, SLOTS);
    }

    /// Writes a table of nothing but `backend`, whose flows are remembered; a VIP that points to it.
    fn table_of(&mut self, backend: u32) -> Vip {
        // One region for each backend; one more for the backend that is beyond all.
        let table_offset = backend.min(61) * SLOTS_PER_ELEMENT;
        let slots = [Slot::new(BackendId(backend)).tracked(); SLOTS as usize];
        self.object.write_table(table_offset, &slots);
        let [source_rate, source_burst] = self.limit;
        Vip {
            table_offset,
            table_slots: SLOTS,
            generation: 1,
            service: SERVICE,
            source_rate,
            source_burst,
            ..Vip::default()
        }
    }

    /// Publishes a table of these slots for a port, TCP, UDP and SCTP, which flows get in the way that `flags` say.
    pub(crate) fn spread(&mut self, family: Family, port: u16, flags: u32, slots: &[Slot]) {
        let place = SPREAD + u32::from(family == Family::V6);
        let table_offset = place * SLOTS_PER_ELEMENT;
        self.object.write_table(table_offset, slots);
        let vip = Vip {
            table_offset,
            table_slots: u32::try_from(slots.len()).expect("a small table"),
            generation: 1,
            service: SERVICE,
            flags,
            ..Vip::default()
        };
        for protocol in PROTOCOLS {
            self.object.put_vip(family.vip(), port, protocol, vip);
        }
    }

    /// Publishes VIPs of the prefix, of the one within it, and of single addresses in it, each for all protocols.
    fn serve_prefixes(&mut self, family: Family) {
        let (prefix, inner) = (family.prefix(), family.inner_prefix());
        self.object.announce_prefix(prefix);
        self.object.announce_prefix(inner);
        let single = |part| (family.in_prefix(part), 0);
        for part in [OWN_PORT, OWN_ANY_PORT] {
            self.object
                .put_prefix_vip(single(part), 0, 0, Vip::default());
        }
        let nat = of(family, NAT_BACK);
        for (addresses, port, member) in [
            (prefix, PORT_L2_FRONT, L2_FRONT),
            (prefix, PORT_NAT_BACK, nat),
            (prefix, PORT_LOCAL, LOCAL),
            (inner, PORT_L2_BACK, L2_BACK),
            (single(OWN_PORT), PORT_L2_FRONT, FIRST),
            (single(OWN_ANY_PORT), 0, SECOND),
        ] {
            for protocol in PROTOCOLS {
                let vip = self.table_of(member.id);
                self.object.put_prefix_vip(addresses, port, protocol, vip);
            }
        }
        let vip = self.table_of(L2_BACK.id);
        self.object.put_prefix_vip(prefix, 0, UDP, vip);
    }

    /// Publishes the VIPs whose packets go where their connection id says.
    fn serve_quic(&mut self, family: Family) {
        let mut vip = Vip {
            table_offset: FIRST.id * SLOTS_PER_ELEMENT,
            table_slots: SLOTS,
            generation: 1,
            service: QUIC_SERVICE,
            ..Vip::default()
        };
        for (config, length, encodes_length) in QUIC_CONFIGS {
            let length = u32::try_from(length).expect("15 at most");
            vip = vip.with_quic(u32::from(config), length, encodes_length);
        }
        let empty = Vip {
            table_slots: 0,
            ..vip
        };
        for protocol in PROTOCOLS {
            for (port, vip) in [(PORT_QUIC, vip), (PORT_QUIC_EMPTY, empty)] {
                self.object.put_vip(family.vip(), port, protocol, vip);
            }
        }
    }

    /// Publishes a table for a port, TCP, UDP and SCTP.
    pub(crate) fn publish(&mut self, family: Family, port: u16, offset: u32, slots: u32) {
        let [source_rate, source_burst] = self.limit;
        let vip = Vip {
            table_offset: offset,
            table_slots: slots,
            generation: 1,
            service: SERVICE,
            source_rate,
            source_burst,
            ..Vip::default()
        };
        for protocol in PROTOCOLS {
            self.object.put_vip(family.vip(), port, protocol, vip);
        }
    }
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
    let namespace = Namespace::new("world");
    for (interface, mac) in [
        ("front", FRONT_MAC),
        ("back", BACK_MAC),
        ("aside", SIDE_MAC),
        ("probes", path::MAC),
    ] {
        join(
            (&namespace, interface),
            (&namespace, &format!("{interface}-peer")),
        );
        let mac: Vec<String> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        namespace.ip(&format!("link set {interface} address {}", mac.join(":")));
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
    let [(front, _), (back, _), (side, _), (probes, _)] =
        ["front", "back", "aside", "probes"].map(|interface| namespace.interface(interface));
    namespace.enter(|| {
        let mut object = Object::load(settings, form);
        object.allow_device(front);
        object.allow_device(back);
        object.allow_device(probes);
        let mut world = World {
            object,
            limit: [0, 0],
            front,
            back,
            side,
            probes,
        };
        inside(&mut world)
    })
}
