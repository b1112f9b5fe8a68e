//! Second stage: for a VIP, for a VIP address, or a reply of a NAT backend.

use lb_common::{
    flow::{FlowKey, Reply},
    outcome::Outcome,
    vip::{Vip, VipKey},
};

use crate::{ip::Ip, maps};

/// What a packet is to us.
pub enum Class<F: Ip> {
    /// A client's packet to a VIP.
    Request(Vip),
    /// A NAT backend's packet to a client: the VIP it must seem to come from.
    Reply(Reply<F::Address>),
    /// To a VIP address on which no service has that port and protocol: the address entry.
    Unmatched(Vip),
}

/// Classifies a packet by its flow.
///
/// # Errors
/// [`Outcome::NotVip`].
#[inline(always)]
pub fn classify<F: Ip>(flow: &FlowKey<F::Address>) -> Result<Class<F>, Outcome> {
    let key = VipKey::new(flow.destination, flow.destination_port, flow.protocol());
    if let Some(vip) = maps::vip::<F>(&key) {
        return Ok(Class::Request(*vip));
    }
    let address = address::<F>(flow.destination);
    // Only a VIP address has VIPs of every port.
    if address.is_ok() {
        let key = VipKey::any_port(flow.destination, flow.protocol());
        if let Some(vip) = maps::vip::<F>(&key) {
            return Ok(Class::Request(*vip));
        }
    }
    if let Some(reply) = maps::reply::<F>(flow) {
        return Ok(Class::Reply(*reply));
    }
    address.map(|entry| Class::Unmatched(*entry))
}

/// The entry of `destination`, if that is a VIP address.
///
/// # Errors
/// [`Outcome::NotVip`].
#[inline(always)]
pub fn address<F: Ip>(destination: F::Address) -> Result<&'static Vip, Outcome> {
    maps::vip::<F>(&VipKey::address_entry(destination)).ok_or(Outcome::NotVip)
}
