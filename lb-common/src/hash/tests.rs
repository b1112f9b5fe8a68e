//! The hash spreads flows evenly and depends on every part of the key.

use core::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::{
    be::Be16,
    family::{Address4, Address6, V4, V6},
    table::slot_of,
};

fn v4(source: u32, source_port: u16) -> FlowKey<Address4> {
    FlowKey {
        source: Ipv4Addr::from_bits(source).into(),
        destination: Ipv4Addr::new(192, 0, 2, 10).into(),
        source_port: Be16::new(source_port),
        destination_port: Be16::new(443),
        protocol: 6,
    }
}

fn v6(source: u128, source_port: u16) -> FlowKey<Address6> {
    FlowKey {
        source: Ipv6Addr::from_bits(source).into(),
        destination: Ipv6Addr::LOCALHOST.into(),
        source_port: Be16::new(source_port),
        destination_port: Be16::new(443),
        protocol: 6,
    }
}

/// The largest count over the mean when `hashes` fall into 16 slots.
fn unevenness(hashes: impl Iterator<Item = FlowHash>) -> f64 {
    let mut counts = [0_u32; 16];
    let mut total = 0;
    for hash in hashes {
        counts[slot_of(hash, 16) as usize] += 1;
        total += 1;
    }
    f64::from(*counts.iter().max().unwrap()) * 16.0 / f64::from(total)
}

#[test]
fn consecutive_ports_and_addresses_spread_evenly() {
    let ports = (1024..=u16::MAX).map(|port| flow_hash::<V4>(&v4(0x0a00_0001, port), 7));
    assert!(unevenness(ports) < 1.06);
    let addresses = (0..60_000).map(|n| flow_hash::<V4>(&v4(0x0a00_0000 + n, 40_000), 7));
    assert!(unevenness(addresses) < 1.06);
    let interface_ids = (0..60_000).map(|n| flow_hash::<V6>(&v6((0xfd00 << 112) + n, 40_000), 7));
    assert!(unevenness(interface_ids) < 1.06);
    let prefixes =
        (0..60_000).map(|n| flow_hash::<V6>(&v6((0xfd00 << 112) + (n << 64), 40_000), 7));
    assert!(unevenness(prefixes) < 1.06);
}

proptest! {
    #[test]
    fn one_flipped_bit_anywhere_changes_the_slot_half_of_the_hash(
        source in any::<u128>(), port in any::<u16>(), seed in any::<u64>(), bit in 0_u32..144,
    ) {
        let (other, other_port) = if bit < 128 {
            (source ^ (1 << bit), port)
        } else {
            (source, port ^ (1 << (bit - 128)))
        };
        let difference =
            flow_hash::<V6>(&v6(source, port), seed).0 ^ flow_hash::<V6>(&v6(other, other_port), seed).0;
        let changed = (difference >> 32).count_ones();
        prop_assert!((3..=29).contains(&changed), "{changed} of 32 bits changed");
    }

    #[test]
    fn the_seed_matters(seed in any::<u64>()) {
        prop_assert_ne!(
            flow_hash::<V4>(&v4(1, 1), seed), flow_hash::<V4>(&v4(1, 1), seed.wrapping_add(1))
        );
    }
}
