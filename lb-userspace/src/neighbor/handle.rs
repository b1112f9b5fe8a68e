//! The core's end of the resolver: tells what is wanted, as changes, and takes over what has been found.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    net::IpAddr,
};

use tokio::sync::mpsc;

use super::{NextHopChanges, NextHops};

/// A change of the set of destinations; what stands in both lists has gone again.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    pub(super) added: Vec<IpAddr>,
    pub(super) removed: Vec<IpAddr>,
}

/// Tells the resolver what to resolve; dropping it ends the task.
#[derive(Debug)]
pub struct ResolverHandle {
    wishes: mpsc::UnboundedSender<Wishes>,
    /// How often each destination is wanted.
    wanted: BTreeMap<IpAddr, usize>,
    /// Destinations of which nothing has been heard since they are wanted.
    unanswered: BTreeSet<IpAddr>,
}

impl ResolverHandle {
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Wishes>) {
        // No longer than the changes since the last look; the core must not wait for the kernel here.
        let (wishes, told) = mpsc::unbounded_channel();
        let handle = Self {
            wishes,
            wanted: BTreeMap::new(),
            unanswered: BTreeSet::new(),
        };
        (handle, told)
    }

    /// Has `added` resolved from now on, and `removed` no longer. Backends may share an address: it is resolved
    /// until it has been removed as often as it was added. The price is that of the change, however many others
    /// are wanted.
    pub fn change(
        &mut self,
        added: impl IntoIterator<Item = IpAddr>,
        removed: impl IntoIterator<Item = IpAddr>,
    ) {
        let mut wishes = Wishes::default();
        // First, so that what is in both goes on as it was.
        for destination in added {
            let times = self.wanted.entry(destination).or_default();
            *times += 1;
            if *times == 1 {
                self.unanswered.insert(destination);
                wishes.added.push(destination);
            }
        }
        for destination in removed {
            let Entry::Occupied(mut times) = self.wanted.entry(destination) else {
                continue;
            };
            *times.get_mut() -= 1;
            if *times.get() == 0 {
                times.remove();
                self.unanswered.remove(&destination);
                wishes.removed.push(destination);
            }
        }
        if !wishes.added.is_empty() || !wishes.removed.is_empty() {
            // The task is gone only when the runtime ends.
            let _ = self.wishes.send(wishes);
        }
    }

    /// Destinations of which nothing has been heard since they are wanted.
    #[must_use]
    pub const fn unanswered(&self) -> &BTreeSet<IpAddr> {
        &self.unanswered
    }

    /// Takes what the resolver has sent over into `next_hops`.
    pub fn take_over(&mut self, changes: NextHopChanges, next_hops: &mut NextHops) {
        for destination in &changes.gone {
            // One that is wanted again keeps its next hop until the new answer, which is on its way.
            if !self.wanted.contains_key(destination) {
                next_hops.remove(destination);
            }
        }
        for destination in changes.changed.keys() {
            self.unanswered.remove(destination);
        }
        next_hops.extend(changes.changed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::neighbor::Unresolved;

    fn address(host: u8) -> IpAddr {
        [10, 0, 0, host].into()
    }

    fn told(wishes: &mut mpsc::UnboundedReceiver<Wishes>) -> Option<(Vec<IpAddr>, Vec<IpAddr>)> {
        let wishes = wishes.try_recv().ok()?;
        Some((wishes.added, wishes.removed))
    }

    #[test]
    fn an_address_that_backends_share_is_told_once() {
        let (mut handle, mut wishes) = ResolverHandle::new();
        let [a, b] = [1, 2].map(address);
        handle.change([a, a, b], []);
        assert_eq!(told(&mut wishes), Some((vec![a, b], vec![])));
        handle.change([], [a]);
        assert_eq!(told(&mut wishes), None, "one backend has it yet");
        handle.change([b], [a, b]);
        assert_eq!(told(&mut wishes), Some((vec![], vec![a])));
        handle.change([], [a]);
        assert_eq!(told(&mut wishes), None, "it was not wanted");
    }

    #[test]
    fn what_is_wanted_again_keeps_its_next_hop_until_the_answer() {
        let (mut handle, _wishes) = ResolverHandle::new();
        let [a, b] = [1, 2].map(address);
        let local = || NextHopChanges {
            changed: [(a, Err(Unresolved::Local))].into(),
            gone: BTreeSet::new(),
        };
        let gone = || NextHopChanges {
            changed: NextHops::new(),
            gone: [a].into(),
        };
        let mut next_hops = NextHops::new();
        handle.change([a, b], []);
        handle.take_over(local(), &mut next_hops);
        assert_eq!(*handle.unanswered(), [b].into());
        handle.change([], [a]);
        handle.change([a], []);
        assert_eq!(*handle.unanswered(), [a, b].into());
        handle.take_over(gone(), &mut next_hops);
        assert_eq!(next_hops.get(&a), Some(&Err(Unresolved::Local)));
        handle.take_over(local(), &mut next_hops);
        assert_eq!(*handle.unanswered(), [b].into());
        handle.change([], [a, b]);
        handle.take_over(gone(), &mut next_hops);
        assert!(next_hops.is_empty());
        assert!(handle.unanswered().is_empty());
    }
}
