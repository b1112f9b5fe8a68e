//! From a `nat` or `snat` backend to a client: the routing table says where to.

use lb_common::outcome::Outcome;
use lb_tests::object::Action;

use super::{
    FlowKey, Model, Verdict,
    checksum::{decrement, readdress},
    guard,
    parse::Parsed,
    route::Way,
};

impl Model {
    pub(super) fn answer(
        &mut self,
        frame: &[u8],
        parsed: &Parsed,
        flow: &FlowKey,
        ingress: u32,
    ) -> Result<Verdict, Outcome> {
        let mut out = frame.to_vec();
        let to = flow.reversed();
        let (outcome, action, frame) = match self.way(to.destination.ip()) {
            Way::Refused => return Err(Outcome::ReplyUnroutable),
            Way::None => return Err(Outcome::ReplyNotForwarded),
            Way::Unresolved => {
                readdress(&mut out, parsed, &to);
                self.fragments.remember(parsed);
                (Outcome::ReplyUnresolved, Action::Pass, out)
            }
            // Only here is the hop limit ours to decrement.
            Way::Hop(hop) => {
                guard::hops(parsed)?;
                readdress(&mut out, parsed, &to);
                decrement(&mut out, parsed);
                self.fragments.remember(parsed);
                let (action, out) = self.emit(out, parsed, hop, ingress)?;
                (Outcome::Replied, action, out)
            }
        };
        Ok(Verdict {
            outcome,
            action,
            frame: Some(frame),
            backend: None,
            begins: false,
        })
    }
}
