//! The maps of aliases: which VIP and backend each stands for.

use std::{collections::BTreeMap, net::IpAddr};

use anyhow::Result;
use aya::{
    Pod,
    maps::{HashMap, MapData, MapError},
};
use lb_common::{
    backend::BackendId,
    family::{Address4, Address6},
    names,
    path::Path,
};

use super::{
    PathEntry,
    kernel::absent_is_fine,
    source::{MapSource, take},
};

type Paths<A> = HashMap<MapData, A, Path<A>>;

/// The maps, of each IP version.
pub(super) struct PathMaps {
    v4: Paths<Address4>,
    v6: Paths<Address6>,
}

impl PathMaps {
    /// Takes them out of `maps`.
    pub(super) fn take(maps: &mut impl MapSource) -> Result<Self> {
        Ok(Self {
            v4: take(maps, names::PATHS_V4)?,
            v6: take(maps, names::PATHS_V6)?,
        })
    }

    /// What they hold, by alias.
    pub(super) fn read(&self) -> Result<BTreeMap<IpAddr, PathEntry>, MapError> {
        let mut paths = BTreeMap::new();
        read(&self.v4, &mut paths)?;
        read(&self.v6, &mut paths)?;
        Ok(paths)
    }

    /// Makes `alias` stand for what `entry` says: VIP and source are of its IP version.
    pub(super) fn put(&mut self, alias: IpAddr, entry: &PathEntry) -> Result<()> {
        match (alias, entry.vip, entry.source) {
            (IpAddr::V4(alias), IpAddr::V4(vip), IpAddr::V4(source)) => {
                put::<Address4>(&mut self.v4, alias.into(), vip.into(), source.into(), entry)?;
            }
            (IpAddr::V6(alias), IpAddr::V6(vip), IpAddr::V6(source)) => {
                put::<Address6>(&mut self.v6, alias.into(), vip.into(), source.into(), entry)?;
            }
            _ => anyhow::bail!("alias, VIP and source are not of one IP version"),
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, alias: IpAddr) -> Result<(), MapError> {
        absent_is_fine(match alias {
            IpAddr::V4(alias) => self.v4.remove(&alias.into()),
            IpAddr::V6(alias) => self.v6.remove(&alias.into()),
        })
    }
}

fn put<A: Pod>(
    map: &mut Paths<A>,
    alias: A,
    vip: A,
    source: A,
    entry: &PathEntry,
) -> Result<(), MapError>
where
    Path<A>: Pod,
{
    let path = Path {
        vip,
        source,
        backend: entry.backend.0,
        generation: entry.generation,
        interface: entry.interface,
    };
    map.insert(alias, path, 0)
}

fn read<A: Pod + Into<IpAddr>>(
    map: &Paths<A>,
    paths: &mut BTreeMap<IpAddr, PathEntry>,
) -> Result<(), MapError>
where
    Path<A>: Pod,
{
    for element in map {
        let (alias, path) = element?;
        let entry = PathEntry {
            vip: path.vip.into(),
            source: path.source.into(),
            backend: BackendId(path.backend),
            generation: path.generation,
            interface: path.interface,
        };
        paths.insert(alias.into(), entry);
    }
    Ok(())
}
