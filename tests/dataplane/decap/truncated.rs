//! Every length that a tunnelled packet can be cut to.

use lb_common::decap::DecapOutcome;

use super::{
    Case,
    tunnel::{Kind, combinations, datagram, tunnel},
};
use crate::family::udp;

/// What the kernel lets a test frame be at least: an Ethernet header.
const SHORTEST: usize = 14;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (kind, outer, inner) in combinations() {
        let inside = datagram(&udp(inner, 80));
        let packet = tunnel(outer, kind, inner, &inside);
        let (frame, layers) = (packet.frame(), packet.layers());
        let of = format!("{kind:?}: {inner:?} in {outer:?}");
        // So much tells that it is a tunnel.
        let told = match kind {
            Kind::Ip => layers.transport,
            Kind::Gue0(_) | Kind::Gue1 => layers.transport + 8,
        };
        for length in SHORTEST..frame.len() {
            let outcome = if length < told {
                DecapOutcome::NotTunnelled
            } else {
                DecapOutcome::Malformed
            };
            let cut = frame[..length].to_vec();
            cases.push(Case::new(format!("{of}, frame of {length}"), cut, outcome));
        }
        // The outer lengths fit what is there, the inner ones do not.
        for length in 0..inside.len() {
            let packet = tunnel(outer, kind, inner, &inside[..length]);
            let name = format!("{of}, {length} bytes inside");
            cases.push(Case::new(name, packet.frame(), DecapOutcome::Malformed));
        }
    }
    cases
}
