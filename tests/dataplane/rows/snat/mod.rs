//! Mode `snat`: both ends of a packet change, and the backend knows nobody but the balancer.

pub(crate) mod packets;
pub(crate) mod ports;
