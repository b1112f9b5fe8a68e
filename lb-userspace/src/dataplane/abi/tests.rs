//! What is written is what is read, and what others wrote is told apart.

use lb_common::vlan::Vlan;

use super::*;

#[test]
fn entries_survive_the_way_into_the_maps_and_back() {
    for (address, mode, source) in [
        ("10.0.0.11:80", Mode::Nat, None),
        ("[fd00::11]:8080", Mode::L2, None),
        ("10.0.0.11:80", Mode::Ipip, Some("10.99.0.0/16")),
        ("[fd00::11]:80", Mode::Gue, Some("fd00:99::1/128")),
        ("10.0.0.1:80", Mode::Local, None),
        ("[fd00::11]:80", Mode::Snat, Some("fd00::1/128")),
    ] {
        let entry = BackendEntry {
            generation: 7,
            service: ServiceId(3),
            address: address.parse().unwrap(),
            mode,
            next_hop: NextHop {
                interface: 5,
                vlan: Vlan::new(100, mode == Mode::Ipip),
                source_mac: [2, 0, 0, 0, 0, 1],
                destination_mac: [2, 0, 0, 0, 0, 2],
                on_link: mode == Mode::L2,
                source: None,
                mtu: 1_492,
            },
            source: source.map(|source| source.parse().unwrap()),
            active: false,
            load_weight: 0,
        };
        assert_eq!(backend_from_map(&backend_to_map(&entry)), Some(entry));
    }
    assert_eq!(backend_from_map(&Backend::default()), None);
}

#[test]
fn limits_survive_the_way_into_the_maps_and_back() {
    for source_limit in [None, Some(SourceLimit::new(100, Some(7)))] {
        let entry = VipEntry {
            region: Region {
                offset: 16,
                slots: 13,
            },
            generation: 7,
            service: ServiceId(3),
            source_limit,
            quic_lb: QuicLb::default(),
            algorithm: Algorithm::Maglev,
        };
        assert_eq!(vip_from_map(&vip_to_map(&entry)), entry);
    }
}

#[test]
fn algorithms_survive_the_way_into_the_maps_and_back() {
    let mut flags = Vec::new();
    for algorithm in Algorithm::ALL {
        let entry = VipEntry {
            region: Region::default(),
            generation: 7,
            service: ServiceId(3),
            source_limit: None,
            quic_lb: QuicLb::default(),
            algorithm,
        };
        let value = vip_to_map(&entry);
        flags.push(value.flags);
        assert_eq!(value.draws_slots(), algorithm.draws_slots());
        assert_eq!(vip_from_map(&value), entry);
    }
    assert_eq!(flags, [0, 1 << 16, 1 << 17, 1 << 18, 1 << 19]);
}

#[test]
fn vips_survive_the_way_with_their_quic_configurations() {
    let config = |length: u32, first_octet_encodes_cid_length| QuicConfig {
        server_id_length: length.try_into().unwrap(),
        first_octet_encodes_cid_length,
    };
    let configs = [
        (0, config(1, true)),
        (3, config(15, false)),
        (6, config(8, true)),
    ];
    let entry = |quic_lb| VipEntry {
        region: Region {
            offset: 16,
            slots: 1_021,
        },
        generation: 7,
        service: ServiceId(3),
        source_limit: None,
        quic_lb,
        algorithm: Algorithm::Maglev,
    };
    let read = entry(
        configs
            .into_iter()
            .map(|(id, it)| (id.try_into().unwrap(), it))
            .collect(),
    );
    let value = vip_to_map(&read);
    assert_eq!((value.flags, value.quic), (0x4101, 0x0800_f001));
    assert_eq!(vip_from_map(&value), read);
    let plain = entry(QuicLb::default());
    assert_eq!(vip_to_map(&plain).flags, 0);
    assert_eq!(vip_from_map(&vip_to_map(&plain)), plain);
}

#[test]
fn server_ids_survive_the_way_and_others_are_foreign() {
    for id in [
        "00",
        "0a0b",
        "00000000000001",
        "0102030405060708",
        "0102030405060708090a0b0c0d0e0f",
    ] {
        let key = ServerKey {
            service: ServiceId(3),
            id: id.parse().unwrap(),
        };
        assert_eq!(server_key_from_map(&server_key_to_map(&key)), Some(key));
    }
    let foreign = |length, id| ServerIdKey {
        service: 3,
        length,
        id,
    };
    for key in [
        foreign(0, [0, 0]),
        foreign(16, [1, 1]),
        foreign(99, [0, 0]),
        foreign(1, [0, 256]),
    ] {
        assert_eq!(server_key_from_map(&key), None, "{key:?}");
    }
}

#[test]
fn keys_tell_vips_and_address_entries_apart() {
    for text in ["[2001:db8::1]:53/udp", "[2001:db8::/56]:*/sctp"] {
        let vip: Vip = text.parse().unwrap();
        let VipKey::V6(key) = VipKey::of(vip) else {
            panic!("an IPv6 VIP belongs in the IPv6 map");
        };
        assert_eq!(key_from_map(&key), Key::Vip(vip));
    }
    let VipKey::V4(key) = VipKey::of("203.0.113.0/28:443/tcp".parse().unwrap()) else {
        panic!("an IPv4 VIP belongs in the IPv4 map");
    };
    assert_eq!((key.prefix, key.port.get()), (28, 443));
    for prefix in [4, 32, 33] {
        let foreign = vip::VipKey { prefix, ..key };
        assert_eq!(key_from_map(&foreign), Key::Foreign, "{prefix} bits");
    }
    let VipKey::V4(key) = VipKey::address_entry([192, 0, 2, 1].into()) else {
        panic!("an IPv4 address belongs in the IPv4 map");
    };
    assert_eq!(key_from_map(&key), Key::AddressEntry([192, 0, 2, 1].into()));
}
