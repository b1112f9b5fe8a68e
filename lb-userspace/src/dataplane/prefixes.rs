//! Sets of prefixes in the kernel: a longest-prefix-match trie for each IP version.

use std::{collections::BTreeSet, net::IpAddr};

use anyhow::Result;
use aya::{
    Pod,
    maps::{LpmTrie, MapData, MapError, lpm_trie::Key},
};
use lb_common::family::{Address4, Address6};

use super::source::{MapSource, take};
use crate::model::Prefix;

/// What counts is that a key is there.
const PRESENT: u32 = 1;

/// The two tries of a set.
pub(super) struct Prefixes {
    v4: LpmTrie<MapData, Address4, u32>,
    v6: LpmTrie<MapData, Address6, u32>,
}

impl Prefixes {
    /// Takes the tries with these names, of IPv4 and of IPv6, out of `maps`.
    pub(super) fn take(maps: &mut impl MapSource, [v4, v6]: [&str; 2]) -> Result<Self> {
        Ok(Self {
            v4: take(maps, v4)?,
            v6: take(maps, v6)?,
        })
    }

    pub(super) fn insert(&mut self, prefix: Prefix) -> Result<(), MapError> {
        let bits = prefix.bits().into();
        match prefix.address() {
            IpAddr::V4(address) => self.v4.insert(&Key::new(bits, address.into()), PRESENT, 0),
            IpAddr::V6(address) => self.v6.insert(&Key::new(bits, address.into()), PRESENT, 0),
        }
    }

    pub(super) fn remove(&mut self, prefix: Prefix) -> Result<(), MapError> {
        let bits = prefix.bits().into();
        match prefix.address() {
            IpAddr::V4(address) => self.v4.remove(&Key::new(bits, address.into())),
            IpAddr::V6(address) => self.v6.remove(&Key::new(bits, address.into())),
        }
    }

    /// All that is in the set, whoever put it there.
    pub(super) fn read(&self) -> Result<BTreeSet<Prefix>, MapError> {
        let mut prefixes = BTreeSet::new();
        read(&self.v4, &mut prefixes)?;
        read(&self.v6, &mut prefixes)?;
        Ok(prefixes)
    }
}

fn read<A: Pod + Into<IpAddr>>(
    trie: &LpmTrie<MapData, A, u32>,
    prefixes: &mut BTreeSet<Prefix>,
) -> Result<(), MapError> {
    for key in trie.keys() {
        let key = key?;
        // The kernel takes no key that is longer than an address.
        let bits = u8::try_from(key.prefix_len()).ok();
        prefixes.extend(bits.and_then(|bits| Prefix::of(key.data().into(), bits)));
    }
    Ok(())
}
