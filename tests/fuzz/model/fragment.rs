//! Fragments (RFC 791 section 3.2, RFC 8200 section 4.5): the first one has the ports, and leaves them to the others.

use std::{collections::BTreeMap, net::IpAddr};

use lb_common::outcome::Outcome;

use super::{FlowKey, parse::Parsed, word};

/// What all fragments of a datagram have in common besides their addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    pub(super) identification: u32,
    /// In IPv6 that of the fragment header, behind which more extension headers may stand.
    pub(super) protocol: u8,
}

impl Identity {
    /// That in an IPv6 fragment header.
    pub(super) fn of_extension(header: &[u8]) -> Self {
        Self {
            identification: u32::from(word(header, 4)) << 16 | u32::from(word(header, 6)),
            protocol: header[0],
        }
    }

    /// The part of the datagram that begins at `offset`, and behind which there is `more`.
    pub(super) const fn part(self, offset: u16, more: u16) -> Part {
        match (offset, more) {
            (0, 0) => Part::Whole,
            (0, _) => Part::First(self),
            _ => Part::Later(self),
        }
    }
}

/// Which part of its datagram a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    First(Identity),
    Later(Identity),
}

/// The flows of datagrams whose first fragment went on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fragments(BTreeMap<(IpAddr, IpAddr, Identity), FlowKey>);

impl Fragments {
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    /// Keeps the ports of a first fragment for those that follow.
    pub(super) fn remember(&mut self, parsed: &Parsed) {
        if let Part::First(identity) = parsed.part {
            let key = (parsed.source, parsed.destination, identity);
            self.0.insert(key, parsed.flow);
        }
    }

    /// The flow of a later fragment. Whether it fits the others, in length or place, is for its receiver to say.
    pub(super) fn flow(&self, identity: Identity, parsed: &Parsed) -> Result<FlowKey, Outcome> {
        let key = (parsed.source, parsed.destination, identity);
        self.0.get(&key).copied().ok_or(Outcome::Fragment)
    }
}
