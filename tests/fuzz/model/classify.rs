//! Whose packet it is: a service's, a `nat` or `snat` backend's, or none of ours.

use std::net::{IpAddr, SocketAddr};

use lb_common::outcome::Outcome;

use super::{Addressee, Model, Service, parse::Parsed};

/// A range of addresses: the first one, and how many bits they have in common.
pub(crate) type Prefix = (IpAddr, u8);

/// The prefix that is one address.
pub(crate) const fn single(address: IpAddr) -> Prefix {
    (address, if address.is_ipv4() { 32 } else { 128 })
}

pub(super) fn contains((first, bits): Prefix, address: IpAddr) -> bool {
    let apart = match (first, address) {
        (IpAddr::V4(first), IpAddr::V4(address)) => {
            (first.to_bits() ^ address.to_bits()).leading_zeros()
        }
        (IpAddr::V6(first), IpAddr::V6(address)) => {
            (first.to_bits() ^ address.to_bits()).leading_zeros()
        }
        _ => return false,
    };
    apart >= u32::from(bits)
}

impl Model {
    /// Not for a VIP: nothing is wrong with it that concerns us.
    pub(super) fn addressee(&self, parsed: &Parsed) -> Result<Addressee, Outcome> {
        let own = single(parsed.destination);
        let longest = self.prefixes.iter().filter(|prefix| **prefix != own);
        let longest = longest.filter(|prefix| contains(**prefix, parsed.destination));
        let longest = longest.max_by_key(|(_, bits)| *bits).copied();
        // The address alone comes before the longest prefix that it lies in; no other prefix counts.
        let own = self.prefixes.contains(&own).then_some(own);
        let holders: Vec<Prefix> = own.into_iter().chain(longest).collect();
        if holders.is_empty() {
            let flow = parsed
                .content
                .ok()
                .and_then(|_| self.replies.get(&parsed.flow));
            return flow
                .map(|flow| Addressee::Client(*flow))
                .ok_or(Outcome::NotVip);
        }
        let protocol = match parsed.content {
            Ok(protocol) => protocol,
            // Who is not let in is not told apart by what is wrong.
            Err(outcome) => return Err(self.blocklist(parsed).err().unwrap_or(outcome)),
        };
        if protocol == if parsed.is_v4 { 1 } else { 58 } {
            self.blocklist(parsed)?;
            return Ok(Addressee::Ourselves);
        }
        let end = parsed.flow.destination;
        let service = holders
            .into_iter()
            .find_map(|holder| self.service(holder, end, protocol));
        let unmatched = if self.settings.drop_unmatched == 0 {
            Outcome::Unmatched
        } else {
            Outcome::UnmatchedDropped
        };
        // A client may have the address of another VIP, and be answered.
        let reply = || self.replies.get(&parsed.flow).copied();
        let service = service.cloned().map(Addressee::Service);
        let addressee = service.or_else(|| reply().map(Addressee::Client));
        // What a backend sends to a client is let through.
        if !matches!(addressee, Some(Addressee::Client(_))) {
            self.blocklist(parsed)?;
        }
        addressee.ok_or(unmatched)
    }

    /// The service of `prefix` for packets to the port of `end`.
    fn service(&self, prefix: Prefix, end: SocketAddr, protocol: u8) -> Option<&Service> {
        let service = |port| self.vips.get(&(prefix, port, protocol));
        // Port 0 stands for every port that has no service of its own.
        service(end.port()).or_else(|| service(0))
    }
}
