//! The two looks: at the destinations that are due by themselves, and at all of them.

use std::{collections::BTreeSet, mem, net::IpAddr};

use tokio::{sync::mpsc, time::Instant};
use tracing::info;

use super::{MANY, REST_FACTOR, Resolver, SHORT_REST, SLICE, is_found};
use crate::neighbor::{
    NeighborError, NextHop, NextHopChanges, NextHops, Unresolved,
    kernel::Kernel,
    resolve::{Links, NeighborKey, Neighbors, Route, neighbor_needed, resolve},
};

impl Resolver {
    /// Looks at the destinations that are new or due by themselves, the new ones first, until none is new; and at nothing
    /// that others alone depend on.
    pub(super) async fn look_at_due(&mut self, kernel: &Kernel) -> Result<(), NeighborError> {
        loop {
            if self.is_most_due() || !self.has_room().await {
                return Ok(());
            }
            let begin = Instant::now();
            self.take_waiting();
            let has_new = !self.new.is_empty();
            self.look_at_some(kernel).await?;
            let end = Instant::now();
            let rest = (end - begin) * REST_FACTOR;
            // A change waits for the neighbours of what is new, whose answers are due next.
            self.rested = end + if has_new { rest.min(SHORT_REST) } else { rest };
            if self.new.is_empty() {
                return Ok(());
            }
        }
    }

    /// The same, at so many as may be looked at in one go.
    async fn look_at_some(&mut self, kernel: &Kernel) -> Result<(), NeighborError> {
        let mut routes = Vec::new();
        while routes.len() < MANY
            && let Some(destination) = self.new.pop_first().or_else(|| self.due.pop_first())
        {
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
        Ok(())
    }

    /// Looks at all destinations. What must not wait is seen to meanwhile.
    pub(super) async fn look_at_all(&mut self, kernel: &mut Kernel) -> Result<(), NeighborError> {
        let (neighbors, known) = loop {
            if !self.has_room().await {
                return Ok(());
            }
            // What changes from here on is told again.
            kernel.events.drain();
            self.is_all_due = false;
            // What is looked at by itself from here on is newer than this.
            self.ahead.clear();
            self.take_waiting();
            self.due.clear();
            if self.is_most_due() {
                self.new.clear();
            }
            self.attend(kernel).await?;
            let others = self.wanted.difference(&self.ahead);
            let destinations: Vec<_> = others.copied().collect();
            let mut routes = Vec::with_capacity(destinations.len());
            for slice in destinations.chunks(SLICE) {
                for destination in slice {
                    routes.push((*destination, kernel.netlink.route(*destination).await?));
                }
                self.attend(kernel).await?;
            }
            let links = kernel.links().await?;
            // Before they are listed: what is told of a neighbour that nobody depends on is not noted.
            let mut neighbors = BTreeSet::new();
            for slice in routes.chunks(MANY) {
                let current = self.current(slice);
                neighbors.append(&mut self.depend(&current, &links));
                self.attend(kernel).await?;
            }
            let known = self.neighbors(kernel, &neighbors).await?;
            let mut news = NextHops::new();
            for slice in routes.chunks(MANY) {
                self.attend(kernel).await?;
                let current = self.current(slice);
                news.append(&mut self.news(&current, &links, &known));
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
        if mem::take(&mut self.is_failing) {
            info!("next hops are up to date again");
        }
        Ok(())
    }

    /// Sees to what must not wait for the end of a look at everything.
    async fn attend(&mut self, kernel: &mut Kernel) -> Result<(), NeighborError> {
        while let Some(change) = kernel.events.waiting() {
            self.note(change);
        }
        self.take_waiting();
        let is_rested = !self.due.is_empty() && self.rested <= Instant::now();
        if is_rested || !self.new.is_empty() {
            self.look_at_due(kernel).await?;
        }
        Ok(())
    }

    /// Those of `needed` whose MAC addresses are known, and others. A list may miss some while others come and go: those
    /// that it lacks are asked for by themselves, unless they are so many that they are silent.
    async fn neighbors(
        &mut self,
        kernel: &mut Kernel,
        needed: &BTreeSet<NeighborKey>,
    ) -> Result<Neighbors, NeighborError> {
        let mut known = kernel.netlink.neighbors().await?;
        let is_missing = |key: &&NeighborKey| !known.contains_key(key);
        let missing: Vec<_> = needed.iter().filter(is_missing).copied().collect();
        if missing.len() > MANY {
            return Ok(known);
        }
        for slice in missing.chunks(SLICE) {
            for key in slice {
                let neighbor = kernel.netlink.neighbor(*key).await?;
                known.extend(neighbor.map(|neighbor| (*key, neighbor)));
            }
            self.attend(kernel).await?;
        }
        Ok(known)
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

    /// Whether a look at everything tells the newest of this destination. What was found stays as it is if something has
    /// been told of its neighbour meanwhile: it is due.
    fn is_current(&self, destination: &IpAddr) -> bool {
        let is_due = || self.due.contains(destination) && is_found(&self.sent, destination);
        self.wanted.contains(destination) && !self.ahead.contains(destination) && !is_due()
    }

    fn current(&self, routes: &[(IpAddr, Route)]) -> Vec<(IpAddr, Route)> {
        let routes = routes.iter().copied();
        let current = routes.filter(|(destination, _)| self.is_current(destination));
        current.collect()
    }

    /// Resolves destinations; those whose next hops are others than was sent, and not in doubt.
    fn news(&mut self, routes: &[(IpAddr, Route)], links: &Links, known: &Neighbors) -> NextHops {
        let now = Instant::now();
        let mut news = NextHops::new();
        for (destination, route) in routes {
            let next_hop = resolve(*destination, *route, links, known);
            let sent = self.sent.get(destination);
            let is_lost = sent.is_some_and(Result::is_ok) && is_silent(&next_hop);
            if is_lost && !self.doubts.has(*destination) {
                // An answer of lately is of no use: the kernel has forgotten it.
                self.needs.ask_anew(*destination);
            }
            if self.doubts.holds(*destination, is_lost, now) {
                continue;
            }
            if sent != Some(&next_hop) {
                news.insert(*destination, next_hop);
            }
        }
        news
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

/// Whether all is known but the neighbour.
const fn is_silent(next_hop: &Result<NextHop, Unresolved>) -> bool {
    matches!(next_hop, Err(Unresolved::NoNeighbor { .. }))
}
