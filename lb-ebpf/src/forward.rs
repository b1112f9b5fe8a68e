//! The pipeline: the order of the stages, and nothing else.

use lb_common::{
    family::{V4, V6},
    flow::Reply,
    outcome::Outcome,
    vip::Vip,
};

use crate::{
    classify::{self, Class},
    emit,
    frame::Frame,
    guard,
    ip::Ip,
    maps,
    packet::{Link, NextHop, Packet, Version},
    parse, rewrite, route,
    select::{self, Standing},
};

/// A packet that goes on.
pub struct Sent {
    /// Its cell in the ledger.
    pub outcome: Outcome,
    /// The XDP action that sends it.
    pub action: u32,
}

/// From a received frame to what becomes of it.
///
/// # Errors
/// The outcome of a packet that does not go on: passed to the stack or dropped.
#[inline(always)]
pub fn forward(frame: &mut Frame) -> Result<Sent, Outcome> {
    let link = parse::link(frame)?;
    match link.version {
        Version::V4 => packet::<V4>(frame, &link),
        Version::V6 => packet::<V6>(frame, &link),
    }
}

#[inline(always)]
fn packet<F: Ip>(frame: &mut Frame, link: &Link) -> Result<Sent, Outcome> {
    let destination = parse::destination::<F>(frame, link.network)?;
    let packet = parse::packet::<F>(frame, link.network)
        .map_err(|outcome| classify::unbalanced::<F>(destination, outcome))?;
    let class = classify::classify::<F>(&packet.flow)?;
    parse::remember(&packet);
    match class {
        Class::Request(vip) => request(frame, link, &packet, &vip),
        Class::Reply(reply) => self::reply(frame, link, &packet, &reply),
    }
}

/// A client's packet to a VIP.
#[inline(always)]
fn request<F: Ip>(
    frame: &mut Frame,
    link: &Link,
    packet: &Packet<F>,
    vip: &Vip,
) -> Result<Sent, Outcome> {
    guard::request(packet)?;
    let choice = select::select(vip, packet)?;
    let bytes = frame.len() as u64;
    rewrite::request(frame, packet, choice.backend)?;
    let action = emit::emit(frame, link, &NextHop::from(choice.backend))?;
    select::remember::<F>(&packet.flow, &choice);
    maps::count_traffic(choice.id, bytes, choice.standing == Standing::NEW);
    Ok(Sent {
        outcome: Outcome::Forwarded,
        action,
    })
}

/// A NAT backend's packet to a client.
#[inline(always)]
fn reply<F: Ip>(
    frame: &mut Frame,
    link: &Link,
    packet: &Packet<F>,
    reply: &Reply<F::Address>,
) -> Result<Sent, Outcome> {
    let route = route::to_client(frame, packet, reply)?;
    if route.is_resolved {
        guard::hop_limit(packet)?;
    }
    rewrite::reply(frame, packet, reply)?;
    if !route.is_resolved {
        return Err(Outcome::ReplyUnresolved);
    }
    rewrite::decrement_hop_limit(frame, packet)?;
    let action = emit::emit(frame, link, &route.next_hop)?;
    Ok(Sent {
        outcome: Outcome::Replied,
        action,
    })
}
