//! The data plane in this kernel: typed maps, and what they hold.

use std::{
    collections::BTreeSet, io, net::IpAddr, os::fd::AsFd, sync::Arc, thread, time::Duration,
};

use anyhow::{Context, Result, bail};
use aya::{
    Ebpf,
    maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, PerCpuValues, xdp::DevMapHash},
};
use lb_common::{
    backend::{Backend, BackendId},
    family::{Address4, Address6},
    names,
    outcome::Outcome,
    quic::{Server, ServerIdKey},
    settings::Settings,
    traffic::Traffic,
    vip,
};
use rustix::{
    io::Errno,
    thread::{MembarrierCommand, membarrier},
};

use super::{
    Actual, Capacity, Dataplane, DataplaneError, Ledger, Region, Step,
    abi::{self, Key, VipKey},
    arena::Arena,
    attach::Attachments,
    load::{self, Pins},
};

/// The maps of one instance.
pub struct Kernel {
    vips_v4: HashMap<MapData, vip::VipKey<Address4>, vip::Vip>,
    vips_v6: HashMap<MapData, vip::VipKey<Address6>, vip::Vip>,
    backends: Array<MapData, Backend>,
    servers: HashMap<MapData, ServerIdKey, Server>,
    traffic: PerCpuArray<MapData, Traffic>,
    ledger: PerCpuArray<MapData, u64>,
    devices: DevMapHash<MapData>,
    arena: Arena,
    capacity: Capacity,
    actual: Actual,
}

impl Kernel {
    /// Loads the program and creates or adopts the maps pinned under `pins`.
    ///
    /// Publications are numbered from `generation` on, or from the last one that the maps tell of.
    ///
    /// Returns the maps, the program ready to be attached, and whether maps were adopted.
    ///
    /// # Errors
    /// Says which part the kernel refused.
    pub fn load(
        pins: &Pins,
        settings: Settings,
        wanted: Capacity,
        generation: u32,
    ) -> Result<(Self, Attachments, bool)> {
        let loaded = load::load(pins, settings, wanted)?;
        let mut ebpf = loaded.ebpf;
        let Some(Map::Array(tables)) = ebpf.take_map(names::TABLES) else {
            bail!("map {} is not an array", names::TABLES);
        };
        let arena = Arena::new(&tables.fd().as_fd(), abi::elements(loaded.capacity.slots))
            .context("map the arena")?;
        let mut kernel = Self {
            vips_v4: take(&mut ebpf, names::VIPS_V4)?,
            vips_v6: take(&mut ebpf, names::VIPS_V6)?,
            backends: take(&mut ebpf, names::BACKENDS)?,
            servers: take(&mut ebpf, names::SERVER_IDS)?,
            traffic: take(&mut ebpf, names::TRAFFIC)?,
            ledger: take(&mut ebpf, names::LEDGER)?,
            devices: take(&mut ebpf, names::DEVICES)?,
            arena,
            capacity: loaded.capacity,
            actual: Actual {
                generation,
                ..Actual::default()
            },
        };
        kernel.refresh().context("read the adopted maps")?;
        Ok((
            kernel,
            Attachments::new(ebpf, loaded.program, pins),
            loaded.adopted,
        ))
    }

    fn read(&self) -> Result<Actual> {
        let mut actual = Actual {
            retired: self.actual.retired.clone(),
            ..Actual::default()
        };
        read_vips(&self.vips_v4, &mut actual)?;
        read_vips(&self.vips_v6, &mut actual)?;
        for number in 1..self.capacity.backends {
            if let Some(entry) = abi::backend_from_map(&self.backends.get(&number, 0)?) {
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
        for device in self.devices.keys() {
            actual.devices.insert(device?);
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

    fn put_vip(&mut self, key: VipKey, value: vip::Vip) -> Result<(), MapError> {
        match key {
            VipKey::V4(key) => self.vips_v4.insert(key, value, 0),
            VipKey::V6(key) => self.vips_v6.insert(key, value, 0),
        }
    }

    fn remove_vip(&mut self, key: VipKey) -> Result<(), MapError> {
        let removed = match key {
            VipKey::V4(key) => self.vips_v4.remove(&key),
            VipKey::V6(key) => self.vips_v6.remove(&key),
        };
        absent_is_fine(removed)
    }

    /// A number that is given out begins with counters at 0; nobody counts on it before.
    fn reset_traffic(&mut self, id: BackendId) -> Result<()> {
        let cpus =
            aya::util::nr_cpus().map_err(|(path, error)| anyhow::anyhow!("{path}: {error}"))?;
        let zero = PerCpuValues::try_from(vec![Traffic::default(); cpus])?;
        Ok(self.traffic.set(id.0, zero, 0)?)
    }

    /// Does the write; `actual` follows in [`Actual::record`] if it worked.
    fn write(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::PutDevice(index) => self.devices.insert(*index, *index, None, 0)?,
            Step::RemoveDevice(index) => absent_is_fine(self.devices.remove(*index))?,
            Step::PutBackend(id, entry) => {
                if !self.actual.backends.contains_key(id) {
                    self.reset_traffic(*id)?;
                }
                self.backends.set(id.0, abi::backend_to_map(entry), 0)?;
            }
            Step::RemoveBackend(id) => self.backends.set(id.0, Backend::default(), 0)?,
            Step::PutServer(key, entry) => {
                let (key, server) = (abi::server_key_to_map(key), abi::server_to_map(*entry));
                self.servers.insert(key, server, 0)?;
            }
            Step::RemoveServer(key) => {
                absent_is_fine(self.servers.remove(&abi::server_key_to_map(key)))?;
            }
            Step::WriteTable(region, table) => self.arena.write(*region, table)?,
            Step::PutVip(vip, entry) => {
                self.put_vip(VipKey::of(*vip), abi::vip_to_map(entry))?;
                if !self.actual.addresses.contains(&vip.address) {
                    self.put_vip(VipKey::address_entry(vip.address), vip::Vip::default())?;
                }
            }
            Step::RemoveVip(vip) => {
                self.remove_vip(VipKey::of(*vip))?;
                if self.actual.is_last_of_address(*vip) {
                    self.remove_vip(VipKey::address_entry(vip.address))?;
                }
            }
            Step::Grace => grace()?,
        }
        Ok(())
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
        self.actual = self.read().map_err(|source| DataplaneError {
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

    fn ledger(&self) -> Result<Ledger, DataplaneError> {
        let read = |outcome: Outcome| -> Result<(Outcome, u64)> {
            let cells = self.ledger.get(&(outcome as u32), 0)?;
            Ok((outcome, cells.iter().sum()))
        };
        let cells = Outcome::ALL.iter().copied().map(read);
        cells
            .collect::<Result<_>>()
            .map_err(|source| DataplaneError {
                action: "read the ledger".to_owned(),
                source,
            })
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

fn read_vips<A: Copy + Into<IpAddr>>(
    map: &HashMap<MapData, vip::VipKey<A>, vip::Vip>,
    actual: &mut Actual,
) -> Result<()>
where
    vip::VipKey<A>: aya::Pod,
{
    for element in map {
        let (key, value) = element?;
        match abi::key_from_map(&key) {
            Key::Vip(vip) => {
                actual.vips.insert(vip, abi::vip_from_map(&value));
            }
            Key::AddressEntry(address) => {
                actual.addresses.insert(address);
            }
            Key::Foreign => {}
        }
    }
    Ok(())
}

/// Waits for a grace period of RCU: every program run that began before has ended (membarrier(2)). Kernels
/// booted with `nohz_full` refuse; there a pause that is thousands of times longer than the longest run must
/// do.
fn grace() -> io::Result<()> {
    const PAUSE: Duration = Duration::from_millis(100);
    match membarrier(MembarrierCommand::Global) {
        Err(Errno::INVAL) => thread::sleep(PAUSE),
        waited => waited?,
    }
    Ok(())
}

/// A removal that finds nothing has done what it should: an element of a device map goes with its interface.
pub(super) fn absent_is_fine(removed: Result<(), MapError>) -> Result<(), MapError> {
    match removed {
        Err(MapError::KeyNotFound) => Ok(()),
        Err(MapError::SyscallError(error)) if error.io_error.kind() == io::ErrorKind::NotFound => {
            Ok(())
        }
        other => other,
    }
}

/// Takes a map out of the loaded object, typed.
pub(super) fn take<M>(ebpf: &mut Ebpf, name: &str) -> Result<M>
where
    M: TryFrom<Map, Error = MapError>,
{
    let map = ebpf
        .take_map(name)
        .with_context(|| format!("the eBPF object has no map {name}"))?;
    M::try_from(map).with_context(|| format!("map {name} is not of the expected type"))
}
