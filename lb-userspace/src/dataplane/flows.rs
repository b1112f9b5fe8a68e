//! The flows that the program remembers, to be read beside its work: nothing is written, and nothing waits.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use anyhow::{Context, Result};
use aya::{
    Pod,
    maps::{HashMap, MapData, MapError},
};
use lb_common::{
    backend::BackendId,
    family::{Family, V4, V6},
    flow::{Flow, FlowKey},
    hash::{FlowHash, flow_hash},
    names,
    settings::Settings,
};

use super::source::{MapSource, take};
use crate::model::Protocol;

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
    /// What chooses its slot.
    pub hash: FlowHash,
}

type FlowTable<F> = HashMap<MapData, FlowKey<<F as Family>::Address>, Flow>;

/// The flow tables of both IP versions. Copies read the same ones.
#[derive(Clone)]
pub struct FlowTables {
    maps: Arc<Maps>,
    seed: u64,
    capacity: u32,
}

struct Maps {
    v4: FlowTable<V4>,
    v6: FlowTable<V6>,
}

impl FlowTables {
    /// Takes them out of the loaded object; `capacity` flows fit in each.
    pub(super) fn take(maps: &mut impl MapSource, capacity: u32) -> Result<Self> {
        let maps = Maps {
            v4: take(maps, names::FLOWS_V4)?,
            v6: take(maps, names::FLOWS_V6)?,
        };
        Ok(Self {
            maps: Arc::new(maps),
            seed: Settings::DEFAULT.hash_seed,
            capacity,
        })
    }

    /// The same under the program's `seed`.
    pub(super) fn with_seed(&self, seed: u64) -> Self {
        Self {
            seed,
            ..self.clone()
        }
    }

    /// Shows every flow to `look`, in no order, until it says that it has seen enough (`false`). Takes about a second
    /// for a million. Of flows that come or go meanwhile, some are missed and some are seen twice.
    ///
    /// # Errors
    /// A map could not be read.
    pub fn each(&self, mut look: impl FnMut(RememberedFlow) -> bool) -> Result<()> {
        let goes_on = self.read::<V4>(&self.maps.v4, &mut look);
        if goes_on.context("read the flow table of IPv4")? {
            let done = self.read::<V6>(&self.maps.v6, &mut look);
            done.context("read the flow table of IPv6")?;
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
        for element in table.iter().take(most) {
            let (key, flow) = element?;
            let seen = remembered::<F>(&key, flow, self.seed);
            if seen.is_some_and(|flow| !look(flow)) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// `None` for a protocol that is not balanced: nobody but the program writes the table, and it has none.
fn remembered<F: Family>(
    key: &FlowKey<F::Address>,
    flow: Flow,
    seed: u64,
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
        hash: flow_hash::<F>(key, seed),
    })
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use lb_common::{
        be::Be16,
        family::{Address4, Address6},
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
        reserved: 0,
    };

    #[test]
    fn flows_are_read_with_the_ends_that_packets_show() {
        let [source, destination] =
            [Ipv4Addr::new(198, 51, 100, 7), Ipv4Addr::new(192, 0, 2, 10)].map(Address4::from);
        let key4 = key(source, destination, 6);
        let flow = remembered::<V4>(&key4, FLOW, 9).unwrap();
        assert_eq!(flow.source, "198.51.100.7:40000".parse().unwrap());
        assert_eq!(flow.destination, "192.0.2.10:443".parse().unwrap());
        assert_eq!(flow.protocol, Protocol::Tcp);
        assert_eq!((flow.backend, flow.generation), (BackendId(7), 3));
        assert_eq!(flow.hash, flow_hash::<V4>(&key4, 9));
        let six = |text: &str| Address6::from(text.parse::<Ipv6Addr>().unwrap());
        let key6 = key(six("2001:db8:1::7"), six("2001:db8::10"), 17);
        let flow = remembered::<V6>(&key6, FLOW, 9).unwrap();
        assert_eq!(flow.source, "[2001:db8:1::7]:40000".parse().unwrap());
        assert_eq!(flow.protocol, Protocol::Udp);
        assert_eq!(
            remembered::<V6>(&key(key6.source, key6.source, 58), FLOW, 9),
            None
        );
    }
}
