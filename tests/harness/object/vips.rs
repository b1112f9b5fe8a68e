//! The VIPs of a test: where they stand is the daemon's own choice, and nobody looks while they are written.

use std::net::IpAddr;

use aya::{
    Ebpf, Pod,
    maps::{Array, MapData},
};
use lb_common::{
    be::Be16,
    family::{Address4, Address6, Family, V4, V6},
    names,
    placement::{Bucket, Extent, Place},
    vip::{Vip, VipKey},
};
use lb_userspace::dataplane::placement::Placement;

/// Where VIPs stand.
#[derive(Debug)]
pub(super) struct Vips {
    v4: Placement<V4>,
    v6: Placement<V6>,
}

impl Vips {
    pub(super) fn new(extent: Extent) -> Self {
        Self {
            v4: Placement::new(extent),
            v6: Placement::new(extent),
        }
    }

    /// Writes a VIP: of the prefix with this first address and length, or, if that is 0, of the address alone.
    pub(super) fn put(
        &mut self,
        ebpf: &mut Ebpf,
        (first, prefix): (IpAddr, u8),
        (port, protocol): (u16, u8),
        vip: Vip,
    ) {
        let port = Be16::new(port);
        match first {
            IpAddr::V4(first) => {
                let key = VipKey::new(Address4::from(first), port, protocol);
                let key = VipKey { prefix, ..key };
                let maps = [names::VIP_BUCKETS_V4, names::VIPS_V4];
                write(&mut self.v4, ebpf, maps, key, vip);
            }
            IpAddr::V6(first) => {
                let key = VipKey::new(Address6::from(first), port, protocol);
                let key = VipKey { prefix, ..key };
                let maps = [names::VIP_BUCKETS_V6, names::VIPS_V6];
                write(&mut self.v6, ebpf, maps, key, vip);
            }
        }
    }
}

fn write<F: Family>(
    placement: &mut Placement<F>,
    ebpf: &mut Ebpf,
    [buckets, places]: [&str; 2],
    key: VipKey<F::Address>,
    vip: Vip,
) where
    Place<F>: Pod,
{
    let _ = placement.settle();
    let put = placement.put(key, vip).expect("room for a VIP");
    let mut map: Array<&mut MapData, Place<F>> = array(ebpf, places);
    for (number, place) in put.places {
        map.set(number, place, 0).expect("writing a place");
    }
    let mut map: Array<&mut MapData, Bucket> = array(ebpf, buckets);
    let (number, ticket) = put.bucket;
    map.set(number, ticket, 0).expect("writing a bucket");
}

fn array<'a, V: Pod>(ebpf: &'a mut Ebpf, name: &str) -> Array<&'a mut MapData, V> {
    let map = ebpf.map_mut(name);
    let map = map.unwrap_or_else(|| panic!("the object has no map {name}"));
    Array::try_from(map).unwrap_or_else(|error| panic!("map {name}: {error}"))
}
