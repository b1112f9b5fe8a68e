//! What things are called in an explanation.

use std::fmt::Write as _;

use lb_common::outcome::Outcome;

use super::frame::{Ip, Seen};
use crate::model::{Algorithm, Protocol};

/// Bytes as hexadecimal digits.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A MAC address.
pub(super) fn mac(address: [u8; 6]) -> String {
    address.map(|byte| format!("{byte:02x}")).join(":")
}

/// How a slot was chosen that the packet tells; nothing to say of the usual way.
pub(super) const fn chosen_by(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::SourceHash => ", by the source address",
        Algorithm::Maglev
        | Algorithm::Random
        | Algorithm::RoundRobin
        | Algorithm::LeastConnections => "",
    }
}

/// How a slot was drawn.
pub(super) const fn drawn_by(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::RoundRobin => "the slot whose turn it is on the CPU that takes the packet",
        Algorithm::LeastConnections => {
            "of two slots by its hash the one whose backend has fewer flows for its weight"
        }
        Algorithm::Maglev | Algorithm::SourceHash | Algorithm::Random => "a slot by chance",
    }
}

/// What a packet is.
pub(super) fn packet(seen: &Seen) -> String {
    let mut text = match (seen.ip, super::ends(seen)) {
        (Some(ip), Some(ends)) => {
            let mut text = format!(
                "{} from {} to {}",
                kind(&ip, seen),
                ends.source,
                ends.destination
            );
            let _ = write!(text, ", hop limit {}", ip.hop_limit);
            match ip.fragment {
                Some((_, true)) => text.push_str(", a later fragment"),
                Some((_, false)) => text.push_str(", a first fragment"),
                None => {}
            }
            text
        }
        _ => "no IP packet".to_owned(),
    };
    for vlan in &seen.vlans {
        let _ = write!(text, ", VLAN {vlan}");
    }
    let _ = write!(text, ", {} bytes", seen.bytes);
    if let Some(about) = seen.inner.as_deref().filter(|_| seen.icmp.is_some()) {
        let _ = write!(text, "; it is about {}", packet(about));
    }
    text
}

/// TCP's flags, from the lowest bit on (RFC 9293 section 3.1).
const FLAGS: [&str; 6] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG"];

fn kind(ip: &Ip, seen: &Seen) -> String {
    let mut text = match (Protocol::from_number(ip.protocol), seen.icmp) {
        (Some(protocol), _) => protocol.to_string().to_uppercase(),
        (None, Some([kind, code])) => format!("ICMP type {kind} code {code}"),
        (None, None) => format!("protocol {}", ip.protocol),
    };
    let set = seen.tcp_flags.unwrap_or_default();
    for (bit, flag) in FLAGS.into_iter().enumerate() {
        if set >> bit & 1 == 1 {
            let _ = write!(text, " {flag}");
        }
    }
    text
}

/// The stage that decided, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Decided {
    /// The packet cannot be read.
    Parse,
    /// It is for nobody, or not for a service.
    Classify,
    /// It may not come in.
    Guard,
    /// There is nobody to go to, or it goes to this host.
    Select,
    /// It may go no further.
    Limits,
    /// The 5-tuple that it needs is not to be had.
    Translate,
    /// It cannot be made what it must be.
    Rewrite,
    /// It goes, or has no way out.
    Emit,
    /// The program answers it itself.
    Reply,
}

/// The stage that decided about an outcome, and what it decided.
#[expect(clippy::too_many_lines, reason = "a table: a row for each outcome")]
pub(super) const fn ending(outcome: Outcome) -> (Decided, &'static str) {
    use Decided::{Classify, Emit, Guard, Limits, Parse, Reply, Rewrite, Select, Translate};
    match outcome {
        Outcome::NotIp => (Parse, "neither IPv4 nor IPv6: passed to the host's stack"),
        Outcome::GroupAddressed => (
            Parse,
            "its MAC address is a group's: passed to the host's stack",
        ),
        Outcome::Truncated => (Parse, "the frame ends inside a header: dropped"),
        Outcome::Malformed => (Parse, "a header contradicts itself or the frame: dropped"),
        Outcome::WrongIcmp => (Parse, "ICMP of the other IP version: dropped"),
        Outcome::ExtensionHeaders => (Parse, "too many extension headers: dropped"),
        Outcome::Fragment => (
            Parse,
            "a fragment whose ports are not known, for the first one of its datagram did not come: dropped",
        ),
        Outcome::NotVip => (Classify, "no VIP: passed to the host's stack"),
        Outcome::Unmatched => (
            Classify,
            "a VIP address, but no service has that port and protocol: passed to the host's stack",
        ),
        Outcome::UnmatchedDropped => (
            Classify,
            "a VIP address, but no service has that port and protocol: dropped, as `unmatched` says",
        ),
        Outcome::Icmp => (
            Classify,
            "ICMP to a VIP address that is not about a service's packet: passed to the host's stack",
        ),
        Outcome::Blocked => (Guard, "the source is on the blocklist: dropped"),
        Outcome::BadSource => (Guard, "no host may send from that source address: dropped"),
        Outcome::RateLimited => (
            Guard,
            "the source has sent more than the service allows: dropped",
        ),
        Outcome::Local => (
            Select,
            "mode local: passed to this host's own stack as it is",
        ),
        Outcome::NoBackend => (
            Select,
            "no backend of the service takes packets: dropped (`lbctl status` says why)",
        ),
        Outcome::StaleTable => (
            Select,
            "the lookup table names a backend that is gone: dropped",
        ),
        Outcome::TtlExceeded => (
            Limits,
            "the hop limit is used up, and so is the budget of ICMP errors: dropped",
        ),
        Outcome::TooBig => (
            Limits,
            "too long for the way to the backend, and the sender is not told: dropped",
        ),
        Outcome::UnsupportedMode => (
            Translate,
            "the backend's mode does not fit the packet's IP version or transport: dropped",
        ),
        Outcome::PortsExhausted => (
            Translate,
            "no source port is free towards the backend: dropped",
        ),
        Outcome::UnknownFlow => (
            Translate,
            "no flow begins with it, and no port towards the backend is known for it: dropped",
        ),
        Outcome::ProbeReplied => (
            Emit,
            "a backend's answer to a probe by the VIP: sent to the interface of probes",
        ),
        Outcome::ProbeReply => (
            Emit,
            "an answer on the interface of probes: passed to the host's stack",
        ),
        Outcome::NotAProbe => (Classify, "no probe, on the interface of probes: dropped"),
        Outcome::NoRoom => (Rewrite, "the frame cannot be made longer: dropped"),
        Outcome::NoDevice => (
            Emit,
            "redirects to the egress interface are not allowed: dropped",
        ),
        Outcome::ReplyUnroutable => (
            Emit,
            "the route to the client forbids it, or forwarding is off on the interface it came in by: dropped",
        ),
        Outcome::ReplyNotForwarded => (
            Emit,
            "the client is this host or there is no route to it: passed to the host's stack as it is",
        ),
        Outcome::ReplyUnresolved => (
            Emit,
            "the MAC address of the next hop is not known: passed to the host's stack, which finds it out",
        ),
        Outcome::Forwarded => (Emit, "sent to the backend"),
        Outcome::Replied => (Emit, "sent to the client"),
        Outcome::Echoed => (Reply, "the echo request is answered"),
        Outcome::TimeExceededSent => (
            Reply,
            "an ICMP time exceeded goes back to the sender, from the VIP",
        ),
        Outcome::TooBigSent => (
            Reply,
            "an ICMP error with the MTU goes back to the sender, from the VIP",
        ),
    }
}
