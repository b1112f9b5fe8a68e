//! Where a CPU works out how a NAT backend's flow is translated: it is too big for the program's stack.
//!
//! Written and read by the program; one element for each CPU. All but the place is of no use after the packet.

use crate::flow::{FlowKey, Reply};

/// The flow at hand. 64 bytes for IPv4, 136 for IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Translation<Address> {
    /// The flow as the backend sees it.
    pub to: FlowKey<Address>,
    /// The same, as the backend answers: the key of its reply.
    pub back: FlowKey<Address>,
    /// What is remembered of the reply if it is not yet.
    pub reply: Reply<Address>,
    /// Where the port that was last tried stands among the source ports of this CPU, from 0.
    pub place: u32,
    /// Always 0.
    pub reserved: u32,
}
