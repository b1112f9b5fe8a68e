//! Plans over a data plane in memory: [`lab`] holds a world to plan in and watches every step.

mod algorithms;
mod emergency;
mod impact;
pub(super) mod lab;
mod numbers;
mod on_demand;
mod order;
mod paths;
mod properties;
mod quic;
mod room;
mod rules;
mod serving;
mod tracking;
