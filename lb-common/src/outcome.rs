//! What can become of a packet. The numbers are the cells of the ledger and stay what they are.
//!
//! Every packet ends in exactly one outcome and increments exactly one cell: the ledger's sum is the
//! number of packets received.

/// Declares [`Outcome`] with everything that goes by its number.
macro_rules! outcomes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal, $kind:ident, $label:literal;)+) => {
        /// What became of a packet; the discriminant is its cell in the ledger.
        ///
        /// Written by the program, read by the daemon. A number once given is never given to another
        /// outcome.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum Outcome { $($(#[doc = $doc])+ $name = $number,)+ }

        impl Outcome {
            /// All outcomes, by number.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// A stable name for people and metrics: `snake_case`, without the kind.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }
        }
        const _: () = {
            $(assert!(matches!(Outcome::$name.kind(), Kind::$kind));)+
        };
    };
}

impl Outcome {
    /// Whether the packet was passed, dropped, or sent on: numbers below 16 are sent on, below 32 passed,
    /// the others dropped, so that the program needs a shift and not a table.
    #[must_use]
    #[inline]
    pub const fn kind(self) -> Kind {
        match self as u32 >> 4 {
            0 => Kind::Forward,
            1 => Kind::Pass,
            _ => Kind::Drop,
        }
    }
}

/// The three things that a balancer does with packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Handed to this host's own network stack, untouched unless the outcome says otherwise.
    Pass,
    /// Dropped.
    Drop,
    /// Sent on: to a backend, or as a reply to a client.
    Forward,
}

outcomes! {
    /// Sent to a backend.
    Forwarded = 0, Forward, "forwarded";
    /// A NAT backend's reply, rewritten and sent to the client.
    Replied = 1, Forward, "replied";

    /// Neither IPv4 nor IPv6 (ARP, LLDP), or too short to tell.
    NotIp = 16, Pass, "not_ip";
    /// Sent to a multicast or broadcast MAC address.
    GroupAddressed = 17, Pass, "group_addressed";
    /// Not for a VIP address.
    NotVip = 18, Pass, "not_vip";
    /// For a VIP address, but no service has that port and protocol.
    Unmatched = 19, Pass, "unmatched";
    /// ICMP to a VIP address: left to this host's stack.
    Icmp = 20, Pass, "icmp";
    /// A NAT backend's reply, rewritten, whose next hop the kernel must first resolve.
    ReplyUnresolved = 21, Pass, "reply_unresolved";
    /// A NAT backend's packet, untouched, to a client that is this host itself or that it has no route to.
    ReplyNotForwarded = 22, Pass, "reply_not_forwarded";

    /// For a VIP address, but no service has that port and protocol, and the settings say drop.
    UnmatchedDropped = 32, Drop, "unmatched_dropped";
    /// The frame ends inside a header.
    Truncated = 33, Drop, "truncated";
    /// A header contradicts itself or the frame: version, header length, total length, extension header.
    Malformed = 34, Drop, "malformed";
    /// ICMPv6 in IPv4 or ICMP in IPv6.
    WrongIcmp = 35, Drop, "wrong_icmp";
    /// More IPv6 extension headers than are walked.
    ExtensionHeaders = 36, Drop, "extension_headers";
    /// A later fragment of a datagram whose first fragment is not known.
    Fragment = 37, Drop, "fragment";
    /// The source address is loopback, multicast, broadcast, unspecified or the VIP itself.
    BadSource = 38, Drop, "bad_source";
    /// TTL or hop limit is used up.
    TtlExceeded = 39, Drop, "ttl_exceeded";
    /// The service has no live backend.
    NoBackend = 40, Drop, "no_backend";
    /// The lookup table names a backend that is gone: never expected, counted if it happens.
    StaleTable = 41, Drop, "stale_table";
    /// The backend's mode does not fit the packet's family or is not known to the program.
    UnsupportedMode = 42, Drop, "unsupported_mode";
    /// The egress interface is not in the devices map.
    NoDevice = 43, Drop, "no_device";
    /// The route to a NAT backend's client forbids it, or forwarding is off where the reply came in.
    ReplyUnroutable = 44, Drop, "reply_unroutable";
    /// The frame could not be resized.
    NoRoom = 45, Drop, "no_room";
}

/// Cells in the ledger: a power of two above the largest outcome, so that an index can be masked.
pub const LEDGER_CELLS: u32 = 64;

const _: () = {
    let mut i = 0;
    while i < Outcome::ALL.len() {
        #[expect(
            clippy::indexing_slicing,
            reason = "evaluated at compile time, in bounds by the loop"
        )]
        let outcome = Outcome::ALL[i];
        assert!((outcome as u32) < LEDGER_CELLS);
        i += 1;
    }
};
