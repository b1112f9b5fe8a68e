//! The Internet checksum and its incremental update (RFC 1071, RFC 1624, RFC 768).
//!
//! Sums are taken over words as loaded from memory, in network order: one's-complement addition does not
//! care about byte order as long as all words and the checksum have the same (RFC 1071 section 2 (B)).

use core::hint::black_box;

use lb_common::be::{Be16, Be32};

/// The change of a one's-complement sum, still unfolded: up to 2^32 words of 32 bits fit.
#[derive(Clone, Copy, Default)]
pub struct Change(u64);

impl Change {
    /// No change.
    #[inline(always)]
    #[must_use]
    pub const fn none() -> Self {
        Self(0)
    }

    /// A 16-bit word `old` becomes `new`.
    #[inline(always)]
    #[must_use]
    pub const fn word(self, old: Be16, new: Be16) -> Self {
        Self(self.0 + (!old.raw()) as u64 + new.raw() as u64)
    }

    /// Each 32-bit word of `old` becomes that of `new` at the same place.
    #[inline(always)]
    #[must_use]
    pub fn words(self, old: &[Be32], new: &[Be32]) -> Self {
        let mut sum = self.0;
        for (old, new) in old.iter().zip(new) {
            sum += u64::from(!old.raw()) + u64::from(new.raw());
        }
        Self(sum)
    }

    /// Both changes.
    #[inline(always)]
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// The same, summed up here and now: else the compiler carries all that it is the sum of to where it is used first,
    /// on the stack.
    #[inline(always)]
    #[must_use]
    pub fn settled(self) -> Self {
        black_box(self)
    }

    /// A 16-bit word `new` comes in.
    #[inline(always)]
    #[must_use]
    pub const fn added(self, new: Be16) -> Self {
        Self(self.0 + new.raw() as u64)
    }

    /// The 32-bit words `new` come in.
    #[inline(always)]
    #[must_use]
    pub fn added_words(self, new: &[Be32]) -> Self {
        let mut sum = self.0;
        for new in new {
            sum += u64::from(new.raw());
        }
        Self(sum)
    }

    /// The checksum of nothing but what came in (RFC 1071 section 1).
    #[inline(always)]
    #[must_use]
    pub const fn checksum(self) -> [u8; 2] {
        self.apply([0xff, 0xff])
    }

    /// `checksum` after the change: `~(~HC + ~m + m')`, equation 3 of RFC 1624 section 3.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "folded to 16 bits before")]
    pub const fn apply(self, checksum: [u8; 2]) -> [u8; 2] {
        let sum = self.0 + (!Be16::from_bytes(checksum).raw()) as u64;
        // A number and itself with its halves exchanged: the upper half of their sum is that of both halves and of the
        // carry of it, which goes around. 0 for 0 alone, as if it were done step by step.
        let sum = (sum.wrapping_add(sum.rotate_left(32)) >> 32) as u32;
        let sum = sum.wrapping_add(sum.rotate_left(16)) >> 16;
        Be16::from_raw(!sum as u16).to_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1071 section 4.1, over network-order words.
    fn checksum(words: &[u16]) -> u16 {
        let mut sum: u32 = words.iter().map(|word| u32::from(*word)).sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !u16::try_from(sum).unwrap()
    }

    #[test]
    fn the_example_of_rfc_1624_section_4_comes_out() {
        let change = Change::none().word(Be16::new(0x5555), Be16::new(0x3285));
        assert_eq!(change.apply([0xdd, 0x2f]), [0x00, 0x00]);
    }

    #[test]
    fn every_update_equals_a_new_computation() {
        for old in (0..=u16::MAX).step_by(251) {
            for new in (0..=u16::MAX).step_by(509) {
                let rest = [0x4500, 0x1234, 0xffff];
                let before = checksum(&[rest[0], rest[1], rest[2], old]);
                let after = checksum(&[rest[0], rest[1], rest[2], new]);
                let updated = Change::none()
                    .word(Be16::new(old), Be16::new(new))
                    .apply(before.to_be_bytes());
                assert_eq!(u16::from_be_bytes(updated), after, "{old:#x} -> {new:#x}");
            }
        }
    }

    #[test]
    fn a_new_header_gets_the_checksum_of_its_words() {
        for words in [
            [0x4500, 0x0054, 0x1234],
            [0xffff, 0xffff, 0xffff],
            [0, 0, 1],
        ] {
            let sum = words
                .iter()
                .fold(Change::none(), |sum, word| sum.added(Be16::new(*word)));
            assert_eq!(u16::from_be_bytes(sum.checksum()), checksum(&words));
        }
    }

    #[test]
    fn sums_of_any_size_are_folded_as_if_step_by_step() {
        let step_by_step = |sum: u64| {
            let mut sum = u128::from(sum);
            while sum > 0xffff {
                sum = (sum & 0xffff) + (sum >> 16);
            }
            !u16::try_from(sum).unwrap()
        };
        // All of 16 bits at either end and at the seams, about every carry that there is, and others.
        let ends = (0..=0xffff).flat_map(|low| [low, low << 8, low << 16, low << 24, low << 40]);
        let edges = (0..64)
            .flat_map(|bit| (0..64).map(move |other| (1_u64 << bit).wrapping_sub(1 << other)));
        let tops =
            (0..=0xffff).flat_map(|low| [u64::MAX - 0xffff - low, u64::from(u32::MAX) - low]);
        let mut state = 1_u64;
        let random = std::iter::repeat_with(|| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            state.rotate_left(21) >> 1
        });
        for sum in ends.chain(edges).chain(tops).chain(random.take(1 << 20)) {
            // The checksum that adds nothing, and less than it could be, so that nothing overflows.
            let sum = sum.min(u64::MAX - 0xffff);
            let folded = Be16::from_bytes(Change(sum).apply([0xff, 0xff])).raw();
            assert_eq!(folded, step_by_step(sum), "{sum:#x}");
        }
    }

    #[test]
    fn long_words_are_pairs_of_short_ones() {
        let (old, new) = ([192, 0, 2, 1], [10, 255, 255, 254]);
        let long = Change::none().words(&[Be32::from_bytes(old)], &[Be32::from_bytes(new)]);
        let short = Change::none()
            .word(Be16::from_bytes([192, 0]), Be16::from_bytes([10, 255]))
            .word(Be16::from_bytes([2, 1]), Be16::from_bytes([255, 254]));
        for checksum in [[0, 0], [0xff, 0xff], [0x12, 0x34]] {
            assert_eq!(long.apply(checksum), short.apply(checksum));
        }
    }
}
