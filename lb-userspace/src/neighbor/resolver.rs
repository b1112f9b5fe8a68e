//! The task that keeps the next hops of a set of destinations fresh.
//!
//! It looks at everything anew whenever something changed that may matter, and every 10 s in case an
//! event was lost: next hops depend on rules, routes, links and neighbours at once, and the kernel is
//! the only one who knows how.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use rtnetlink::MulticastGroup;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};
use tracing::{debug, warn};

use super::{
    NeighborError, NextHops,
    netlink::{Change, Events, Netlink},
    resolve::{NeighborKey, neighbor_needed, resolve},
};

/// Changes that follow each other this closely are looked at together.
const SETTLE: Duration = Duration::from_millis(20);

/// The pause before the next look is at least so many times as long as the last look took: however much
/// the kernel's tables change, this costs a tenth of one CPU at most.
const REST_FACTOR: u32 = 9;

/// From one look to the next without an event.
const FULL_INTERVAL: Duration = Duration::from_secs(10);

/// From a failure to the next attempt.
const RETRY: Duration = Duration::from_secs(1);

/// The kernel is asked to look for the same neighbour no more often than this. It sends a request each
/// second for three seconds by itself, and tells when it has given up.
const SOLICIT_INTERVAL: Duration = Duration::from_secs(1);

const GROUPS: &[MulticastGroup] = &[
    MulticastGroup::Link,
    MulticastGroup::Neigh,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv4Rule,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv6Route,
    MulticastGroup::Ipv6Rule,
];

/// The task; see [`Resolver::spawn`].
#[derive(Debug)]
pub struct Resolver {
    wanted: watch::Receiver<BTreeSet<IpAddr>>,
    updates: mpsc::Sender<NextHops>,
    /// What was sent last.
    sent: NextHops,
    /// The neighbours that next hops depend on, and when the kernel was last asked to look for them.
    neighbors: BTreeMap<NeighborKey, Option<Instant>>,
}

/// Tells the resolver what to resolve; dropping it ends the task.
#[derive(Debug)]
pub struct ResolverHandle {
    wanted: watch::Sender<BTreeSet<IpAddr>>,
}

impl ResolverHandle {
    /// Replaces the set of destinations. Without effect if it is the same.
    pub fn watch(&self, destinations: BTreeSet<IpAddr>) {
        self.wanted.send_if_modified(|current| {
            let changed = *current != destinations;
            *current = destinations;
            changed
        });
    }
}

impl Resolver {
    /// Starts a task that sends to `updates` the next hops of all destinations, once they have been
    /// looked at and whenever one of them changed. It works in the network namespace of the calling
    /// thread, and must be called within a Tokio runtime.
    ///
    /// The kernel is asked to find and to keep the neighbours that are needed, for which the process
    /// needs `CAP_NET_ADMIN`: packets that XDP sends do not make it do so.
    ///
    /// # Errors
    /// The kernel gave no socket.
    pub fn spawn(updates: mpsc::Sender<NextHops>) -> Result<ResolverHandle, NeighborError> {
        let kernel = Kernel::open()?;
        let (sender, wanted) = watch::channel(BTreeSet::new());
        let resolver = Self {
            wanted,
            updates,
            sent: NextHops::new(),
            neighbors: BTreeMap::new(),
        };
        tokio::spawn(resolver.run(kernel));
        Ok(ResolverHandle { wanted: sender })
    }

    /// Runs until nobody is left to tell what is wanted, or to hear of it.
    async fn run(mut self, mut kernel: Kernel) {
        loop {
            match self.follow(&mut kernel).await {
                Ok(()) => return,
                Err(error) => warn!("next hops may be out of date: {error}; trying again"),
            }
            // A socket that failed once is not trusted again.
            kernel = loop {
                sleep(RETRY).await;
                if self.wanted.has_changed().is_err() {
                    return;
                }
                match Kernel::open() {
                    Ok(kernel) => break kernel,
                    Err(error) => warn!("next hops may be out of date: {error}; trying again"),
                }
            };
        }
    }

    async fn follow(&mut self, kernel: &mut Kernel) -> Result<(), NeighborError> {
        self.wanted.mark_changed();
        let mut rest = Instant::now();
        let mut next_full = rest;
        loop {
            tokio::select! {
                changed = self.wanted.changed() => if changed.is_err() {
                    return Ok(());
                },
                () = self.updates.closed() => return Ok(()),
                () = sleep_until(next_full) => {}
                changed = kernel.events.relevant(|change| matters(change, &self.neighbors)) => {
                    changed?;
                    sleep_until(rest.max(Instant::now() + SETTLE)).await;
                }
            }
            // What changes from here on is told again.
            kernel.events.drain();
            let begin = Instant::now();
            self.look(&kernel.netlink).await?;
            let end = Instant::now();
            rest = end + (end - begin) * REST_FACTOR;
            next_full = end + FULL_INTERVAL;
        }
    }

    /// Resolves all destinations, sends what came of it if it is news, and has missing neighbours
    /// looked for.
    async fn look(&mut self, netlink: &Netlink) -> Result<(), NeighborError> {
        // A slow receiver gets fewer updates, not older ones.
        let Ok(permit) = self.updates.reserve().await else {
            return Ok(());
        };
        let wanted = self.wanted.borrow_and_update().clone();
        let mut routes = BTreeMap::new();
        for destination in wanted {
            routes.insert(destination, netlink.route(destination).await?);
        }
        let links = netlink.links().await?;
        let links = links.into_iter().map(|link| (link.index, link)).collect();
        let known = netlink.neighbors().await?;
        let next_hops: NextHops = routes
            .iter()
            .map(|(to, route)| (*to, resolve(*to, *route, &links, &known)))
            .collect();
        if next_hops != self.sent {
            self.sent.clone_from(&next_hops);
            permit.send(next_hops);
        }
        self.neighbors = routes
            .iter()
            .filter_map(|(to, route)| neighbor_needed(*to, *route, &links))
            .map(|key| (key, self.neighbors.get(&key).copied().flatten()))
            .collect();
        let now = Instant::now();
        for (key, solicited) in &mut self.neighbors {
            let fresh = known.get(key).is_some_and(|neighbor| !neighbor.stale);
            let lately = solicited.is_some_and(|last| now - last < SOLICIT_INTERVAL);
            if !fresh && !lately {
                *solicited = Some(now);
                // One neighbour that cannot be looked for must not hold up the others.
                if let Err(error) = netlink.solicit(*key).await {
                    debug!("{error}");
                }
            }
        }
        Ok(())
    }
}

fn matters(change: Change, neighbors: &BTreeMap<NeighborKey, Option<Instant>>) -> bool {
    match change {
        Change::Neighbor(key) => neighbors.contains_key(&key),
        Change::Anything => true,
    }
}

/// The two sockets: events could crowd out answers if they shared one.
struct Kernel {
    netlink: Netlink,
    events: Events,
}

impl Kernel {
    fn open() -> Result<Self, NeighborError> {
        // Events first: nothing can change unseen after the first look.
        let events = Events::listen(GROUPS)?;
        let netlink = Netlink::open()?;
        Ok(Self { netlink, events })
    }
}
