//! Encapsulation: an outer IP header, and for GUE a UDP header, before the packet's own.
//!
//! IP in IP: RFC 2003, RFC 2473, RFC 4213. GUE: variant 1 of draft-ietf-intarea-gue section 4, which has no
//! header of its own. The outer header is the same for all packets of a flow and varies between flows: the
//! source address (as far as the backend's entry says), the IPv6 flow label, GUE's source port.

use lb_common::{backend::Backend, be::Be16, hash::FlowHash, outcome::Outcome};
use network_types::{ip::IpProto, udp::UdpHdr};

use crate::{
    frame::Frame,
    ip::Ip,
    maps,
    packet::{Inherited, Link, NewHeader, Packet},
    wire::ethernet::{Announced, EtherTypeField, Ethernet},
};

/// What stands between the outer and the packet's own header.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shim {
    /// Nothing.
    None,
    /// A UDP header to the GUE port.
    Gue,
}

impl Shim {
    /// Its bytes.
    #[inline(always)]
    pub(super) const fn len(self) -> usize {
        match self {
            Self::None => 0,
            Self::Gue => size_of::<UdpHdr>(),
        }
    }
}

/// Encapsulates `packet`, of version `F`, for `backend`, of version `O`; answers what then stands before the
/// outer header.
///
/// # Errors
/// [`Outcome::NoRoom`] if the driver leaves none before the frame.
#[inline(always)]
pub(super) fn encapsulate<F: Ip, O: Ip>(
    frame: &mut Frame,
    link: &Link,
    packet: &Packet<F>,
    inherited: Inherited,
    backend: &Backend,
    hash: FlowHash,
    shim: Shim,
) -> Result<Link, Outcome> {
    let shim_len = shim.len();
    // Padding of short frames ends with the link it was for.
    frame.trim(packet.end)?;
    let room = size_of::<O::Header>() + shim_len;
    frame.grow(room)?;
    move_tags(frame, link, room)?;
    let payload_len = shim_len + packet.len();
    // Addresses are read now, not before the resize: they would be kept on the stack meanwhile.
    let outer = NewHeader {
        inherited,
        protocol: match shim {
            Shim::None => F::ENCAPSULATED,
            Shim::Gue => IpProto::Udp as u8,
        },
        payload_len,
        hash,
        source: O::source_towards(backend, hash),
        destination: O::backend_address(backend),
    };
    let head = frame
        .view_mut::<Announced<O::Header>>(link.network - EtherTypeField::LEN)
        .ok_or(Outcome::Truncated)?;
    head.ethertype.set(O::LINK.ethertype());
    O::write(&mut head.header, &outer);
    if shim == Shim::Gue {
        let udp = frame
            .view_mut::<UdpHdr>(link.network + size_of::<O::Header>())
            .ok_or(Outcome::Truncated)?;
        write_udp(udp, payload_len, hash);
    }
    Ok(Link {
        network: link.network,
        version: O::LINK,
    })
}

/// Moves the VLAN tags `room` bytes towards the front; what they announce, and the MAC addresses, are still to be written.
#[inline(always)]
fn move_tags(frame: &mut Frame, link: &Link, room: usize) -> Result<(), Outcome> {
    if link.network > Ethernet::LEN {
        let old = frame.view::<Ethernet>(room).ok_or(Outcome::Truncated)?;
        let outermost = old.ethertype();
        let new = frame.ethernet_mut().ok_or(Outcome::Truncated)?;
        new.set_ethertype(outermost);
        frame.move_tags(link.network, room)?;
    }
    Ok(())
}

/// The UDP header of GUE. No checksum: that of the packet inside covers what matters, and a receiver of tunnels
/// takes it so (RFC 6935 section 5, RFC 6936).
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "an IP packet's length")]
fn write_udp(udp: &mut UdpHdr, len: usize, hash: FlowHash) {
    /// The dynamic ports (RFC 6335 section 6), as RFC 8085 section 5.1.1 wants them for entropy.
    const DYNAMIC: u32 = 0xc000;
    let source = DYNAMIC | hash.low() >> 18;
    udp.src = Be16::new(source as u16).to_bytes();
    udp.dst = Be16::new(maps::settings::gue_port() as u16).to_bytes();
    udp.len = Be16::new(len as u16).to_bytes();
    udp.check = [0, 0];
}
