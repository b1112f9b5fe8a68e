//! Flows and what is remembered of them.
//!
//! Written and read by the program; the daemon reads them, and takes away flows that have ended. Three LRU hash maps per
//! family: *flows* and *fresh*, by the packet a client sends, and *replies*, by the packet a backend sends in NAT mode.
//!
//! A flow is remembered among the fresh ones by its first packet, and among the flows from its second one on: whoever
//! sends packets of flows that never go on pushes out others like these, and no flow that has gone on.

use crate::{
    be::Be16,
    progress::{Progress, ticks},
    settings::SourceNat,
};

/// A 5-tuple. 16 bytes for IPv4, 40 for IPv6; aligned to 8 so that it is hashed by words.
///
/// The same type keys both directions: `source` and `destination` are those of the packet that is
/// looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C, align(8))]
pub struct FlowKey<Address> {
    /// Source address of the packet.
    pub source: Address,
    /// Destination address of the packet.
    pub destination: Address,
    /// Source port.
    pub source_port: Be16,
    /// Destination port.
    pub destination_port: Be16,
    /// IP protocol number, zero-extended: 6 TCP, 17 UDP, 132 SCTP.
    pub protocol: u32,
}

impl<Address> FlowKey<Address> {
    /// The IP protocol number.
    #[inline]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "zero-extended from 8 bits")]
    pub const fn protocol(&self) -> u8 {
        self.protocol as u8
    }
}

impl<Address: Copy> FlowKey<Address> {
    /// The same flow, as the packets of the other direction show it.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::inline_always, reason = "copies of a few words")]
    pub const fn reversed(&self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            source_port: self.destination_port,
            destination_port: self.source_port,
            protocol: self.protocol,
        }
    }
}

/// Where a flow went before. 16 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Flow {
    /// The backend's number.
    pub backend: u32,
    /// The backend's generation when the flow was remembered; the entry counts only while the backend
    /// still has it.
    pub generation: u32,
    /// In mode [`SNAT`](crate::backend::Mode::SNAT) the port from which the backend gets the flow's packets, while
    /// the entry among the replies says so too; 0 in other modes.
    pub source_port: Be16,
    /// How far its client has come.
    pub client: Progress,
    /// When its last packet came, in [`ticks`].
    pub last_seen: u32,
}

impl Flow {
    /// How long, in [`ticks`], a TCP connection may be idle before it is taken to have ended
    /// (RFC 5382 section 5: 2 hours and 4 minutes).
    pub const ESTABLISHED: u32 = ticks(7_440 * 1_000_000_000);
    /// The same while only its SYN has been seen, and after its client's FIN or RST (ibid.: 4 minutes).
    pub const CLOSING: u32 = ticks(240 * 1_000_000_000);
    /// The same for flows of other protocols (RFC 4787 section 4.3: 5 minutes).
    pub const CONNECTIONLESS: u32 = ticks(300 * 1_000_000_000);

    /// Whether the flow gives way to a new connection of the same ends that begins `now`: its client has ended it, and has
    /// sent nothing for `quiet` since, both in [`ticks`]. A FIN or RST may be forged: whoever goes on after one keeps his
    /// backend.
    #[inline]
    #[must_use]
    pub const fn gives_way(&self, now: u32, quiet: u32) -> bool {
        // The clock of the CPU that saw it last may be ahead.
        let idle = now.wrapping_sub(self.last_seen).cast_signed();
        self.client.ends() && idle >= 0 && idle.cast_unsigned() >= quiet
    }

    /// Whether a flow of this protocol has ended by `now`, in [`ticks`], as far as one can tell
    /// from what its client sends.
    #[inline]
    #[must_use]
    pub const fn has_ended(&self, protocol: u8, now: u32) -> bool {
        /// IANA's number of TCP.
        const TCP: u8 = 6;
        let is_silent = protocol == TCP && self.client.0 == Progress::SILENT.0;
        let timeout = if is_silent || matches!(self.client, Progress::FINISHED | Progress::RESET) {
            Self::CLOSING
        } else if protocol == TCP {
            Self::ESTABLISHED
        } else {
            Self::CONNECTIONLESS
        };
        // The clock of the CPU that saw it last may be ahead.
        let idle = now.wrapping_sub(self.last_seen).cast_signed();
        idle > 0 && idle.cast_unsigned() > timeout
    }
}

/// What a NAT backend's reply must be rewritten to. 24 bytes for IPv4, 48 for IPv6.
///
/// In mode [`SNAT`](crate::backend::Mode::SNAT) the entry is also what holds the flow's source port: nobody else gets
/// it towards that backend before the entry [has expired](Self::has_expired).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Reply<Address> {
    /// The reply as the client must see it: from the VIP to the client.
    pub flow: FlowKey<Address>,
    /// When the flow's last packet came, of either direction, in [`ticks`].
    pub last_seen: u32,
    /// How far the client has come; [`Progress::UNTRACKED`] in mode [`NAT`](crate::backend::Mode::NAT), which takes
    /// the client's own port, and [`Progress::PROBE`] if it is a probe of ours.
    pub client: Progress,
    /// How far the backend has come.
    pub backend: Progress,
}

impl<Address> Reply<Address> {
    /// Whether at `now`, in [`ticks`], the flow's port may be given to another flow.
    #[inline]
    #[must_use]
    pub const fn has_expired(&self, now: u32, snat: &SourceNat) -> bool {
        /// IANA's number of TCP.
        const TCP: u32 = 6;
        let timeout = if !self.client.is_tracked() {
            return false;
        } else if self.flow.protocol != TCP {
            snat.udp
        } else if Progress::is_established(self.client, self.backend) {
            snat.established
        } else {
            snat.transitory
        };
        // The clock of another CPU may be behind the one that wrote `last_seen`.
        let idle = now.wrapping_sub(self.last_seen).cast_signed();
        idle > 0 && idle.cast_unsigned() > timeout
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::Address4;

    const SNAT: SourceNat = SourceNat {
        established: 100,
        transitory: 10,
        udp: 20,
        ..SourceNat::NONE
    };

    fn reply(protocol: u32, client: Progress, backend: Progress) -> Reply<Address4> {
        let address = Address4::from(core::net::Ipv4Addr::LOCALHOST);
        Reply {
            flow: FlowKey {
                source: address,
                destination: address,
                source_port: Be16::new(80),
                destination_port: Be16::new(40_000),
                protocol,
            },
            last_seen: u32::MAX - 4,
            client,
            backend,
        }
    }

    /// The last tick, counted from when the flow was last seen, at which its port is still its own.
    fn lasts(reply: &Reply<Address4>) -> u32 {
        let expired = |idle: &u32| reply.has_expired(reply.last_seen.wrapping_add(*idle), &SNAT);
        (0..1_000).find(expired).map_or(u32::MAX, |idle| idle - 1)
    }

    #[test]
    fn ports_are_kept_for_as_long_as_the_phase_of_their_flow_asks() {
        for (protocol, client, backend, ticks) in [
            (17, Progress::OPEN, Progress::SILENT, 20),
            (17, Progress::OPEN, Progress::OPEN, 20),
            (6, Progress::SILENT, Progress::SILENT, 10),
            (6, Progress::SILENT, Progress::OPEN, 10),
            (6, Progress::OPEN, Progress::OPEN, 100),
            (6, Progress::OPEN, Progress::FINISHED, 100),
            (6, Progress::FINISHED, Progress::OPEN, 100),
            (6, Progress::FINISHED, Progress::FINISHED, 10),
            (6, Progress::RESET, Progress::OPEN, 10),
            (6, Progress::OPEN, Progress::RESET, 10),
            (6, Progress::UNTRACKED, Progress::UNTRACKED, u32::MAX),
            (17, Progress::UNTRACKED, Progress::UNTRACKED, u32::MAX),
            (6, Progress::PROBE, Progress::UNTRACKED, u32::MAX),
        ] {
            let reply = reply(protocol, client, backend);
            assert_eq!(lasts(&reply), ticks, "{reply:?}");
        }
    }

    #[test]
    fn flows_end_by_their_clients_word_or_by_silence() {
        for (protocol, client, ticks) in [
            (6, Progress::SILENT, Flow::CLOSING),
            (6, Progress::OPEN, Flow::ESTABLISHED),
            (6, Progress::FINISHED, Flow::CLOSING),
            (6, Progress::RESET, Flow::CLOSING),
            (17, Progress::OPEN, Flow::CONNECTIONLESS),
            (132, Progress::OPEN, Flow::CONNECTIONLESS),
            (132, Progress::RESET, Flow::CLOSING),
        ] {
            let flow = Flow {
                client,
                last_seen: u32::MAX - 4,
                ..Flow::default()
            };
            let after = |idle: u32| flow.has_ended(protocol, flow.last_seen.wrapping_add(idle));
            assert!(!after(ticks) && after(ticks + 1), "{protocol} {client:?}");
            assert!(!after(u32::MAX), "seen by another CPU, later than now");
        }
    }

    #[test]
    fn only_what_its_client_has_ended_some_time_ago_gives_way() {
        for client in [
            Progress::SILENT,
            Progress::OPEN,
            Progress::FINISHED,
            Progress::RESET,
        ] {
            let flow = Flow {
                client,
                last_seen: u32::MAX - 1,
                ..Flow::default()
            };
            let gives_way = |idle: u32| flow.gives_way(flow.last_seen.wrapping_add(idle), 4);
            assert_eq!([gives_way(3), gives_way(4)], [false, client.ends()]);
            assert!(!gives_way(u32::MAX), "seen by another CPU, later than now");
        }
    }

    #[test]
    fn a_flow_that_another_cpu_has_seen_later_than_now_has_not_expired() {
        let reply = reply(17, Progress::OPEN, Progress::OPEN);
        assert!(!reply.has_expired(reply.last_seen.wrapping_sub(1), &SNAT));
    }
}
