//! The flow hash: one 64-bit mix that the program and the daemon both compute.
//!
//! Multiply-and-xorshift rounds over the key's words, one multiplication a word, and a final avalanche
//! with the constants of `MurmurHash3`'s 64-bit finaliser. Not cryptographic: the seed keeps clients from
//! aiming at one slot by chance or by simple guessing, not a determined attacker who can observe slots.

use crate::{family::Family, flow::FlowKey};

/// The hash of a flow; its upper half chooses the slot, its lower half what varies in outer headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowHash(pub u64);

impl FlowHash {
    /// Another one of the same flow, whose halves are independent of this one's.
    #[must_use]
    #[inline]
    pub const fn second(self) -> Self {
        avalanche(self.0 ^ ROUND)
    }

    /// The half that does not choose the slot: independent of it.
    #[must_use]
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the low half")]
    pub const fn low(self) -> u32 {
        self.0 as u32
    }
}

const ROUND: u64 = 0x9e37_79b9_7f4a_7c15;
pub(crate) const FINAL: [u64; 2] = [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53];

#[inline]
pub(crate) const fn round(state: u64, word: u64) -> u64 {
    let mixed = (state ^ word).wrapping_mul(ROUND);
    mixed ^ (mixed >> 32)
}

/// Hashes `key` under `seed`. Equal on all balancers that share the seed.
///
/// Addresses are taken in pairs of words, source and destination together: 2 rounds for IPv4, 5 for IPv6.
#[must_use]
#[inline]
pub fn flow_hash<F: Family>(key: &FlowKey<F::Address>, seed: u64) -> FlowHash {
    let mut state = seed;
    for (source, destination) in key.source.as_ref().iter().zip(key.destination.as_ref()) {
        state = round(
            state,
            u64::from(source.raw()) | u64::from(destination.raw()) << 32,
        );
    }
    let ports = u32::from(key.source_port.raw()) | u32::from(key.destination_port.raw()) << 16;
    state = round(state, u64::from(ports) | u64::from(key.protocol) << 32);
    avalanche(state)
}

/// Hashes a client's address under `seed`, for services that choose the slot by it ([`Vip::BY_SOURCE`]): the same for all
/// VIPs, ports and protocols. Equal on all balancers that share the seed, which is why no service's number is in it: each
/// balancer gives out its own.
///
/// [`Vip::BY_SOURCE`]: crate::vip::Vip::BY_SOURCE
#[must_use]
#[inline]
pub fn source_hash<F: Family>(source: &F::Address, seed: u64) -> FlowHash {
    let mut state = seed;
    for word in source.as_ref() {
        state = round(state, u64::from(word.raw()));
    }
    avalanche(state)
}

#[inline]
const fn avalanche(mut state: u64) -> FlowHash {
    state = state.wrapping_mul(FINAL[0]);
    state ^= state >> 33;
    state = state.wrapping_mul(FINAL[1]);
    FlowHash(state ^ (state >> 29))
}

#[cfg(test)]
mod tests;
