//! How far the ends of a flow have come, as far as source NAT must know it before it gives a port to another flow
//! (RFC 5382 section 5).
//!
//! Written and read by the program.

/// The coarse clock of flows: 2^30 ns, a little more than a second, since the host was started. `nanoseconds` are of
/// the monotonic clock. Wraps after 146 years.
#[inline]
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "wraps, as said")]
pub const fn ticks(nanoseconds: u64) -> u32 {
    (nanoseconds >> 30) as u32
}

/// What a packet says of its sender's end of the flow. A word, for it crosses stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Signal(u64);

impl Signal {
    /// Nothing: an ICMP error, or a fragment without a transport header.
    pub const NOTHING: Self = Self(0);
    /// A TCP SYN without ACK: the first packet of a connection.
    pub const SYN: Self = Self(1);
    /// A TCP segment with FIN.
    pub const FIN: Self = Self(2);
    /// A TCP segment with RST; the last packet of an SCTP association.
    pub const RST: Self = Self(3);
    /// Any other packet.
    pub const GOES_ON: Self = Self(4);

    /// What a TCP segment says by its control bits, as they stand in the header's fourteenth byte (RFC 9293 section
    /// 3.1).
    #[inline]
    #[must_use]
    pub const fn of_tcp(control: u8) -> Self {
        const FIN: u8 = 1;
        const SYN: u8 = 1 << 1;
        const RST: u8 = 1 << 2;
        const ACK: u8 = 1 << 4;
        if control & RST != 0 {
            Self::RST
        } else if control & FIN != 0 {
            Self::FIN
        } else if control & (SYN | ACK) == SYN {
            Self::SYN
        } else {
            Self::GOES_ON
        }
    }

    /// Whether a flow may begin with such a packet: not with one that ends it, nor with one that says nothing.
    #[inline]
    #[must_use]
    pub const fn begins_flow(self) -> bool {
        matches!(self, Self::SYN | Self::GOES_ON)
    }
}

/// How far one end has come. An open number: what is none of these is like [`UNTRACKED`](Self::UNTRACKED).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Progress(pub u16);

impl Progress {
    /// Nobody keeps account of it.
    pub const UNTRACKED: Self = Self(0);
    /// It has sent nothing, or no more than the first SYN.
    pub const SILENT: Self = Self(1);
    /// It has sent something else.
    pub const OPEN: Self = Self(2);
    /// It has sent a FIN.
    pub const FINISHED: Self = Self(3);
    /// It has sent a RST, and nothing since.
    pub const RESET: Self = Self(4);
    /// Nobody keeps account of it: the client is a probe of this host's own, and what it expects is sent to the
    /// interface of probes.
    pub const PROBE: Self = Self(5);

    /// Whether account is kept of it.
    #[inline]
    #[must_use]
    pub const fn is_tracked(self) -> bool {
        !matches!(self, Self::UNTRACKED | Self::PROBE)
    }

    /// How far it has come after a packet that says `signal`. A RST may be forged: who goes on after one was not reset.
    #[inline]
    #[must_use]
    pub const fn after(self, signal: Signal) -> Self {
        match signal {
            Signal::SYN => Self::SILENT,
            Signal::FIN => Self::FINISHED,
            Signal::RST => Self::RESET,
            Signal::GOES_ON if self.0 != Self::FINISHED.0 => Self::OPEN,
            _ => self,
        }
    }

    /// Whether the client has said that it ends the flow.
    #[inline]
    #[must_use]
    pub const fn ends(self) -> bool {
        matches!(self, Self::FINISHED | Self::RESET)
    }

    /// Whether a connection whose ends have come so far is established: both ends have answered, and not both have
    /// finished, nor has one reset it. What is not is partially open or closing (RFC 5382 section 5).
    #[inline]
    #[must_use]
    pub const fn is_established(client: Self, backend: Self) -> bool {
        let (client, backend) = (client.0, backend.0);
        let has_answered = client >= Self::OPEN.0 && backend >= Self::OPEN.0;
        let is_reset = client >= Self::RESET.0 || backend >= Self::RESET.0;
        let has_finished = client == Self::FINISHED.0 && backend == Self::FINISHED.0;
        has_answered && !is_reset && !has_finished
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_say_what_rfc_9293_means_by_them() {
        for (control, signal) in [
            (0b00_0010, Signal::SYN),
            (0b10_1010, Signal::SYN),
            (0b01_0010, Signal::GOES_ON),
            (0b01_0000, Signal::GOES_ON),
            (0b00_0000, Signal::GOES_ON),
            (0b01_0001, Signal::FIN),
            (0b00_0011, Signal::FIN),
            (0b01_0100, Signal::RST),
            (0b01_0111, Signal::RST),
        ] {
            assert_eq!(Signal::of_tcp(control), signal, "{control:#b}");
        }
    }

    #[test]
    fn an_end_comes_this_far_by_each_packet() {
        const ALL: [Progress; 4] = [
            Progress::SILENT,
            Progress::OPEN,
            Progress::FINISHED,
            Progress::RESET,
        ];
        let [silent, open, finished, reset] = ALL;
        for (signal, after) in [
            (Signal::NOTHING, ALL),
            (Signal::SYN, [silent; 4]),
            (Signal::GOES_ON, [open, open, finished, open]),
            (Signal::FIN, [finished; 4]),
            (Signal::RST, [reset; 4]),
        ] {
            assert_eq!(ALL.map(|before| before.after(signal)), after, "{signal:?}");
        }
    }

    #[test]
    fn a_tick_is_a_little_more_than_a_second() {
        assert_eq!(ticks(0), 0);
        assert_eq!(ticks(60_000_000_000), 55);
    }
}
