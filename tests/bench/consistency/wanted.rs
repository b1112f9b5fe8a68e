//! What all balancers of the fleet are told: one service, its backends, and who of them is well.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use anyhow::{Context as _, Result};
use lb_common::vlan::VlanDevice;
use lb_userspace::{
    dataplane::{Actual, Capacity},
    desired::{Change, Desired},
    health::Target,
    model::{
        AdminState, Algorithm, Backend, ChosenSources, Health, Mode, Moves, MovesUpdate, ProbeWay,
        QuicLb, Role, Service, ServiceName, TableSlots, Thresholds, Tracking, Vip, Weight,
    },
    neighbor::{NextHop, NextHops},
    plan::{Input, Knowledge, World},
};

/// A backend, from 0 on; each number is given once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Server(pub(crate) u32);

impl Server {
    /// The address of the one before the first.
    const BASE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 0);
    const PORT: u16 = 80;

    fn address(self) -> SocketAddr {
        let address = Ipv4Addr::from_bits(Self::BASE.to_bits() + 1 + self.0);
        (address, Self::PORT).into()
    }

    /// Who has this address; `None` for those that this simulation has not given.
    pub(crate) fn at(address: SocketAddr) -> Option<Self> {
        let IpAddr::V4(address) = address.ip() else {
            return None;
        };
        let number = address.to_bits().checked_sub(Self::BASE.to_bits() + 1)?;
        Some(Self(number))
    }
}

/// The weight that backends begin with; it leaves room for changes.
pub(crate) const WEIGHT: u32 = 100;
const INTERFACE: u32 = 3;

/// What is wanted, and what is known of the backends.
pub(crate) struct Wanted {
    desired: Desired,
    health: BTreeMap<Target, Health>,
    next_hops: NextHops,
    interfaces: BTreeSet<u32>,
    vlans: BTreeMap<u32, VlanDevice>,
    capacity: Capacity,
    name: ServiceName,
    pub(crate) vip: Vip,
    pub(crate) moves: Moves,
}

impl Wanted {
    /// One service with so many backends, all well.
    pub(crate) fn new(backends: u32, tracking: Tracking) -> Result<Self> {
        let name: ServiceName = "web".parse()?;
        let vip: Vip = "192.0.2.1:80/tcp".parse()?;
        let moves = Moves {
            tracking,
            ..Moves::default()
        };
        let mut wanted = Self {
            desired: Desired::default(),
            health: BTreeMap::new(),
            next_hops: NextHops::new(),
            interfaces: BTreeSet::from([INTERFACE]),
            vlans: BTreeMap::new(),
            // Those that come are numbered before those that drain are gone.
            capacity: Capacity {
                backends: backends * 2 + 1_024,
                ..Capacity::default()
            },
            name: name.clone(),
            vip,
            moves,
        };
        wanted.desired.apply(Change::AddService(Service {
            name,
            vips: BTreeSet::from([vip]),
            mode: Mode::L2,
            algorithm: Algorithm::Maglev,
            table_slots: TableSlots::try_from(table_slots(backends))?,
            probe: None,
            thresholds: Thresholds::default(),
            moves,
            source_limit: None,
            dynamic_weights: None,
            quic_lb: QuicLb::default(),
            backends: BTreeMap::new(),
        }))?;
        for number in 0..backends {
            wanted.add(Server(number))?;
        }
        Ok(wanted)
    }

    /// All that a plan depends on.
    pub(crate) fn input<'a>(&'a self, knowledge: &'a Knowledge, actual: &'a Actual) -> Input<'a> {
        let world = World {
            health: &self.health,
            next_hops: &self.next_hops,
            interfaces: &self.interfaces,
            vlans: &self.vlans,
            sources: ChosenSources::default(),
            probes: ProbeWay::default(),
            knowledge,
        };
        Input {
            desired: &self.desired,
            world,
            actual,
            capacity: self.capacity,
        }
    }

    pub(crate) fn add(&mut self, server: Server) -> Result<()> {
        let address = server.address();
        let hop = NextHop {
            interface: INTERFACE,
            on_link: true,
            ..NextHop::default()
        };
        self.next_hops.insert(address.ip(), Ok(hop));
        let backend = Backend {
            address,
            weight: WEIGHT.try_into()?,
            mode: Mode::L2,
            state: AdminState::Up,
            role: Role::Ordinary,
            server_ids: BTreeSet::new(),
            remove_at: None,
        };
        let service = self.name.clone();
        self.change(Change::AddBackend { service, backend })
    }

    pub(crate) fn drain(&mut self, server: Server) -> Result<()> {
        self.update(server, None, Some(AdminState::Drain))
    }

    pub(crate) fn weigh(&mut self, server: Server, weight: u32) -> Result<()> {
        self.update(server, Some(weight.try_into()?), None)
    }

    pub(crate) fn remove(&mut self, server: Server) -> Result<()> {
        let service = self.name.clone();
        let address = server.address();
        self.next_hops.remove(&address.ip());
        self.change(Change::RemoveBackend {
            service,
            address,
            at: None,
        })
    }

    pub(crate) fn resize(&mut self, slots: u32) -> Result<()> {
        let change = Change::UpdateService {
            name: self.name.clone(),
            vips: None,
            mode: None,
            algorithm: None,
            table_slots: Some(slots.try_into()?),
            probe: None,
            min_healthy: None,
            panic_threshold: None,
            moves: MovesUpdate::default(),
            source_limit: None,
            dynamic_weights: None,
            quic_lb: None,
        };
        self.change(change)
    }

    pub(crate) fn found(&mut self, server: Server, health: Health) {
        let service = self.name.clone();
        let address = server.address();
        self.health.insert(Target { service, address }, health);
    }

    fn update(
        &mut self,
        server: Server,
        weight: Option<Weight>,
        state: Option<AdminState>,
    ) -> Result<()> {
        let change = Change::UpdateBackend {
            service: self.name.clone(),
            address: server.address(),
            weight,
            mode: None,
            state,
            role: None,
            server_ids: None,
        };
        self.change(change)
    }

    fn change(&mut self, change: Change) -> Result<()> {
        self.desired.apply(change).context("changing the service")
    }
}

/// The size that a table begins with.
pub(crate) fn table_slots(backends: u32) -> u32 {
    TableSlots::Auto.slots(backends as usize)
}
