//! Echo replies (RFC 792, RFC 4443 section 4.2), made of the request in place.

use aya_ebpf::bindings::xdp_action::XDP_TX;
use lb_common::{be::Be16, outcome::Outcome};

use crate::{
    frame::Frame,
    ip::{HOP_LIMIT, Ip},
    wire::{checksum::Change, icmp::Icmp},
};

/// An echo request.
#[derive(Clone, Copy)]
pub struct EchoRequest<F: Ip> {
    /// Who sent it.
    pub source: F::Address,
    /// The address it was sent to.
    pub vip: F::Address,
}

/// Reads the ICMP packet whose IP header stands at `network`.
///
/// # Errors
/// [`Outcome::Icmp`] for all but whole echo requests without IPv4 options or IPv6 extension headers: the host's
/// stack knows better.
#[inline(always)]
pub fn echo_request<F: Ip>(frame: &Frame, network: usize) -> Result<EchoRequest<F>, Outcome> {
    let transport = network + size_of::<F::Header>();
    let header = frame.view::<F::Header>(network).ok_or(Outcome::Icmp)?;
    let icmp = frame.view::<Icmp>(transport).ok_or(Outcome::Icmp)?;
    let end = network + F::extent(header).ok_or(Outcome::Icmp)?;
    let is_whole = transport + size_of::<Icmp>() <= end && frame.reaches(end);
    let is_request = icmp.kind == F::ECHO_REQUEST && icmp.code == 0;
    if !(F::is_bare_icmp(header) && is_request && is_whole) {
        return Err(Outcome::Icmp);
    }
    Ok(EchoRequest {
        source: F::source(header),
        vip: F::destination(header),
    })
}

/// Turns the frame, which holds `request`, into its reply, and returns the XDP action that sends it.
///
/// The checksum is updated, not computed: a request that was damaged becomes a reply that the sender discards.
///
/// # Errors
/// [`Outcome::Truncated`], never after [`echo_request`].
#[inline(always)]
pub fn echo<F: Ip>(
    frame: &mut Frame,
    network: usize,
    request: &EchoRequest<F>,
) -> Result<u32, Outcome> {
    let ethernet = frame.ethernet_mut().ok_or(Outcome::Truncated)?;
    ethernet.set_addresses(ethernet.back());
    let header = frame
        .view_mut::<F::Header>(network)
        .ok_or(Outcome::Truncated)?;
    F::set_addresses(header, Some(&request.vip), &request.source);
    F::set_hop_limit(header, HOP_LIMIT);
    let icmp = frame
        .view_mut::<Icmp>(network + size_of::<F::Header>())
        .ok_or(Outcome::Truncated)?;
    icmp.kind = F::ECHO_REPLY;
    icmp.check = reply_checksum::<F>(icmp.check);
    Ok(XDP_TX)
}

/// The checksum of the reply to a request with this one. A pseudo-header's sum is the same both ways.
///
/// Never 0, for which all ones stand: an update cannot tell the two zeros apart (RFC 1624 section 3), and where all
/// else is 0, as it may be in an IPv4 reply, only all ones are right. Elsewhere both are.
#[inline(always)]
const fn reply_checksum<F: Ip>(checksum: [u8; 2]) -> [u8; 2] {
    let change = Change::none().word(
        Be16::from_bytes([F::ECHO_REQUEST, 0]),
        Be16::from_bytes([F::ECHO_REPLY, 0]),
    );
    match change.apply(checksum) {
        [0, 0] => [0xff, 0xff],
        new => new,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_common::family::{V4, V6};

    fn folded(words: [u16; 3]) -> u16 {
        let mut sum: u32 = words.iter().map(|word| u32::from(*word)).sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        u16::try_from(sum).unwrap()
    }

    /// For every sum that the rest of a packet may have.
    fn every_reply_verifies<F: Ip>() {
        for rest in 0..=u16::MAX {
            let request = u16::from_be_bytes([F::ECHO_REQUEST, 0]);
            let reply = u16::from_be_bytes([F::ECHO_REPLY, 0]);
            let checksum = !folded([request, rest, 0]);
            let updated = reply_checksum::<F>(checksum.to_be_bytes());
            let verified = folded([reply, rest, u16::from_be_bytes(updated)]);
            assert_eq!(verified, 0xffff, "{rest:#06x}");
        }
    }

    #[test]
    fn every_right_checksum_stays_right() {
        every_reply_verifies::<V4>();
        every_reply_verifies::<V6>();
    }
}
