//! Where a row plays: one interface that packets come in and go out by, as many services and backends as it asks for,
//! and the packet that all its packets are like.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use lb_common::{
    backend::{Backend, BackendId},
    be::{Be16, Be32},
    family::{Address, Address4, Address6},
    settings::{Settings, SourceNat},
    table::{SLOTS_PER_ELEMENT, Slot},
    vip::Vip,
    vlan::Vlan,
};
use lb_userspace::maglev::{Base, Member};

use super::scenario::{Family, Kind, Mode, Scenario};
use crate::{
    netns::{Namespace, join},
    object::{Form, Object, Sizes},
    packet::{Flags, Mac, Packet, Seen},
};

/// The interface, and its MAC address.
const FRONT: &str = "front";
pub(super) const FRONT_MAC: Mac = [2, 0, 0, 0, 0, 0x1b];
/// The client's MAC address, or its router's.
pub(super) const CLIENT_MAC: Mac = [2, 0, 0, 0, 0, 0xcc];
/// The number of the interface's ledger.
const LEDGER: u32 = 1;
/// The ports of clients, services and backends.
const CLIENT_PORT: u16 = 40_000;
const PORT: u16 = 80;
const BACKEND_PORT: u16 = 8_080;
/// Where backends take GUE.
pub(super) const GUE_PORT: u16 = 6_080;
/// The first port that source NAT gives out, and how many.
pub(super) const SOURCE_PORT: u16 = 20_000;
const SOURCE_PORTS: u16 = 40_000;
/// Flows of one IP version that are remembered: a million, and room for what an LRU forgets too early.
const FLOWS: u32 = 1_150_000;
const FEW: u32 = 1_024;
const PROTOCOLS: [u8; 2] = [6, 17];

/// The program with what a row needs in its maps.
pub(super) struct World {
    pub(super) scenario: Scenario,
    pub(super) form: Form,
    pub(super) object: Object,
    pub(super) ingress: u32,
    /// What all packets of the row are like.
    pub(super) packet: Packet,
}

impl World {
    /// Calls `inside` with the world of a row, in a namespace of its own.
    pub(super) fn enter<T: Send>(
        scenario: Scenario,
        inside: impl FnOnce(&mut Self) -> T + Send,
    ) -> T {
        let namespace = Namespace::new("cost");
        let ingress = plug(&namespace);
        namespace.enter(|| inside(&mut Self::new(scenario, ingress)))
    }

    fn new(scenario: Scenario, ingress: u32) -> Self {
        let form = Form::all().last().copied().unwrap_or(Form::Plain);
        let region = scenario.slots.next_multiple_of(SLOTS_PER_ELEMENT);
        let flows = match scenario.family {
            Family::V4 => [FLOWS, FEW],
            Family::V6 => [FEW, FLOWS],
        };
        let sizes = Sizes {
            backends: 1 + scenario.services * scenario.backends,
            slots: scenario.services * region,
            vips: 1_024,
            flows,
        };
        let mut world = Self {
            scenario,
            form,
            object: Object::load_sized(settings(scenario.mode), form, sizes),
            ingress,
            packet: request(scenario),
        };
        world.object.give_ledger(ingress, LEDGER);
        world.object.allow_device(ingress);
        for id in 1..=world.backends() {
            let backend = world.backend(id);
            world.object.put_backend(BackendId(id), backend);
        }
        world.publish(region);
        if scenario.kind == Kind::TcpReply {
            world.packet = world.reply();
        }
        world
    }

    /// How many backends there are; their numbers go from 1 to that.
    pub(super) const fn backends(&self) -> u32 {
        self.scenario.services * self.scenario.backends
    }

    /// How many packets ended in each cell of the ledger.
    pub(super) fn ledger(&self) -> Vec<u64> {
        self.object.ledger_of(LEDGER)
    }

    /// How many flows were newly remembered.
    pub(super) fn new_flows(&self) -> u64 {
        let traffic = self.object.traffic();
        traffic.iter().map(|traffic| traffic.flows).sum()
    }

    /// One table for each service, all alike but for the backends in it.
    fn publish(&mut self, region: u32) {
        let Scenario {
            services,
            backends,
            slots,
            tracking,
            ..
        } = self.scenario;
        let members: Vec<Member> = (0..backends)
            .map(|backend| Member {
                name: self.backend_address(1 + backend).to_string(),
                weight: 1,
            })
            .collect();
        let owners = Base::of(&members, slots).table();
        for service in 0..services {
            let first = 1 + service * backends;
            let table: Vec<Slot> = owners
                .iter()
                .map(|owner| tracking.slot(BackendId(first + owner)))
                .collect();
            self.object.write_table(service * region, &table);
            let vip = Vip {
                table_offset: service * region,
                table_slots: slots,
                generation: 1,
                service: 1 + service,
                ..Vip::default()
            };
            let address = vip_address(self.scenario.family, service);
            self.object.put_vip(address, 0, 0, Vip::default());
            for protocol in PROTOCOLS {
                self.object.put_vip(address, PORT, protocol, vip);
            }
        }
    }

    fn backend(&self, id: u32) -> Backend {
        let address = self.backend_address(id);
        let (version, address_words) = words(address.ip());
        let (_, source) = words(own_address(self.scenario.family));
        Backend {
            generation: 1,
            service: u16::try_from(1 + (id - 1) / self.scenario.backends).expect("few services"),
            vlan: Vlan::NONE,
            address: address_words,
            destination_mac: backend_mac(id),
            source_mac: FRONT_MAC,
            egress: self.ingress,
            port: Be16::new(address.port()),
            mode: self.scenario.backends_mode(),
            version,
            flags: 0,
            source_bits: 0,
            mtu: 1_500,
            source,
        }
    }

    /// The address of the backend with this number.
    pub(super) fn backend_address(&self, id: u32) -> SocketAddr {
        let address: IpAddr = match self.scenario.family {
            Family::V4 => Ipv4Addr::from_bits(Ipv4Addr::new(10, 64, 0, 0).to_bits() + id).into(),
            Family::V6 => {
                let first = Ipv6Addr::new(0xfd00, 0xb, 0, 0, 0, 0, 0, 0);
                Ipv6Addr::from_bits(first.to_bits() + u128::from(id)).into()
            }
        };
        (address, BACKEND_PORT).into()
    }

    /// The answer of the backend that gets the request.
    fn reply(&self) -> Packet {
        let mut sent = Vec::new();
        let request = self.packet.frame();
        let _ = self.object.answer(&request, self.ingress, &mut sent);
        let seen = Seen::read(&sent);
        let (source, backend) = seen.addresses.expect("a packet to a backend");
        let (source_port, backend_port) = seen.ports.expect("a packet to a backend");
        let (from, to) = ((backend, backend_port).into(), (source, source_port).into());
        shaped(Packet::tcp(from, to).flags(Flags::ACK))
    }
}

/// What the daemon would set: NAT alone needs a feature.
const fn settings(mode: Mode) -> Settings {
    let features = match mode {
        Mode::Nat | Mode::Snat => Settings::REPLIES,
        Mode::L2 | Mode::Ipip | Mode::Gue | Mode::Local | Mode::Pass => 0,
    };
    Settings {
        gue_port: GUE_PORT as u32,
        features,
        snat: SourceNat {
            first_port: SOURCE_PORT,
            ports_per_cpu: SOURCE_PORTS / MAX_CPUS,
            established: 7_000,
            transitory: 200,
            udp: 300,
        },
        ..Settings::DEFAULT
    }
}

/// So many CPUs have source ports; a row is measured on one.
const MAX_CPUS: u16 = 16;

/// The packet of a client, of the first flow to the first service.
pub(super) fn request(scenario: Scenario) -> Packet {
    let family = scenario.family;
    let from = (client_address(family), CLIENT_PORT).into();
    let vip = (vip_address(family, 0), PORT).into();
    let packet = match scenario.kind {
        Kind::TcpData | Kind::TcpReply => Packet::tcp(from, vip).flags(Flags::ACK),
        Kind::Udp => Packet::udp(from, vip),
        Kind::Syn | Kind::SynFlood => Packet::tcp(from, vip).flags(Flags::SYN),
        Kind::NotVip => {
            let stranger = match family {
                Family::V4 => IpAddr::V4(Ipv4Addr::new(203, 0, 113, 0)),
                Family::V6 => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 0)),
            };
            Packet::tcp(from, (stranger, PORT).into()).flags(Flags::ACK)
        }
    };
    shaped(packet)
}

/// With the interface's MAC address, and long enough for the wrapper.
fn shaped(packet: Packet) -> Packet {
    packet.macs(CLIENT_MAC, FRONT_MAC).payload(vec![0x5a; 64])
}

const fn client_address(family: Family) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::new(100, 64, 0, 7)),
        Family::V6 => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 7)),
    }
}

/// The VIP of this service: of the first, one that ends with a byte of zeros, as the wrapper wants it.
fn vip_address(family: Family, service: u32) -> IpAddr {
    let last = u8::try_from(service).expect("at most 256 services");
    match family {
        Family::V4 => Ipv4Addr::new(192, 0, 2, last).into(),
        Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, last.into()).into(),
    }
}

/// The balancer's own address towards backends.
pub(super) const fn own_address(family: Family) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::new(10, 99, 0, 1)),
        Family::V6 => IpAddr::V6(Ipv6Addr::new(0xfd00, 0x99, 0, 0, 0, 0, 0, 1)),
    }
}

/// The MAC address of the backend with this number.
pub(super) fn backend_mac(id: u32) -> Mac {
    let [_, a, b, c] = id.to_be_bytes();
    [2, 0, 1, a, b, c]
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

/// Makes the interface, with the routes that replies to clients take; its index.
fn plug(namespace: &Namespace) -> u32 {
    join((namespace, FRONT), (namespace, "peer"));
    let text = |mac: Mac| mac.map(|byte| format!("{byte:02x}")).join(":");
    namespace.ip(&format!("link set {FRONT} address {}", text(FRONT_MAC)));
    for version in ["ipv4", "ipv6"] {
        namespace.sysctl(&format!("{version}/conf/{FRONT}/forwarding"), "1");
    }
    for command in [
        format!("address add 100.64.255.254/16 dev {FRONT}"),
        format!("address add 2001:db8:c::ffff/64 dev {FRONT} nodad"),
    ] {
        namespace.ip(&command);
    }
    for family in [Family::V4, Family::V6] {
        let (client, mac) = (client_address(family), text(CLIENT_MAC));
        namespace.ip(&format!(
            "neighbour add {client} lladdr {mac} dev {FRONT} nud permanent"
        ));
    }
    let (index, _) = namespace.interface(FRONT);
    index
}
