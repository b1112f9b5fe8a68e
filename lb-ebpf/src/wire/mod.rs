//! Headers as they stand on the wire.
//!
//! IP, UDP and SCTP headers are network-types' own, whose fields are byte arrays. Its Ethernet and VLAN headers have
//! alignment 2 and cannot be laid over packet bytes, and of its TCP header bits are read one by one; those and what it
//! lacks are here.

pub mod checksum;
pub mod ethernet;
pub mod extension;
pub mod gue;
pub mod icmp;
pub mod quic;
pub mod sctp;
pub mod tcp;
