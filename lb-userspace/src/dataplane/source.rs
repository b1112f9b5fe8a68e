//! Where typed maps come from: the object that was loaded, or pins.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use aya::{
    Ebpf,
    maps::{Map, MapData, MapError},
};

/// Where maps come from.
pub(super) trait MapSource {
    /// The map with this name, which is taken out.
    fn map(&mut self, name: &str) -> Result<Map>;
}

/// The object that was loaded.
impl MapSource for Ebpf {
    fn map(&mut self, name: &str) -> Result<Map> {
        let map = self.take_map(name);
        map.with_context(|| format!("the eBPF object has no map {name}"))
    }
}

/// Takes a map out of `source`, typed.
pub(super) fn take<M>(source: &mut impl MapSource, name: &str) -> Result<M>
where
    M: TryFrom<Map, Error = MapError>,
{
    M::try_from(source.map(name)?)
        .with_context(|| format!("map {name} is not of the expected type"))
}

/// A map of the object that stays in it, typed.
pub(super) fn open<'a, M>(ebpf: &'a mut Ebpf, name: &str) -> Result<M>
where
    M: TryFrom<&'a mut Map, Error = MapError>,
{
    let map = ebpf.map_mut(name);
    let map = map.with_context(|| format!("the eBPF object has no map {name}"))?;
    M::try_from(map).with_context(|| format!("map {name} is not of the expected type"))
}

/// Maps pinned in this directory.
pub(super) struct Pinned(pub(super) PathBuf);

impl MapSource for Pinned {
    fn map(&mut self, name: &str) -> Result<Map> {
        let pin = self.0.join(name);
        if !pin.exists() {
            bail!("the pinned map {} is gone", pin.display());
        }
        let open = || Map::from_map_data(MapData::from_pin(&pin)?);
        open().with_context(|| format!("open the pinned map {}", pin.display()))
    }
}
