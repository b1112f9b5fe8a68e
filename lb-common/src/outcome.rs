//! What can become of a packet. The numbers are the cells of the ledger and stay what they are.
//!
//! Every packet ends in exactly one outcome and increments exactly one cell: the ledger's sum is the
//! number of packets received.

/// Declares the outcomes of one program with everything that goes by their numbers.
macro_rules! outcomes {
    (
        $(#[doc = $about:literal])+ $outcome:ident;
        $($(#[doc = $doc:literal])+ $name:ident = $number:literal, $kind:ident, $label:literal;)+
    ) => {
        $(#[doc = $about])+
        ///
        /// The discriminant is its cell in the ledger: written by the program, read by the daemon. A number
        /// once given is never given to another outcome.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum $outcome { $($(#[doc = $doc])+ $name = $number,)+ }

        impl $outcome {
            /// Whether the packet was passed, dropped, or sent on.
            #[must_use]
            #[inline]
            pub const fn kind(self) -> $crate::outcome::Kind {
                $crate::outcome::Kind::of(self as u32)
            }

            /// All outcomes, by number.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// A stable name for people and metrics: `snake_case`, without the kind.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }
        }
        const _: () = {
            $(
                assert!(matches!($outcome::$name.kind(), $crate::outcome::Kind::$kind));
                assert!(($outcome::$name as u32) < $crate::outcome::LEDGER_CELLS);
            )+
        };
    };
}
pub(crate) use outcomes;

/// The three things that a balancer does with packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Handed to this host's own network stack, untouched unless the outcome says otherwise.
    Pass,
    /// Dropped.
    Drop,
    /// Sent on: to a backend, or as a reply to a client, be it a backend's or the program's own.
    Forward,
}

impl Kind {
    /// The kind of the outcome with this number: numbers below 16 are sent on, below 32 passed, the others
    /// dropped, so that the program needs a shift and not a table.
    #[must_use]
    #[inline]
    pub const fn of(number: u32) -> Self {
        match number >> 4 {
            0 => Self::Forward,
            1 => Self::Pass,
            _ => Self::Drop,
        }
    }
}

outcomes! {
    /// What became of a packet that the balancer received.
    Outcome;

    /// Sent to a backend.
    Forwarded = 0, Forward, "forwarded";
    /// A NAT backend's reply, rewritten and sent to the client.
    Replied = 1, Forward, "replied";
    /// An echo request to a VIP address, answered.
    Echoed = 2, Forward, "echoed";
    /// TTL or hop limit was used up: an ICMP time exceeded went back to the sender.
    TimeExceededSent = 3, Forward, "time_exceeded_sent";
    /// Too long for the way to the backend: an ICMP error with the MTU went back to the sender.
    TooBigSent = 4, Forward, "too_big_sent";
    /// A backend's answer to a probe that went the way of clients' packets, rewritten and sent to the interface of
    /// probes.
    ProbeReplied = 5, Forward, "probe_replied";

    /// Neither IPv4 nor IPv6 (ARP, LLDP), or too short to tell.
    NotIp = 16, Pass, "not_ip";
    /// Sent to a multicast or broadcast MAC address.
    GroupAddressed = 17, Pass, "group_addressed";
    /// Not for a VIP address.
    NotVip = 18, Pass, "not_vip";
    /// For a VIP address, but no service has that port and protocol.
    Unmatched = 19, Pass, "unmatched";
    /// ICMP to a VIP address, but no error about TCP, UDP or SCTP: left to this host's stack.
    Icmp = 20, Pass, "icmp";
    /// A NAT backend's reply, rewritten, whose next hop the kernel must first resolve.
    ReplyUnresolved = 21, Pass, "reply_unresolved";
    /// A NAT backend's packet, untouched, to a client that is this host itself or that it has no route to.
    ReplyNotForwarded = 22, Pass, "reply_not_forwarded";
    /// For a backend in mode `local`: handed to this host's own stack, untouched.
    Local = 23, Pass, "local";
    /// On the interface of probes: such an answer, handed to this host's own stack, where the probe's socket is.
    ProbeReply = 24, Pass, "probe_reply";

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
    /// A later fragment of a datagram whose first fragment is not known, or any of an ICMP message.
    Fragment = 37, Drop, "fragment";
    /// The source address is loopback, multicast, broadcast, unspecified or the VIP itself.
    BadSource = 38, Drop, "bad_source";
    /// TTL or hop limit is used up, and the budget of ICMP errors too.
    TtlExceeded = 39, Drop, "ttl_exceeded";
    /// The service has no live backend.
    NoBackend = 40, Drop, "no_backend";
    /// The lookup table names a backend that is gone: never expected, counted if it happens.
    StaleTable = 41, Drop, "stale_table";
    /// The backend's mode does not fit the packet's IP version or transport, or is not known to the program.
    UnsupportedMode = 42, Drop, "unsupported_mode";
    /// The egress interface is not in the devices map.
    NoDevice = 43, Drop, "no_device";
    /// The route to a NAT backend's client forbids it, or forwarding is off where the reply came in.
    ReplyUnroutable = 44, Drop, "reply_unroutable";
    /// The frame could not be resized.
    NoRoom = 45, Drop, "no_room";
    /// Too long for the way to the backend, and no ICMP error was sent: the sender lets IPv4 routers fragment it,
    /// or the budget of ICMP errors is used up.
    TooBig = 46, Drop, "too_big";
    /// For a VIP address, from a source on the blocklist, whatever it is.
    Blocked = 47, Drop, "blocked";
    /// To a service that limits how many packets one source may send, from one that has sent more.
    RateLimited = 48, Drop, "rate_limited";
    /// No source port is free towards the backend, which is in mode `snat`.
    PortsExhausted = 49, Drop, "ports_exhausted";
    /// For a backend in mode `snat`, but of no flow that is known, nor the first packet of one: no port is its own.
    UnknownFlow = 50, Drop, "unknown_flow";
    /// On the interface of probes: for no alias of a backend, or nothing that could be one's probe. Elsewhere: an answer
    /// to a probe whose alias stands for nothing any more.
    NotAProbe = 51, Drop, "not_a_probe";
}

/// Cells of a ledger: a power of two above the largest outcome.
pub const LEDGER_CELLS: u32 = 64;
