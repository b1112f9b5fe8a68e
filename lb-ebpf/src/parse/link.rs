//! Ethernet header and up to two VLAN tags.

use lb_common::{be::Be16, outcome::Outcome};

use crate::{
    frame::Frame,
    packet::{Link, Version},
    wire::ethernet::{Ethernet, IPV4, IPV6, PROVIDER_VLAN, Tag, VLAN},
};

/// Tags that are walked over: a provider's and a customer's (IEEE 802.1ad).
const MAX_TAGS: usize = 2;

/// All ones: IP headers begin before.
const MAX_LINK: u32 = 0x1f;
const _: () = assert!(Ethernet::LEN + MAX_TAGS * Tag::LEN <= MAX_LINK as usize);

const fn is_tag(ethertype: Be16) -> bool {
    ethertype.raw() == VLAN.raw() || ethertype.raw() == PROVIDER_VLAN.raw()
}

/// Finds the IP header.
///
/// # Errors
/// [`Outcome::NotIp`] for anything but IP; [`Outcome::GroupAddressed`] for multicast and broadcast.
#[inline(always)]
pub fn link(frame: &Frame) -> Result<Link, Outcome> {
    let ethernet = frame.ethernet().ok_or(Outcome::NotIp)?;
    if ethernet.is_group_addressed() {
        return Err(Outcome::GroupAddressed);
    }
    let mut ethertype = ethernet.ethertype();
    let mut network = Ethernet::LEN;
    for _ in 0..MAX_TAGS {
        if !is_tag(ethertype) {
            break;
        }
        ethertype = frame
            .view::<Tag>(network)
            .ok_or(Outcome::NotIp)?
            .ethertype();
        network += Tag::LEN;
    }
    let version = match ethertype {
        IPV4 => Version::V4,
        IPV6 => Version::V6,
        _ => return Err(Outcome::NotIp),
    };
    Ok(Link {
        network: frame.forget_range::<MAX_LINK>(network),
        version,
    })
}
