//! Damage to frames: bytes and lengths that are not what they were.

use crate::random::Random;

/// The shortest frame that the kernel takes for a test run.
const SHORTEST: usize = 14;
/// Values that headers give a meaning to.
const INTERESTING: [u8; 12] = [0, 1, 4, 5, 6, 17, 0x45, 0x60, 0x7f, 0x80, 0xfe, 0xff];

/// Changes the frame `times` times.
pub(crate) fn mutate(random: &mut Random, frame: &mut Vec<u8>, times: usize) {
    for _ in 0..times {
        // Headers are what is read: most changes hit them.
        let within = if random.once_in(4) {
            frame.len()
        } else {
            frame.len().min(80)
        };
        let at = random.below(within);
        match random.below(8) {
            0 | 1 => frame[at] ^= 1 << random.below(8),
            2 | 3 => frame[at] = random.pick(&INTERESTING),
            4 => frame.truncate(at.max(SHORTEST)),
            5 => {
                let more = 1 + random.below(32);
                frame.extend(random.bytes(more));
            }
            6 => lengthen(random, frame),
            _ => {
                let other = random.below(frame.len());
                let length = 1 + random.below(8);
                for step in 0..length {
                    if at.max(other) + step < frame.len() {
                        frame.swap(at + step, other + step);
                    }
                }
            }
        }
    }
}

/// Changes a length field by a little.
fn lengthen(random: &mut Random, frame: &mut [u8]) {
    // IPv4's total length, IPv6's payload length, UDP's length, without tags and with one.
    let at = random.pick(&[16, 18, 20, 22, 38, 42, 58, 62]);
    if let Some(byte) = frame.get_mut(at + 1) {
        let change = random.pick(&[1, 2, 4, 8, 0xff, 0xfe, 0xfc, 0xf8]);
        *byte = byte.wrapping_add(change);
    }
}
