//! That VIPs are found where they are put, and that keys spread over buckets.

use core::net::{Ipv4Addr, Ipv6Addr};

extern crate std;
use std::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use super::*;
use crate::{
    be::Be16,
    family::{V4, V6},
};

#[test]
fn there_is_room_for_all_and_never_an_index_beyond() {
    for vips in [0, 1, 2, 16, 17, 4_096, 4_097, Extent::MAX_VIPS] {
        let extent = Extent::of(vips);
        assert!(extent.buckets() >= vips && extent.places() >= 2 * vips);
        assert!(extent.buckets() <= 2 * vips.max(1), "{vips}");
        assert_eq!(Extent::from_shift(extent.shift()), extent);
        for hash in [0, 1, u64::MAX / 3, u64::MAX] {
            assert!(extent.bucket(hash) < extent.buckets());
            for ticket in [1, 2, u64::MAX] {
                assert!(extent.place(hash, ticket) < extent.places());
            }
        }
        assert_eq!(extent.bucket(u64::MAX), extent.buckets() - 1);
    }
}

#[test]
fn every_part_of_a_key_counts() {
    let address = |text: &str| text.parse::<Ipv6Addr>().unwrap().into();
    let key = VipKey::new(address("2001:db8::1"), Be16::new(80), 6);
    let others = [
        VipKey { prefix: 64, ..key },
        VipKey {
            protocol: 17,
            ..key
        },
        VipKey {
            port: Be16::new(81),
            ..key
        },
        VipKey::new(address("2001:db9::1"), Be16::new(80), 6),
        VipKey::new(address("2001:db8:1::1"), Be16::new(80), 6),
        VipKey::new(address("2001:db8:0:0:1::1"), Be16::new(80), 6),
        VipKey::new(address("2001:db8::2"), Be16::new(80), 6),
    ];
    assert!(key.is(&key));
    for other in others {
        assert!(!key.is(&other) && !other.is(&key), "{other:?}");
        assert_ne!(hash::<V6>(&key), hash::<V6>(&other), "{other:?}");
    }
}

/// VIPs as operators number them: `addresses` in a row from `first` on, a `step` apart, each with its address entry and
/// these ports and protocols.
fn numbered(
    first: u32,
    addresses: u32,
    step: u32,
    ports: &[u16],
) -> Vec<VipKey<<V4 as Family>::Address>> {
    let address = |number| Ipv4Addr::from_bits(first + number * step).into();
    let keys = (0..addresses).flat_map(|number| {
        let address = address(number);
        let ports = ports.iter().map(|port| Be16::new(*port));
        let services = ports
            .flat_map(move |port| [6, 17].map(|protocol| VipKey::new(address, port, protocol)));
        services.chain([VipKey::address_entry(address)])
    });
    keys.collect()
}

/// The most keys that one bucket has, of as many buckets as there are keys.
fn crowd(hashes: &[u64]) -> usize {
    let extent = Extent::of(u32::try_from(hashes.len()).unwrap());
    let mut buckets: BTreeMap<u32, usize> = BTreeMap::new();
    for hash in hashes {
        *buckets.entry(extent.bucket(*hash)).or_default() += 1;
    }
    *buckets.values().max().unwrap()
}

#[test]
fn keys_as_operators_choose_them_do_not_crowd() {
    let ports: Vec<u16> = (8_000..8_400).collect();
    let even: Vec<u16> = (10_000..60_000).step_by(100).collect();
    for (first, addresses, step, ports) in [
        (0xc000_0200, 256, 1, &[80, 443][..]),
        (0x0a00_0000, 4_096, 1, &[443]),
        (0x0a00_0000, 4_096, 256, &[443]),
        (0x0a00_0000, 256, 65_536, &[53, 80]),
        (0xcb00_7101, 1, 1, &ports),
        (0xcb00_7101, 4, 1, &ports),
        (0xcb00_7101, 16, 16, &even),
    ] {
        let keys = numbered(first, addresses, step, ports);
        let hashes: Vec<u64> = keys.iter().map(hash::<V4>).collect();
        let distinct: BTreeSet<u64> = hashes.iter().copied().collect();
        assert_eq!(distinct.len(), keys.len());
        let v6 = keys.iter().map(|key| {
            let address = Ipv4Addr::from(key.address).to_bits();
            let address = Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(address)).into();
            hash::<V6>(&VipKey::new(address, key.port, key.protocol))
        });
        // Random keys would be eight, seldom ten.
        for hashes in [hashes, v6.collect()] {
            let most = crowd(&hashes);
            assert!(most <= 8, "{most} of {addresses} addresses from {first:#x}");
        }
    }
}
