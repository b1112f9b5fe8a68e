//! Whose packet it is: a service's, a `nat` backend's, or none of ours.

use lb_common::outcome::Outcome;

use super::{Addressee, Model, parse::Parsed};

impl Model {
    /// Not for a VIP: nothing is wrong with it that concerns us.
    pub(super) fn addressee(&self, parsed: &Parsed) -> Result<Addressee, Outcome> {
        if !self.addresses.contains(&parsed.destination) {
            let vip = parsed
                .content
                .ok()
                .and_then(|_| self.replies.get(&parsed.flow));
            return vip
                .map(|vip| Addressee::Client(*vip))
                .ok_or(Outcome::NotVip);
        }
        let protocol = parsed.content?;
        if protocol == if parsed.is_v4 { 1 } else { 58 } {
            return Err(Outcome::Icmp);
        }
        let end = parsed.flow.destination;
        let table = self.vips.get(&(end.ip(), end.port(), protocol));
        let unmatched = if self.settings.drop_unmatched == 0 {
            Outcome::Unmatched
        } else {
            Outcome::UnmatchedDropped
        };
        table.cloned().map(Addressee::Service).ok_or(unmatched)
    }
}
