//! What the program that strips tunnels and the daemon that runs it tell each other.

use crate::outcome::outcomes;

outcomes! {
    /// What became of a packet that the program `decap` received.
    DecapOutcome;

    /// The tunnel's headers are gone, and the packet inside went to this host's stack.
    Stripped = 16, Pass, "stripped";
    /// Neither IP in IP nor GUE with IP inside: untouched.
    NotTunnelled = 17, Pass, "not_tunnelled";
    /// Tunnelled to an address that is not this host's: untouched.
    NotForUs = 18, Pass, "not_for_us";
    /// Tunnelled by somebody who is not on the list of balancers: untouched.
    SourceNotAllowed = 19, Pass, "source_not_allowed";
    /// From a balancer, but what is inside is not for one of the VIPs: untouched.
    NotAVip = 20, Pass, "not_a_vip";
    /// A fragment that a balancer sent to this host, tunnelled or not: untouched, the stack reassembles it.
    Fragment = 21, Pass, "fragment";

    /// From a balancer to this host, but the lengths, or the version of what is inside, contradict each other
    /// or the frame.
    Malformed = 32, Drop, "malformed";
}

/// Constants set when `decap` is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct DecapSettings {
    /// The UDP port that GUE arrives at, in host order.
    pub gue_port: u32,
    /// 1: tunnels may end at any address; 0: only at those in the map of destinations.
    pub any_destination: u32,
}

/// The default UDP port of GUE (IANA: `gue`).
pub const GUE_PORT: u16 = 6080;
