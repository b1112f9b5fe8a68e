//! A name's hashes, and the order in which it asks for slots.

/// The 64-bit offset basis and prime of FNV-1a (Fowler, Noll, Vo).
const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// The multipliers of `MurmurHash3`'s 64-bit finaliser.
const AVALANCHE: [u64; 2] = [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53];

/// Seeds of the two hashes of a name: where its permutation begins, and how far it steps.
const OFFSET_SEED: u64 = 0;
const SKIP_SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// A 64-bit hash of `bytes`: FNV-1a from a basis moved by `seed`, then `MurmurHash3`'s finaliser, because
/// names differ in few characters and FNV-1a alone spreads those badly.
///
/// Must never change: balancers of different versions share a fleet, and their tables must agree.
#[must_use]
pub fn stable_hash(bytes: &[u8], seed: u64) -> u64 {
    let fnv = bytes.iter().fold(FNV_BASIS ^ seed, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME)
    });
    AVALANCHE
        .iter()
        .fold(fnv ^ (fnv >> 33), |hash, multiplier| {
            let product = hash.wrapping_mul(*multiplier);
            product ^ (product >> 33)
        })
}

/// A member's permutation of the slots, walked from its begin: `offset`, `offset + skip`,
/// `offset + 2 * skip`... modulo the number of slots.
#[derive(Clone, Copy, Debug)]
pub(super) struct Permutation {
    next: u32,
    skip: u32,
    slots: u32,
}

impl Permutation {
    /// The permutation that `name` has of `slots` slots; `slots` is not 0.
    pub(super) fn of(name: &str, slots: u32) -> Self {
        let offset = stable_hash(name.as_bytes(), OFFSET_SEED);
        let skip = stable_hash(name.as_bytes(), SKIP_SEED);
        Self {
            next: remainder(offset, slots),
            skip: coprime(remainder(skip, (slots - 1).max(1)) + 1, slots),
            slots,
        }
    }

    /// The slot asked for next. After `slots` calls every slot was asked for once.
    pub(super) const fn ask(&mut self) -> u32 {
        let slot = self.next;
        // Wraps without a division, and without overflow: both terms are at most `slots`.
        let to_end = self.slots - slot;
        self.next = if self.skip >= to_end {
            self.skip - to_end
        } else {
            slot + self.skip
        };
        slot
    }
}

/// `hash` modulo `slots`.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the remainder is below a u32"
)]
fn remainder(hash: u64, slots: u32) -> u32 {
    (hash % u64::from(slots)) as u32
}

/// The first number from `skip` on that shares no factor with `slots`, so that its steps reach every
/// slot. With a prime number of slots that is `skip` itself.
fn coprime(skip: u32, slots: u32) -> u32 {
    (skip..=slots)
        .find(|&skip| greatest_common_divisor(skip, slots) == 1)
        .unwrap_or(1)
}

/// By Euclid's algorithm; of `a` and 0 it is `a`.
pub(super) const fn greatest_common_divisor(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
