//! Which maps there are, of which types and sizes.

use lb_common::{
    backend::Backend,
    budget::Budget,
    family::{Address, Address4, Address6, V4, V6},
    flow::{Flow, FlowKey, Reply},
    fragment::{FragmentKey, FragmentPorts},
    interface::Interface,
    load::Load,
    names,
    outcome::LEDGER_CELLS,
    path::Path,
    placement::{Bucket, Place},
    prefix::Prefix,
    quic::{Server, ServerIdKey},
    source::SourceKey,
    table::{Element, SLOTS_PER_ELEMENT, TURNS},
    traffic::Traffic,
    translation::Translation,
    vlan::VlanDevice,
};
use lb_userspace::{dataplane::Capacity, desired::blocklist::MAX_PREFIXES};

use crate::object_file::{MapDefinition, ObjectFile};

const HASH: usize = 1;
const ARRAY: usize = 2;
const PER_CPU_ARRAY: usize = 6;
const LRU_HASH: usize = 9;
const PREFIXES: usize = 11;
const DEVICE_HASH: usize = 25;
const NO_PREALLOC: usize = 1;
const MMAPABLE: usize = 1 << 10;

#[test]
fn maps_are_those_that_the_daemon_knows() {
    let maps = names::MAPS.iter().chain(&names::DECAP_MAPS);
    let mut wanted: Vec<String> = maps.map(|name| (*name).to_owned()).collect();
    wanted.sort();
    assert_eq!(ObjectFile::read().maps(), wanted);
}

/// A map with entries from `Key` to `Value`.
fn map<Key, Value>(kind: usize, max_entries: u32, flags: usize) -> MapDefinition {
    MapDefinition {
        kind,
        key: size_of::<Key>(),
        value: size_of::<Value>(),
        max_entries: max_entries as usize,
        flags,
    }
}

fn assert_defined(wanted: &[(&str, MapDefinition)], names: &[&str]) {
    let object = ObjectFile::read();
    assert_eq!(wanted.len(), names.len());
    for (name, definition) in wanted {
        assert_eq!(object.map(name), *definition, "{name}");
    }
}

/// The maps that each IP version has of its own.
macro_rules! of_both {
    ([$v4:expr, $v6:expr], $address:ident => $map:expr) => {
        [
            {
                type $address = Address4;
                ($v4, $map)
            },
            {
                type $address = Address6;
                ($v6, $map)
            },
        ]
    };
}

fn maps_of_both(default: &Capacity) -> Vec<(&'static str, MapDefinition)> {
    // Old and new prefixes, when all are replaced.
    let blocked = u32::try_from(2 * MAX_PREFIXES).expect("a sensible size");
    [
        of_both!(
            [names::VIP_PREFIXES_V4, names::VIP_PREFIXES_V6],
            A => map::<Prefix<A>, Prefix<A>>(PREFIXES, default.vips, NO_PREALLOC)
        ),
        of_both!(
            [names::FRESH_V4, names::FRESH_V6],
            A => map::<FlowKey<A>, Flow>(LRU_HASH, default.fresh_flows(), 0)
        ),
        of_both!(
            [names::FLOWS_V4, names::FLOWS_V6],
            A => map::<FlowKey<A>, Flow>(LRU_HASH, default.flows, 0)
        ),
        of_both!(
            [names::REPLIES_V4, names::REPLIES_V6],
            A => map::<FlowKey<A>, Reply<A>>(LRU_HASH, default.flows, 0)
        ),
        of_both!(
            [names::FRAGMENTS_V4, names::FRAGMENTS_V6],
            A => map::<FragmentKey<A>, FragmentPorts>(LRU_HASH, 16_384, 0)
        ),
        of_both!(
            [names::TRANSLATIONS_V4, names::TRANSLATIONS_V6],
            A => map::<u32, Translation<A>>(PER_CPU_ARRAY, 1, 0)
        ),
        of_both!(
            [names::PATHS_V4, names::PATHS_V6],
            A => map::<A, Path<A>>(HASH, default.backends, NO_PREALLOC)
        ),
        of_both!(
            [names::BLOCKLIST_V4, names::BLOCKLIST_V6],
            A => map::<Prefix<A>, u32>(PREFIXES, blocked, NO_PREALLOC)
        ),
    ]
    .concat()
}

#[test]
fn maps_have_their_types_and_sizes() {
    let default = Capacity::default();
    let server_ids = default.server_ids();
    let elements = default.slots / SLOTS_PER_ELEMENT;
    let clients = default.sources;
    let (vips, places) = (default.vip_extent(), default.vip_extent().places());
    let buckets = map::<u32, Bucket>(ARRAY, vips.buckets(), MMAPABLE);
    let mut wanted = maps_of_both(&default);
    wanted.extend([
        (
            names::SOURCES_V4,
            map::<SourceKey<Address4>, Budget>(LRU_HASH, clients, 0),
        ),
        (
            names::SOURCES_V6,
            map::<SourceKey<Address<2>>, Budget>(LRU_HASH, clients, 0),
        ),
        (
            names::TABLES,
            map::<u32, Element>(ARRAY, elements, MMAPABLE),
        ),
        (names::TURNS, map::<u32, u32>(PER_CPU_ARRAY, TURNS, 0)),
        (
            names::BACKENDS,
            map::<u32, Backend>(ARRAY, default.backends, 0),
        ),
        (
            names::SERVER_IDS,
            map::<ServerIdKey, Server>(HASH, server_ids, NO_PREALLOC),
        ),
        (
            names::TRAFFIC,
            map::<u32, Traffic>(PER_CPU_ARRAY, default.backends, 0),
        ),
        (names::LOADS, map::<u32, Load>(ARRAY, default.backends, 0)),
        (
            names::LEDGER,
            map::<u32, u64>(PER_CPU_ARRAY, Interface::LEDGERS * LEDGER_CELLS, 0),
        ),
        (
            names::INTERFACES,
            map::<u32, Interface>(ARRAY, Interface::ELEMENTS, 0),
        ),
        (
            names::VLANS,
            map::<u32, VlanDevice>(HASH, VlanDevice::ELEMENTS, 0),
        ),
        (names::VIP_BUCKETS_V4, buckets.clone()),
        (names::VIP_BUCKETS_V6, buckets),
        (
            names::VIPS_V4,
            map::<u32, Place<V4>>(ARRAY, places, MMAPABLE),
        ),
        (
            names::VIPS_V6,
            map::<u32, Place<V6>>(ARRAY, places, MMAPABLE),
        ),
        (names::ERROR_BUDGET, map::<u32, Budget>(PER_CPU_ARRAY, 1, 0)),
        // An interface's index, and room for a program's: struct bpf_devmap_val.
        (names::DEVICES, map::<u32, [u32; 2]>(DEVICE_HASH, 256, 0)),
    ]);
    assert_defined(&wanted, &names::MAPS);
}

#[test]
fn lists_of_decap_have_their_types_and_sizes() {
    let wanted = [
        of_both!(
            [names::DECAP_SOURCES_V4, names::DECAP_SOURCES_V6],
            A => map::<Prefix<A>, u32>(PREFIXES, 1_024, NO_PREALLOC)
        ),
        of_both!(
            [names::DECAP_DESTINATIONS_V4, names::DECAP_DESTINATIONS_V6],
            A => map::<A, u32>(HASH, 1_024, 0)
        ),
        of_both!(
            [names::DECAP_VIPS_V4, names::DECAP_VIPS_V6],
            A => map::<Prefix<A>, u32>(PREFIXES, 1_024, NO_PREALLOC)
        ),
    ]
    .concat();
    assert_defined(&wanted, &names::DECAP_MAPS);
}
