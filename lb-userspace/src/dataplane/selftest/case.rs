//! What is tried, and what must come of it: functions of values.

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use lb_common::outcome::Outcome;

use super::packet::{ETHERNET, Packet, checksum, ethertype, octets};
use crate::model::Mode;

/// The port of the VIP, of the client, and of the backend.
const PORTS: [u16; 3] = [7, 40_007, 4_007];
const HOP_LIMIT: u8 = 64;
const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const OWN_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// Where backends' frames come from and go to.
pub(super) const EGRESS_MACS: [[u8; 6]; 2] = [OWN_MAC, [2, 0, 0, 0, 0, 3]];

/// The addresses of the self-test in one IP version: nobody's, for they are reserved.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addresses {
    /// `240.0.0.0/4` (RFC 1112 section 4), `100::/64` (RFC 6666).
    pub(super) vip: SocketAddr,
    /// Reserved for benchmarks (RFC 2544, RFC 5180).
    pub(super) client: SocketAddr,
    pub(super) backend: SocketAddr,
    /// Our own towards the backend.
    pub(super) source: IpAddr,
}

impl Addresses {
    /// Those of both IP versions.
    pub(super) fn all() -> [Self; 2] {
        let v4 = |network: [u8; 2], host| IpAddr::from([network[0], network[1], 0, host]);
        let v6 = |network: [u16; 2], host| {
            IpAddr::V6(Ipv6Addr::new(network[0], network[1], 0, 0, 0, 0, 0, host))
        };
        let [vip, client, backend] = PORTS;
        [
            Self {
                vip: (v4([240, 0], 1), vip).into(),
                client: (v4([198, 18], 1), client).into(),
                backend: (v4([198, 19], 2), backend).into(),
                source: v4([198, 19], 1),
            },
            Self {
                vip: (v6([0x100, 0], 1), vip).into(),
                client: (v6([0x2001, 2], 1), client).into(),
                backend: (v6([0x2001, 2], 3), backend).into(),
                source: v6([0x2001, 2], 2),
            },
        ]
    }

    /// What the client sends to the VIP.
    fn request(&self) -> Packet {
        Packet {
            source_mac: CLIENT_MAC,
            destination_mac: OWN_MAC,
            source: self.client,
            destination: self.vip,
            hop_limit: HOP_LIMIT,
        }
    }
}

/// What the program answers (`enum xdp_action`), as far as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Action {
    Drop = 1,
    Pass = 2,
    Transmit = 3,
}

/// What came of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The XDP action.
    pub(super) action: u32,
    /// The frame as the program left it.
    pub(super) frame: Vec<u8>,
    /// Outcomes that were counted, by their numbers.
    pub(super) counted: Vec<u32>,
}

/// A frame, and what must come of it.
#[derive(Debug)]
pub(super) struct Case {
    what: String,
    pub(super) frame: Vec<u8>,
    action: Action,
    outcome: Outcome,
    leaves: Leaves,
}

/// What must be left of the frame.
#[derive(Debug)]
enum Leaves {
    /// Anything: it is dropped.
    Anything,
    /// These bytes.
    Frame(Vec<u8>),
    /// This packet; its source port may be another one.
    FromSomePort(Packet),
    /// This packet behind an outer header.
    Tunnelled {
        inner: Vec<u8>,
        from: IpAddr,
        to: IpAddr,
        /// Of a UDP header between the two.
        port: Option<u16>,
    },
}

/// Packets that are for no VIP, or damaged: before there is one of `addresses`, and while there is.
pub(super) fn strangers(addresses: &Addresses) -> [Case; 2] {
    let frame = addresses.request().frame();
    let mut arp = frame.clone();
    for (byte, value) in arp.iter_mut().skip(12).zip([0x08, 0x06]) {
        *byte = value;
    }
    let version = version(addresses);
    [
        passed(
            format!("a UDP packet over {version} for no VIP"),
            frame,
            Outcome::NotVip,
        ),
        passed("an ARP frame".to_owned(), arp, Outcome::NotIp),
    ]
}

/// A packet to the VIP that ends inside its UDP header.
pub(super) fn truncated(addresses: &Addresses) -> Case {
    let mut frame = addresses.request().frame();
    let header = if addresses.vip.is_ipv4() { 20 } else { 40 };
    frame.truncate(ETHERNET + header + 4);
    Case {
        what: format!("a truncated UDP packet over {}", version(addresses)),
        frame,
        action: Action::Drop,
        outcome: Outcome::Truncated,
        leaves: Leaves::Anything,
    }
}

/// A packet to the VIP whose backend has this mode. `gue_port` is that of GUE.
pub(super) fn forwarded(addresses: &Addresses, mode: Mode, gue_port: u16) -> Case {
    let request = addresses.request();
    let what = format!(
        "a UDP packet over {} to a backend in mode {mode}",
        version(addresses)
    );
    if mode == Mode::Local {
        return passed(what, request.frame(), Outcome::Local);
    }
    let [source_mac, destination_mac] = EGRESS_MACS;
    let sent = Packet {
        source_mac,
        destination_mac,
        hop_limit: HOP_LIMIT - 1,
        ..request
    };
    let to_backend = Packet {
        destination: addresses.backend,
        ..sent
    };
    let tunnelled = |port| Leaves::Tunnelled {
        inner: sent.ip(),
        from: addresses.source,
        to: addresses.backend.ip(),
        port,
    };
    Case {
        what,
        frame: request.frame(),
        action: Action::Transmit,
        outcome: Outcome::Forwarded,
        leaves: match mode {
            Mode::Local | Mode::L2 => Leaves::Frame(sent.frame()),
            Mode::Ipip => tunnelled(None),
            Mode::Gue => tunnelled(Some(gue_port)),
            Mode::Nat => Leaves::Frame(to_backend.frame()),
            Mode::Snat => Leaves::FromSomePort(Packet {
                source: (addresses.source, 0).into(),
                ..to_backend
            }),
        },
    }
}

fn passed(what: String, frame: Vec<u8>, outcome: Outcome) -> Case {
    Case {
        what,
        leaves: Leaves::Frame(frame.clone()),
        frame,
        action: Action::Pass,
        outcome,
    }
}

const fn version(addresses: &Addresses) -> &'static str {
    if addresses.vip.is_ipv4() {
        "IPv4"
    } else {
        "IPv6"
    }
}

impl Case {
    /// Compares.
    ///
    /// # Errors
    /// The first difference to what must come of it.
    pub(super) fn judge(&self, answer: &Answer) -> Result<(), Fault> {
        let (action, outcome) = (self.action, self.outcome);
        let fault = if answer.action != action as u32 {
            format!("the program answered {}, not {action:?}", answer.action)
        } else if answer.counted != [outcome as u32] {
            let counted = &answer.counted;
            let (label, number) = (outcome.label(), outcome as u32);
            format!("it was counted in cells {counted:?} of the ledger, not as {label} ({number})")
        } else if !self.leaves.is(&answer.frame) {
            format!(
                "it became {}, of {}",
                hexadecimal(&answer.frame),
                hexadecimal(&self.frame)
            )
        } else {
            return Ok(());
        };
        let what = self.what.clone();
        Err(Fault { what, fault })
    }
}

/// The program did not do what it should.
#[derive(Debug, thiserror::Error)]
#[error("the program failed its self-test on this kernel with {what}: {fault}")]
pub(super) struct Fault {
    what: String,
    fault: String,
}

impl Leaves {
    fn is(&self, frame: &[u8]) -> bool {
        match self {
            Self::Anything => true,
            Self::Frame(wanted) => frame == wanted,
            Self::FromSomePort(wanted) => from_some_port(*wanted, frame),
            Self::Tunnelled {
                inner,
                from,
                to,
                port,
            } => {
                let begin = frame.len().checked_sub(inner.len());
                let Some((outer, rest)) = begin.and_then(|at| frame.split_at_checked(at)) else {
                    return false;
                };
                rest == inner && is_outer(outer, rest.len(), *from, *to, *port)
            }
        }
    }
}

/// Whether `frame` is `wanted` from the source port that it has, which is one.
fn from_some_port(wanted: Packet, frame: &[u8]) -> bool {
    let header = if wanted.destination.is_ipv4() { 20 } else { 40 };
    let port = frame.get(ETHERNET + header..ETHERNET + header + 2);
    let Some(&[high, low]) = port else {
        return false;
    };
    let port = u16::from_be_bytes([high, low]);
    let source = (wanted.source.ip(), port).into();
    port != 0 && frame == Packet { source, ..wanted }.frame()
}

/// Whether `outer` is an Ethernet header and an outer IP header between these addresses, before so many bytes; with a
/// UDP header to `port` behind it, if there is one.
fn is_outer(outer: &[u8], inner: usize, from: IpAddr, to: IpAddr, port: Option<u16>) -> bool {
    let [source_mac, destination_mac] = EGRESS_MACS;
    let mut ethernet = [destination_mac, source_mac].concat();
    ethernet.extend(ethertype(to));
    let Some(ip) = outer.strip_prefix(ethernet.as_slice()) else {
        return false;
    };
    let (header, length_at, plus) = match to {
        IpAddr::V4(_) => (20, 2, 0),
        IpAddr::V6(_) => (40, 4, 40),
    };
    let shim = if port.is_some() { 8 } else { 0 };
    let Some((ip, udp)) = ip.split_at_checked(header) else {
        return false;
    };
    let word = |bytes: &[u8], at: usize| {
        let word = bytes.get(at..at + 2).and_then(|word| word.try_into().ok());
        word.map(|word| usize::from(u16::from_be_bytes(word)))
    };
    let whole = header + udp.len() + inner;
    udp.len() == shim
        && ip.ends_with(&[octets(from), octets(to)].concat())
        && word(ip, length_at).map(|length| length + plus) == Some(whole)
        && (to.is_ipv6() || checksum(&[ip]) == 0)
        && port.is_none_or(|port| word(udp, 2) == Some(usize::from(port)))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
