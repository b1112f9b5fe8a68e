//! What a publication moves: slots of lookup tables, and the flows that are remembered.
//!
//! A slot or a flow has moved if another server has it afterwards, or none. What goes to nobody before moves nowhere.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use lb_common::table::Slot;

use crate::{
    dataplane::{Actual, Region, RememberedFlow, VipEntry},
    desired::Desired,
    model::{Prefix, Protocol, ServiceName, Vip},
};

/// What becomes of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Impact {
    /// The slots of its lookup table, of the larger one if its size changes.
    pub slots: u32,
    /// How many of them go to another server.
    pub moved_slots: u32,
    /// Backends that it gets.
    pub added: BTreeSet<SocketAddr>,
    /// Backends that it loses.
    pub removed: BTreeSet<SocketAddr>,
}

/// The impact on every service that there is before or after.
///
/// A service with several VIPs counts as its worst VIP does: one that comes moves nothing, one that goes moves all of its
/// slots.
#[must_use]
pub fn impacts(
    before: (&Desired, &Actual),
    after: (&Desired, &Actual),
) -> BTreeMap<ServiceName, Impact> {
    let (wanted_before, actual_before) = before;
    let (wanted_after, actual_after) = after;
    let names = wanted_before
        .services
        .keys()
        .chain(wanted_after.services.keys());
    let names: BTreeSet<&ServiceName> = names.collect();
    let impact = |name: &ServiceName| {
        let services = [wanted_before, wanted_after].map(|wanted| wanted.services.get(name));
        let [old, new] = services.map(|service| -> BTreeSet<SocketAddr> {
            service
                .into_iter()
                .flat_map(|it| it.backends.keys().copied())
                .collect()
        });
        let vips = services
            .into_iter()
            .flatten()
            .flat_map(|service| &service.vips);
        let tables: BTreeSet<[Region; 2]> = vips
            .map(|vip| [actual_before, actual_after].map(|actual| region(actual, *vip)))
            .collect();
        let moved = tables
            .into_iter()
            .map(|[old, new]| moved_slots((actual_before, old), (actual_after, new)));
        let (moved_slots, slots) = moved.max().unwrap_or_default();
        Impact {
            slots,
            moved_slots,
            added: new.difference(&old).copied().collect(),
            removed: old.difference(&new).copied().collect(),
        }
    };
    names
        .into_iter()
        .map(|name| (name.clone(), impact(name)))
        .collect()
}

fn region(actual: &Actual, vip: Vip) -> Region {
    actual
        .vips
        .get(&vip)
        .map(|entry| entry.region)
        .unwrap_or_default()
}

/// How many slots of the larger of two tables go to another server, and how many it has.
///
/// A slot of the larger one stands for the hashes that fall on it; in the smaller one they fall on the slot at the same
/// height.
fn moved_slots(before: (&Actual, Region), after: (&Actual, Region)) -> (u32, u32) {
    let slots = before.1.slots.max(after.1.slots);
    let mut servers = Servers::default();
    let mut moved = 0;
    let [old, new] = [before, after].map(|(actual, region)| actual.tables.get(&region));
    for slot in 0..slots {
        let height = (f64::from(slot) + 0.5) / f64::from(slots);
        let owner = |table: Option<&Arc<[Slot]>>| {
            let table = table?;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "below the table's length, which is below 2^24"
            )]
            table.get((height * table.len() as f64) as usize).copied()
        };
        let (old, new) = (owner(old), owner(new));
        moved += u32::from(servers.differ((before.0, old), (after.0, new)));
    }
    (moved, slots)
}

/// Pairs of backends that have been compared already: tables have many slots and few backends.
#[derive(Default)]
struct Servers {
    known: BTreeMap<(u32, Option<u32>), bool>,
}

impl Servers {
    fn differ(&mut self, before: (&Actual, Option<Slot>), after: (&Actual, Option<Slot>)) -> bool {
        let Some(old) = before.1 else {
            return false;
        };
        let key = (old.raw(), after.1.map(Slot::raw));
        *self.known.entry(key).or_insert_with(|| {
            let was = server(before.0, Some(old));
            was.is_some() && was != server(after.0, after.1)
        })
    }
}

/// The server behind a slot.
fn server(actual: &Actual, slot: Option<Slot>) -> Option<SocketAddr> {
    actual
        .backends
        .get(&slot?.backend())
        .map(|entry| entry.address)
}

/// Tells of remembered flows which of them move, and whose they are.
#[derive(Debug)]
pub struct Fates {
    before: Published,
    after: Published,
}

/// What packets find in the kernel.
#[derive(Debug)]
struct Published {
    actual: Actual,
    /// Those of VIPs; none contains another.
    prefixes: BTreeSet<Prefix>,
}

impl Fates {
    /// From one state of the kernel to another.
    #[must_use]
    pub fn new(before: Actual, after: Actual) -> Self {
        let [before, after] = [before, after].map(|actual| {
            let prefixes = actual.vips.keys().map(|vip| vip.addresses);
            let prefixes = prefixes.filter(|it| !it.is_single()).collect();
            Published { actual, prefixes }
        });
        Self { before, after }
    }

    /// The VIP whose flow it is and whether it moves; `None` if its next packet would be a new flow's anyhow.
    #[must_use]
    pub fn of(&self, flow: &RememberedFlow) -> Option<(Vip, bool)> {
        let (vip, _) = self.before.vip(flow.destination, flow.protocol)?;
        let server = self.before.remembered(flow)?;
        Some((vip, self.after.server(flow) != Some(server)))
    }
}

impl Published {
    /// The server that the flow is remembered to be with, if that still counts.
    fn remembered(&self, flow: &RememberedFlow) -> Option<SocketAddr> {
        let entry = self.actual.backends.get(&flow.backend)?;
        (entry.active && entry.generation == flow.generation).then_some(entry.address)
    }

    /// The server that the flow's next packet goes to.
    fn server(&self, flow: &RememberedFlow) -> Option<SocketAddr> {
        let (_, entry) = self.vip(flow.destination, flow.protocol)?;
        self.remembered(flow).or_else(|| {
            let table = self.actual.tables.get(&entry.region)?;
            let slot = flow.hashes.slot(entry.algorithm, entry.region.slots)?;
            server(&self.actual, table.get(slot as usize).copied())
        })
    }

    /// The VIP that takes packets to `destination`: of the address before those of prefixes, of the port before that
    /// of all ports.
    fn vip(&self, destination: SocketAddr, protocol: Protocol) -> Option<(Vip, &VipEntry)> {
        let address: IpAddr = destination.ip();
        let outer = self.prefixes.iter().copied();
        let outer = outer.filter(|prefix| prefix.contains(address.into()));
        let addresses = std::iter::once(Prefix::from(address)).chain(outer);
        let mut keys = addresses.flat_map(|addresses| {
            [destination.port(), Vip::ANY_PORT].map(|port| Vip {
                addresses,
                port,
                protocol,
            })
        });
        keys.find_map(|vip| Some((vip, self.actual.vips.get(&vip)?)))
    }
}
