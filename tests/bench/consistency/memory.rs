//! The flow tables of one balancer: fresh flows, and those that have gone on; each of bounded size, and what was used
//! least recently makes room.

use std::collections::HashMap;

use lb_common::{backend::BackendId, hash::FlowHash};

/// What is remembered of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) hash: FlowHash,
    pub(crate) backend: BackendId,
    pub(crate) generation: u32,
    /// Whether its client has said so.
    pub(crate) has_ended: bool,
}

/// The flow tables, as the program uses them: a flow is remembered among the fresh ones by its first packet, among the
/// others from its second on.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) flows: Lru,
    pub(crate) fresh: Lru,
}

impl Memory {
    /// For so many flows, and a quarter of that for fresh ones.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            flows: Lru::new(capacity),
            fresh: Lru::new((capacity / 4).max(1)),
        }
    }

    pub(crate) fn entries(&self) -> usize {
        self.flows.places.len() + self.fresh.places.len()
    }

    /// All that is remembered, in an order that a seed determines.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        let tables = [&self.flows, &self.fresh].into_iter();
        tables.flat_map(|table| table.nodes.iter().filter_map(|node| node.entry.as_ref()))
    }

    pub(crate) fn forget(&mut self, hash: FlowHash) {
        self.flows.remove(hash);
        self.fresh.remove(hash);
    }
}

/// No node.
const NONE: usize = usize::MAX;

/// An entry among its neighbours in order of use; without one, a place that is free.
#[derive(Clone, Copy, Debug)]
struct Node {
    entry: Option<Entry>,
    older: usize,
    newer: usize,
}

/// One table.
#[derive(Debug)]
pub(crate) struct Lru {
    capacity: usize,
    places: HashMap<u64, usize>,
    nodes: Vec<Node>,
    free: Vec<usize>,
    oldest: usize,
    newest: usize,
}

impl Lru {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            places: HashMap::new(),
            nodes: Vec::new(),
            free: Vec::new(),
            oldest: NONE,
            newest: NONE,
        }
    }

    /// What is remembered of the flow; that does not count as use.
    pub(crate) fn peek(&self, hash: FlowHash) -> Option<Entry> {
        self.nodes[*self.places.get(&hash.0)?].entry
    }

    /// What is remembered of the flow, to be changed in place; it has been used.
    pub(crate) fn touch(&mut self, hash: FlowHash) -> Option<&mut Entry> {
        let place = *self.places.get(&hash.0)?;
        self.unlink(place);
        self.link(place);
        self.nodes[place].entry.as_mut()
    }

    /// Remembers `entry`, in place of what was remembered of the flow.
    pub(crate) fn insert(&mut self, entry: Entry) {
        if let Some(known) = self.touch(entry.hash) {
            *known = entry;
            return;
        }
        if self.places.len() == self.capacity
            && let Some(oldest) = self.nodes[self.oldest].entry
        {
            self.remove(oldest.hash);
        }
        let node = Node {
            entry: Some(entry),
            older: NONE,
            newer: NONE,
        };
        let place = if let Some(place) = self.free.pop() {
            self.nodes[place] = node;
            place
        } else {
            self.nodes.push(node);
            self.nodes.len() - 1
        };
        self.places.insert(entry.hash.0, place);
        self.link(place);
    }

    pub(crate) fn remove(&mut self, hash: FlowHash) {
        if let Some(place) = self.places.remove(&hash.0) {
            self.unlink(place);
            self.nodes[place].entry = None;
            self.free.push(place);
        }
    }

    fn unlink(&mut self, place: usize) {
        let Node { older, newer, .. } = self.nodes[place];
        match self.nodes.get_mut(older) {
            Some(node) => node.newer = newer,
            None => self.oldest = newer,
        }
        match self.nodes.get_mut(newer) {
            Some(node) => node.older = older,
            None => self.newest = older,
        }
    }

    /// As the one used last.
    fn link(&mut self, place: usize) {
        let newest = self.newest;
        self.nodes[place].older = newest;
        self.nodes[place].newer = NONE;
        match self.nodes.get_mut(newest) {
            Some(node) => node.newer = place,
            None => self.oldest = place,
        }
        self.newest = place;
    }
}
