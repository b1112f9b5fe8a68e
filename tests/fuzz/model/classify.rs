//! Whose packet it is: a service's, a `nat` or `snat` backend's, or none of ours.

use lb_common::outcome::Outcome;

use super::{Addressee, Model, parse::Parsed};

impl Model {
    /// Not for a VIP: nothing is wrong with it that concerns us.
    pub(super) fn addressee(&self, parsed: &Parsed) -> Result<Addressee, Outcome> {
        if !self.addresses.contains(&parsed.destination) {
            let flow = parsed
                .content
                .ok()
                .and_then(|_| self.replies.get(&parsed.flow));
            return flow
                .map(|flow| Addressee::Client(*flow))
                .ok_or(Outcome::NotVip);
        }
        let protocol = parsed.content?;
        if protocol == if parsed.is_v4 { 1 } else { 58 } {
            return Ok(Addressee::Ourselves);
        }
        let end = parsed.flow.destination;
        let table = |port| self.vips.get(&(end.ip(), port, protocol));
        // Port 0 stands for every port that has no service of its own.
        let table = table(end.port()).or_else(|| table(0));
        let unmatched = if self.settings.drop_unmatched == 0 {
            Outcome::Unmatched
        } else {
            Outcome::UnmatchedDropped
        };
        // A client may have the address of another VIP, and be answered.
        let reply = || self.replies.get(&parsed.flow).copied();
        let service = table.cloned().map(Addressee::Service);
        service
            .or_else(|| reply().map(Addressee::Client))
            .ok_or(unmatched)
    }
}
