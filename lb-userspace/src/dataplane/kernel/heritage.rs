//! The maps of an older version: whether they can be taken over, and how what they hold comes into new ones.

use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use anyhow::{Context, Result, anyhow};
use aya::maps::MapData;
use lb_common::{
    heritage::{KEPT, OLDEST_READABLE},
    names::{self, ABI_VERSION},
};
use tracing::{info, warn};

use super::Kernel;
use crate::dataplane::{
    Actual, Capacity, Dataplane as _, Step, abi, load, pins::Pins, source::Pinned,
};

/// Where the maps of a data plane are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// They were made for it.
    Made,
    /// A process of this version has left them.
    Adopted,
    /// They were made for it, and filled from those that an older version of the ABI has left, with this number.
    Older(u32),
}

/// Where the maps under `pins` will be from.
///
/// # Errors
/// A program is attached over maps that this version cannot take over.
pub(super) fn origin(pins: &Pins) -> Result<Origin> {
    let adoptable = pins.maps().join(names::BACKENDS).exists();
    let versions = pins.other_versions()?;
    choose(adoptable, &versions, pins.has_links()).map_err(|version| {
        let root = pins.root().display();
        let age = if version > ABI_VERSION { "newer" } else { "much older" };
        anyhow!(
            "the data plane under {root} was set up by a {age} lbd, whose maps (version {version}) this one (version \
             {ABI_VERSION}) cannot take over: start that one again, or take the data plane off by `lbd detach --bpffs \
             {root}`, which ends forwarding and forgets all connections"
        )
    })
}

/// What to begin with, if maps of this version are there or not, and of these others; nothing but links would miss what
/// is not taken over. The maps of an older version are there until its successor has got through: they come first.
///
/// # Errors
/// The version that cannot be taken over.
fn choose(adoptable: bool, others: &BTreeSet<u32>, has_links: bool) -> Result<Origin, u32> {
    let readable = others.range(OLDEST_READABLE..ABI_VERSION).next_back();
    match (readable, adoptable, others.last()) {
        (Some(version), ..) => Ok(Origin::Older(*version)),
        (None, true, _) => Ok(Origin::Adopted),
        (None, false, Some(version)) if has_links => Err(*version),
        (None, false, _) => Ok(Origin::Made),
    }
}

/// What an older version has left.
pub(super) struct Older(Kernel);

impl Older {
    /// Reads the maps of `version`, and has those that are [kept](KEPT) used by this version too.
    pub(super) fn open(pins: &Pins, version: u32) -> Result<Self> {
        info!(
            from = version,
            to = ABI_VERSION,
            "taking over the maps of an older version"
        );
        let maps = pins.maps_of(version);
        let capacity = load::pinned_capacity(&maps)?;
        let read = || -> Result<Kernel> {
            let mut kernel = Kernel::over(&mut Pinned(maps.clone()), pins, capacity, 0)?;
            kernel.refresh()?;
            Ok(kernel)
        };
        let kernel = read()
            .with_context(|| format!("read the maps of an older version in {}", maps.display()))?;
        // What an attempt that did not get through has left.
        pins.discard()?;
        fs::create_dir(pins.maps()).with_context(|| format!("create {}", pins.maps().display()))?;
        for (name, since) in KEPT {
            if since <= version {
                keep(&maps.join(name), &pins.maps().join(name))?;
            } else if maps.join(name).exists() {
                warn!(map = name, "its layout has changed: what it holds is lost");
            }
        }
        Ok(Self(kernel))
    }

    pub(super) fn capacity(&self) -> Capacity {
        self.0.capacity
    }

    pub(super) const fn actual(&self) -> &Actual {
        &self.0.actual
    }
}

/// Pins the map that is pinned at `from` at `to`, too. Not by a link: Landlock of kernels before 5.19 allows none from
/// one directory to another.
fn keep(from: &Path, to: &Path) -> Result<()> {
    if !from.exists() {
        // It is made anew.
        warn!(pin = %from.display(), "the pinned map is gone: what it held is lost");
        return Ok(());
    }
    let pin = || {
        MapData::from_pin(from)?
            .pin(to)
            .map_err(anyhow::Error::from)
    };
    pin().with_context(|| format!("pin {} at {} too", from.display(), to.display()))
}

impl Kernel {
    /// Writes all of `actual` into maps that are empty; what was counted of its backends stays.
    pub(super) fn fill(&mut self, actual: &Actual) -> Result<()> {
        for index in &actual.devices {
            self.write(&Step::PutDevice(*index))?;
        }
        for (index, device) in &actual.vlans {
            self.write(&Step::PutVlan(*index, *device))?;
        }
        for (id, entry) in &actual.backends {
            self.loads.weigh(*id, entry.load_weight)?;
            self.backends.set(id.0, abi::backend_to_map(entry), 0)?;
        }
        for (key, entry) in &actual.servers {
            self.write(&Step::PutServer(*key, *entry))?;
        }
        for (region, table) in &actual.tables {
            self.write(&Step::WriteTable(*region, Arc::clone(table)))?;
        }
        for (alias, entry) in &actual.paths {
            self.write(&Step::PutPath(*alias, *entry))?;
        }
        for prefix in &actual.blocklist {
            self.write(&Step::Block(*prefix))?;
        }
        for addresses in &actual.addresses {
            self.vips.announce(*addresses)?;
        }
        for (vip, entry) in &actual.vips {
            self.vips.put(*vip, entry)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With or without maps of this version, and of others, as a difference to it; with links.
    fn chosen(adoptable: bool, others: &[i32]) -> Result<Origin, u32> {
        let others = others.iter().map(|it| ABI_VERSION.wrapping_add_signed(*it));
        choose(adoptable, &others.collect(), true)
    }

    #[test]
    fn maps_of_this_version_are_adopted_whatever_is_left_of_others() {
        assert_eq!(chosen(true, &[]), Ok(Origin::Adopted));
        // A newer one that did not get through is taken back.
        assert_eq!(chosen(true, &[1]), Ok(Origin::Adopted));
        let ancient = BTreeSet::from([OLDEST_READABLE - 1]);
        assert_eq!(choose(true, &ancient, true), Ok(Origin::Adopted));
    }

    #[test]
    fn what_cannot_be_read_is_refused_only_if_a_program_is_attached_over_it() {
        let newer = BTreeSet::from([ABI_VERSION + 1]);
        assert_eq!(choose(false, &newer, true), Err(ABI_VERSION + 1));
        assert_eq!(choose(false, &newer, false), Ok(Origin::Made));
        let ancient = BTreeSet::from([OLDEST_READABLE - 1]);
        assert_eq!(choose(false, &ancient, true), Err(OLDEST_READABLE - 1));
        assert_eq!(choose(false, &BTreeSet::new(), true), Ok(Origin::Made));
    }

    #[test]
    fn an_upgrade_that_did_not_get_through_is_begun_anew() {
        let older = (OLDEST_READABLE..ABI_VERSION).next_back();
        let others = older.into_iter().collect();
        for adoptable in [false, true] {
            let wanted = match older {
                Some(version) => Origin::Older(version),
                None if adoptable => Origin::Adopted,
                None => Origin::Made,
            };
            assert_eq!(choose(adoptable, &others, true), Ok(wanted));
        }
    }
}
