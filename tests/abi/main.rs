//! The ABI: what `lb-common` says, the object's own BTF must say too.
//!
//! Both sides compile the same types, by different compilers for different machines; here the results are
//! compared.

mod object_file;

use std::mem::offset_of;

use lb_common::{
    backend::Backend,
    budget::Budget,
    decap::DecapSettings,
    family::{Address, Address4, Address6},
    flow::{Flow, FlowKey, Reply},
    fragment::{FragmentKey, FragmentPorts},
    interface::Interface,
    names,
    outcome::LEDGER_CELLS,
    path::Path,
    prefix::Prefix,
    quic::{Server, ServerIdKey},
    settings::{Settings, SourceNat},
    source::SourceKey,
    table::{Element, SLOTS_PER_ELEMENT},
    traffic::Traffic,
    translation::Translation,
    vip::{Vip, VipKey},
    vlan::VlanDevice,
};
use lb_tests::{
    bpffs::Bpffs,
    netns::command,
    object::{Form, Object, object_path},
};
use lb_userspace::{dataplane::Capacity, desired::blocklist::MAX_PREFIXES};
use object::SymbolKind;
use object_file::{Field, MapDefinition, ObjectFile};
use serde_json::Value;

const HASH: usize = 1;
const ARRAY: usize = 2;
const PER_CPU_ARRAY: usize = 6;
const LRU_HASH: usize = 9;
const PREFIXES: usize = 11;
const DEVICE_HASH: usize = 25;
const NO_PREALLOC: usize = 1;
const MMAPABLE: usize = 1 << 10;

/// Size and fields of a struct, as this compiler lays it out.
macro_rules! layout {
    ($of:ty { $($field:ident: $kind:ty),+ $(,)? }) => {{
        let mut fields: Vec<Field> = vec![
            $((stringify!($field).to_owned(), offset_of!($of, $field), size_of::<$kind>())),+
        ];
        fields.sort_by_key(|(_, offset, _)| *offset);
        (size_of::<$of>(), fields)
    }};
}

/// The keys and values of a family's maps.
macro_rules! family_layouts {
    ($address:ty) => {
        [
            layout!(VipKey<$address> { address: $address, port: u16, protocol: u8, prefix: u8 }),
            layout!(FlowKey<$address> {
                source: $address,
                destination: $address,
                source_port: u16,
                destination_port: u16,
                protocol: u32,
            }),
            layout!(Reply<$address> {
                flow: FlowKey<$address>,
                last_seen: u32,
                client: u16,
                backend: u16,
            }),
            layout!(Path<$address> {
                vip: $address,
                source: $address,
                backend: u32,
                generation: u32,
                interface: u32,
            }),
        ]
    };
}

#[test]
fn keys_and_values_have_the_same_layout_on_both_sides() {
    let object = ObjectFile::read();
    let of = |map, field| object.fields(&object.pointee(map, field));
    let families = [
        (
            names::VIPS_V4,
            [names::FRESH_V4, names::FLOWS_V4],
            names::REPLIES_V4,
            names::PATHS_V4,
            family_layouts!(Address4),
        ),
        (
            names::VIPS_V6,
            [names::FRESH_V6, names::FLOWS_V6],
            names::REPLIES_V6,
            names::PATHS_V6,
            family_layouts!(Address6),
        ),
    ];
    let vip = layout!(Vip {
        table_offset: u32,
        table_slots: u32,
        generation: u32,
        service: u32,
        flags: u32,
        quic: u32,
        source_rate: u32,
        source_burst: u32,
    });
    let flow = layout!(Flow {
        backend: u32,
        generation: u32,
        source_port: u16,
        client: u16,
        last_seen: u32,
    });
    for (vips, flows, replies, paths, [vip_key, flow_key, reply, path]) in families {
        assert_eq!(of(vips, "key"), vip_key, "keys of {vips}");
        assert_eq!(of(vips, "value"), vip, "values of {vips}");
        for flows in flows {
            assert_eq!(of(flows, "key"), flow_key, "keys of {flows}");
            assert_eq!(of(flows, "value"), flow, "values of {flows}");
        }
        assert_eq!(of(replies, "key"), flow_key, "keys of {replies}");
        assert_eq!(of(replies, "value"), reply, "values of {replies}");
        assert_eq!(of(paths, "value"), path, "values of {paths}");
    }
    let backend = layout!(Backend {
        generation: u32,
        service: u16,
        vlan: u16,
        address: [u32; 4],
        destination_mac: [u8; 6],
        source_mac: [u8; 6],
        egress: u32,
        port: u16,
        mode: u8,
        version: u8,
        flags: u8,
        source_bits: u8,
        mtu: u16,
        source: [u32; 4],
    });
    assert_eq!(of(names::BACKENDS, "value"), backend);
    let server_id = layout!(ServerIdKey {
        service: u32,
        length: u32,
        id: [u64; 2],
    });
    let server = layout!(Server {
        backend: u32,
        generation: u32
    });
    assert_eq!(of(names::SERVER_IDS, "key"), server_id);
    assert_eq!(of(names::SERVER_IDS, "value"), server);
    let traffic = layout!(Traffic {
        packets: u64,
        bytes: u64,
        flows: u64
    });
    assert_eq!(of(names::TRAFFIC, "value"), traffic);
    let interface = layout!(Interface {
        index: u32,
        ledger: u32,
        name: [u8; 16],
    });
    assert_eq!(of(names::INTERFACES, "value"), interface);
    let device = layout!(VlanDevice {
        parent: u32,
        vlan: u16,
        reserved: u16
    });
    assert_eq!(of(names::VLANS, "value"), device);
}

#[test]
fn settings_stand_in_rodata_as_the_daemon_writes_them() {
    let object = ObjectFile::read();
    let settings = layout!(Settings {
        hash_seed: u64,
        drop_unmatched: u32,
        icmp_errors_per_second: u32,
        gue_port: u32,
        features: u32,
        snat: SourceNat,
    });
    assert_eq!(object.fields_of("Settings"), settings);
    let snat = layout!(SourceNat {
        first_port: u16,
        ports_per_cpu: u16,
        established: u32,
        transitory: u32,
        udp: u32,
    });
    assert_eq!(object.fields_of("SourceNat"), snat);
    let symbols = object.symbols(".rodata", SymbolKind::Data);
    let wanted = (names::SETTINGS.to_owned(), size_of::<Settings>() as u64);
    assert!(
        symbols.contains(&wanted),
        "{wanted:?} is not among {symbols:?}"
    );
}

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
        of_both!([names::VIPS_V4, names::VIPS_V6], A => map::<VipKey<A>, Vip>(HASH, default.vips, 0)),
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
        (names::ERROR_BUDGET, map::<u32, Budget>(PER_CPU_ARRAY, 1, 0)),
        // An interface's index, and room for a program's: struct bpf_devmap_val.
        (names::DEVICES, map::<u32, [u32; 2]>(DEVICE_HASH, 256, 0)),
    ]);
    assert_defined(&wanted, &names::MAPS);
}

#[test]
fn clients_and_their_budgets_are_laid_out_alike() {
    let object = ObjectFile::read();
    let of = |map, field| object.fields(&object.pointee(map, field));
    let key = |client| {
        let fields = [("service", 0, 4), ("client", 4, client)];
        let fields = fields.map(|(name, offset, size)| (name.to_owned(), offset, size));
        (4 + client, fields.to_vec())
    };
    assert_eq!(of(names::SOURCES_V4, "key"), key(4));
    assert_eq!(of(names::SOURCES_V6, "key"), key(8));
    let budget = layout!(Budget { spent_until: u64 });
    assert_eq!(of(names::SOURCES_V4, "value"), budget);
    assert_eq!(of(names::SOURCES_V6, "value"), budget);
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
    let object = ObjectFile::read();
    let settings = layout!(DecapSettings {
        gue_port: u32,
        any_destination: u32
    });
    assert_eq!(object.fields_of("DecapSettings"), settings);
    let symbols = object.symbols(".rodata", SymbolKind::Data);
    let wanted = (
        names::DECAP_SETTINGS.to_owned(),
        size_of::<DecapSettings>() as u64,
    );
    assert!(
        symbols.contains(&wanted),
        "{wanted:?} is not among {symbols:?}"
    );
}

#[test]
fn programs_are_named_as_the_daemon_calls_them() {
    let object = ObjectFile::read();
    assert_eq!(
        object.functions("xdp"),
        [names::BALANCER, names::DECAP, "pass", names::PROBE]
    );
    assert_eq!(
        object.functions("xdp.frags"),
        [
            names::BALANCER_FRAGS,
            names::DECAP_FRAGS,
            "pass_frags",
            names::PROBE_FRAGS
        ]
    );
}

#[test]
fn licence_is_one_that_the_kernel_takes_for_gpl_compatible() {
    let licence = ObjectFile::read().section("license");
    let licence = licence.strip_suffix(&[0]).expect("ends with a zero byte");
    // include/linux/license.h
    let accepted = [
        "GPL",
        "GPL v2",
        "GPL and additional rights",
        "Dual BSD/GPL",
        "Dual MIT/GPL",
        "Dual MPL/GPL",
    ];
    let licence = String::from_utf8_lossy(licence);
    assert!(accepted.contains(&licence.as_ref()), "{licence}");
}

#[test]
fn map_dumps_are_typed() {
    let mut object = Object::load(Settings::default(), Form::Plain);
    let vip = Vip {
        table_slots: 1_021,
        ..Vip::default()
    };
    object.put_vip("192.0.2.10".parse().expect("an address"), 80, 6, vip);
    let bpffs = Bpffs::mount();
    let pin = bpffs.path().join(names::VIPS_V4);
    object.pin_map(names::VIPS_V4, &pin);
    let pin = pin.display().to_string();
    let dump = command("bpftool", &["-j", "map", "dump", "pinned", &pin]);
    let dump: Value = serde_json::from_str(&dump).expect("bpftool writes JSON");
    let slots = dump.pointer("/0/formatted/value/table_slots");
    assert_eq!(slots, Some(&Value::from(1_021)), "{dump:#}");
    let protocol = dump.pointer("/0/formatted/key/protocol");
    assert_eq!(protocol, Some(&Value::from(6)), "{dump:#}");
}

#[test]
fn object_loads_with_the_systems_own_tools() {
    let bpffs = Bpffs::mount();
    let pins = bpffs.path().join("programs");
    let (object, pins) = (object_path(), pins.display().to_string());
    let object = object.display().to_string();
    let _ = command("bpftool", &["prog", "loadall", &object, &pins]);
    let shown = command(
        "bpftool",
        &["-j", "prog", "show", "pinned", &format!("{pins}/balancer")],
    );
    let shown: Value = serde_json::from_str(&shown).expect("bpftool writes JSON");
    assert_eq!(
        shown.pointer("/gpl_compatible"),
        Some(&Value::from(true)),
        "{shown:#}"
    );
}
