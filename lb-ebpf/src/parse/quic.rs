//! The server that a QUIC packet's destination connection id names (QUIC-LB, draft-ietf-quic-load-balancers).
//!
//! Of the packets in a datagram the first one's id is read: they all have the same (RFC 9000 section 12.2). Ids
//! that clients have made up are read like those of servers: each of their packets goes the same way whatever
//! it is (QUIC-LB section 4.2).

use lb_common::{
    be::Be16,
    quic::{MIN_NONCE, ServerIdKey},
    vip::Vip,
};
use network_types::{ip::IpProto, udp::UdpHdr};

use crate::{
    frame::Frame,
    ip::Ip,
    packet::{Packet, Part},
    wire::quic::{LongHeader, SHORT_HEADER_LEN},
};

/// The key of the server id in `packet`, which is for `vip`. None if the VIP is not QUIC's, in ICMP errors and
/// fragments, and if the connection id is unroutable (QUIC-LB section 4.1): of no configuration in use, or too short.
#[inline(always)]
pub fn server_id<F: Ip>(frame: &Frame, packet: &Packet<F>, vip: &Vip) -> Option<ServerIdKey> {
    let is_whole = packet.error == 0 && packet.part.position == Part::WHOLE;
    let is_udp = packet.flow.protocol == IpProto::Udp as u32;
    if vip.flags & Vip::QUIC == 0 || !is_udp || !is_whole {
        return None;
    }
    let udp = frame.view::<UdpHdr>(packet.transport)?;
    let payload = packet.transport + size_of::<UdpHdr>();
    let end = packet.transport + usize::from(Be16::from_bytes(udp.len).get());

    // By twos: the verifier does not understand how the compiler checks the bounds of a single byte.
    let [first, second] = *frame.view::<[u8; 2]>(payload)?;
    let is_long = LongHeader::is_announced_by(first);
    let (id, id_end, first_octet) = if is_long {
        let header = frame.view::<LongHeader>(payload)?;
        let id = payload + LongHeader::LEN;
        let [first_octet, _] = *frame.view::<[u8; 2]>(id)?;
        let id_end = id + usize::from(header.destination_id_len);
        (id, id_end, first_octet)
    } else {
        // Only its server knows where the id ends.
        (payload + SHORT_HEADER_LEN, end, second)
    };
    let config = u32::from(first_octet >> 5);
    let length = vip.server_id_length(config);
    // Of the id, what its length tells, itself not counted.
    let needed = (length + MIN_NONCE) as usize;
    let rest = id + 1;
    if length == 0 || id_end > end || rest + needed > id_end {
        return None;
    }
    if vip.encodes_length(config) {
        let encoded = usize::from(first_octet & 0x1f);
        if encoded < needed || is_long && rest + encoded != id_end {
            return None;
        }
    }
    // The server id with what stands before it, 42 bytes at least, so that all views are of one size. Else the compiler
    // would see that the view ends where the id does, and check another pointer than it reads by.
    let begin = frame.forget_range::<0xffff>(rest + length as usize - 16);
    let bytes = frame.view::<[u8; 16]>(begin)?;
    Some(ServerIdKey::ending(vip.service, length, bytes))
}
