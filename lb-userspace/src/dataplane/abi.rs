//! Between the model's values and the integers in the maps. Pure.

use std::net::{IpAddr, SocketAddr};

use lb_common::{
    backend::{self, Backend, BackendId},
    be::{Be16, Be32},
    family::{Address, Address4, Address6},
    quic::{self, Server, ServerIdKey},
    table::SLOTS_PER_ELEMENT,
    vip,
};

use super::{BackendEntry, Region, ServerEntry, ServerKey, ServiceId, VipEntry};
use crate::{
    model::{
        Algorithm, ConfigId, Mode, Prefix, Protocol, QuicConfig, QuicLb, ServerId, ServerIdLength,
        Source, SourceLimit, Vip,
    },
    neighbor::NextHop,
};

/// The key of a VIP or address entry, in the map of its family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VipKey {
    V4(vip::VipKey<Address4>),
    V6(vip::VipKey<Address6>),
}

impl VipKey {
    pub(super) fn of(vip: Vip) -> Self {
        let (port, protocol) = (Be16::new(vip.port), vip.protocol.number());
        let prefix = if vip.is_prefix() {
            vip.addresses.bits()
        } else {
            0
        };
        match vip.addresses.address() {
            IpAddr::V4(address) => Self::V4(vip::VipKey {
                prefix,
                ..vip::VipKey::new(address.into(), port, protocol)
            }),
            IpAddr::V6(address) => Self::V6(vip::VipKey {
                prefix,
                ..vip::VipKey::new(address.into(), port, protocol)
            }),
        }
    }

    pub(super) fn address_entry(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::V4(vip::VipKey::address_entry(address.into())),
            IpAddr::V6(address) => Self::V6(vip::VipKey::address_entry(address.into())),
        }
    }
}

/// What a key in a VIP map stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Vip(Vip),
    AddressEntry(IpAddr),
    /// Nothing that this version writes.
    Foreign,
}

pub(super) fn key_from_map<A: Copy + Into<IpAddr>>(key: &vip::VipKey<A>) -> Key {
    let address = key.address.into();
    let addresses = match key.prefix {
        0 => Some(Prefix::from(address)),
        bits => Prefix::new(address, bits).filter(|prefix| !prefix.is_single()),
    };
    let protocol = Protocol::from_number(key.protocol);
    match (key.port.get(), key.protocol, addresses, protocol) {
        (0, 0, Some(addresses), _) if addresses.is_single() => Key::AddressEntry(address),
        (port, _, Some(addresses), Some(protocol)) => Key::Vip(Vip {
            addresses,
            port,
            protocol,
        }),
        _ => Key::Foreign,
    }
}

pub(super) fn vip_to_map(entry: &VipEntry) -> vip::Vip {
    let limit = entry.source_limit;
    let plain = vip::Vip {
        table_offset: entry.region.offset,
        table_slots: entry.region.slots,
        generation: entry.generation,
        service: entry.service.0.into(),
        source_rate: limit.map_or(0, |limit| limit.rate),
        source_burst: limit.map_or(0, |limit| limit.burst),
        flags: algorithm_to_map(entry.algorithm),
        ..vip::Vip::default()
    };
    entry.quic_lb.configs().fold(plain, |vip, (id, config)| {
        let encodes_length = config.first_octet_encodes_cid_length;
        vip.with_quic(id.get(), config.server_id_length.into(), encodes_length)
    })
}

const fn algorithm_to_map(algorithm: Algorithm) -> u32 {
    match algorithm {
        Algorithm::Maglev => 0,
        Algorithm::SourceHash => vip::Vip::BY_SOURCE,
        Algorithm::Random => vip::Vip::RANDOM,
        Algorithm::RoundRobin => vip::Vip::ROUND_ROBIN,
        Algorithm::LeastConnections => vip::Vip::LEAST_CONNECTIONS,
    }
}

fn algorithm_from_map(flags: u32) -> Algorithm {
    let others = Algorithm::ALL.into_iter().filter(|it| !it.is_default());
    let mut set = others.filter(|it| flags & algorithm_to_map(*it) != 0);
    set.next().unwrap_or_default()
}

/// The QUIC-LB configurations of a VIP's entry.
fn quic_from_map(value: &vip::Vip) -> QuicLb {
    let config = |id: u32| {
        let server_id_length = ServerIdLength::try_from(value.server_id_length(id)).ok()?;
        let config = QuicConfig {
            server_id_length,
            first_octet_encodes_cid_length: value.encodes_length(id),
        };
        Some((ConfigId::try_from(id).ok()?, config))
    };
    (0..quic::CONFIGS).filter_map(config).collect()
}

pub(super) fn server_key_to_map(key: &ServerKey) -> ServerIdKey {
    let id = key.id.bytes();
    let mut bytes = [0; 16];
    let (_, end) = bytes.split_at_mut(16 - id.len());
    end.copy_from_slice(id);
    ServerIdKey::ending(key.service.0.into(), key.id.len().into(), &bytes)
}

/// The key, if it is one that this version writes.
pub(super) fn server_key_from_map(key: &ServerIdKey) -> Option<ServerKey> {
    let [high, low] = key.id;
    let number = u128::from(high) << 64 | u128::from(low);
    let bytes = number.to_be_bytes();
    let begin = bytes.len().checked_sub(key.length as usize)?;
    let key_read = ServerKey {
        service: ServiceId(key.service.try_into().ok()?),
        id: ServerId::new(bytes.get(begin..)?)?,
    };
    (server_key_to_map(&key_read) == *key).then_some(key_read)
}

pub(super) const fn server_to_map(entry: ServerEntry) -> Server {
    Server {
        backend: entry.backend.0,
        generation: entry.generation,
    }
}

pub(super) const fn server_from_map(value: Server) -> ServerEntry {
    ServerEntry {
        backend: BackendId(value.backend),
        generation: value.generation,
    }
}

pub(super) fn vip_from_map(value: &vip::Vip) -> VipEntry {
    VipEntry {
        region: Region {
            offset: value.table_offset,
            slots: value.table_slots,
        },
        generation: value.generation,
        service: ServiceId(u16::try_from(value.service).unwrap_or_default()),
        source_limit: value.source_limit().map(|limit| SourceLimit {
            rate: limit.per_second,
            burst: limit.burst,
        }),
        quic_lb: quic_from_map(value),
        algorithm: algorithm_from_map(value.flags),
    }
}

pub(super) fn backend_to_map(entry: &BackendEntry) -> Backend {
    let (version, address) = words(entry.address.ip());
    Backend {
        generation: entry.generation,
        service: entry.service.0,
        vlan: entry.next_hop.vlan,
        address,
        destination_mac: entry.next_hop.destination_mac,
        source_mac: entry.next_hop.source_mac,
        egress: entry.next_hop.interface,
        port: Be16::new(entry.address.port()),
        mode: mode_to_map(entry.mode),
        version,
        flags: if entry.active { 0 } else { Backend::INACTIVE },
        source_bits: entry.source.map_or(0, |source| source.bits),
        mtu: entry.next_hop.mtu,
        source: entry
            .source
            .map_or([Be32::default(); 4], |source| words(source.address).1),
    }
}

/// An address as it stands in a backend's entry, after its IP version.
fn words(address: IpAddr) -> (u8, [Be32; 4]) {
    match address {
        IpAddr::V4(address) => {
            let Address([word]) = Address4::from(address);
            (4, [word, Be32::default(), Be32::default(), Be32::default()])
        }
        IpAddr::V6(address) => (6, Address6::from(address).0),
    }
}

/// The address that `words` are, in IP version `version`.
fn address_of(version: u8, words: [Be32; 4]) -> Option<IpAddr> {
    let [first, ..] = words;
    match version {
        4 => Some(Address([first]).into()),
        6 => Some(Address(words).into()),
        _ => None,
    }
}

/// The entry but for the weight of its load, which another map has, if the number is in use and was written by a version that this one understands.
pub(super) fn backend_from_map(value: &Backend) -> Option<BackendEntry> {
    if value.generation == 0 {
        return None;
    }
    let address = address_of(value.version, value.address)?;
    let mode = mode_from_map(value.mode)?;
    let source = mode.has_source().then(|| Source {
        address: address_of(value.version, value.source).unwrap_or(address),
        bits: value.source_bits,
    });
    Some(BackendEntry {
        generation: value.generation,
        service: ServiceId(value.service),
        address: SocketAddr::new(address, value.port.get()),
        mode,
        next_hop: NextHop {
            interface: value.egress,
            vlan: value.vlan,
            source_mac: value.source_mac,
            destination_mac: value.destination_mac,
            // Not in the map, and only asked of fresh next hops: true for what `l2` was published with.
            on_link: mode == Mode::L2,
            source: None,
            mtu: value.mtu,
        },
        source,
        active: value.flags & Backend::INACTIVE == 0,
        load_weight: 0,
    })
}

const fn mode_to_map(mode: Mode) -> backend::Mode {
    match mode {
        Mode::L2 => backend::Mode::L2,
        Mode::Nat => backend::Mode::NAT,
        Mode::Ipip => backend::Mode::IPIP,
        Mode::Gue => backend::Mode::GUE,
        Mode::Local => backend::Mode::LOCAL,
        Mode::Snat => backend::Mode::SNAT,
    }
}

const fn mode_from_map(mode: backend::Mode) -> Option<Mode> {
    match mode {
        backend::Mode::L2 => Some(Mode::L2),
        backend::Mode::NAT => Some(Mode::Nat),
        backend::Mode::IPIP => Some(Mode::Ipip),
        backend::Mode::GUE => Some(Mode::Gue),
        backend::Mode::LOCAL => Some(Mode::Local),
        backend::Mode::SNAT => Some(Mode::Snat),
        _ => None,
    }
}

/// Arena elements that hold `slots` slots.
pub(super) const fn elements(slots: u32) -> u32 {
    slots.div_ceil(SLOTS_PER_ELEMENT)
}

#[cfg(test)]
mod tests;
