//! How many flows backends have: what the program counts, with the weights that it is held against.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use aya::maps::{Array, MapData};
use lb_common::{backend::BackendId, load::Load, names};

use super::source::{MapSource, take};

/// Flows by backend.
pub type Counted = BTreeMap<BackendId, i64>;

/// The map. The maps of versions before 6 have none.
pub(super) struct Loads(Option<Array<MapData, Load>>);

impl Loads {
    pub(super) fn take(maps: &mut impl MapSource) -> Self {
        Self(take(maps, names::LOADS).ok())
    }

    /// How many flows the backend is to have beside others; 0: nobody counts them.
    pub(super) fn weight(&self, id: BackendId) -> Result<u32> {
        self.0
            .as_ref()
            .map_or(Ok(0), |map| Ok(map.get(&id.0, 0)?.weight))
    }

    pub(super) fn read(&self, ids: impl Iterator<Item = BackendId>) -> Result<Counted> {
        ids.map(|id| Ok((id, self.load(id)?.flows))).collect()
    }

    /// Weighs the flows of the backend from here on. What is counted between reading and writing is lost: the next look at
    /// the flow tables finds it.
    pub(super) fn weigh(&mut self, id: BackendId, weight: u32) -> Result<()> {
        self.change(id, |load| Load {
            weight,
            // While it had no weight nobody counted.
            flows: if load.weight == 0 { 0 } else { load.flows },
            ..load
        })
    }

    /// The number is given to another backend.
    pub(super) fn forget(&mut self, id: BackendId) -> Result<()> {
        self.change(id, |_| Load::default())
    }

    /// Backends had as many flows as `found` says when as many were counted as `before` says; what was counted since comes
    /// to it.
    pub(super) fn mend(&mut self, before: &Counted, found: &Counted) -> Result<()> {
        for (id, before) in before {
            let found = found.get(id).copied().unwrap_or_default();
            self.change(*id, |load| Load {
                flows: found + load.flows - before,
                ..load
            })?;
        }
        Ok(())
    }

    fn load(&self, id: BackendId) -> Result<Load> {
        let map = self.0.as_ref().context("there is no map of loads")?;
        map.get(&id.0, 0).context("read the load of a backend")
    }

    fn change(&mut self, id: BackendId, change: impl FnOnce(Load) -> Load) -> Result<()> {
        let before = self.load(id)?;
        let after = change(before);
        if after == before {
            return Ok(());
        }
        let map = self.0.as_mut().context("there is no map of loads")?;
        map.set(id.0, after, 0)
            .context("write the load of a backend")
    }
}
