//! Second stage: for a VIP, a reply of a NAT backend, or neither.

use lb_common::{
    flow::FlowKey,
    outcome::Outcome,
    vip::{Vip, VipKey},
};

use crate::{
    ip::Ip,
    maps::{self, KnownReply},
};

/// What a packet is to us.
pub enum Class<F: Ip> {
    /// A client's packet to a VIP.
    Request(Vip),
    /// A NAT backend's packet to a client: what is remembered of its flow.
    Reply(KnownReply<F>),
}

/// Classifies a packet by its flow.
///
/// # Errors
/// [`Outcome::NotVip`]; for a VIP address without such a service [`Outcome::Unmatched`] or
/// [`Outcome::UnmatchedDropped`].
#[inline(always)]
pub fn classify<F: Ip>(flow: &FlowKey<F::Address>) -> Result<Class<F>, Outcome> {
    let key = VipKey::new(flow.destination, flow.destination_port, flow.protocol());
    if let Some(vip) = maps::vip::<F>(&key) {
        return Ok(Class::Request(*vip));
    }
    let outcome = unbalanced::<F>(flow.destination, Outcome::Unmatched);
    // Only a VIP address has VIPs of every port.
    if outcome != Outcome::NotVip {
        let key = VipKey::any_port(flow.destination, flow.protocol());
        if let Some(vip) = maps::vip::<F>(&key) {
            return Ok(Class::Request(*vip));
        }
    }
    if let Some(reply) = maps::reply::<F>(flow) {
        return Ok(Class::Reply(reply));
    }
    Err(outcome)
}

/// What becomes of a packet to `destination` that cannot be balanced: `outcome` if that is a VIP address.
#[inline(always)]
pub fn unbalanced<F: Ip>(destination: F::Address, outcome: Outcome) -> Outcome {
    if maps::vip::<F>(&VipKey::address_entry(destination)).is_none() {
        Outcome::NotVip
    } else if outcome == Outcome::Unmatched && maps::settings().drop_unmatched != 0 {
        Outcome::UnmatchedDropped
    } else {
        outcome
    }
}
