//! The program that takes tunnels off, and its lists.

use std::{collections::BTreeSet, net::IpAddr};

use anyhow::{Context, Result};
use aya::{
    Ebpf, EbpfLoader,
    maps::{HashMap, MapData, MapError},
};
use lb_common::{
    decap::DecapSettings,
    family::{Address4, Address6},
    names,
};
use rustix::process::{Resource, getrlimit};

use super::{
    attach::Attachments, kernel::absent_is_fine, load, pins::Pins, prefixes::Prefixes, source::take,
};
use crate::model::Prefix;

/// Least size of each list.
const ENTRIES: usize = 1_024;

/// What is fixed when the program is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecapRules {
    /// Who may tunnel.
    pub sources: Vec<Prefix>,
    /// What packets inside tunnels may be for.
    pub vips: Vec<Prefix>,
    /// The UDP port of GUE.
    pub gue_port: u16,
}

/// The maps that are read and written while the program runs.
pub struct Decap {
    destinations_v4: HashMap<MapData, Address4, u32>,
    destinations_v6: HashMap<MapData, Address6, u32>,
    destinations: BTreeSet<IpAddr>,
}

impl Decap {
    /// Loads the program with maps of its own, which are not pinned: a program that replaces another one begins
    /// with new lists and empty ledgers.
    ///
    /// # Errors
    /// Says which part the kernel refused.
    pub fn load(pins: &Pins, rules: &DecapRules) -> Result<(Self, Attachments)> {
        let settings = DecapSettings {
            gue_port: rules.gue_port.into(),
            any_destination: 0,
        };
        let mut loader = EbpfLoader::new();
        loader.override_global(names::DECAP_SETTINGS, &settings, true);
        // The object holds the balancer's maps too: made as small as can be, and closed again.
        let unused = || {
            names::MAPS
                .into_iter()
                .filter(|name| !names::SHARED_MAPS.contains(name))
        };
        for name in unused() {
            loader.map_max_entries(name, 1);
        }
        for (names, entries) in [
            (
                [names::DECAP_SOURCES_V4, names::DECAP_SOURCES_V6],
                rules.sources.len(),
            ),
            (
                [names::DECAP_VIPS_V4, names::DECAP_VIPS_V6],
                rules.vips.len(),
            ),
        ] {
            for name in names {
                let entries = u32::try_from(entries.max(ENTRIES)).context("too many entries")?;
                loader.map_max_entries(name, entries);
            }
        }
        let created = loader.load(load::object()?);
        let mut ebpf =
            created.with_context(|| load::creation(getrlimit(Resource::Memlock).current))?;
        let program = load::load_program(&mut ebpf, names::DECAP_FRAGS, names::DECAP)?;
        for name in unused() {
            drop(ebpf.take_map(name));
        }
        let lists = [names::DECAP_SOURCES_V4, names::DECAP_SOURCES_V6];
        list(&mut ebpf, lists, &rules.sources).context("allow tunnels from the balancers")?;
        let lists = [names::DECAP_VIPS_V4, names::DECAP_VIPS_V6];
        list(&mut ebpf, lists, &rules.vips).context("allow packets to the VIPs")?;
        let decap = Self {
            destinations_v4: take(&mut ebpf, names::DECAP_DESTINATIONS_V4)?,
            destinations_v6: take(&mut ebpf, names::DECAP_DESTINATIONS_V6)?,
            destinations: BTreeSet::new(),
        };
        Ok((decap, Attachments::new(ebpf, program, pins)?))
    }

    /// Lets tunnels end at these addresses and at no others; whether that is a change.
    ///
    /// # Errors
    /// The kernel refused one of them.
    pub fn set_destinations(&mut self, wanted: BTreeSet<IpAddr>) -> Result<bool> {
        for address in wanted.difference(&self.destinations) {
            put(
                &mut self.destinations_v4,
                &mut self.destinations_v6,
                *address,
            )
            .with_context(|| format!("let tunnels end at {address}"))?;
        }
        for address in self.destinations.difference(&wanted) {
            let removed = match *address {
                IpAddr::V4(address) => self.destinations_v4.remove(&address.into()),
                IpAddr::V6(address) => self.destinations_v6.remove(&address.into()),
            };
            absent_is_fine(removed).with_context(|| format!("let no tunnel end at {address}"))?;
        }
        let changed = self.destinations != wanted;
        self.destinations = wanted;
        Ok(changed)
    }
}

/// Puts `prefixes` on the lists, of IPv4 and of IPv6, with these names.
fn list(ebpf: &mut Ebpf, names: [&str; 2], prefixes: &[Prefix]) -> Result<()> {
    let mut list = Prefixes::take(ebpf, names)?;
    for prefix in prefixes {
        list.insert(*prefix)
            .with_context(|| format!("write {prefix}"))?;
    }
    Ok(())
}

fn put(
    v4: &mut HashMap<MapData, Address4, u32>,
    v6: &mut HashMap<MapData, Address6, u32>,
    address: IpAddr,
) -> Result<(), MapError> {
    match address {
        IpAddr::V4(address) => v4.insert(Address4::from(address), 1, 0),
        IpAddr::V6(address) => v6.insert(Address6::from(address), 1, 0),
    }
}
