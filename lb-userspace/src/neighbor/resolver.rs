//! The task that keeps the next hops of a set of destinations fresh.
//!
//! It looks at everything anew whenever something changed that may matter, and every 10 s in case an
//! event was lost: next hops depend on rules, routes, links and neighbours at once, and the kernel is
//! the only one who knows how. In between it looks at those destinations alone that are new, or whose
//! neighbour has changed: that takes as long as there are of these, and waits for no look at everything.
//!
//! What cannot be asked stays as it was last known.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};
use tracing::{debug, warn};

use super::{
    NeighborError, NextHopChanges, NextHops, ResolverHandle, doubts::Doubts, handle::Wishes,
    kernel::Kernel, needs::Needs, netlink::Change,
};

mod looks;

/// Changes that follow each other this closely are looked at together.
const SETTLE: Duration = Duration::from_millis(20);

/// The pause before the next look is at least so many times as long as the last look took: however much
/// the kernel's tables change, this costs a tenth of one CPU at most. So does what neighbours' events cost.
const REST_FACTOR: u32 = 9;

/// But no longer than this after a look at new destinations.
const SHORT_REST: Duration = Duration::from_millis(100);

/// From one look at everything to the next without an event.
const FULL_INTERVAL: Duration = Duration::from_secs(10);

/// From a failure to the next attempt.
const RETRY: Duration = Duration::from_secs(1);

/// So many destinations are looked at by themselves because of neighbours' events; for more, everything is.
const FEW: usize = 64;

/// The same, of those that have no next hop yet: they do not wait for a look at everything, unless so many
/// change at once that others would wait for them. No more are looked at in one go, so that what has been found is told.
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
    doubts: Doubts,
    /// Destinations that have not been looked at since they are wanted: they come before all others.
    new: BTreeSet<IpAddr>,
    /// Others that are to be looked at, whether or not everything is.
    due: BTreeSet<IpAddr>,
    /// Those that have been looked at by themselves since a look at everything has its neighbours.
    ahead: BTreeSet<IpAddr>,
    /// From when on those that are due may be looked at.
    rested: Instant,
    /// Whether something has changed since the last look at everything that may matter to any destination.
    is_all_due: bool,
    /// Whether the kernel could not be asked, and has not been asked about everything since.
    is_failing: bool,
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
        let (handle, resolver) = Self::new(updates);
        tokio::spawn(resolver.run(kernel));
        Ok(handle)
    }

    fn new(updates: mpsc::Sender<NextHopChanges>) -> (ResolverHandle, Self) {
        let (handle, wishes) = ResolverHandle::new();
        let resolver = Self {
            wishes,
            updates,
            wanted: BTreeSet::new(),
            sent: NextHops::new(),
            gone: BTreeSet::new(),
            needs: Needs::default(),
            doubts: Doubts::default(),
            new: BTreeSet::new(),
            due: BTreeSet::new(),
            ahead: BTreeSet::new(),
            rested: Instant::now(),
            is_all_due: false,
            is_failing: false,
        };
        (handle, resolver)
    }

    /// Runs until nobody is left to tell what is wanted, or to hear of it.
    async fn run(mut self, mut kernel: Kernel) {
        loop {
            match self.follow(&mut kernel).await {
                Ok(()) => return,
                Err(error) => self.fail(&error),
            }
            // A socket that failed once is not trusted again.
            kernel = loop {
                sleep(RETRY).await;
                if self.wishes.is_closed() {
                    return;
                }
                match Kernel::open() {
                    Ok(kernel) => break kernel,
                    Err(error) => self.fail(&error),
                }
            };
        }
    }

    /// Says that the kernel cannot be asked: once until it can be.
    fn fail(&mut self, error: &NeighborError) {
        if std::mem::replace(&mut self.is_failing, true) {
            debug!("next hops are still as they were last known: {error}");
        } else {
            warn!("next hops stay as they were last known: {error}; trying again until it works");
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
                // What is new comes first. Events come last: each of the others ends its turn by itself.
                biased;
                () = self.updates.closed() => return Ok(()),
                wishes = self.wishes.recv() => match wishes {
                    Some(wishes) => {
                        self.take(wishes);
                        self.look_at_due(kernel).await?;
                    }
                    None => return Ok(()),
                },
                // If most are due, everything is looked at below.
                () = sleep_until(self.rested), if !self.due.is_empty() && !self.is_most_due() => {
                    self.look_at_due(kernel).await?;
                }
                () = self.doubts.ripe() => {
                    self.due.extend(self.doubts.take_ripe(Instant::now()));
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
                change = kernel.events.next() => {
                    let was_due = self.is_all_due;
                    self.note(change?);
                    if self.is_all_due && !was_due {
                        next_full = rest.max(Instant::now() + SETTLE);
                    }
                }
            }
        }
    }

    /// Takes over a change of what is wanted.
    fn take(&mut self, wishes: Wishes) {
        for destination in wishes.added {
            self.wanted.insert(destination);
            self.gone.remove(&destination);
            self.new.insert(destination);
        }
        for destination in wishes.removed {
            self.wanted.remove(&destination);
            self.new.remove(&destination);
            self.due.remove(&destination);
            self.needs.forget(destination);
            self.doubts.forget(destination);
            // If it is wanted again, it is told again.
            self.sent.remove(&destination);
            self.gone.insert(destination);
        }
    }

    /// The same for all that waits.
    fn take_waiting(&mut self) {
        while let Ok(wishes) = self.wishes.try_recv() {
            self.take(wishes);
        }
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
            let is_found = is_found(&self.sent, destination);
            if self.due.len() < if is_found { FEW } else { MANY } {
                self.due.insert(*destination);
            } else {
                self.is_all_due = true;
            }
        }
    }

    /// Whether so many destinations are due by themselves that a look at everything costs little more.
    fn is_most_due(&self) -> bool {
        self.new.len() + self.due.len() > FEW.max(self.sent.len())
    }

    /// Waits until an update can be sent at once; false: nobody is left to hear of it. A slow receiver gets fewer
    /// updates, not older ones: what is to be sent is found after this.
    async fn has_room(&self) -> bool {
        self.updates.reserve().await.is_ok()
    }
}

/// Whether the next hop of a destination was found when it was told last.
fn is_found(sent: &NextHops, destination: &IpAddr) -> bool {
    sent.get(destination).is_some_and(Result::is_ok)
}

#[cfg(test)]
mod tests;
