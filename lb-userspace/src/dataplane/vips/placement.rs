//! Which VIP stands where, and where one that is put next may stand. Pure.
//!
//! What packets can see of it, and why that is never a mix, stands in [`lb_common::placement`].

use std::{collections::BTreeMap, fmt};

use lb_common::{
    family::Family,
    placement::{Bucket, Extent, Place, hash},
    vip::{Vip, VipKey},
};

/// Tickets that are tried for a bucket before packets under way are waited for, so that places become free: enough for
/// ten VIPs in one bucket when half of the places are taken.
const TRIES: u64 = 1 << 14;

/// Where the VIPs of one family stand.
pub struct Placement<F: Family> {
    extent: Extent,
    /// What stands in buckets that are not empty.
    buckets: BTreeMap<u32, Vec<Standing<F>>>,
    /// Whether a place, by its number, is taken: by a VIP, or by what a packet under way may still look at.
    taken: Vec<bool>,
    /// Places that VIPs have left since the last grace period, in that order.
    left: Vec<u32>,
    /// How many of them, from the first on, the grace period is for that is being waited for.
    awaited: usize,
    /// The last ticket that was drawn.
    ticket: u64,
}

/// A VIP at its place.
#[derive(Clone, Copy)]
struct Standing<F: Family> {
    hash: u64,
    key: VipKey<F::Address>,
    vip: Vip,
    place: u32,
}

/// What is to be written so that a VIP is there, in this order.
pub struct Put<F: Family> {
    /// Places, by number, and what is to stand there: nobody looks at them yet.
    pub places: Vec<(u32, Place<F>)>,
    /// The bucket, by number, and its new ticket, which publishes.
    pub bucket: (u32, Bucket),
}

/// What is to be written so that a VIP is gone.
pub struct Removal {
    /// The place that gets ticket 0.
    pub place: u32,
    /// The bucket that does, if the VIP was its last.
    pub bucket: Option<u32>,
}

impl<F: Family> fmt::Debug for Placement<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Placement")
            .field("buckets", &self.buckets.len())
            .field("left", &self.left.len())
            .field("ticket", &self.ticket)
            .finish_non_exhaustive()
    }
}

impl<F: Family> Placement<F> {
    /// No VIP yet.
    #[must_use]
    pub fn new(extent: Extent) -> Self {
        Self {
            extent,
            buckets: BTreeMap::new(),
            taken: vec![false; extent.places() as usize],
            left: Vec::new(),
            awaited: 0,
            ticket: 0,
        }
    }

    /// What a packet finds in these buckets and places, each in the order of their numbers. What stands elsewhere was
    /// left, by somebody who did not come to wait for packets under way.
    pub fn read(
        extent: Extent,
        buckets: &[Bucket],
        places: impl IntoIterator<Item = Place<F>>,
    ) -> Self {
        let mut read = Self::new(extent);
        read.ticket = buckets.iter().copied().max().unwrap_or_default();
        for (number, place) in (0..).zip(places) {
            if place.ticket == 0 {
                continue;
            }
            read.ticket = read.ticket.max(place.ticket);
            read.take(number);
            let hash = hash::<F>(&place.key);
            let bucket = extent.bucket(hash);
            let is_found = buckets.get(bucket as usize) == Some(&place.ticket)
                && extent.place(hash, place.ticket) == number;
            if is_found {
                read.buckets.entry(bucket).or_default().push(Standing {
                    hash,
                    key: place.key,
                    vip: place.vip,
                    place: number,
                });
            } else {
                read.left.push(number);
            }
        }
        read
    }

    /// The same, and packets under way may still look at what was left before.
    #[must_use]
    pub fn after(mut self, before: &Self) -> Self {
        for place in &before.left {
            if !self.is_taken(*place) {
                self.take(*place);
                self.left.push(*place);
            }
        }
        self.ticket = self.ticket.max(before.ticket);
        self
    }

    /// All VIPs.
    pub fn vips(&self) -> impl Iterator<Item = (&VipKey<F::Address>, &Vip)> {
        let standing = self.buckets.values().flatten();
        standing.map(|standing| (&standing.key, &standing.vip))
    }

    /// Puts a VIP there, in the place of the one that has the key, if one has; `None`, and nothing has changed, if no
    /// places are found.
    pub fn put(&mut self, key: VipKey<F::Address>, vip: Vip) -> Option<Put<F>> {
        let hash = hash::<F>(&key);
        let number = self.extent.bucket(hash);
        let before = self.buckets.get(&number).cloned().unwrap_or_default();
        let others = before.iter().filter(|it| !it.key.is(&key)).copied();
        let mut bucket: Vec<Standing<F>> = others.collect();
        let place = u32::MAX;
        bucket.push(Standing {
            hash,
            key,
            vip,
            place,
        });
        let ticket = self.draw(&mut bucket)?;
        for standing in &before {
            self.left.push(standing.place);
        }
        for standing in &bucket {
            self.take(standing.place);
        }
        let places = bucket.iter().map(|standing| {
            let place = Place {
                key: standing.key,
                reserved: F::Reserved::default(),
                ticket,
                vip: standing.vip,
            };
            (standing.place, place)
        });
        let places = places.collect();
        self.buckets.insert(number, bucket);
        Some(Put {
            places,
            bucket: (number, ticket),
        })
    }

    /// Takes a VIP away, if it is there.
    pub fn remove(&mut self, key: &VipKey<F::Address>) -> Option<Removal> {
        let number = self.extent.bucket(hash::<F>(key));
        let bucket = self.buckets.get_mut(&number)?;
        let index = bucket.iter().position(|it| it.key.is(key))?;
        let Standing { place, .. } = bucket.swap_remove(index);
        let is_last = bucket.is_empty();
        if is_last {
            self.buckets.remove(&number);
        }
        self.left.push(place);
        Some(Removal {
            place,
            bucket: is_last.then_some(number),
        })
    }

    /// Notes that packets under way are being waited for from now on; whether any place was left that becomes free then.
    pub const fn begin_wait(&mut self) -> bool {
        self.awaited = self.left.len();
        self.awaited > 0
    }

    /// Notes that packets that were under way at [`begin_wait`](Self::begin_wait) are through: the places that had been left
    /// by then become free, and are to get ticket 0 before anything else is written.
    pub fn end_wait(&mut self) -> Vec<u32> {
        let awaited = std::mem::take(&mut self.awaited);
        let left: Vec<u32> = self.left.drain(..awaited).collect();
        for place in &left {
            if let Some(taken) = self.taken.get_mut(*place as usize) {
                *taken = false;
            }
        }
        left
    }

    /// Notes that all packets are through that have been under way: [`end_wait`](Self::end_wait) of a wait that begins now.
    pub fn settle(&mut self) -> Vec<u32> {
        self.begin_wait();
        self.end_wait()
    }

    /// Draws tickets for `bucket` until one gives each of its VIPs a free place of its own, which it then gets. Who comes
    /// again draws others.
    fn draw(&mut self, bucket: &mut [Standing<F>]) -> Option<u64> {
        let mut given = Vec::with_capacity(bucket.len());
        for _ in 0..TRIES {
            self.ticket = self.ticket.checked_add(1)?;
            if self.fits(bucket, self.ticket, &mut given) {
                return Some(self.ticket);
            }
        }
        None
    }

    fn fits(&self, bucket: &mut [Standing<F>], ticket: u64, given: &mut Vec<u32>) -> bool {
        let mut rest = &mut *bucket;
        given.clear();
        while let Some((first, others)) = rest.split_first_mut() {
            first.place = self.extent.place(first.hash, ticket);
            if self.is_taken(first.place) || given.contains(&first.place) {
                return false;
            }
            given.push(first.place);
            rest = others;
        }
        true
    }

    fn is_taken(&self, place: u32) -> bool {
        // What is not there cannot be had.
        self.taken.get(place as usize).copied().unwrap_or(true)
    }

    fn take(&mut self, place: u32) {
        if let Some(taken) = self.taken.get_mut(place as usize) {
            *taken = true;
        }
    }
}

#[cfg(test)]
mod tests;
