//! The arrays in which the VIPs of one family stand, mapped into this process.

use std::{
    io,
    os::fd::AsFd,
    sync::atomic::{AtomicU64, Ordering},
};

use anyhow::{Context, Result, bail};
use aya::maps::Map;
use lb_common::{
    be::{Be16, Be32},
    family::{Address, Family, V4, V6},
    placement::{Bucket, Extent, Place},
    vip::{Vip, VipKey},
};

use super::placement::Placement;
use crate::dataplane::mapped::Mapped;

/// Words of 4 bytes in a place, and of 8.
const WORDS: usize = 16;
const LONG_WORDS: usize = WORDS / 2;
/// Where the ticket stands, in words of 8 bytes.
const TICKET: usize = 3;
/// Where the VIP stands, in words of 4 bytes.
const VIP: usize = 8;

/// A family, whose addresses stand in places as words.
pub(super) trait Placed: Family {
    /// The address that begins a place.
    fn address(words: &[u32; WORDS]) -> Self::Address;
}

impl Placed for V4 {
    fn address([word, ..]: &[u32; WORDS]) -> Self::Address {
        Address([Be32::from_raw(*word)])
    }
}

impl Placed for V6 {
    fn address([a, b, c, d, ..]: &[u32; WORDS]) -> Self::Address {
        Address([*a, *b, *c, *d].map(Be32::from_raw))
    }
}

/// The VIPs of one family.
pub(super) struct Table<F: Placed> {
    buckets: Mapped,
    places: Mapped,
    placement: Placement<F>,
    extent: Extent,
}

impl<F: Placed> Table<F> {
    /// Maps two arrays of this extent, which have not been read yet.
    pub(super) fn open(buckets: &Map, places: &Map, extent: Extent) -> Result<Self> {
        let (Map::Array(bucket_map), Map::Array(place_map)) = (buckets, places) else {
            bail!("the maps of VIPs are not arrays");
        };
        let bytes = extent.buckets() as usize * size_of::<Bucket>();
        let buckets =
            Mapped::new(&bucket_map.fd().as_fd(), bytes).context("map the buckets of VIPs")?;
        let bytes = extent.places() as usize * size_of::<Place<F>>();
        let places =
            Mapped::new(&place_map.fd().as_fd(), bytes).context("map the places of VIPs")?;
        Ok(Self {
            buckets,
            places,
            placement: Placement::new(extent),
            extent,
        })
    }

    /// Reads what is there; places that this process has left are not free for that.
    pub(super) fn read(&mut self) -> io::Result<()> {
        let buckets = self.buckets.long_words(0..self.extent.buckets() as usize);
        let buckets = buckets.ok_or_else(outside)?.iter();
        let buckets: Vec<Bucket> = buckets.map(|it| it.load(Ordering::Acquire)).collect();
        let places: Vec<Place<F>> = (0..self.extent.places())
            .map(|place| self.place(place))
            .collect::<io::Result<_>>()?;
        let read = Placement::read(self.extent, &buckets, places);
        self.placement = read.after(&self.placement);
        Ok(())
    }

    /// What was read, and put there and taken away since.
    pub(super) fn vips(&self) -> impl Iterator<Item = (&VipKey<F::Address>, &Vip)> {
        self.placement.vips()
    }

    /// Publishes a VIP; `false` if there is no room before packets under way are through.
    pub(super) fn put(&mut self, key: VipKey<F::Address>, vip: Vip) -> io::Result<bool> {
        let Some(put) = self.placement.put(key, vip) else {
            return Ok(false);
        };
        for (number, place) in &put.places {
            self.write(*number, place)?;
        }
        let (bucket, ticket) = put.bucket;
        self.store_bucket(bucket, ticket)?;
        Ok(true)
    }

    /// Takes a VIP away, if it is there.
    pub(super) fn remove(&mut self, key: &VipKey<F::Address>) -> io::Result<()> {
        let Some(removal) = self.placement.remove(key) else {
            return Ok(());
        };
        self.store_ticket(removal.place, 0)?;
        removal
            .bucket
            .map_or(Ok(()), |bucket| self.store_bucket(bucket, 0))
    }

    /// Notes that packets under way are being waited for from now on; whether anything becomes free then.
    pub(super) const fn begin_wait(&mut self) -> bool {
        self.placement.begin_wait()
    }

    /// Notes that those packets are through.
    pub(super) fn end_wait(&mut self) -> io::Result<()> {
        let left = self.placement.end_wait();
        left.into_iter().try_for_each(|place| self.clear(place))
    }

    /// Leaves nothing in a place that no packet looks at, the ticket first.
    fn clear(&self, number: u32) -> io::Result<()> {
        self.store_ticket(number, 0)?;
        let cells = self.place_cells(number)?.iter();
        cells.for_each(|cell| cell.store(0, Ordering::Relaxed));
        Ok(())
    }

    /// Writes a place that no packet finds yet, the ticket last.
    fn write(&self, number: u32, place: &Place<F>) -> io::Result<()> {
        let cells = self.place_cells(number)?.iter().zip(encode(place));
        for (index, (cell, word)) in cells.enumerate() {
            if index != TICKET {
                cell.store(word, Ordering::Relaxed);
            }
        }
        self.store_ticket(number, place.ticket)
    }

    fn place(&self, number: u32) -> io::Result<Place<F>> {
        let mut words = [0; LONG_WORDS];
        for (word, cell) in words.iter_mut().zip(self.place_cells(number)?) {
            *word = cell.load(Ordering::Relaxed);
        }
        Ok(decode(words))
    }

    fn place_cells(&self, number: u32) -> io::Result<&[AtomicU64]> {
        let first = number as usize * LONG_WORDS;
        let cells = self.places.long_words(first..first + LONG_WORDS);
        cells.ok_or_else(outside)
    }

    fn store_ticket(&self, place: u32, ticket: u64) -> io::Result<()> {
        let cell = self.place_cells(place)?.get(TICKET);
        cell.ok_or_else(outside)?.store(ticket, Ordering::Release);
        Ok(())
    }

    /// Whoever sees the ticket sees all that was written before.
    fn store_bucket(&self, bucket: u32, ticket: Bucket) -> io::Result<()> {
        let first = bucket as usize;
        let cells = self.buckets.long_words(first..first + 1);
        let cell = cells.and_then(|cells| cells.first());
        cell.ok_or_else(outside)?.store(ticket, Ordering::Release);
        Ok(())
    }
}

fn outside() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "a place or bucket does not fit the maps of VIPs",
    )
}

/// A place as it stands in the map, in the byte order that both sides have.
fn encode<F: Placed>(place: &Place<F>) -> [u64; LONG_WORDS] {
    let key = &place.key;
    let address = key.address.as_ref().iter().map(|word| word.raw());
    let head = address.chain([key.tail()]);
    let mut words = [0; WORDS];
    for (word, value) in words.iter_mut().zip(head) {
        *word = value;
    }
    let vip = &place.vip;
    let tail = [
        vip.table_offset,
        vip.table_slots,
        vip.generation,
        vip.service,
        vip.flags,
        vip.quic,
        vip.source_rate,
        vip.source_burst,
    ];
    for (word, value) in words.iter_mut().skip(VIP).zip(tail) {
        *word = value;
    }
    let mut long = [0; LONG_WORDS];
    let (pairs, _) = words.as_chunks::<2>();
    for (long, [low, high]) in long.iter_mut().zip(pairs) {
        *long = u64::from(*low) | u64::from(*high) << 32;
    }
    let [_, _, _, ticket, ..] = &mut long;
    *ticket = place.ticket;
    long
}

fn decode<F: Placed>(long: [u64; LONG_WORDS]) -> Place<F> {
    let [_, _, _, ticket, ..] = long;
    let mut words = [0; WORDS];
    let (pairs, _) = words.as_chunks_mut::<2>();
    for ([low, high], long) in pairs.iter_mut().zip(long) {
        *low = half(long);
        *high = half(long >> 32);
    }
    let address = F::address(&words);
    let tail = words.get(address.as_ref().len()).copied();
    let [port_low, port_high, protocol, prefix] = tail.unwrap_or_default().to_le_bytes();
    let [
        ..,
        table_offset,
        table_slots,
        generation,
        service,
        flags,
        quic,
        source_rate,
        source_burst,
    ] = words;
    Place {
        key: VipKey {
            address,
            port: Be16::from_raw(u16::from_le_bytes([port_low, port_high])),
            protocol,
            prefix,
        },
        reserved: F::Reserved::default(),
        ticket,
        vip: Vip {
            table_offset,
            table_slots,
            generation,
            service,
            flags,
            quic,
            source_rate,
            source_burst,
        },
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low half")]
const fn half(word: u64) -> u32 {
    word as u32
}

#[cfg(test)]
mod tests;
