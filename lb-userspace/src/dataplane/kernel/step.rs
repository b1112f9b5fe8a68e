//! One write of a step into the maps.

use std::{io, thread, time::Duration};

use anyhow::Result;
use aya::maps::{MapError, PerCpuValues};
use lb_common::{
    backend::{Backend, BackendId},
    traffic::Traffic,
};
use rustix::{
    io::Errno,
    thread::{MembarrierCommand, membarrier},
};

use super::Kernel;
use crate::dataplane::{Step, abi};

impl Kernel {
    /// A number that is given out begins with counters at 0; nobody counts on it before.
    fn reset_traffic(&mut self, id: BackendId) -> Result<()> {
        let cpus =
            aya::util::nr_cpus().map_err(|(path, error)| anyhow::anyhow!("{path}: {error}"))?;
        let zero = PerCpuValues::try_from(vec![Traffic::default(); cpus])?;
        Ok(self.traffic.set(id.0, zero, 0)?)
    }

    /// Does the write; `actual` follows in [`Actual::record`] if it worked.
    pub(super) fn write(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::PutDevice(index) => self.devices.insert(*index, *index, None, 0)?,
            Step::RemoveDevice(index) => absent_is_fine(self.devices.remove(*index))?,
            Step::PutVlan(index, device) => self.vlans.insert(*index, *device, 0)?,
            Step::RemoveVlan(index) => absent_is_fine(self.vlans.remove(index))?,
            Step::PutBackend(id, entry) => {
                if !self.actual.backends.contains_key(id) {
                    self.reset_traffic(*id)?;
                    self.loads.forget(*id)?;
                }
                self.loads.weigh(*id, entry.load_weight)?;
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
            Step::PutPath(alias, entry) => self.paths.put(*alias, entry)?,
            Step::RemovePath(alias) => self.paths.remove(*alias)?,
            Step::WriteTable(region, table) => self.arena.write(*region, table)?,
            Step::PutVip(vip, entry) => {
                // An address without a VIP harms nobody, if the VIP then finds no room.
                if !self.actual.addresses.contains(&vip.addresses) {
                    self.vips.announce(vip.addresses)?;
                }
                self.vips.put(*vip, entry)?;
            }
            Step::RemoveVip(vip) => {
                self.vips.remove(*vip)?;
                if self.actual.is_last_of_addresses(*vip) {
                    self.vips.withdraw(vip.addresses)?;
                }
            }
            Step::Block(prefix) => self.blocklist.insert(*prefix)?,
            Step::Unblock(prefix) => absent_is_fine(self.blocklist.remove(*prefix))?,
            Step::Grace => {
                self.awaited.clear();
                self.vips.settle()?;
            }
        }
        Ok(())
    }
}

/// Waits for a grace period of RCU: every program run that began before has ended (membarrier(2)). Kernels
/// booted with `nohz_full` refuse; there a pause that is thousands of times longer than the longest run must
/// do. On one CPU nothing is waited for, nor need it be: what runs for a packet is not interrupted by this process.
///
/// # Errors
/// The kernel refused.
pub fn grace() -> io::Result<()> {
    const PAUSE: Duration = Duration::from_millis(100);
    match membarrier(MembarrierCommand::Global) {
        Err(Errno::INVAL) => thread::sleep(PAUSE),
        waited => waited?,
    }
    Ok(())
}

/// A removal that finds nothing has done what it should: an element of a device map goes with its interface.
pub(in crate::dataplane) fn absent_is_fine(removed: Result<(), MapError>) -> Result<(), MapError> {
    match removed {
        Err(MapError::KeyNotFound) => Ok(()),
        Err(MapError::SyscallError(error)) if error.io_error.kind() == io::ErrorKind::NotFound => {
            Ok(())
        }
        other => other,
    }
}
