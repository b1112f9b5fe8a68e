//! What the balancer is about, as values: no I/O, no clock.
//!
//! A value of these types is valid: parsing is where a bad one is refused (see [`config`](crate::config)).
//! All of them are written in JSON and TOML as an operator would write them.

mod algorithm;
mod alias;
mod backend;
mod check;
mod dns;
mod limit;
mod moves;
mod prefix;
mod probe;
mod quic;
pub mod scope;
mod service;
mod source;
mod target;
mod thresholds;
mod vip;
mod way;
mod weights;

pub use algorithm::Algorithm;
pub use alias::{AliasPrefix, Aliases, ProbeWay};
pub use backend::{AdminState, Backend, Mode, Role, Weight};
pub use check::{
    DnsCheck, ExecCheck, GrpcCheck, HttpCheck, Method, Payload, ProbeKind, StatusRange, Tls, Trust,
    UdpCheck,
};
pub use dns::{DnsName, RecordType};
pub use limit::SourceLimit;
pub use moves::{Moves, MovesUpdate, Tracking};
pub use prefix::Prefix;
pub use probe::{Health, Probe, Via};
pub use quic::{ConfigId, QuicConfig, QuicLb, ServerId, ServerIdLength};
pub use scope::Scope;
pub use service::{Service, ServiceName, TableSlots};
pub use source::{ChosenSources, Source, Sources};
pub use target::Target;
pub use thresholds::Thresholds;
pub use vip::{Protocol, Vip};
pub use way::{Way, Ways};
pub use weights::DynamicWeights;

/// A text that is not a value of the type asked for: says what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(String);

impl ParseError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

#[cfg(test)]
mod tests;
