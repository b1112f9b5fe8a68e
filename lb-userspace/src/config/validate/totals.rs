//! Whether all services together fit into the sizes that the same text asks for.
//!
//! Sizes that are not written are not held against the services: the daemon may run with larger ones
//! from its command line, and refuses by itself what does not fit.

use std::collections::BTreeSet;

use lb_common::table::SLOTS_PER_ELEMENT;

use crate::{
    config::{fault::Found, spec::DaemonSpec},
    desired::Desired,
    model::{Prefix, Vip},
};

pub(super) fn check(daemon: &DaemonSpec, desired: &Desired, found: &mut Found) {
    let mut fits = |field: &str, size: Option<u32>, needed: u64, what: &str| {
        if let Some(size) = size
            && needed > u64::from(size)
        {
            found.add(
                format!("daemon.{field}"),
                format!("{size} is too few for the services below, which need {needed} ({what})"),
            );
        }
    };
    fits(
        "max_backends",
        daemon.max_backends,
        backends(desired),
        "one for each backend, and number 0 is reserved",
    );
    fits(
        "max_backends",
        daemon.max_backends,
        server_ids(desired).div_ceil(2),
        "one for every two server ids of QUIC backends",
    );
    fits(
        "max_slots",
        daemon.max_slots,
        slots(desired),
        "one table for each service, and room for the largest to be replaced",
    );
    let what = "one for each VIP and one for each of their addresses, of one IP version";
    let needed = vips(desired, true).max(vips(desired, false));
    fits("max_vips", daemon.max_vips, needed, what);
}

fn backends(desired: &Desired) -> u64 {
    let services = desired.services.values();
    1 + services.map(|s| s.backends.len() as u64).sum::<u64>()
}

fn server_ids(desired: &Desired) -> u64 {
    let services = desired.services.values();
    let ids = services.flat_map(|service| service.quic_server_ids());
    ids.count() as u64
}

fn slots(desired: &Desired) -> u64 {
    let services = desired.services.values();
    let tables = services.map(|s| s.table_slots.slots(s.backends.len()));
    let tables = tables.map(|slots| u64::from(slots.next_multiple_of(SLOTS_PER_ELEMENT)));
    tables.clone().sum::<u64>() + tables.max().unwrap_or(0)
}

fn vips(desired: &Desired, is_ipv4: bool) -> u64 {
    let vips = desired.services.values().flat_map(|service| &service.vips);
    let vips: Vec<&Vip> = vips
        .filter(|vip| vip.addresses.is_ipv4() == is_ipv4)
        .collect();
    let addresses = vips.iter().map(|vip| vip.addresses);
    let addresses: BTreeSet<Prefix> = addresses.filter(|it| it.is_single()).collect();
    (vips.len() + addresses.len()) as u64
}
