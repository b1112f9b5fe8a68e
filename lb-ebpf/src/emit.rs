//! Last stage: the Ethernet header and the way out.

use aya_ebpf::bindings::xdp_action::XDP_TX;
use lb_common::outcome::Outcome;

use crate::{
    frame::Frame,
    maps,
    packet::{Link, NextHop},
    wire::ethernet::Ethernet,
};

/// Addresses the frame and returns the XDP action that sends it.
///
/// Out of the interface it came in by it keeps its VLAN tags; out of another one it leaves untagged.
///
/// # Errors
/// [`Outcome::NoDevice`] if redirects to the egress are not allowed; [`Outcome::NoRoom`].
#[inline(always)]
pub fn emit(frame: &mut Frame, link: &Link, next_hop: &NextHop) -> Result<u32, Outcome> {
    if next_hop.egress == frame.ingress() {
        let ethernet = frame.view_mut::<Ethernet>(0).ok_or(Outcome::Truncated)?;
        ethernet.set_addresses(next_hop.addresses);
        return Ok(XDP_TX);
    }
    if link.network > Ethernet::LEN {
        frame.shrink(link.network - Ethernet::LEN)?;
    }
    let ethernet = frame.view_mut::<Ethernet>(0).ok_or(Outcome::Truncated)?;
    ethernet.set_addresses(next_hop.addresses);
    ethernet.set_ethertype(link.version.ethertype());
    maps::redirect(next_hop.egress).ok_or(Outcome::NoDevice)
}
