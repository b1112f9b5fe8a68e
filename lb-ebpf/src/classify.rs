//! Second stage: for a VIP, a reply of a NAT backend, or neither.

use lb_common::{
    be::Be16,
    flow::FlowKey,
    outcome::Outcome,
    vip::{Vip, VipKey},
};

use crate::{
    ip::Ip,
    maps::{self, KnownReply, settings},
};

/// What a packet is to us.
pub enum Class<F: Ip> {
    /// A client's packet to a VIP.
    Request(&'static Vip),
    /// A NAT backend's packet to a client: what is remembered of its flow.
    Reply(KnownReply<F>),
}

/// Classifies a packet by its flow.
///
/// The VIPs of the address alone come first, then those of the longest prefix that it lies in, of which no shorter one
/// counts; of both, the VIP of the port before that of every port.
///
/// # Errors
/// [`Outcome::NotVip`]; for a VIP address without such a service [`Outcome::Unmatched`] or
/// [`Outcome::UnmatchedDropped`].
#[inline(always)]
pub fn classify<F: Ip>(flow: &FlowKey<F::Address>) -> Result<Class<F>, Outcome> {
    let (destination, protocol) = (flow.destination, flow.protocol());
    let key = VipKey::new(destination, flow.destination_port, protocol);
    if let Some(vip) = maps::vip::<F>(&key) {
        return Ok(Class::Request(vip));
    }
    let is_address = is_vip_address::<F>(destination);
    // Only a VIP address has VIPs of every port.
    if is_address && let Some(vip) = maps::vip::<F>(&VipKey::any_port(destination, protocol)) {
        return Ok(Class::Request(vip));
    }
    let prefix = maps::vip_prefix::<F>(destination);
    if let Some(prefix) = prefix {
        let mut key = VipKey::of_prefix(maps::copied(prefix), flow.destination_port, protocol);
        if let Some(vip) = maps::vip::<F>(&key) {
            return Ok(Class::Request(vip));
        }
        key.port = Be16::new(0);
        if let Some(vip) = maps::vip::<F>(&key) {
            return Ok(Class::Request(vip));
        }
    }
    if let Some(reply) = maps::reply::<F>(flow) {
        return Ok(Class::Reply(reply));
    }
    if is_address || prefix.is_some() {
        Err(unmatched())
    } else {
        Err(Outcome::NotVip)
    }
}

/// What becomes of a packet to `destination` that cannot be balanced: `outcome` if that is a VIP address.
#[inline(always)]
pub fn unbalanced<F: Ip>(destination: F::Address, outcome: Outcome) -> Outcome {
    if !is_vip_address::<F>(destination) && maps::vip_prefix::<F>(destination).is_none() {
        Outcome::NotVip
    } else if outcome == Outcome::Unmatched {
        unmatched()
    } else {
        outcome
    }
}

/// Whether `address` alone has a VIP.
#[inline(always)]
fn is_vip_address<F: Ip>(address: F::Address) -> bool {
    maps::vip::<F>(&VipKey::address_entry(address)).is_some()
}

/// What becomes of a packet to a VIP address that no service is for.
#[inline(always)]
fn unmatched() -> Outcome {
    if settings::drops_unmatched() {
        Outcome::UnmatchedDropped
    } else {
        Outcome::Unmatched
    }
}
