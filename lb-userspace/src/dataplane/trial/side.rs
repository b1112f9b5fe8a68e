//! The maps of an IP version, and what stands in them, for a trial.

use std::net::IpAddr;

use aya::Pod;
use lb_common::{
    backend::{Backend, Mode},
    be::Be16,
    family::{Address4, Address6, Family, V4, V6},
    flow::{FlowKey, Reply},
    fragment::FragmentKey,
    hash::flow_hash,
    names,
    source::SourceKey,
    translation::Translation,
};

use super::{Fragment, Tuple};
use crate::dataplane::{ServiceId, flows::Hashes};

/// An IP version.
pub(super) trait Side {
    type Key: Pod + PartialEq;
    type Reply: Pod;
    type Fragment: Pod;
    type Source: Pod;
    type Translation: Pod;

    const FRESH: &str;
    const FLOWS: &str;
    const REPLIES: &str;
    const FRAGMENTS: &str;
    const SOURCES: &str;
    const TRANSLATIONS: &str;

    /// The key of a flow, if its addresses are of this version.
    fn key(tuple: &Tuple) -> Option<Self::Key>;
    /// The hashes that choose a slot for a flow.
    fn hashes(tuple: &Tuple, seed: u64) -> Option<Hashes>;
    /// The key of what the first fragment told.
    fn fragment(addresses: [IpAddr; 2], fragment: Fragment) -> Option<Self::Fragment>;
    /// The key of the budget that a source has at a service.
    fn source(service: ServiceId, source: IpAddr) -> Option<Self::Source>;
    /// The packet that a client sees for a reply.
    fn to_client(reply: &Self::Reply) -> Tuple;
    /// What a NAT backend answers to a flow that it gets from `source_port`.
    fn answer(flow: &Tuple, backend: &Backend, seed: u64, source_port: u16) -> Option<Self::Key>;
}

/// How the version's addresses are told from the other's.
macro_rules! side {
    ($family:ident, $address:ident, $version:ident, $own:ident, $towards:ident, $maps:expr) => {
        impl Side for $family {
            type Key = FlowKey<$address>;
            type Reply = Reply<$address>;
            type Fragment = FragmentKey<$address>;
            type Source = SourceKey<<$family as Family>::Client>;
            type Translation = Translation<$address>;

            const FRESH: &str = $maps[0];
            const FLOWS: &str = $maps[1];
            const REPLIES: &str = $maps[2];
            const FRAGMENTS: &str = $maps[3];
            const SOURCES: &str = $maps[4];
            const TRANSLATIONS: &str = $maps[5];

            fn key(tuple: &Tuple) -> Option<Self::Key> {
                let (IpAddr::$version(source), IpAddr::$version(destination)) =
                    (tuple.source, tuple.destination)
                else {
                    return None;
                };
                let [source_port, destination_port] = tuple.ports.map(Be16::new);
                Some(FlowKey {
                    source: source.into(),
                    destination: destination.into(),
                    source_port,
                    destination_port,
                    protocol: tuple.protocol.into(),
                })
            }

            fn hashes(tuple: &Tuple, seed: u64) -> Option<Hashes> {
                Some(Hashes::of::<$family>(&Self::key(tuple)?, seed))
            }

            fn fragment(addresses: [IpAddr; 2], fragment: Fragment) -> Option<Self::Fragment> {
                let [IpAddr::$version(source), IpAddr::$version(destination)] = addresses else {
                    return None;
                };
                Some(FragmentKey {
                    source: source.into(),
                    destination: destination.into(),
                    identification: fragment.identification,
                    protocol: fragment.protocol.into(),
                })
            }

            fn source(service: ServiceId, source: IpAddr) -> Option<Self::Source> {
                let IpAddr::$version(source) = source else {
                    return None;
                };
                Some(SourceKey {
                    service: service.0.into(),
                    client: $family::client(source.into()),
                })
            }

            fn to_client(reply: &Self::Reply) -> Tuple {
                let flow = &reply.flow;
                Tuple {
                    source: flow.source.into(),
                    destination: flow.destination.into(),
                    ports: [flow.source_port.get(), flow.destination_port.get()],
                    protocol: flow.protocol(),
                }
            }

            fn answer(
                flow: &Tuple,
                backend: &Backend,
                seed: u64,
                source_port: u16,
            ) -> Option<Self::Key> {
                let key = Self::key(flow)?;
                let to = match backend.mode {
                    Mode::SNAT => FlowKey {
                        source: backend.$towards(flow_hash::<$family>(&key, seed)),
                        source_port: Be16::new(source_port),
                        ..key
                    },
                    Mode::NAT => key,
                    _ => return None,
                };
                let to = FlowKey {
                    destination: backend.$own(),
                    destination_port: backend.port,
                    ..to
                };
                Some(to.reversed())
            }
        }
    };
}

side!(
    V4,
    Address4,
    V4,
    address_v4,
    source_v4,
    [
        names::FRESH_V4,
        names::FLOWS_V4,
        names::REPLIES_V4,
        names::FRAGMENTS_V4,
        names::SOURCES_V4,
        names::TRANSLATIONS_V4,
    ]
);
side!(
    V6,
    Address6,
    V6,
    address_v6,
    source_v6,
    [
        names::FRESH_V6,
        names::FLOWS_V6,
        names::REPLIES_V6,
        names::FRAGMENTS_V6,
        names::SOURCES_V6,
        names::TRANSLATIONS_V6,
    ]
);
