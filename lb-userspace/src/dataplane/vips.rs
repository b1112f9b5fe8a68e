//! The maps of VIPs: what is published under which key, and which addresses have VIPs at all.

use std::net::IpAddr;

use anyhow::Result;
use aya::{
    Pod,
    maps::{HashMap, LpmTrie, MapData, MapError, lpm_trie::Key as PrefixKey},
};
use lb_common::{
    family::{Address4, Address6},
    names, prefix,
    vip::{self, Vip as VipInMap},
};

use super::{
    Actual, VipEntry,
    abi::{self, Key, VipKey},
    kernel::absent_is_fine,
    source::{MapSource, take},
};
use crate::model::{Prefix, Vip};

type Vips<A> = HashMap<MapData, vip::VipKey<A>, VipInMap>;
type Prefixes<A> = LpmTrie<MapData, A, prefix::Prefix<A>>;

/// The maps, of each IP version.
pub(super) struct VipMaps {
    vips_v4: Vips<Address4>,
    vips_v6: Vips<Address6>,
    prefixes_v4: Prefixes<Address4>,
    prefixes_v6: Prefixes<Address6>,
}

impl VipMaps {
    /// Takes them out of `maps`.
    pub(super) fn take(maps: &mut impl MapSource) -> Result<Self> {
        Ok(Self {
            vips_v4: take(maps, names::VIPS_V4)?,
            vips_v6: take(maps, names::VIPS_V6)?,
            prefixes_v4: take(maps, names::VIP_PREFIXES_V4)?,
            prefixes_v6: take(maps, names::VIP_PREFIXES_V6)?,
        })
    }

    /// Adds to `actual` what they hold.
    pub(super) fn read(&self, actual: &mut Actual) -> Result<()> {
        read_vips(&self.vips_v4, actual)?;
        read_vips(&self.vips_v6, actual)?;
        read_prefixes(&self.prefixes_v4, actual)?;
        read_prefixes(&self.prefixes_v6, actual)
    }

    pub(super) fn put(&mut self, vip: Vip, entry: &VipEntry) -> Result<(), MapError> {
        self.insert(VipKey::of(vip), abi::vip_to_map(entry))
    }

    pub(super) fn remove(&mut self, vip: Vip) -> Result<(), MapError> {
        self.delete(VipKey::of(vip))
    }

    /// Says that there are VIPs of `addresses`.
    pub(super) fn announce(&mut self, addresses: Prefix) -> Result<(), MapError> {
        if addresses.is_single() {
            let key = VipKey::address_entry(addresses.address());
            return self.insert(key, VipInMap::default());
        }
        let bits = addresses.bits();
        match addresses.address() {
            IpAddr::V4(first) => insert_prefix(&mut self.prefixes_v4, first.into(), bits),
            IpAddr::V6(first) => insert_prefix(&mut self.prefixes_v6, first.into(), bits),
        }
    }

    /// Says that there are no VIPs of `addresses` any more.
    pub(super) fn withdraw(&mut self, addresses: Prefix) -> Result<(), MapError> {
        if addresses.is_single() {
            return self.delete(VipKey::address_entry(addresses.address()));
        }
        let bits = addresses.bits().into();
        absent_is_fine(match addresses.address() {
            IpAddr::V4(first) => self.prefixes_v4.remove(&PrefixKey::new(bits, first.into())),
            IpAddr::V6(first) => self.prefixes_v6.remove(&PrefixKey::new(bits, first.into())),
        })
    }

    fn insert(&mut self, key: VipKey, value: VipInMap) -> Result<(), MapError> {
        match key {
            VipKey::V4(key) => self.vips_v4.insert(key, value, 0),
            VipKey::V6(key) => self.vips_v6.insert(key, value, 0),
        }
    }

    fn delete(&mut self, key: VipKey) -> Result<(), MapError> {
        absent_is_fine(match key {
            VipKey::V4(key) => self.vips_v4.remove(&key),
            VipKey::V6(key) => self.vips_v6.remove(&key),
        })
    }
}

fn insert_prefix<A: Pod>(trie: &mut Prefixes<A>, address: A, bits: u8) -> Result<(), MapError>
where
    prefix::Prefix<A>: Pod,
{
    let bits = bits.into();
    let value = prefix::Prefix { bits, address };
    trie.insert(&PrefixKey::new(bits, address), value, 0)
}

fn read_vips<A: Copy + Into<IpAddr>>(map: &Vips<A>, actual: &mut Actual) -> Result<()>
where
    vip::VipKey<A>: Pod,
{
    for element in map {
        let (key, value) = element?;
        match abi::key_from_map(&key) {
            Key::Vip(vip) => {
                actual.vips.insert(vip, abi::vip_from_map(&value));
            }
            Key::AddressEntry(address) => {
                actual.addresses.insert(address.into());
            }
            Key::Foreign => {}
        }
    }
    Ok(())
}

fn read_prefixes<A: Pod + Into<IpAddr>>(map: &Prefixes<A>, actual: &mut Actual) -> Result<()>
where
    prefix::Prefix<A>: Pod,
{
    for element in map {
        let (_, prefix::Prefix { bits, address }) = element?;
        let bits = u8::try_from(bits).ok();
        let prefix = bits.and_then(|bits| Prefix::new(address.into(), bits));
        actual.addresses.extend(prefix);
    }
    Ok(())
}
