//! Which aliases stand for which VIP and backend.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use lb_common::backend::BackendId;

use super::{Shortage, planner::Planner};
use crate::{
    dataplane::{PathEntry, Step},
    desired::Desired,
    health::{Endpoint, Target},
    model::{Aliases, Backend, Prefix, Service, Via, Vip},
};

/// The aliases that are wanted, and what of them cannot be.
#[derive(Debug, Default)]
pub(super) struct Paths {
    wanted: BTreeMap<IpAddr, PathEntry>,
    /// Backends for which no alias was left.
    without: u32,
}

/// A backend that has a number.
pub(super) struct Numbered {
    pub(super) number: BackendId,
    pub(super) generation: u32,
    /// The address of this host that the kernel would send to it from, if it has been asked.
    pub(super) source: Option<IpAddr>,
}

impl Planner<'_> {
    /// Gives a backend that is probed by its VIP an alias, as far as the way to it is known.
    pub(super) fn lead(&mut self, service: &Service, backend: &Backend, to: &Numbered) {
        let probe = service.probe.as_ref().filter(|it| it.via == Via::Vip);
        let Some(probe) = probe.filter(|_| backend.mode.is_direct()) else {
            return;
        };
        // The rules see to it that there is one.
        let Some(vip) = probe.vip_for(&service.vips, backend.address.ip()) else {
            return;
        };
        let way = self.input.world.probes;
        let aliases = way.aliases.like(vip.is_ipv4());
        let Some(alias) = aliases.of(to.number.0) else {
            self.paths.without += 1;
            return;
        };
        // What has not been asked for yet is what it was before: at a restart probes go on.
        let before = self.input.actual.paths.get(&alias);
        let same =
            |entry: &&PathEntry| (entry.backend, entry.generation) == (to.number, to.generation);
        let source = to.source.or(before.filter(same).map(|entry| entry.source));
        // To itself a backend would not answer by the wire.
        let source = source.filter(|source| *source != vip.ip());
        let (Some(interface), Some(source)) = (way.interface, source) else {
            return;
        };
        let entry = PathEntry {
            vip: vip.ip(),
            source,
            backend: to.number,
            generation: to.generation,
            interface,
        };
        self.paths.wanted.insert(alias, entry);
        let endpoint = Endpoint {
            address: SocketAddr::new(alias, vip.port()),
            name: vip,
        };
        let target = Target::of(service, backend.address);
        self.plan.paths.insert(target, endpoint);
    }

    /// The steps that make aliases stand for what is wanted, and those that take the others away.
    pub(super) fn path_steps(&self) -> (Vec<Step>, Vec<Step>) {
        let (wanted, have) = (&self.paths.wanted, &self.input.actual.paths);
        let put = wanted
            .iter()
            .filter(|(alias, entry)| have.get(alias) != Some(entry))
            .map(|(alias, entry)| Step::PutPath(*alias, *entry));
        let remove = have
            .keys()
            .filter(|alias| !wanted.contains_key(alias))
            .map(|alias| Step::RemovePath(*alias));
        (put.collect(), remove.collect())
    }

    /// Why not all backends could have an alias.
    pub(super) fn path_shortages(&mut self) {
        let aliases = self.input.world.probes.aliases;
        if self.paths.without > 0 {
            self.plan.shortages.push(Shortage::Aliases {
                without: self.paths.without,
            });
        }
        if is_needed(self.input.desired) {
            let taken = taken(self.input.desired, aliases);
            self.plan.shortages.extend(taken);
        }
    }
}

/// Whether any backend of `desired` is probed the way that clients' packets go.
pub(super) fn is_needed(desired: &Desired) -> bool {
    let mut services = desired.services.values();
    services.any(|service| service.is_probed_via_vip())
}

/// VIPs and backends whose addresses lie where aliases are taken from.
fn taken(desired: &Desired, aliases: Aliases) -> Vec<Shortage> {
    let services = || desired.services.values();
    let vips = services().flat_map(|it| it.vips.iter().map(|vip: &Vip| vip.addresses));
    let backends = services().flat_map(|it| it.backends.keys().map(|it| Prefix::from(it.ip())));
    let addresses: BTreeSet<Prefix> = vips.chain(backends).collect();
    let taken = addresses.into_iter().filter_map(|addresses| {
        let aliases = aliases.like(addresses.is_ipv4()).prefix();
        let taken = Shortage::AliasesTaken { aliases, addresses };
        aliases.overlaps(addresses).then_some(taken)
    });
    taken.collect()
}
