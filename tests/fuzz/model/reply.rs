//! From a `nat` backend to a client: the source becomes the VIP, the routing table says where to.

use std::net::SocketAddr;

use lb_common::outcome::Outcome;
use lb_tests::object::Action;

use super::{
    Model, Verdict,
    checksum::{End, decrement, readdress},
    guard,
    parse::Parsed,
    route::Way,
};

impl Model {
    pub(super) fn answer(
        &self,
        frame: &[u8],
        parsed: &Parsed,
        vip: SocketAddr,
        ingress: u32,
    ) -> Result<Verdict, Outcome> {
        let mut out = frame.to_vec();
        let (outcome, action, frame) = match self.way(parsed.destination) {
            Way::Refused => return Err(Outcome::ReplyUnroutable),
            Way::None => return Err(Outcome::ReplyNotForwarded),
            Way::Unresolved => {
                readdress(&mut out, parsed, End::Source, vip);
                (Outcome::ReplyUnresolved, Action::Pass, out)
            }
            // Only here is the hop limit ours to decrement.
            Way::Hop(hop) => {
                guard::hops(parsed)?;
                readdress(&mut out, parsed, End::Source, vip);
                decrement(&mut out, parsed);
                let (action, out) = self.emit(out, parsed, hop, ingress)?;
                (Outcome::Replied, action, out)
            }
        };
        Ok(Verdict {
            outcome,
            action,
            frame: Some(frame),
            backend: None,
            remembered: false,
        })
    }
}
