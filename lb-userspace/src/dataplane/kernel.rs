//! The data plane in this kernel: typed maps, and what they hold.

mod anchor;
mod heritage;
mod step;

use std::{collections::BTreeSet, os::fd::AsFd, sync::Arc};

use anyhow::{Context, Result, bail};
use aya::{
    Ebpf,
    maps::{Array, HashMap, Map, MapData, PerCpuArray, xdp::DevMapHash},
};
use lb_common::{
    backend::{Backend, BackendId},
    names,
    quic::{Server, ServerIdKey},
    settings::Settings,
    traffic::Traffic,
    vlan::VlanDevice,
};
use tracing::{info, warn};

use super::{
    Actual, BackendEntry, Capacity, Dataplane, DataplaneError, Features, FlowTables, Region, Step,
    abi,
    arena::Arena,
    attach::{AttachMode, Attachments},
    load,
    loads::{Counted, Loads},
    paths::PathMaps,
    pins::Pins,
    prefixes::Prefixes,
    probe::ProbeProgram,
    selftest,
    source::{MapSource, take},
    trial::Subject,
    vips::VipMaps,
};
use anchor::Anchors;
use heritage::Older;
pub use heritage::Origin;
pub(super) use step::absent_is_fine;
pub use step::grace;

/// The maps of one instance.
pub struct Kernel {
    vips: VipMaps,
    backends: Array<MapData, Backend>,
    servers: HashMap<MapData, ServerIdKey, Server>,
    traffic: PerCpuArray<MapData, Traffic>,
    loads: Loads,
    devices: DevMapHash<MapData>,
    vlans: HashMap<MapData, u32, VlanDevice>,
    blocklist: Prefixes,
    paths: PathMaps,
    arena: Arena,
    capacity: Capacity,
    actual: Actual,
    /// Regions that become free when the packets are through that are being waited for.
    awaited: BTreeSet<Region>,
    pins: Pins,
    anchors: Anchors,
    settings: Settings,
    /// What the program that is loaded does.
    features: Features,
}

impl Kernel {
    /// Loads the program and creates or adopts the maps pinned under `pins`. If an older version has left its maps,
    /// they are taken over: until [`Pins::settle`] the older program goes on over them.
    ///
    /// The program does what `features` says, and no more. Publications are numbered from `generation` on, or
    /// from the last one that the maps tell of.
    ///
    /// Returns the maps, the program ready to be attached, and where the maps are from.
    ///
    /// # Errors
    /// Says which part the kernel refused, or why the maps of another version cannot be taken over. Maps that were made
    /// are gone again.
    pub fn load(
        pins: &Pins,
        settings: Settings,
        features: Features,
        wanted: Capacity,
        generation: u32,
    ) -> Result<(Self, Attachments, Origin)> {
        let origin = heritage::origin(pins)?;
        let loaded = Self::load_from(origin, pins, (settings, features), wanted, generation);
        match (loaded, origin) {
            (Ok((kernel, attachments)), _) => Ok((kernel, attachments, origin)),
            (Err(error), Origin::Adopted) => Err(error),
            (Err(error), Origin::Made | Origin::Older(_)) => {
                if let Err(left) = pins.discard() {
                    warn!(error = format!("{left:#}"), "maps are left behind");
                }
                Err(error)
            }
        }
    }

    fn load_from(
        origin: Origin,
        pins: &Pins,
        (settings, features): (Settings, Features),
        wanted: Capacity,
        generation: u32,
    ) -> Result<(Self, Attachments)> {
        let older = match origin {
            Origin::Made | Origin::Adopted => None,
            Origin::Older(version) => Some(Older::open(pins, version)?),
        };
        let wanted = older.as_ref().map_or(wanted, Older::capacity);
        let loaded = load::load(pins, with(settings, features), wanted, load::BALANCER)?;
        let mut ebpf = loaded.ebpf;
        let mut kernel = Self {
            anchors: Anchors::open(pins)?,
            settings,
            features,
            ..Self::over(&mut ebpf, pins, loaded.capacity, generation)?
        };
        if let Some(older) = older {
            kernel.fill(older.actual()).context("fill the new maps")?;
        }
        kernel.refresh().context("read the adopted maps")?;
        kernel.test(&mut ebpf, loaded.program, features)?;
        Ok((kernel, Attachments::new(ebpf, loaded.program, pins)?))
    }

    /// Over maps of this size, which have not been read yet.
    fn over(
        maps: &mut impl MapSource,
        pins: &Pins,
        capacity: Capacity,
        generation: u32,
    ) -> Result<Self> {
        let Map::Array(tables) = maps.map(names::TABLES)? else {
            bail!("map {} is not an array", names::TABLES);
        };
        let arena = Arena::new(&tables.fd().as_fd(), abi::elements(capacity.slots))
            .context("map the arena")?;
        Ok(Self {
            vips: VipMaps::take(maps, capacity.vip_extent())?,
            backends: take(maps, names::BACKENDS)?,
            servers: take(maps, names::SERVER_IDS)?,
            traffic: take(maps, names::TRAFFIC)?,
            loads: Loads::take(maps),
            devices: take(maps, names::DEVICES)?,
            vlans: take(maps, names::VLANS)?,
            blocklist: Prefixes::take(maps, [names::BLOCKLIST_V4, names::BLOCKLIST_V6])?,
            paths: PathMaps::take(maps)?,
            arena,
            capacity,
            actual: Actual {
                generation,
                ..Actual::default()
            },
            awaited: BTreeSet::new(),
            pins: pins.clone(),
            anchors: Anchors::default(),
            settings: Settings::DEFAULT,
            features: Features::NONE,
        })
    }

    /// Sees to it that the program on every link does what `features` says before anything is published that needs it:
    /// if it does not, a program that does is loaded over the same maps and put in its place. What the program does
    /// beyond that, it goes on doing.
    ///
    /// # Errors
    /// The kernel refused; the program is what it was.
    pub fn provide(&mut self, features: Features, attachments: &mut Attachments) -> Result<()> {
        if self.features.has(features) {
            return Ok(());
        }
        let features = self.features.with(features);
        self.mend(attachments)?;
        let settings = with(self.settings, features);
        let loaded = load::load(&self.pins, settings, self.capacity, load::BALANCER)?;
        let mut ebpf = loaded.ebpf;
        self.test(&mut ebpf, loaded.program, features)?;
        // The program holds its maps, and they are open here already.
        for name in names::MAPS {
            drop(ebpf.take_map(name));
        }
        attachments.replace(ebpf)?;
        self.features = features;
        info!(%features, "the program was replaced by one that does more");
        #[cfg(feature = "log")]
        super::log::follow(attachments)?;
        Ok(())
    }

    /// Whether the program that is loaded does what `features` says.
    #[must_use]
    pub const fn has(&self, features: Features) -> bool {
        self.features.has(features)
    }

    /// Puts the loaded program on the links that an earlier process left, if the maps are to hold more than theirs looks
    /// up: that one does what the maps have held, and was asked for no more.
    ///
    /// # Errors
    /// As [`provide`](Self::provide).
    pub fn hand_over(&mut self, attachments: &mut Attachments) -> Result<()> {
        let held = self.actual.features();
        if held.has(self.features) {
            return Ok(());
        }
        self.provide(held, attachments)?;
        attachments.take_over()
    }

    /// Loads the program for probes over the same maps, and attaches it to the interface of probes with this index.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn attach_probe(
        &self,
        index: u32,
        mode: AttachMode,
        attachments: &mut Attachments,
    ) -> Result<ProbeProgram> {
        self.mend(attachments)?;
        // It has nothing to do but what needs them.
        let settings = with(self.settings, Features::REPLIES);
        let loaded = load::load(&self.pins, settings, self.capacity, load::PROBE)?;
        ProbeProgram::attach(loaded, index, mode)
    }

    /// Notes that packets under way are being waited for from now on, by [`grace`] on another thread; whether anything
    /// becomes free then. Who publishes finds free room, and need not wait itself.
    ///
    /// # Errors
    /// The maps are those of an older version.
    pub fn begin_wait(&mut self) -> Result<bool> {
        self.awaited.clone_from(&self.actual.retired);
        Ok(self.vips.begin_wait()? || !self.awaited.is_empty())
    }

    /// Notes that those packets are through: what had been replaced when the wait began is free.
    ///
    /// # Errors
    /// The maps could not be written.
    pub fn end_wait(&mut self) -> Result<()> {
        for region in std::mem::take(&mut self.awaited) {
            self.actual.retired.remove(&region);
        }
        self.vips.end_wait()
    }

    /// The flow tables, to be read on another thread: that takes its time.
    ///
    /// # Errors
    /// Their pins are gone.
    pub fn flows(&self) -> Result<FlowTables> {
        let (seed, capacity) = (self.settings.hash_seed, self.capacity.flows);
        FlowTables::open(&self.pins.maps(), seed, capacity)
    }

    /// How many flows those backends have, as far as the program has counted, for whom somebody counts.
    ///
    /// # Errors
    /// The map could not be read.
    pub fn loads(&self) -> Result<Counted> {
        let backends = self.actual.backends.iter();
        let counted = backends.filter(|(_, entry)| entry.load_weight > 0);
        self.loads.read(counted.map(|(id, _)| *id))
    }

    /// Puts right what the program has counted: at the time of `before`, backends had as many flows as `found` says.
    ///
    /// # Errors
    /// The map could not be read or written.
    pub fn mend_loads(&mut self, before: &Counted, found: &Counted) -> Result<()> {
        self.loads.mend(before, found)
    }

    /// The program that is attached, and all that a trial of it needs to know.
    #[must_use]
    pub fn subject(&self) -> Subject {
        let limited = self.actual.vips.values();
        let limited = limited.filter(|vip| vip.source_limit.is_some());
        Subject {
            pins: self.pins.clone(),
            settings: with(self.settings, self.features),
            capacity: self.capacity,
            backends: self.actual.backends.keys().copied().collect(),
            limited: limited.map(|vip| vip.service).collect(),
        }
    }

    /// Has `program` of `ebpf`, which does what `features` says, pass its self-test over these maps.
    fn test(&mut self, ebpf: &mut Ebpf, program: &'static str, features: Features) -> Result<()> {
        let before = self.actual.clone();
        selftest::run(self, ebpf, program, &with(self.settings, features))?;
        // The maps hold what they held.
        self.actual = before;
        Ok(())
    }

    fn read(&self) -> Result<Actual> {
        let mut actual = Actual {
            retired: self.actual.retired.clone(),
            ..Actual::default()
        };
        self.vips.read(&mut actual)?;
        for number in 1..self.capacity.backends {
            if let Some(entry) = abi::backend_from_map(&self.backends.get(&number, 0)?) {
                let load_weight = self.loads.weight(BackendId(number))?;
                let entry = BackendEntry {
                    load_weight,
                    ..entry
                };
                actual.backends.insert(BackendId(number), entry);
            }
        }
        for element in &self.servers {
            let (key, server) = element?;
            if let Some(key) = abi::server_key_from_map(&key) {
                actual.servers.insert(key, abi::server_from_map(server));
            }
        }
        let regions: BTreeSet<Region> = actual
            .vips
            .values()
            .map(|vip| vip.region)
            .filter(|region| region.slots > 0)
            .collect();
        for region in regions {
            let table = match self.actual.tables.get(&region) {
                Some(known) if self.arena.holds(region, known) => Arc::clone(known),
                _ => self.arena.read(region)?.into(),
            };
            actual.tables.insert(region, table);
        }
        actual.blocklist = self.blocklist.read()?;
        actual.paths = self.paths.read()?;
        for device in self.devices.keys() {
            actual.devices.insert(device?);
        }
        for element in &self.vlans {
            let (index, device) = element?;
            actual.vlans.insert(index, device);
        }
        let published = actual.vips.values().map(|vip| vip.generation);
        let used = actual.backends.values().map(|backend| backend.generation);
        actual.generation = published
            .chain(used)
            .max()
            .unwrap_or_default()
            .max(self.actual.generation);
        Ok(actual)
    }
}

impl Dataplane for Kernel {
    fn actual(&self) -> &Actual {
        &self.actual
    }

    fn capacity(&self) -> Capacity {
        self.capacity
    }

    fn refresh(&mut self) -> Result<(), DataplaneError> {
        let read = self.vips.refresh().and_then(|()| self.read());
        self.actual = read.map_err(|source| DataplaneError {
            action: "read the maps".to_owned(),
            source,
        })?;
        Ok(())
    }

    fn apply(&mut self, step: &Step) -> Result<(), DataplaneError> {
        self.write(step).map_err(|source| DataplaneError {
            action: step.to_string(),
            source,
        })?;
        self.actual.record(step);
        Ok(())
    }

    fn published(&mut self, generation: u32) {
        self.actual.generation = self.actual.generation.max(generation);
    }

    fn traffic(&self, backend: BackendId) -> Result<Traffic, DataplaneError> {
        let cells = self
            .traffic
            .get(&backend.0, 0)
            .map_err(|error| DataplaneError {
                action: format!("read the counters of backend number {}", backend.0),
                source: error.into(),
            })?;
        Ok(cells.iter().fold(Traffic::default(), |sum, cell| Traffic {
            packets: sum.packets + cell.packets,
            bytes: sum.bytes + cell.bytes,
            flows: sum.flows + cell.flows,
        }))
    }
}

/// `settings` for a program that does what `features` says.
const fn with(settings: Settings, features: Features) -> Settings {
    Settings {
        features: features.bits(),
        ..settings
    }
}
