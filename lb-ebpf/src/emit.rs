//! Last stage: the Ethernet header, the VLAN tag, and the way out.

use aya_ebpf::bindings::xdp_action::XDP_TX;
use lb_common::{outcome::Outcome, vlan::Vlan};

use crate::{
    frame::Frame,
    maps,
    packet::{Link, NextHop},
    wire::ethernet::{Ethernet, Tag},
};

/// Addresses the frame and returns the XDP action that sends it.
///
/// It leaves with the tag that the egress asks for, as a router sends it, whatever tags it has: that one with the
/// priority of the outermost, or none. Only out of the interface that it came in by, and if that carries no VLAN
/// device, it keeps its tags.
///
/// # Errors
/// [`Outcome::NoDevice`] if redirects to the egress are not allowed; [`Outcome::NoRoom`].
#[inline(always)]
pub fn emit(frame: &mut Frame, link: &Link, next_hop: &NextHop) -> Result<u32, Outcome> {
    let ingress = frame.ingress();
    let is_tagged = link.network > Ethernet::LEN;
    let mut vlan = next_hop.vlan;
    let mut keeps_tags = next_hop.egress == ingress && vlan == Vlan::NONE;
    let mut action = transmit(ingress, next_hop.egress);
    if action.is_none() || keeps_tags && is_tagged {
        // Next hops of backends name what transmits; the kernel's routes may name a VLAN device.
        if let Some(device) = maps::vlan_device(next_hop.egress) {
            vlan = device.vlan;
            keeps_tags = false;
            action = transmit(ingress, device.parent);
        }
    }
    let action = action.ok_or(Outcome::NoDevice)?;
    if !keeps_tags && (is_tagged || vlan != Vlan::NONE) {
        retag(frame, link, vlan)?;
    }
    let ethernet = frame.ethernet_mut().ok_or(Outcome::Truncated)?;
    ethernet.set_addresses(next_hop.addresses);
    Ok(action)
}

/// The action that sends a frame out of `egress`, if that is allowed.
#[inline(always)]
fn transmit(ingress: u32, egress: u32) -> Option<u32> {
    if egress == ingress {
        Some(XDP_TX)
    } else {
        maps::redirect(egress)
    }
}

/// Leaves the frame with the tag of `vlan` and no other; the MAC addresses are still to be written.
#[inline(always)]
fn retag(frame: &mut Frame, link: &Link, vlan: Vlan) -> Result<(), Outcome> {
    const TAGGED: usize = Ethernet::LEN + Tag::LEN;
    let inside = link.version.ethertype();
    // Whatever stands there if there is no tag: it is not used then.
    let outermost = frame.view::<Tag>(Ethernet::LEN).map_or(0, Tag::priority);
    let priority = if link.network > Ethernet::LEN {
        outermost
    } else {
        0
    };
    let network = if vlan == Vlan::NONE {
        Ethernet::LEN
    } else {
        TAGGED
    };
    frame.move_network(link.network, network)?;
    let ethernet = frame.ethernet_mut().ok_or(Outcome::Truncated)?;
    if vlan == Vlan::NONE {
        ethernet.set_ethertype(inside);
        return Ok(());
    }
    ethernet.set_ethertype(Tag::announced_by(vlan));
    let tag = frame
        .view_mut::<Tag>(Ethernet::LEN)
        .ok_or(Outcome::Truncated)?;
    *tag = Tag::new(priority, vlan, inside);
    Ok(())
}
