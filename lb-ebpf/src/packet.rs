//! What the stages tell each other about a packet: values, no bytes.
//!
//! Fields that are not part of a map key are whole words: smaller ones make the compiler copy a value in
//! pieces that straddle words, and the verifier refuses misaligned stack access.

use lb_common::{
    backend::{Backend, BackendId},
    be::Be16,
    family::Family,
    flow::FlowKey,
    hash::FlowHash,
    progress::Signal,
    vlan::Vlan,
};

use crate::frame::without_history;
use crate::wire::ethernet::{Addresses, IPV4, IPV6};

/// What stands before the IP header.
#[derive(Clone, Copy)]
pub struct Link {
    /// Where the IP header begins, in bytes from the frame's start: 14, 18 or 22.
    pub network: usize,
    /// The IP version that the ethertype announces.
    pub version: Version,
}

/// The IP versions.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Version {
    /// RFC 791.
    V4,
    /// RFC 8200.
    V6,
}

impl Version {
    /// The ethertype that announces it.
    #[inline(always)]
    #[must_use]
    pub const fn ethertype(self) -> Be16 {
        match self {
            Self::V4 => IPV4,
            Self::V6 => IPV6,
        }
    }
}

/// What the IP header and its extensions say of what follows them.
#[derive(Clone, Copy)]
pub struct Network {
    /// TTL or hop limit.
    pub hop_limit: u64,
    /// Protocol number of the payload, after extension headers.
    pub protocol: u64,
    /// Where the payload begins, in bytes from the frame's start.
    pub payload: usize,
    /// Where it ends: the IP length rules, not the frame's.
    pub end: usize,
    /// Which part of its datagram it is.
    pub part: Part,
}

/// Which part of its datagram a packet is. Words, not an enum with a payload.
#[derive(Clone, Copy)]
pub struct Part {
    /// [`Part::WHOLE`], [`Part::FIRST`] or [`Part::LATER`].
    pub position: u64,
    /// Of fragments: the datagram's identification, in host order.
    pub identification: u64,
    /// Of fragments: the protocol number that all fragments of the datagram carry.
    pub protocol: u64,
}

impl Part {
    /// All of it.
    pub const WHOLE: u64 = 0;
    /// The first fragment, with the transport header.
    pub const FIRST: u64 = 1;
    /// A later fragment, without.
    pub const LATER: u64 = 2;

    /// A datagram that is not fragmented.
    #[inline(always)]
    #[must_use]
    pub const fn whole() -> Self {
        Self {
            position: Self::WHOLE,
            identification: 0,
            protocol: 0,
        }
    }
}

/// A TCP, UDP or SCTP packet, or an ICMP error about one, fully parsed.
#[derive(Clone, Copy)]
pub struct Packet<F: Family> {
    /// The 5-tuple; of an ICMP error, that of the flow it is about, in the error's direction.
    pub flow: FlowKey<F::Address>,
    /// TTL or hop limit.
    pub hop_limit: u64,
    /// What it says of its sender's end of the flow.
    pub signal: Signal,
    /// Where the IP header begins, in bytes from the frame's start.
    pub network: usize,
    /// Where the header of an ICMP error begins, in bytes from the frame's start; 0 in packets that are no errors.
    pub error: usize,
    /// Where the TCP, UDP or SCTP header begins, likewise: the quoted one, of which 8 bytes are there, in an error;
    /// 0 in a later fragment, which has none.
    pub transport: usize,
    /// Which part of its datagram it is.
    pub part: Part,
    /// Where the packet ends, likewise; what the frame has beyond is padding.
    pub end: usize,
}

impl<F: Family> Packet<F> {
    /// Bytes of the IP packet, its header included.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a packet is never empty")]
    pub const fn len(&self) -> usize {
        self.end - self.network
    }
}

/// The backend chosen.
pub struct Choice {
    /// Its number.
    pub id: BackendId,
    /// Its entry.
    pub backend: &'static Backend,
    /// The flow's hash, by which outer headers vary.
    pub hash: FlowHash,
    /// What the flow table has to do with it.
    pub standing: Standing,
    /// How far the client has come with this packet, a [`Progress`](lb_common::progress::Progress), if the flow is to
    /// be remembered; and [`COUNTED`](Self::COUNTED). In the low half.
    pub client: u64,
    /// The source port that the flow had towards the backend, in mode `snat`; else 0. In the low half.
    pub source_port: u64,
}

impl Choice {
    /// Among the bits of [`client`](Self::client): before this packet the flow was one of those that its backend has.
    pub const COUNTED: u64 = 1 << 8;
}

/// What is remembered of a flow. A word, not an enum: the niche of `Result<Choice, _>` then lies in the
/// reference, and no register holds now a pointer, now an error (which the verifier refuses).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Standing(u64);

impl Standing {
    /// It is not remembered and is not to be: its slot is not tracked, or this packet, a TCP RST or FIN, begins none.
    pub const UNTRACKED: Self = Self(0);
    /// It is to be remembered from this packet on.
    pub const NEW: Self = Self(1);
    /// The same; what is remembered is a backend that takes no packets any more, or a connection that has ended.
    pub const MOVED: Self = Self(2);
    /// It was remembered by one packet, and goes on with this one.
    pub const FRESH: Self = Self(3);
    /// It was remembered before.
    pub const KNOWN: Self = Self(4);

    /// The same, and the verifier does not know which it is.
    #[inline(always)]
    #[must_use]
    pub fn without_history(self, hash: FlowHash) -> Self {
        Self(without_history::<0xffff>(self.0, hash.0))
    }

    /// Whether it was remembered where it goes before this packet.
    #[inline(always)]
    #[must_use]
    pub const fn is_known(self) -> bool {
        self.0 >= Self::FRESH.0
    }
}

/// Where a frame goes.
#[derive(Clone, Copy)]
pub struct NextHop {
    /// Index of the egress interface.
    pub egress: u32,
    /// The tag that the egress asks for.
    pub vlan: Vlan,
    /// MAC addresses of the next hop and of the egress interface.
    pub addresses: Addresses,
}

impl From<&Backend> for NextHop {
    #[inline(always)]
    fn from(backend: &Backend) -> Self {
        Self {
            egress: backend.egress,
            vlan: backend.vlan,
            addresses: Addresses::new(backend.destination_mac, backend.source_mac),
        }
    }
}

/// The flag "don't fragment" among an IPv4 header's flags and offset (RFC 791 section 3.1).
pub const DONT_FRAGMENT: Be16 = Be16::new(0x4000);

/// What a packet's header hands on to an outer one (RFC 2003 section 3.1, RFC 2473 section 6.4). Whole words,
/// for they cross stages.
#[derive(Clone, Copy)]
pub struct Inherited {
    /// DSCP and ECN: differentiated services go on, and congestion is marked (RFC 2983, RFC 6040).
    pub traffic_class: u64,
    /// Flags and fragment offset of an outer IPv4 header: routers may cut it if they might cut the packet.
    pub fragment: Be16,
    /// The packet's own identification, which tells outer packets apart that may be cut; 0 for others
    /// (RFC 6864 section 4.1). Fragments, which share one, differ by their offset, which is mixed in.
    pub identification: Be16,
}

impl Inherited {
    /// What stands there in a packet that carries no other: best effort, not to be cut.
    pub const NOTHING: Self = Self {
        traffic_class: 0,
        fragment: DONT_FRAGMENT,
        identification: Be16::new(0),
    };
}

/// A header that the program writes: a tunnel's outer one, or that of its own ICMP errors.
pub struct NewHeader<Address> {
    /// From the packet inside a tunnel.
    pub inherited: Inherited,
    /// What follows.
    pub protocol: u8,
    /// Bytes that follow.
    pub payload_len: usize,
    /// Its low bits are the IPv6 flow label, so that routers and cards spread flows (RFC 6438).
    pub hash: FlowHash,
    /// Where it comes from.
    pub source: Address,
    /// Where it goes.
    pub destination: Address,
}
