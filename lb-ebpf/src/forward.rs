//! The pipeline: the order of the stages, and nothing else.

use lb_common::{
    backend::Mode,
    be::Be16,
    family::{V4, V6},
    flow::FlowKey,
    outcome::Outcome,
    path,
    progress::Signal,
    vip::Vip,
    vlan::Vlan,
};
use network_types::ip::IpProto;

use crate::{
    classify::{self, Class},
    emit,
    frame::Frame,
    guard,
    ip::Ip,
    maps::{self, KnownReply},
    packet::{Choice, Link, NextHop, Packet, Standing, Version},
    parse,
    reply::{self, Fault},
    rewrite,
    route::{self, Route},
    select, translate,
    wire::ethernet::Addresses,
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
    let outcome = match parse::packet::<F>(frame, link.network) {
        Ok(packet) => match classify::classify::<F>(&packet.flow) {
            Ok(Class::Request(vip)) => return request(frame, link, &packet, vip),
            Ok(Class::Reply(reply)) => return backends_reply(frame, link, &packet, &reply),
            Err(outcome) => outcome,
        },
        Err(outcome) => {
            let destination = parse::destination::<F>(frame, link.network)?;
            classify::unbalanced::<F>(destination, outcome)
        }
    };
    if outcome != Outcome::NotVip {
        guard::blocklist::<F>(parse::source::<F>(frame, link.network)?)?;
    }
    if outcome == Outcome::Icmp {
        icmp::<F>(frame, link)
    } else {
        Err(outcome)
    }
}

/// ICMP to a VIP address.
#[inline(always)]
fn icmp<F: Ip>(frame: &mut Frame, link: &Link) -> Result<Sent, Outcome> {
    let request = reply::echo_request::<F>(frame, link.network)?;
    guard::source::<F>(request.source, request.vip)?;
    let action = reply::echo(frame, link.network, &request)?;
    Ok(Sent {
        outcome: Outcome::Echoed,
        action,
    })
}

/// A client's packet to a VIP, or an ICMP error about one of the VIP's.
#[inline(always)]
fn request<F: Ip>(
    frame: &mut Frame,
    link: &Link,
    packet: &Packet<F>,
    vip: &Vip,
) -> Result<Sent, Outcome> {
    // Read once more: kept beside the source of the flow, it would cost more than this view.
    let source = parse::source::<F>(frame, packet.network)?;
    guard::blocklist::<F>(source)?;
    guard::source::<F>(source, packet.flow.destination)?;
    guard::rate::<F>(source, vip)?;
    let named = parse::server_id(frame, packet, vip).and_then(|id| maps::server(&id));
    let choice = select::select(vip, packet, named.unwrap_or_default())?;
    if choice.backend.mode == Mode::LOCAL {
        remember(
            packet,
            &choice,
            packet.flow.source_port,
            frame.len(packet.end),
        );
        return Err(Outcome::Local);
    }
    // One place for all errors: what makes them is long, and is compiled in for each place and IP version.
    let fault = if guard::hop_limit(packet).is_ok() {
        let (overhead, mtu) = (rewrite::overhead(choice.backend), choice.backend.mtu);
        if guard::fits(packet.len(), overhead, mtu) {
            return balance(frame, link, packet, &choice);
        }
        Fault::too_big::<F>(usize::from(mtu).saturating_sub(overhead))
    } else {
        Fault::time_exceeded::<F>()
    };
    let action = reply::error(frame, link, packet, &fault)?;
    Ok(Sent {
        outcome: fault.sent,
        action,
    })
}

/// A client's packet that may go to the backend chosen for it.
#[inline(always)]
fn balance<F: Ip>(
    frame: &mut Frame,
    link: &Link,
    packet: &Packet<F>,
    choice: &Choice,
) -> Result<Sent, Outcome> {
    let bytes = frame.len(packet.end);
    let (link, source_port) = if choice.backend.mode.translates() {
        let to = translate::request(packet, choice)?;
        rewrite::translate(frame, packet, to, choice.backend.mode == Mode::SNAT)?;
        rewrite::decrement_hop_limit(frame, packet)?;
        (*link, to.source_port)
    } else {
        let link = rewrite::request(frame, link, packet, choice.backend, choice.hash)?;
        (link, packet.flow.source_port)
    };
    let action = emit::emit(frame, &link, &NextHop::from(choice.backend))?;
    remember(packet, choice, source_port, bytes);
    Ok(Sent {
        outcome: Outcome::Forwarded,
        action,
    })
}

/// Remembers and counts a packet, of `bytes` bytes as received, that has gone to the backend chosen for it, from
/// `source_port`.
#[inline(always)]
fn remember<F: Ip>(packet: &Packet<F>, choice: &Choice, source_port: Be16, bytes: usize) {
    if packet.error == 0 {
        select::remember::<F>(&packet.flow, choice, source_port);
    }
    parse::remember(packet);
    maps::count_traffic(
        choice.id,
        bytes as u64,
        begins_flow(packet, choice.standing),
    );
}

/// Whether a flow begins with the packet, as far as it shows: a TCP connection by its SYN, whether or not it is
/// remembered, any other flow when it is remembered.
#[inline(always)]
fn begins_flow<F: Ip>(packet: &Packet<F>, standing: Standing) -> bool {
    if packet.flow.protocol == IpProto::Tcp as u32 {
        packet.signal == Signal::SYN && !standing.is_known()
    } else {
        standing == Standing::NEW || standing == Standing::MOVED
    }
}

/// A NAT backend's packet to a client, or an ICMP error about one of the client's.
#[inline(always)]
fn backends_reply<F: Ip>(
    frame: &mut Frame,
    link: &Link,
    packet: &Packet<F>,
    known: &KnownReply<F>,
) -> Result<Sent, Outcome> {
    let reply = known.flow();
    let (route, outcome) = if known.is_to_probe() {
        (to_probe::<F>(reply)?, Outcome::ProbeReplied)
    } else {
        (route::to_client::<F>(frame, reply)?, Outcome::Replied)
    };
    if route.is_resolved {
        guard::hop_limit(packet)?;
    }
    if packet.error == 0 && known.is_tracked() {
        known.backend_sent(packet.signal);
    }
    let hides_routers = known.is_tracked() || known.is_to_probe();
    rewrite::translate(frame, packet, reply, hides_routers)?;
    parse::remember(packet);
    if !route.is_resolved {
        return Err(Outcome::ReplyUnresolved);
    }
    rewrite::decrement_hop_limit(frame, packet)?;
    let action = emit::emit(frame, link, &route.next_hop)?;
    Ok(Sent { outcome, action })
}

/// The way to a probe of this host's own, to which the packet will be `reply`: by the interface of probes, and not as
/// it came, where the kernel might take it for a forgery.
#[inline(always)]
fn to_probe<F: Ip>(reply: &FlowKey<F::Address>) -> Result<Route, Outcome> {
    let path = maps::path::path::<F>(reply.source).ok_or(Outcome::NotAProbe)?;
    Ok(Route {
        is_resolved: true,
        next_hop: NextHop {
            egress: path.interface,
            vlan: Vlan::NONE,
            addresses: Addresses::new(path::MAC, path::MAC),
        },
    })
}
