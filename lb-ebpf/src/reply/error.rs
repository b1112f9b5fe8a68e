//! ICMP errors (RFC 792, RFC 1191, RFC 4443 section 3) about requests that can go no further.
//!
//! An error comes from the VIP that the request was for: the maps hold no address of the balancer's own, and the VIP is
//! one that the client has a route to and that its host takes an error about this flow from. Only TCP, UDP and
//! SCTP packets from possible sources come here, and errors and later fragments are refused, so no error answers an
//! error, a fragment but the first, or a group (RFC 1122 section 3.2.2, RFC 4443 section 2.4 (e)).

use aya_ebpf::bindings::xdp_action::XDP_TX;
use lb_common::{
    be::{Be16, Be32},
    hash::FlowHash,
    outcome::Outcome,
};

use crate::{
    frame::Frame,
    ip::Ip,
    maps,
    packet::{Inherited, Link, NewHeader, Packet, Part},
    wire::{checksum::Change, ethernet::Ethernet, icmp::Icmp},
};

/// Bytes of the packet that an error quotes, from its IP header on; a multiple of 4. The longest IPv4 header with 68
/// bytes after it (RFC 1812 section 4.3.2.3 wants 8), and what RFC 4884 section 5.5 pads to.
const QUOTE: usize = 128;

/// Why a packet goes no further, and what becomes of it.
#[derive(Clone, Copy)]
pub struct Fault {
    /// Its outcome if the sender is told.
    pub sent: Outcome,
    /// Its outcome if not.
    untold: Outcome,
    /// ICMP type and code.
    kind: [u8; 2],
    /// The largest packet that could have gone on, in bytes; 0 if that is not the reason.
    mtu: usize,
}

impl Fault {
    /// The hop limit is used up.
    #[inline(always)]
    #[must_use]
    pub const fn time_exceeded<F: Ip>() -> Self {
        Self {
            sent: Outcome::TimeExceededSent,
            untold: Outcome::TtlExceeded,
            kind: F::TIME_EXCEEDED,
            mtu: 0,
        }
    }

    /// The packet has more than `mtu` bytes.
    #[inline(always)]
    #[must_use]
    pub const fn too_big<F: Ip>(mtu: usize) -> Self {
        Self {
            sent: Outcome::TooBigSent,
            untold: Outcome::TooBig,
            kind: F::TOO_BIG,
            mtu,
        }
    }
}

/// Turns the frame, which holds `packet`, into an ICMP error about it, and returns the XDP action that sends it.
///
/// # Errors
/// The fault's other outcome if the sender is not to be told: it did not ask for whole packets, or the budget is used
/// up. [`Outcome::NoRoom`] if the driver left no room for the headers.
#[inline(always)]
pub fn error<F: Ip>(
    frame: &mut Frame,
    link: &Link,
    packet: &Packet<F>,
    fault: &Fault,
) -> Result<u32, Outcome> {
    let header = frame
        .view::<F::Header>(packet.network)
        .ok_or(Outcome::Truncated)?;
    let may_be_fragmented = fault.mtu != 0 && F::may_be_fragmented(header);
    // No error answers an error or a later fragment.
    let has_answer = packet.error == 0 && packet.part.position != Part::LATER;
    if !has_answer || may_be_fragmented || !maps::spend_error() {
        return Err(fault.untold);
    }
    // Whole words: after the IP header there are 8 bytes at least, so that what is cut off is payload.
    let quoted = packet.len().min(QUOTE) & !3;
    frame.trim(packet.network + quoted)?;
    let headers = size_of::<F::Header>() + size_of::<Icmp>();
    frame.grow(headers)?;
    move_link(frame, link, headers)?;
    write(frame, packet, fault, quoted)?;
    Ok(XDP_TX)
}

/// Copies the Ethernet header and the tags, which stand at `from`, to the start, addressed to their sender.
#[inline(always)]
fn move_link(frame: &mut Frame, link: &Link, from: usize) -> Result<(), Outcome> {
    let old = frame.view::<Ethernet>(from).ok_or(Outcome::Truncated)?;
    let (addresses, ethertype) = (old.back(), old.ethertype());
    let ethernet = frame.ethernet_mut().ok_or(Outcome::Truncated)?;
    ethernet.set_addresses(addresses);
    ethernet.set_ethertype(ethertype);
    frame.move_tags(link.network, from)
}

/// Writes IP and ICMP header before the quote of `quoted` bytes, with which the frame ends.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "a short quote; an MTU has 16 bits"
)]
fn write<F: Ip>(
    frame: &mut Frame,
    packet: &Packet<F>,
    fault: &Fault,
    quoted: usize,
) -> Result<(), Outcome> {
    let (vip, client) = (packet.flow.destination, packet.flow.source);
    let transport = packet.network + size_of::<F::Header>();
    let length = (size_of::<Icmp>() + quoted) as u16;
    let header = frame
        .view_mut::<F::Header>(packet.network)
        .ok_or(Outcome::Truncated)?;
    let new = NewHeader {
        inherited: Inherited::NOTHING,
        protocol: F::ICMP as u8,
        payload_len: usize::from(length),
        hash: FlowHash(0),
        source: vip,
        destination: client,
    };
    F::write(header, &new);

    let [kind, code] = fault.kind;
    let mtu = Be32::new(fault.mtu as u32);
    let sum = F::icmp_pseudo_header(vip, client, length)
        .added(Be16::from_bytes([kind, code]))
        .added_words(&[mtu]);
    let sum = quote_sum(frame, transport + size_of::<Icmp>(), sum);
    let icmp = frame
        .view_mut::<Icmp>(transport)
        .ok_or(Outcome::Truncated)?;
    icmp.kind = kind;
    icmp.code = code;
    icmp.check = sum.checksum();
    icmp.rest = mtu.to_bytes();
    Ok(())
}

/// `sum` and the words from `offset` to the frame's end.
#[inline(always)]
fn quote_sum(frame: &Frame, offset: usize, mut sum: Change) -> Change {
    for index in 0..QUOTE / size_of::<Be32>() {
        let Some(word) = frame.view(offset + index * size_of::<Be32>()) else {
            break;
        };
        sum = sum.added_words(&[Be32::from_bytes(*word)]);
    }
    sum
}
