//! Makes each packet the first of its kind, and one of the next flow.

use aya_ebpf::bindings::xdp_action::XDP_ABORTED;

use crate::{
    frame::Frame,
    names::{TEMPLATE_LENGTH, TEMPLATE_PLACES},
    state,
};

/// Odd, so that it permutes the numbers below a power of two: flows follow each other in no order that memory likes.
const MULTIPLIER: u32 = 0x9e37_79b1;

/// Restores the frame and goes on as the program under test.
#[inline(always)]
#[must_use]
pub fn wrap(mut frame: Frame) -> u32 {
    let flows = state::flows();
    let is_restored = if flows == 0 {
        restore(&mut frame, |_| 0)
    } else {
        let flow = next_flow(flows);
        let (is_ipv6, services) = (state::is_ipv6(), state::services());
        restore(&mut frame, |word| change(word, flow, services, is_ipv6))
    };
    if is_restored.is_some() {
        state::call_subject(frame.context());
    }
    XDP_ABORTED
}

/// The number of the flow that is next, among as many as the mask `flows` lets through.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the low half says which flow"
)]
fn next_flow(flows: u32) -> u32 {
    (state::count() as u32).wrapping_mul(MULTIPLIER) & flows
}

/// Writes the template, each word with what `change` makes other in it.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "a frame is shorter than 2^31 bytes"
)]
fn restore(frame: &mut Frame, change: impl Fn(usize) -> u64) -> Option<()> {
    // Compared in whole words: of a difference that is only wanted as a half, the compiler takes the halves of pointers.
    let (is, was) = (frame.len(), state::length() as usize);
    if is != was && !frame.move_start(is as i32 - was as i32) {
        return None;
    }
    let head = frame.head::<TEMPLATE_LENGTH>()?;
    for (word, place) in TEMPLATE_PLACES.into_iter().enumerate() {
        write(head, place, state::template(word) ^ change(word));
    }
    Some(())
}

#[inline(always)]
#[expect(
    clippy::host_endian_bytes,
    reason = "the driver has read the template in the same order"
)]
fn write(head: &mut [u8; TEMPLATE_LENGTH], place: usize, word: u64) {
    if let Some(bytes) = head.get_mut(place..place + size_of::<u64>()) {
        bytes.copy_from_slice(&word.to_ne_bytes());
    }
}

/// What tells the packets of `flow` from the template, in one of its words as a little-endian machine reads it.
///
/// The flow's low half stands in that of the source address, the next eight bits in the low byte of the source port.
/// Those of its low bits that `services` lets through also stand in the low byte of the destination address.
#[inline(always)]
const fn change(word: usize, flow: u32, services: u32, is_ipv6: bool) -> u64 {
    let client = (flow & 0xffff) as u64;
    let port = (flow >> 16 & 0xff) as u64;
    let service = (flow & services) as u64;
    match (is_ipv6, word) {
        (false, 3) | (true, 4) => client << 48,
        (false, 4) => service << 24 | port << 40,
        (true, 6) => service << 56,
        (true, 7) => port << 8,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of a frame that the packets of a flow have other than the template.
    fn changed(flow: u32, services: u32, is_ipv6: bool) -> Vec<usize> {
        let mut frame = [0; TEMPLATE_LENGTH];
        for (word, place) in TEMPLATE_PLACES.into_iter().enumerate() {
            write(&mut frame, place, change(word, flow, services, is_ipv6));
        }
        (0..frame.len())
            .filter(|place| frame[*place] != 0)
            .collect()
    }

    #[test]
    fn flows_differ_in_source_address_and_port() {
        assert_eq!(changed(0xff_ffff, 0, false), [28, 29, 35]);
        assert_eq!(changed(0xff_ffff, 0, true), [36, 37, 55]);
        assert_eq!(changed(0xffff, 0, false), [28, 29]);
    }

    #[test]
    fn services_differ_in_the_last_byte_of_their_address() {
        assert_eq!(changed(0xff, 0xff, false), [28, 33]);
        assert_eq!(changed(0xff, 0xff, true), [36, 53]);
    }
}
