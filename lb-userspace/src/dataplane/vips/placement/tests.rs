//! What packets see while VIPs come, change and go: a simulation, store by store.

use std::collections::BTreeMap;

use lb_common::{
    be::Be16,
    family::{Address4, V4},
};
use proptest::prelude::*;

use super::*;

type Key = VipKey<Address4>;

/// The maps, as a packet sees them, and what packets that are under way have come upon.
struct Memory {
    extent: Extent,
    buckets: Vec<Bucket>,
    places: Vec<Place<V4>>,
    under_way: Vec<(u32, Key, Vip)>,
    /// How many of them, from the first on, are being waited for.
    awaited: usize,
}

/// One store into the maps.
enum Store {
    Place(u32, Place<V4>),
    Ticket(u32, u64),
    Bucket(u32, Bucket),
}

fn empty() -> Place<V4> {
    Place {
        key: key(0, 0),
        reserved: [0; 4],
        ticket: 0,
        vip: Vip::default(),
    }
}

fn key(address: u32, port: u16) -> Key {
    let address = std::net::Ipv4Addr::from_bits(0xc000_0200 + address).into();
    VipKey::new(address, Be16::new(port), if port == 0 { 0 } else { 6 })
}

fn vip(service: u32) -> Vip {
    Vip {
        service,
        ..Vip::default()
    }
}

impl Memory {
    fn new(extent: Extent) -> Self {
        Self {
            extent,
            buckets: vec![0; extent.buckets() as usize],
            places: vec![empty(); extent.places() as usize],
            under_way: Vec::new(),
            awaited: 0,
        }
    }

    fn store(&mut self, store: &Store) {
        match store {
            Store::Place(place, value) => self.places[*place as usize] = *value,
            Store::Ticket(place, ticket) => self.places[*place as usize].ticket = *ticket,
            Store::Bucket(bucket, ticket) => self.buckets[*bucket as usize] = *ticket,
        }
    }

    /// What the program finds.
    fn find(&self, key: Key) -> Option<(u32, Vip)> {
        let hash = hash::<V4>(&key);
        let ticket = self.buckets[self.extent.bucket(hash) as usize];
        let number = self.extent.place(hash, ticket);
        let place = &self.places[number as usize];
        let is_it = ticket != 0 && place.ticket == ticket && place.key.is(&key);
        is_it.then_some((number, place.vip))
    }

    /// A packet for each of these keys comes, finds its VIP, and takes its time.
    fn send(&mut self, keys: &[Key]) {
        for key in keys {
            if let Some((place, vip)) = self.find(*key) {
                self.under_way.push((place, *key, vip));
            }
        }
    }

    /// What packets under way read is what they have found.
    fn assert_kept(&self) {
        for (number, key, vip) in &self.under_way {
            let place = &self.places[*number as usize];
            assert!(place.key.is(key) && place.vip == *vip, "{key:?}");
        }
    }

    /// The packets that were being waited for are through, and these places are free.
    fn let_through(&mut self, free: Vec<u32>) {
        self.under_way.drain(..std::mem::take(&mut self.awaited));
        for place in free {
            self.places[place as usize] = empty();
        }
    }

    fn read(&self) -> Placement<V4> {
        Placement::read(self.extent, &self.buckets, self.places.iter().copied())
    }
}

impl From<Put<V4>> for Vec<Store> {
    fn from(put: Put<V4>) -> Self {
        let places = put.places.into_iter();
        let places = places.flat_map(|(number, place)| {
            // Word by word, the ticket last: what came before the last word is nobody's business.
            let begun = Place { ticket: 0, ..place };
            [
                Store::Place(number, begun),
                Store::Ticket(number, place.ticket),
            ]
        });
        let (bucket, ticket) = put.bucket;
        places.chain([Store::Bucket(bucket, ticket)]).collect()
    }
}

impl From<Removal> for Vec<Store> {
    fn from(removal: Removal) -> Self {
        let bucket = removal.bucket.map(|bucket| Store::Bucket(bucket, 0));
        let place = Store::Ticket(removal.place, 0);
        [place].into_iter().chain(bucket).collect()
    }
}

/// What an operator does.
#[derive(Clone, Debug)]
enum Change {
    Put(u32, u16, u32),
    Remove(u32, u16),
    Settle,
    /// Packets under way are waited for from now on, and meanwhile other things happen.
    BeginWait,
    /// Those packets are through.
    EndWait,
    /// The process ends, and the next one begins with what it reads.
    Restart,
    /// The process looks at the maps again.
    Refresh,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let key = (0_u32..6, prop::sample::select(vec![0_u16, 80, 443]));
    let change = prop_oneof![
        8 => (key.clone(), 1_u32..1_000).prop_map(|((address, port), it)| Change::Put(address, port, it)),
        4 => key.prop_map(|(address, port)| Change::Remove(address, port)),
        2 => Just(Change::Settle),
        2 => Just(Change::BeginWait),
        2 => Just(Change::EndWait),
        1 => Just(Change::Restart),
        1 => Just(Change::Refresh),
    ];
    prop::collection::vec(change, 1..120)
}

/// Waits for packets under way.
fn settle(placement: &mut Placement<V4>, memory: &mut Memory) {
    memory.awaited = memory.under_way.len();
    memory.let_through(placement.settle());
}

proptest! {
    #[test]
    fn a_packet_finds_what_was_there_before_or_after_and_nothing_else(changes in changes()) {
        let extent = Extent::of(18);
        let keys: Vec<Key> = (0..6).flat_map(|it| [0, 80, 443].map(|port| key(it, port))).collect();
        let strangers: Vec<Key> = (6..40).flat_map(|it| [0, 80].map(|port| key(it, port))).collect();
        let mut memory = Memory::new(extent);
        let mut placement = Placement::new(extent);
        let mut wanted: BTreeMap<Key, Vip> = BTreeMap::new();
        for change in changes {
            let (changed, stores, after): (_, Vec<Store>, _) = match change {
                Change::Put(address, port, service) => {
                    let (key, vip) = (key(address, port), vip(service));
                    let put = placement.put(key, vip).or_else(|| {
                        settle(&mut placement, &mut memory);
                        placement.put(key, vip)
                    });
                    (key, put.expect("room for all").into(), Some(vip))
                }
                Change::Remove(address, port) => {
                    let key = key(address, port);
                    let removal = placement.remove(&key);
                    (key, removal.map(Into::into).unwrap_or_default(), None)
                }
                Change::Settle => {
                    settle(&mut placement, &mut memory);
                    continue;
                }
                Change::BeginWait => {
                    placement.begin_wait();
                    memory.awaited = memory.under_way.len();
                    continue;
                }
                Change::EndWait => {
                    memory.let_through(placement.end_wait());
                    memory.assert_kept();
                    continue;
                }
                Change::Restart => {
                    placement = memory.read();
                    // Packets that came before the old process ended are waited for.
                    memory.under_way.clear();
                    memory.awaited = 0;
                    continue;
                }
                Change::Refresh => {
                    placement = memory.read().after(&placement);
                    continue;
                }
            };
            let before = wanted.get(&changed).copied();
            for store in &stores {
                memory.send(&keys);
                memory.store(store);
                memory.assert_kept();
                for key in &keys {
                    let found = memory.find(*key).map(|(_, vip)| vip);
                    if key.is(&changed) {
                        prop_assert!(found == before || found == after, "{key:?}");
                    } else {
                        prop_assert_eq!(found, wanted.get(key).copied());
                    }
                }
                for stranger in &strangers {
                    prop_assert!(memory.find(*stranger).is_none());
                }
            }
            match after {
                Some(vip) => wanted.insert(changed, vip),
                None => wanted.remove(&changed),
            };
            let found = memory.find(changed).map(|(_, vip)| vip);
            prop_assert_eq!(found, after);
            for placement in [&placement, &memory.read()] {
                let held: BTreeMap<Key, Vip> = placement.vips().map(|(key, vip)| (*key, *vip)).collect();
                prop_assert_eq!(&held, &wanted);
            }
        }
    }
}

#[test]
fn there_are_places_for_as_many_as_fit_and_to_replace_them_all() {
    for vips in [16, 256, 4_096] {
        let extent = Extent::of(vips);
        let mut placement = Placement::<V4>::new(extent);
        let mut waits = 0;
        for service in 1..=3 {
            for number in 0..vips {
                let key = key(number / 2, if number % 2 == 0 { 0 } else { 443 });
                if placement.put(key, vip(service)).is_none() {
                    waits += 1;
                    let _ = placement.settle();
                    assert!(
                        placement.put(key, vip(service)).is_some(),
                        "{vips}: {number}"
                    );
                }
            }
            assert_eq!(placement.vips().count(), vips as usize);
        }
        assert!(waits < 3 * vips, "{waits} waits for {vips} VIPs");
    }
}

#[test]
fn a_ticket_does_not_come_again() {
    let extent = Extent::of(16);
    let mut placement = Placement::<V4>::new(extent);
    let mut last = 0;
    for service in 1..50 {
        let put = placement.put(key(1, 80), vip(service)).expect("room");
        assert!(put.bucket.1 > last);
        last = put.bucket.1;
        let _ = placement.remove(&key(1, 80));
        let _ = placement.settle();
    }
}
