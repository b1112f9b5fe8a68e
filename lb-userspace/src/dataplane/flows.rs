//! The flows that the program remembers, to be read beside its work: nothing waits. What has ended can be forgotten.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
};

use anyhow::{Context, Result};
use aya::{
    Pod,
    maps::{HashMap, MapData, MapError},
};
use lb_common::{
    backend::BackendId,
    be::Be16,
    family::{Family, V4, V6},
    flow::{Flow, FlowKey},
    hash::{FlowHash, flow_hash, source_hash},
    names,
    progress::ticks,
    table::slot_of,
};
use rustix::time::{ClockId, clock_gettime};

use super::source::{Pinned, take};
use crate::model::{Algorithm, Protocol};

/// A flow as the flow table has it. Whether it still counts, the backend's entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RememberedFlow {
    /// The client.
    pub source: SocketAddr,
    /// The VIP's address and port.
    pub destination: SocketAddr,
    /// The transport protocol.
    pub protocol: Protocol,
    /// The number of the backend that has it.
    pub backend: BackendId,
    /// What the number's use was named when the flow was remembered.
    pub generation: u32,
    /// What chooses its slot, by its 5-tuple and by its source.
    pub hashes: Hashes,
    /// Whether it has ended, as far as one can tell from what its client sends.
    pub has_ended: bool,
    /// Whether its client has said that it ends.
    pub is_closing: bool,
}

/// The hashes of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hashes {
    /// Of its 5-tuple.
    pub flow: FlowHash,
    /// Of its source address.
    pub source: FlowHash,
}

impl Hashes {
    /// Those of the flow `key` under `seed`.
    pub(super) fn of<F: Family>(key: &FlowKey<F::Address>, seed: u64) -> Self {
        Self {
            flow: flow_hash::<F>(key, seed),
            source: source_hash::<F>(&key.source, seed),
        }
    }

    /// The slot that the flow falls on in a table of so many slots; `None` if slots are drawn: then it is on any.
    #[must_use]
    pub const fn slot(self, algorithm: Algorithm, slots: u32) -> Option<u32> {
        match algorithm {
            Algorithm::Maglev => Some(slot_of(self.flow, slots)),
            Algorithm::SourceHash => Some(slot_of(self.source, slots)),
            Algorithm::Random | Algorithm::RoundRobin | Algorithm::LeastConnections => None,
        }
    }
}

type FlowTable<F> = HashMap<MapData, FlowKey<<F as Family>::Address>, Flow>;

/// The flow tables of both IP versions: of fresh flows, and of those that have gone on.
pub struct FlowTables {
    v4: [FlowTable<V4>; 2],
    v6: [FlowTable<V6>; 2],
    seed: u64,
    capacity: u32,
    /// When they were opened, in ticks.
    now: u32,
}

impl FlowTables {
    /// Opens those pinned in the directory `maps`; `capacity` flows fit in each, and `seed` is the program's.
    pub(super) fn open(maps: &Path, seed: u64, capacity: u32) -> Result<Self> {
        let mut maps = Pinned(maps.to_owned());
        Ok(Self {
            v4: [
                take(&mut maps, names::FRESH_V4)?,
                take(&mut maps, names::FLOWS_V4)?,
            ],
            v6: [
                take(&mut maps, names::FRESH_V6)?,
                take(&mut maps, names::FLOWS_V6)?,
            ],
            seed,
            capacity,
            now: now(),
        })
    }

    /// Shows every flow to `look`, in no order, until it says that it has seen enough (`false`). Takes about a second
    /// for a million. Of flows that come or go meanwhile, some are missed and some are seen twice. Answers whether each one
    /// that was there all the time was shown: fresh ones are shown first, and go on to the others; but under much churn the
    /// kernel begins a table anew again and again, and it is left half-way.
    ///
    /// # Errors
    /// A map could not be read.
    pub fn each(&self, mut look: impl FnMut(RememberedFlow) -> bool) -> Result<bool> {
        for table in &self.v4 {
            let is_whole = self.read::<V4>(table, &mut look);
            if !is_whole.context("read the flow table of IPv4")? {
                return Ok(false);
            }
        }
        for table in &self.v6 {
            let is_whole = self.read::<V6>(table, &mut look);
            if !is_whole.context("read the flow table of IPv6")? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Forgets flows, unless they have gone on meanwhile.
    ///
    /// # Errors
    /// A map could not be read or written.
    pub fn forget(&mut self, flows: &[RememberedFlow]) -> Result<()> {
        let now = now();
        for flow in flows {
            match (flow.source.ip(), flow.destination.ip()) {
                (IpAddr::V4(source), IpAddr::V4(destination)) => {
                    let key = key(flow, [source.into(), destination.into()]);
                    forget::<V4>(&mut self.v4, &key, now).context("forget a flow of IPv4")?;
                }
                (IpAddr::V6(source), IpAddr::V6(destination)) => {
                    let key = key(flow, [source.into(), destination.into()]);
                    forget::<V6>(&mut self.v6, &key, now).context("forget a flow of IPv6")?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn read<F>(
        &self,
        table: &FlowTable<F>,
        look: &mut impl FnMut(RememberedFlow) -> bool,
    ) -> Result<bool, MapError>
    where
        F: Family,
        FlowKey<F::Address>: Pod,
    {
        // The kernel begins anew after a key that has gone meanwhile, and would under churn never come to an end.
        let most = self.capacity as usize * 2;
        for (number, element) in table.iter().enumerate() {
            if number == most {
                return Ok(false);
            }
            let (key, flow) = element?;
            let seen = remembered::<F>(&key, flow, self.seed, self.now);
            if seen.is_some_and(|flow| !look(flow)) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The coarse clock of flows, now.
fn now() -> u32 {
    let time = clock_gettime(ClockId::Monotonic);
    let [seconds, nanoseconds] = [time.tv_sec, time.tv_nsec].map(i64::unsigned_abs);
    ticks(seconds * 1_000_000_000 + nanoseconds)
}

fn key<A>(flow: &RememberedFlow, [source, destination]: [A; 2]) -> FlowKey<A> {
    FlowKey {
        source,
        destination,
        source_port: Be16::new(flow.source.port()),
        destination_port: Be16::new(flow.destination.port()),
        protocol: flow.protocol.number().into(),
    }
}

fn forget<F>(
    tables: &mut [FlowTable<F>],
    key: &FlowKey<F::Address>,
    now: u32,
) -> Result<(), MapError>
where
    F: Family,
    FlowKey<F::Address>: Pod,
{
    for table in tables {
        match table.get(key, 0) {
            Ok(flow) if flow.has_ended(key.protocol(), now) => match table.remove(key) {
                Ok(()) | Err(MapError::KeyNotFound) => {}
                Err(error) => return Err(error),
            },
            Ok(_) | Err(MapError::KeyNotFound) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// `None` for a protocol that is not balanced: nobody but the program writes the table, and it has none.
fn remembered<F: Family>(
    key: &FlowKey<F::Address>,
    flow: Flow,
    seed: u64,
    now: u32,
) -> Option<RememberedFlow> {
    let end = |address: F::Address, port: u16| -> SocketAddr {
        let address: IpAddr = address.into();
        (address, port).into()
    };
    Some(RememberedFlow {
        source: end(key.source, key.source_port.get()),
        destination: end(key.destination, key.destination_port.get()),
        protocol: Protocol::from_number(key.protocol())?,
        backend: BackendId(flow.backend),
        generation: flow.generation,
        hashes: Hashes::of::<F>(key, seed),
        has_ended: flow.has_ended(key.protocol(), now),
        is_closing: flow.client.ends(),
    })
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use lb_common::{
        family::{Address4, Address6},
        progress::Progress,
    };

    use super::*;

    fn key<A>(source: A, destination: A, protocol: u32) -> FlowKey<A> {
        FlowKey {
            source,
            destination,
            source_port: Be16::new(40_000),
            destination_port: Be16::new(443),
            protocol,
        }
    }

    const FLOW: Flow = Flow {
        backend: 7,
        generation: 3,
        source_port: Be16::new(0),
        client: Progress::OPEN,
        last_seen: 5,
    };

    #[test]
    fn flows_are_read_with_the_ends_that_packets_show() {
        let [source, destination] =
            [Ipv4Addr::new(198, 51, 100, 7), Ipv4Addr::new(192, 0, 2, 10)].map(Address4::from);
        let key4 = key(source, destination, 6);
        let flow = remembered::<V4>(&key4, FLOW, 9, 5).unwrap();
        assert_eq!(flow.source, "198.51.100.7:40000".parse().unwrap());
        assert_eq!(flow.destination, "192.0.2.10:443".parse().unwrap());
        assert_eq!(flow.protocol, Protocol::Tcp);
        assert_eq!((flow.backend, flow.generation), (BackendId(7), 3));
        assert_eq!(flow.hashes.flow, flow_hash::<V4>(&key4, 9));
        assert_eq!(flow.hashes.source, source_hash::<V4>(&source, 9));
        let six = |text: &str| Address6::from(text.parse::<Ipv6Addr>().unwrap());
        let key6 = key(six("2001:db8:1::7"), six("2001:db8::10"), 17);
        let flow = remembered::<V6>(&key6, FLOW, 9, 5).unwrap();
        assert_eq!(flow.source, "[2001:db8:1::7]:40000".parse().unwrap());
        assert_eq!(flow.protocol, Protocol::Udp);
        assert_eq!(
            remembered::<V6>(&key(key6.source, key6.source, 58), FLOW, 9, 5),
            None
        );
    }
}
