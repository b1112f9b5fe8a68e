//! What the running program does with a packet, in words: from a trial of it and what the maps hold. Pure.
//!
//! `frame` makes packets and reads them, `story` tells the stages, `words` has what they are called. The program is
//! right: what the maps say is only told where it agrees with what came of the trial.

pub mod frame;
mod story;
mod words;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use lb_common::backend::BackendId;

use crate::{
    control::protocol::{Ends, Explanation, Output, Verdict},
    dataplane::{
        Actual, BackendEntry, ServiceId, VipEntry,
        trial::{Action, Trial, Tuple},
    },
    model::{Prefix, Protocol, Vip},
};
use frame::Seen;
pub use words::hexadecimal;

/// What is known of the instance.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// What the maps hold.
    pub actual: Actual,
    /// Names of services by their numbers.
    pub services: BTreeMap<ServiceId, String>,
    /// Names and MAC addresses of interfaces by their indexes.
    pub interfaces: BTreeMap<u32, (String, Option<[u8; 6]>)>,
    /// The interface that the packet comes in by.
    pub ingress: u32,
    /// Seed of the flow hash.
    pub hash_seed: u64,
    /// UDP port of GUE.
    pub gue_port: u16,
}

impl Known {
    /// The VIP that a packet is for: of its address before those of the longest prefix, of its port before that of every
    /// port.
    fn vip(&self, flow: &Tuple) -> Option<(Vip, &VipEntry)> {
        let protocol = Protocol::from_number(flow.protocol)?;
        let single = Prefix::from(flow.destination);
        let longest = self.prefix(flow.destination);
        let [_, port] = flow.ports;
        let places = [Some(single), longest].into_iter().flatten();
        let places = places.flat_map(|addresses| [(addresses, port), (addresses, Vip::ANY_PORT)]);
        places
            .map(|(addresses, port)| Vip {
                addresses,
                port,
                protocol,
            })
            .find_map(|vip| Some((vip, self.actual.vips.get(&vip)?)))
    }

    /// The longest prefix of VIPs that an address lies in.
    fn prefix(&self, address: IpAddr) -> Option<Prefix> {
        let single = Prefix::from(address);
        let prefixes = self.actual.addresses.iter().copied();
        prefixes
            .filter(|prefix| !prefix.is_single() && prefix.contains(single))
            .max_by_key(|prefix| prefix.bits())
    }

    fn backend(&self, id: BackendId) -> Option<&BackendEntry> {
        self.actual.backends.get(&id)
    }

    fn interface(&self, index: u32) -> String {
        let known = self.interfaces.get(&index);
        known.map_or_else(
            || format!("interface number {index}"),
            |(name, _)| name.clone(),
        )
    }

    /// The interface that a frame leaves by: the backend's, or the one with its source address.
    fn egress(&self, trial: &Trial, sent: &Seen, backend: Option<&BackendEntry>) -> Option<String> {
        let [source, _] = sent.macs;
        let of_mac = || {
            let mut all = self.interfaces.values();
            let found = all.find(|(_, mac)| *mac == Some(source));
            found.map(|(name, _)| name.clone())
        };
        match trial.action {
            Action::Transmit => Some(self.interface(self.ingress)),
            Action::Redirect => backend
                .map(|entry| self.interface(entry.next_hop.interface))
                .or_else(of_mac),
            Action::Pass | Action::Drop | Action::Aborted => None,
        }
    }
}

/// Tells what came of `frame`. `outcome` is what the ledger calls that, with its kind.
#[must_use]
pub fn explain(known: &Known, frame: &[u8], trial: &Trial, outcome: String) -> Explanation {
    let seen = Seen::read(frame, known.gue_port);
    let told = story::Teller::new(known, &seen, trial);
    let backend = told.backend();
    let changed = trial.frame != frame && trial.action == Action::Pass;
    let sent = matches!(trial.action, Action::Transmit | Action::Redirect);
    let output = (sent || changed).then(|| {
        let sent = Seen::read(&trial.frame, known.gue_port);
        Output {
            interface: known.egress(trial, &sent, backend),
            ..output(&trial.frame, &sent)
        }
    });
    Explanation {
        verdict: verdict(trial.action),
        outcome,
        service: told.service(),
        backend: backend.map(|entry| entry.address.to_string()),
        stages: told.stages(output.as_ref()),
        input: hexadecimal(frame),
        output,
    }
}

const fn verdict(action: Action) -> Verdict {
    match action {
        Action::Aborted => Verdict::Aborted,
        Action::Drop => Verdict::Drop,
        Action::Pass => Verdict::Pass,
        Action::Transmit => Verdict::Tx,
        Action::Redirect => Verdict::Redirect,
    }
}

fn output(frame: &[u8], sent: &Seen) -> Output {
    let [source, destination] = sent.macs;
    Output {
        frame: hexadecimal(frame),
        source_mac: words::mac(source),
        destination_mac: words::mac(destination),
        vlans: sent.vlans.clone(),
        outer: ends(sent),
        inner: sent.inner.as_deref().and_then(ends),
        interface: None,
    }
}

fn ends(seen: &Seen) -> Option<Ends> {
    let ip = seen.ip?;
    let [source, destination] = match seen.ports {
        None => ip.addresses.map(|address| address.to_string()),
        Some(ports) => {
            let [source, destination] = ip.addresses;
            let [from, to] = ports;
            [(source, from), (destination, to)].map(|end| SocketAddr::from(end).to_string())
        }
    };
    Some(Ends {
        source,
        destination,
        protocol: ip.protocol,
    })
}

#[cfg(test)]
mod tests;
