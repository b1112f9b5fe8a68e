//! The task that keeps the next hops of a set of destinations fresh.
//!
//! It looks at everything anew whenever something changed that may matter, and every 10 s in case an
//! event was lost: next hops depend on rules, routes, links and neighbours at once, and the kernel is
//! the only one who knows how. In between it looks at those destinations alone that are new, or whose
//! neighbour has changed: that takes as long as there are of these, and waits for no look at everything.

use std::{collections::BTreeSet, mem, net::IpAddr, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};
use tracing::warn;

use super::{
    NeighborError, NextHopChanges, NextHops, ResolverHandle,
    handle::Wishes,
    kernel::Kernel,
    needs::Needs,
    netlink::Change,
    resolve::{Links, NeighborKey, Neighbors, Route, neighbor_needed, resolve},
};

/// Changes that follow each other this closely are looked at together.
const SETTLE: Duration = Duration::from_millis(20);

/// The pause before the next look is at least so many times as long as the last look took: however much
/// the kernel's tables change, this costs a tenth of one CPU at most. So does what neighbours' events cost.
const REST_FACTOR: u32 = 9;

/// From one look at everything to the next without an event.
const FULL_INTERVAL: Duration = Duration::from_secs(10);

/// From a failure to the next attempt.
const RETRY: Duration = Duration::from_secs(1);

/// So many destinations are looked at by themselves because of neighbours' events; for more, everything is.
const FEW: usize = 64;

/// The same, of those that have no next hop yet: they do not wait for a look at everything, unless so many
/// change at once that others would wait for them.
const MANY: usize = 1_024;

/// So many questions a look at everything asks before it sees to what must not wait: about a millisecond's.
const SLICE: usize = 32;

/// The task; see [`Resolver::spawn`].
#[derive(Debug)]
pub struct Resolver {
    wishes: mpsc::UnboundedReceiver<Wishes>,
    updates: mpsc::Sender<NextHopChanges>,
    wanted: BTreeSet<IpAddr>,
    /// All that was sent, but for what is not wanted any more.
    sent: NextHops,
    /// What is not wanted any more; nobody has been told yet.
    gone: BTreeSet<IpAddr>,
    needs: Needs,
    /// Destinations that are to be looked at, whether or not everything is.
    due: BTreeSet<IpAddr>,
    /// Those that have been looked at by themselves since a look at everything has its neighbours.
    ahead: BTreeSet<IpAddr>,
    /// From when on those that are due and not new may be looked at.
    rested: Instant,
    /// Whether something has changed since the last look at everything that may matter to any destination.
    is_all_due: bool,
}

impl Resolver {
    /// Starts a task that sends to `updates` what becomes of the next hops of all destinations: those that are
    /// new, once they have been looked at, and others when they change. It works in the network namespace of
    /// the calling thread, and must be called within a Tokio runtime.
    ///
    /// The kernel is asked to find and to keep the neighbours that are needed, for which the process
    /// needs `CAP_NET_ADMIN`: packets that XDP sends do not make it do so.
    ///
    /// # Errors
    /// The kernel gave no socket.
    pub fn spawn(updates: mpsc::Sender<NextHopChanges>) -> Result<ResolverHandle, NeighborError> {
        let kernel = Kernel::open()?;
        let (handle, wishes) = ResolverHandle::new();
        let resolver = Self {
            wishes,
            updates,
            wanted: BTreeSet::new(),
            sent: NextHops::new(),
            gone: BTreeSet::new(),
            needs: Needs::default(),
            due: BTreeSet::new(),
            ahead: BTreeSet::new(),
            rested: Instant::now(),
            is_all_due: false,
        };
        tokio::spawn(resolver.run(kernel));
        Ok(handle)
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
                if self.wishes.is_closed() {
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
        let mut rest = Instant::now();
        let mut next_full = rest;
        loop {
            if self.is_most_due() {
                next_full = Instant::now();
            }
            tokio::select! {
                wishes = self.wishes.recv() => match wishes {
                    Some(wishes) => {
                        self.take(wishes);
                        self.look_at_due(kernel).await?;
                    }
                    None => return Ok(()),
                },
                () = self.updates.closed() => return Ok(()),
                change = kernel.events.next() => {
                    let was_due = self.is_all_due;
                    self.note(change?);
                    if self.is_all_due && !was_due {
                        next_full = rest.max(Instant::now() + SETTLE);
                    }
                }
                () = sleep_until(self.rested), if !self.due.is_empty() => {
                    self.look_at_due(kernel).await?;
                }
                () = sleep_until(next_full) => {
                    let begin = Instant::now();
                    self.look_at_all(kernel).await?;
                    let end = Instant::now();
                    rest = end + (end - begin) * REST_FACTOR;
                    next_full = if self.is_all_due {
                        rest.max(end + SETTLE)
                    } else {
                        end + FULL_INTERVAL
                    };
                }
            }
        }
    }

    /// Takes over a change of what is wanted.
    fn take(&mut self, wishes: Wishes) {
        for destination in wishes.added {
            self.wanted.insert(destination);
            self.gone.remove(&destination);
            self.due.insert(destination);
        }
        for destination in wishes.removed {
            self.wanted.remove(&destination);
            self.due.remove(&destination);
            self.needs.forget(destination);
            // If it is wanted again, it is told again.
            self.sent.remove(&destination);
            self.gone.insert(destination);
        }
    }

    /// The same for all that waits; whether there was any.
    fn take_waiting(&mut self) -> bool {
        let mut is_new = false;
        while let Ok(wishes) = self.wishes.try_recv() {
            self.take(wishes);
            is_new = true;
        }
        is_new
    }

    /// Takes note of what is to be looked at for an event.
    fn note(&mut self, change: Change) {
        let Change::Neighbor(neighbor) = change else {
            self.is_all_due = true;
            return;
        };
        let Some(by) = self.needs.by(neighbor) else {
            return;
        };
        if by.len() > FEW {
            self.is_all_due = true;
            return;
        }
        for destination in by {
            let is_found = self.sent.get(destination).is_some_and(Result::is_ok);
            if self.due.len() < if is_found { FEW } else { MANY } {
                self.due.insert(*destination);
            } else {
                self.is_all_due = true;
            }
        }
    }

    /// Whether so many destinations are due by themselves that a look at everything costs little more.
    fn is_most_due(&self) -> bool {
        self.due.len() > FEW.max(self.sent.len())
    }

    /// Waits until an update can be sent at once; false: nobody is left to hear of it. A slow receiver gets fewer
    /// updates, not older ones: what is to be sent is found after this.
    async fn has_room(&self) -> bool {
        self.updates.reserve().await.is_ok()
    }

    /// Looks at the destinations that are due by themselves, and at nothing that others alone depend on.
    async fn look_at_due(&mut self, kernel: &Kernel) -> Result<(), NeighborError> {
        if self.is_most_due() || !self.has_room().await {
            return Ok(());
        }
        let begin = Instant::now();
        self.take_waiting();
        let mut routes = Vec::with_capacity(self.due.len());
        for destination in mem::take(&mut self.due) {
            routes.push((destination, kernel.netlink.route(destination).await?));
        }
        let links = match routes.as_slice() {
            [] => Links::new(),
            [..] => kernel.links().await?,
        };
        let neighbors = self.depend(&routes, &links);
        let mut known = Neighbors::new();
        for key in &neighbors {
            let neighbor = kernel.netlink.neighbor(*key).await?;
            known.extend(neighbor.map(|neighbor| (*key, neighbor)));
        }
        let news = self.news(&routes, &links, &known);
        self.tell(news);
        let destinations = routes.iter().map(|(destination, _)| *destination);
        self.ahead.extend(destinations);
        let silent = self.silent(neighbors, &known);
        kernel.solicit(&silent).await;
        let end = Instant::now();
        self.rested = end + (end - begin) * REST_FACTOR;
        Ok(())
    }

    /// Looks at all destinations. What must not wait is seen to meanwhile.
    async fn look_at_all(&mut self, kernel: &mut Kernel) -> Result<(), NeighborError> {
        let (neighbors, known) = loop {
            if !self.has_room().await {
                return Ok(());
            }
            // What changes from here on is told again.
            kernel.events.drain();
            self.is_all_due = false;
            self.take_waiting();
            self.due.clear();
            // What is looked at by itself from here on is newer than this.
            self.ahead.clear();
            let destinations: Vec<_> = self.wanted.iter().copied().collect();
            let mut routes = Vec::with_capacity(destinations.len());
            for slice in destinations.chunks(SLICE) {
                for destination in slice {
                    routes.push((*destination, kernel.netlink.route(*destination).await?));
                }
                self.attend(kernel).await?;
            }
            let links = kernel.links().await?;
            let known = kernel.netlink.neighbors().await?;
            let mut neighbors = BTreeSet::new();
            let mut news = NextHops::new();
            for slice in routes.chunks(MANY) {
                let current: Vec<_> = slice
                    .iter()
                    .filter(|(destination, _)| self.is_current(destination))
                    .copied()
                    .collect();
                neighbors.append(&mut self.depend(&current, &links));
                news.append(&mut self.news(&current, &links, &known));
                self.attend(kernel).await?;
            }
            let room = self.updates.try_reserve();
            if matches!(room, Err(mpsc::error::TrySendError::Full(()))) {
                continue;
            }
            drop(room);
            news.retain(|destination, _| self.is_current(destination));
            self.tell(news);
            break (neighbors, known);
        };
        let silent = self.silent(neighbors, &known);
        for slice in silent.chunks(SLICE) {
            kernel.solicit(slice).await;
            self.attend(kernel).await?;
        }
        Ok(())
    }

    /// Sees to what must not wait for the end of a look at everything.
    async fn attend(&mut self, kernel: &mut Kernel) -> Result<(), NeighborError> {
        while let Some(change) = kernel.events.waiting() {
            self.note(change);
        }
        let is_new = self.take_waiting();
        if is_new || (!self.due.is_empty() && self.rested <= Instant::now()) {
            self.look_at_due(kernel).await?;
        }
        Ok(())
    }

    /// Takes note of the neighbours that these destinations depend on, and returns them.
    fn depend(&mut self, routes: &[(IpAddr, Route)], links: &Links) -> BTreeSet<NeighborKey> {
        let mut neighbors = BTreeSet::new();
        for (destination, route) in routes {
            let neighbor = neighbor_needed(*destination, *route, links);
            self.needs.set(*destination, neighbor);
            neighbors.extend(neighbor);
        }
        neighbors
    }

    /// Whether a look at everything tells the newest of this destination.
    fn is_current(&self, destination: &IpAddr) -> bool {
        self.wanted.contains(destination) && !self.ahead.contains(destination)
    }

    /// Resolves destinations; those whose next hops are others than was sent.
    fn news(&self, routes: &[(IpAddr, Route)], links: &Links, known: &Neighbors) -> NextHops {
        let next_hops = routes.iter().map(|(destination, route)| {
            let next_hop = resolve(*destination, *route, links, known);
            (*destination, next_hop)
        });
        let news = next_hops.filter(|(to, next_hop)| self.sent.get(to) != Some(next_hop));
        news.collect()
    }

    /// Sends what is news, if there is any. There is room for it.
    fn tell(&mut self, news: NextHops) {
        let Ok(permit) = self.updates.try_reserve() else {
            return;
        };
        let gone = mem::take(&mut self.gone);
        let changes = NextHopChanges {
            changed: news,
            gone,
        };
        if !changes.is_empty() {
            self.sent.extend(changes.changed.clone());
            permit.send(changes);
        }
    }

    /// Those of the neighbours that nobody has heard of lately, if they may be asked for now; they must be then.
    fn silent(&mut self, neighbors: BTreeSet<NeighborKey>, known: &Neighbors) -> Vec<NeighborKey> {
        let now = Instant::now();
        let is_fresh = |key: &_| known.get(key).is_some_and(|neighbor| !neighbor.stale);
        let neighbors = neighbors.into_iter();
        let silent = neighbors.filter(|key| !is_fresh(key) && self.needs.ask(*key, now));
        silent.collect()
    }
}
