//! Sizes and fields of what the two sides share.

use std::mem::offset_of;

use lb_common::{
    backend::Backend,
    budget::Budget,
    decap::DecapSettings,
    family::{Address4, Address6, Family, V4, V6},
    flow::{Flow, FlowKey, Reply},
    interface::Interface,
    load::Load,
    names,
    path::Path,
    placement::Place,
    quic::{Server, ServerIdKey},
    settings::{Settings, SourceNat},
    traffic::Traffic,
    vip::{Vip, VipKey},
    vlan::VlanDevice,
};
use object::SymbolKind;

use crate::object_file::{Field, ObjectFile};

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
    ($family:ty, $address:ty) => {
        [
            layout!(Place<$family> {
                key: VipKey<$address>,
                reserved: <$family as Family>::Reserved,
                ticket: u64,
                vip: Vip,
            }),
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
fn maps_of_each_family_have_the_same_layout_on_both_sides() {
    let object = ObjectFile::read();
    let of = |map, field| object.fields(&object.pointee(map, field));
    let families = [
        (
            names::VIPS_V4,
            [names::FRESH_V4, names::FLOWS_V4],
            names::REPLIES_V4,
            names::PATHS_V4,
            family_layouts!(V4, Address4),
        ),
        (
            names::VIPS_V6,
            [names::FRESH_V6, names::FLOWS_V6],
            names::REPLIES_V6,
            names::PATHS_V6,
            family_layouts!(V6, Address6),
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
    for (vips, flows, replies, paths, [place, vip_key, flow_key, reply, path]) in families {
        let at = object.pointee(vips, "value");
        assert_eq!(object.fields(&at), place, "values of {vips}");
        let part = |name| object.fields(&object.member(&at, name));
        assert_eq!(part("key"), vip_key, "keys in {vips}");
        assert_eq!(part("vip"), vip, "VIPs in {vips}");
        for flows in flows {
            assert_eq!(of(flows, "key"), flow_key, "keys of {flows}");
            assert_eq!(of(flows, "value"), flow, "values of {flows}");
        }
        assert_eq!(of(replies, "key"), flow_key, "keys of {replies}");
        assert_eq!(of(replies, "value"), reply, "values of {replies}");
        assert_eq!(of(paths, "value"), path, "values of {paths}");
    }
}

#[test]
fn maps_of_both_families_have_the_same_layout_on_both_sides() {
    let object = ObjectFile::read();
    let of = |map, field| object.fields(&object.pointee(map, field));
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
    let load = layout!(Load {
        flows: i64,
        weight: u32,
        reserved: u32
    });
    assert_eq!(of(names::LOADS, "value"), load);
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
        vip_shift: u32,
        reuse_after: u32,
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
    assert_in_rodata::<Settings>(&object, names::SETTINGS);
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
fn settings_of_decap_stand_in_rodata_too() {
    let object = ObjectFile::read();
    let settings = layout!(DecapSettings {
        gue_port: u32,
        any_destination: u32
    });
    assert_eq!(object.fields_of("DecapSettings"), settings);
    assert_in_rodata::<DecapSettings>(&object, names::DECAP_SETTINGS);
}

/// The object has a `T` of this name that the daemon can write before it is loaded.
#[track_caller]
fn assert_in_rodata<T>(object: &ObjectFile, name: &str) {
    let symbols = object.symbols(".rodata", SymbolKind::Data);
    let wanted = (name.to_owned(), size_of::<T>() as u64);
    assert!(
        symbols.contains(&wanted),
        "{wanted:?} is not among {symbols:?}"
    );
}
