//! The maps of VIPs: what is published under which key, and which addresses have VIPs at all.

pub mod placement;
mod table;

use std::net::IpAddr;

use anyhow::{Result, bail};
use aya::{
    Pod,
    maps::{HashMap, LpmTrie, Map, MapData, MapError, lpm_trie::Key as PrefixKey},
};
use lb_common::{
    family::{Address4, Address6, V4, V6},
    names,
    placement::Extent,
    prefix,
    vip::{self, Vip as VipInMap},
};

use self::table::{Placed, Table};
use super::{
    Actual, VipEntry,
    abi::{self, Key, VipKey},
    kernel::{absent_is_fine, grace},
    source::{MapSource, take},
};
use crate::model::{Prefix, Vip};

type Prefixes<A> = LpmTrie<MapData, A, prefix::Prefix<A>>;

/// The VIPs of one family.
enum Vips<F: Placed> {
    Placed(Table<F>),
    /// As versions before 6 had them: they are read, and never written again.
    Hashed(HashMap<MapData, vip::VipKey<F::Address>, VipInMap>),
}

/// The maps, of each IP version.
pub(super) struct VipMaps {
    vips_v4: Vips<V4>,
    vips_v6: Vips<V6>,
    prefixes_v4: Prefixes<Address4>,
    prefixes_v6: Prefixes<Address6>,
}

impl VipMaps {
    /// Takes them out of `maps`, of this extent if they are of this version.
    pub(super) fn take(maps: &mut impl MapSource, extent: Extent) -> Result<Self> {
        let [v4, v6] = [
            [names::VIPS_V4, names::VIP_BUCKETS_V4],
            [names::VIPS_V6, names::VIP_BUCKETS_V6],
        ];
        let taken = Self {
            vips_v4: Vips::take(maps, v4, extent)?,
            vips_v6: Vips::take(maps, v6, extent)?,
            prefixes_v4: take(maps, names::VIP_PREFIXES_V4)?,
            prefixes_v6: take(maps, names::VIP_PREFIXES_V6)?,
        };
        // What a process before has left a moment ago is not known: packets may look at it yet.
        grace()?;
        Ok(taken)
    }

    /// Reads what is published again.
    pub(super) fn refresh(&mut self) -> Result<()> {
        self.vips_v4.refresh()?;
        self.vips_v6.refresh()
    }

    /// Adds to `actual` what they hold.
    pub(super) fn read(&self, actual: &mut Actual) -> Result<()> {
        self.vips_v4.read(actual)?;
        self.vips_v6.read(actual)?;
        read_prefixes(&self.prefixes_v4, actual)?;
        read_prefixes(&self.prefixes_v6, actual)
    }

    pub(super) fn put(&mut self, vip: Vip, entry: &VipEntry) -> Result<()> {
        self.insert(VipKey::of(vip), abi::vip_to_map(entry))
    }

    pub(super) fn remove(&mut self, vip: Vip) -> Result<()> {
        self.delete(VipKey::of(vip))
    }

    /// Notes that packets under way are being waited for from now on; whether any place becomes free then.
    pub(super) fn begin_wait(&mut self) -> Result<bool> {
        let begun = [self.vips_v4.begin_wait()?, self.vips_v6.begin_wait()?];
        Ok(begun.contains(&true))
    }

    /// Notes that those packets are through.
    pub(super) fn end_wait(&mut self) -> Result<()> {
        self.vips_v4.end_wait()?;
        self.vips_v6.end_wait()
    }

    /// Waits for all packets that are under way.
    pub(super) fn settle(&mut self) -> Result<()> {
        self.begin_wait()?;
        grace()?;
        self.end_wait()
    }

    /// Says that there are VIPs of `addresses`.
    pub(super) fn announce(&mut self, addresses: Prefix) -> Result<()> {
        if addresses.is_single() {
            let key = VipKey::address_entry(addresses.address());
            return self.insert(key, VipInMap::default());
        }
        let bits = addresses.bits();
        match addresses.address() {
            IpAddr::V4(first) => insert_prefix(&mut self.prefixes_v4, first.into(), bits)?,
            IpAddr::V6(first) => insert_prefix(&mut self.prefixes_v6, first.into(), bits)?,
        }
        Ok(())
    }

    /// Says that there are no VIPs of `addresses` any more.
    pub(super) fn withdraw(&mut self, addresses: Prefix) -> Result<()> {
        if addresses.is_single() {
            return self.delete(VipKey::address_entry(addresses.address()));
        }
        let bits = addresses.bits().into();
        absent_is_fine(match addresses.address() {
            IpAddr::V4(first) => self.prefixes_v4.remove(&PrefixKey::new(bits, first.into())),
            IpAddr::V6(first) => self.prefixes_v6.remove(&PrefixKey::new(bits, first.into())),
        })?;
        Ok(())
    }

    fn insert(&mut self, key: VipKey, value: VipInMap) -> Result<()> {
        if self.try_insert(key, value)? {
            return Ok(());
        }
        // Places that VIPs have left become free.
        self.settle()?;
        if self.try_insert(key, value)? {
            return Ok(());
        }
        bail!("no place for it among the VIPs: raise max_vips")
    }

    fn try_insert(&mut self, key: VipKey, value: VipInMap) -> Result<bool> {
        match key {
            VipKey::V4(key) => self.vips_v4.insert(key, value),
            VipKey::V6(key) => self.vips_v6.insert(key, value),
        }
    }

    fn delete(&mut self, key: VipKey) -> Result<()> {
        match key {
            VipKey::V4(key) => self.vips_v4.delete(&key),
            VipKey::V6(key) => self.vips_v6.delete(&key),
        }
    }
}

impl<F: Placed> Vips<F>
where
    vip::VipKey<F::Address>: Pod,
{
    fn take(maps: &mut impl MapSource, [vips, buckets]: [&str; 2], extent: Extent) -> Result<Self> {
        let vips = maps.map(vips)?;
        if matches!(vips, Map::HashMap(_)) {
            return Ok(Self::Hashed(vips.try_into()?));
        }
        Table::open(&maps.map(buckets)?, &vips, extent).map(Self::Placed)
    }

    fn refresh(&mut self) -> Result<()> {
        match self {
            Self::Placed(table) => Ok(table.read()?),
            Self::Hashed(_) => Ok(()),
        }
    }

    fn read(&self, actual: &mut Actual) -> Result<()> {
        match self {
            Self::Placed(table) => table.vips().for_each(|(key, vip)| note(key, vip, actual)),
            Self::Hashed(map) => {
                for element in map {
                    let (key, vip) = element?;
                    note(&key, &vip, actual);
                }
            }
        }
        Ok(())
    }

    fn insert(&mut self, key: vip::VipKey<F::Address>, vip: VipInMap) -> Result<bool> {
        Ok(self.table()?.put(key, vip)?)
    }

    fn delete(&mut self, key: &vip::VipKey<F::Address>) -> Result<()> {
        Ok(self.table()?.remove(key)?)
    }

    fn begin_wait(&mut self) -> Result<bool> {
        Ok(self.table()?.begin_wait())
    }

    fn end_wait(&mut self) -> Result<()> {
        Ok(self.table()?.end_wait()?)
    }

    fn table(&mut self) -> Result<&mut Table<F>> {
        match self {
            Self::Placed(table) => Ok(table),
            Self::Hashed(_) => bail!("the maps of an older version are not written"),
        }
    }
}

/// Adds what stands under a key to `actual`.
fn note<A: Copy + Into<IpAddr>>(key: &vip::VipKey<A>, vip: &VipInMap, actual: &mut Actual) {
    match abi::key_from_map(key) {
        Key::Vip(known) => {
            actual.vips.insert(known, abi::vip_from_map(vip));
        }
        Key::AddressEntry(address) => {
            actual.addresses.insert(address.into());
        }
        Key::Foreign => {}
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
