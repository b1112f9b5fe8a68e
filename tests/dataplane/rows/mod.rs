//! The rows, by part of the packet table.

pub(crate) mod algorithm;
pub(crate) mod blocklist;
pub(crate) mod checksum;
pub(crate) mod echo;
pub(crate) mod features;
pub(crate) mod flow;
pub(crate) mod forward;
pub(crate) mod fragment;
pub(crate) mod generated;
pub(crate) mod guard;
pub(crate) mod icmp_error;
pub(crate) mod ipv4;
pub(crate) mod ipv6;
pub(crate) mod jumbo;
pub(crate) mod link;
pub(crate) mod not_ours;
pub(crate) mod prefix;
pub(crate) mod probe;
pub(crate) mod quic;
pub(crate) mod rate;
pub(crate) mod refused;
pub(crate) mod reply;
pub(crate) mod sctp;
pub(crate) mod snat;
pub(crate) mod truncated;
pub(crate) mod tunnel;
pub(crate) mod unmatched;
pub(crate) mod vlan;

use crate::row::Row;

/// Every row there is.
pub(crate) fn all() -> Vec<Row> {
    let parts = [
        link::rows(),
        not_ours::rows(),
        unmatched::passed(),
        unmatched::dropped(),
        unmatched::any_port(),
        prefix::rows(),
        prefix::dropped(),
        features::rows(),
        algorithm::rows(),
        algorithm::unused(),
        sctp::rows(),
        forward::rows(),
        vlan::rows(),
        ipv4::rows(),
        ipv6::rows(),
        fragment::rows(),
        truncated::rows(),
        guard::rows(),
        blocklist::rows(),
        rate::rows(),
        refused::rows(),
        checksum::rows(),
        reply::rows(),
        flow::rows(),
        snat::packets::rows(),
        snat::ports::rows(),
        snat::ports::without(),
        probe::rows(),
        quic::rows(),
        tunnel::rows(),
        jumbo::rows(),
        echo::rows(),
        generated::sent(),
        generated::untold(),
        icmp_error::rows(),
        icmp_error::unmatched_dropped(),
    ];
    parts.into_iter().flatten().collect()
}

/// `frame` with `bytes` written over it at `offset`.
pub(crate) fn patched(mut frame: Vec<u8>, offset: usize, bytes: &[u8]) -> Vec<u8> {
    frame[offset..offset + bytes.len()].copy_from_slice(bytes);
    frame
}

/// The first `length` bytes of `frame`.
fn cut(mut frame: Vec<u8>, length: usize) -> Vec<u8> {
    assert!(length < frame.len(), "a cut takes something away");
    frame.truncate(length);
    frame
}
