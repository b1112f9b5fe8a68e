//! Headers: what they say, or what is wrong with them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use lb_common::outcome::Outcome;

use super::{
    FlowKey,
    fragment::{Fragments, Identity, Part},
    is_group, word,
};

/// Extension headers that are walked.
const EXTENSIONS: usize = 8;

/// A frame with an IP header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parsed {
    /// Where the IP header begins.
    pub(super) ip: usize,
    pub(super) is_v4: bool,
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) ttl: u8,
    /// What the packet comes to if it is for a VIP and for no service.
    pub(super) content: Result<u8, Outcome>,
    pub(super) part: Part,
    /// Where the TCP, UDP, SCTP or ICMP header begins; later fragments have none.
    pub(super) transport: usize,
    /// Where the packet ends by its own account, likewise.
    pub(super) end: usize,
    /// Of TCP, UDP and SCTP only.
    pub(super) flow: FlowKey,
    /// A FIN or a RST; ABORT or SHUTDOWN COMPLETE.
    pub(super) ends_flow: bool,
    /// A SYN without ACK, that does not end the flow as well.
    pub(super) is_syn: bool,
    /// Where the header of an ICMP error begins, which is of the flow of the packet that it quotes.
    pub(super) error: Option<usize>,
}

impl Parsed {
    /// Whether a flow may begin with it: not with an error, nor with what says nothing of the flow but its ports.
    pub(super) const fn may_begin_flow(&self) -> bool {
        !self.ends_flow && self.error.is_none() && !matches!(self.part, Part::Later(_))
    }
}

/// Link and fixed IP header, and what follows. Later fragments have the ports of the first one.
pub(super) fn parse(frame: &[u8], fragments: &Fragments) -> Result<Parsed, Outcome> {
    let destination = frame[..6].try_into().expect("six bytes");
    if is_group(destination) {
        return Err(Outcome::GroupAddressed);
    }
    let mut ip = 14;
    for _ in 0..2 {
        if matches!(word(frame, ip - 2), 0x8100 | 0x88a8) {
            ip += 4;
            if frame.len() < ip {
                return Err(Outcome::NotIp);
            }
        }
    }
    let is_v4 = match word(frame, ip - 2) {
        0x0800 => true,
        0x86dd => false,
        _ => return Err(Outcome::NotIp),
    };
    if frame.len() < ip + if is_v4 { 20 } else { 40 } {
        return Err(Outcome::NotIp);
    }
    let header = &frame[ip..];
    let (source, destination) = if is_v4 {
        ends_v4(header)
    } else {
        ends_v6(header)
    };
    let end = |ip| SocketAddr::new(ip, 0);
    let mut parsed = Parsed {
        ip,
        is_v4,
        source,
        destination,
        ttl: header[if is_v4 { 8 } else { 7 }],
        content: Ok(0),
        part: Part::Whole,
        transport: 0,
        end: 0,
        flow: FlowKey {
            source: end(source),
            destination: end(destination),
            protocol: 0,
        },
        ends_flow: false,
        is_syn: false,
        error: None,
    };
    let content = if is_v4 {
        network_v4(header, 0)
    } else {
        network_v6(header, 0)
    };
    parsed.content = content.and_then(|network| {
        parsed.part = network.part;
        payload(header, &network, fragments, &mut parsed)
    });
    Ok(parsed)
}

fn ends_v4(header: &[u8]) -> (IpAddr, IpAddr) {
    let at = |offset| {
        let bytes: [u8; 4] = header[offset..offset + 4].try_into().expect("four bytes");
        IpAddr::V4(Ipv4Addr::from(bytes))
    };
    (at(12), at(16))
}

fn ends_v6(header: &[u8]) -> (IpAddr, IpAddr) {
    let at = |offset| {
        let bytes: [u8; 16] = header[offset..offset + 16].try_into().expect("sixteen");
        IpAddr::V6(Ipv6Addr::from(bytes))
    };
    (at(8), at(24))
}

/// What stands behind the IP headers; offsets count from the IP header.
struct Network {
    protocol: u8,
    transport: usize,
    /// Where the packet ends by its own account.
    end: usize,
    part: Part,
}

/// `refused`: what must be 0 of the flags and the offset.
fn network_v4(header: &[u8], refused: u16) -> Result<Network, Outcome> {
    let length = usize::from(header[0] & 15) * 4;
    let end = usize::from(word(header, 2));
    if header[0] >> 4 != 4 || length < 20 || end < length {
        return Err(Outcome::Malformed);
    }
    let fragment = word(header, 6);
    if fragment & refused != 0 {
        return Err(Outcome::Fragment);
    }
    // TCP flags in a second fragment (RFC 1858 section 3.2).
    if fragment & 0x1fff == 1 && header[9] == 6 {
        return Err(Outcome::Malformed);
    }
    let identity = Identity {
        identification: word(header, 4).into(),
        protocol: header[9],
    };
    Ok(Network {
        protocol: header[9],
        transport: length,
        end,
        part: identity.part(fragment & 0x1fff, fragment & 0x2000),
    })
}

/// As for IPv4. A fragment header may say that the datagram is whole (RFC 6946). Of several others the last one counts;
/// behind that of a later fragment stands no header.
fn network_v6(header: &[u8], refused: u16) -> Result<Network, Outcome> {
    if header[0] >> 4 != 6 {
        return Err(Outcome::Malformed);
    }
    let mut network = Network {
        protocol: header[6],
        transport: 40,
        end: 40 + usize::from(word(header, 4)),
        part: Part::Whole,
    };
    for walked in 0.. {
        let at = network.transport;
        let is_later = matches!(network.part, Part::Later(_));
        if is_later || !matches!(network.protocol, 0 | 43 | 44 | 60) {
            break;
        }
        if walked == EXTENSIONS {
            return Err(Outcome::ExtensionHeaders);
        }
        if header.len() < at + 8 {
            return Err(Outcome::Truncated);
        }
        let length = if network.protocol == 44 {
            let fragment = word(header, at + 2);
            if fragment & refused != 0 {
                return Err(Outcome::Fragment);
            }
            if fragment & 0xfff9 != 0 {
                let identity = Identity::of_extension(&header[at..]);
                network.part = identity.part(fragment & 0xfff8, fragment & 1);
            }
            8
        } else {
            8 + 8 * usize::from(header[at + 1])
        };
        if network.end < at + length {
            return Err(Outcome::Malformed);
        }
        network.protocol = header[at];
        network.transport = at + length;
    }
    Ok(network)
}

/// What follows the IP headers, or of a later fragment what its first one said of that.
fn payload(
    header: &[u8],
    network: &Network,
    fragments: &Fragments,
    parsed: &mut Parsed,
) -> Result<u8, Outcome> {
    let (icmp, wrong_icmp) = if parsed.is_v4 { (1, 58) } else { (58, 1) };
    if network.protocol == wrong_icmp {
        return Err(Outcome::WrongIcmp);
    }
    match network.part {
        Part::Later(identity) if header.len() >= network.end => {
            parsed.end = parsed.ip + network.end;
            parsed.flow = fragments.flow(identity, parsed)?;
            Ok(parsed.flow.protocol)
        }
        Part::Later(_) => Err(Outcome::Malformed),
        // An ICMP message is answered or translated as a whole.
        Part::First(_) if network.protocol == icmp => Err(Outcome::Fragment),
        Part::First(_) | Part::Whole => transport(header, network, parsed),
    }
}

fn transport(header: &[u8], network: &Network, parsed: &mut Parsed) -> Result<u8, Outcome> {
    let Network {
        protocol,
        transport,
        end,
        part,
    } = *network;
    let fixed = match protocol {
        6 => 20,
        1 | 17 | 58 => 8,
        // The common header and that of a chunk (RFC 9260 section 3).
        132 => 16,
        _ => 0,
    };
    if header.len().min(end) < transport + fixed {
        return Err(Outcome::Truncated);
    }
    let errors: &[u8] = match protocol {
        1 => &[3, 11, 12],
        58 => &[1, 2, 3, 4],
        _ => &[],
    };
    if fixed != 0 && errors.contains(&header[transport]) {
        return match quoted(header, transport, end, parsed) {
            // What is not steered must be as whole as the rest.
            Err(Outcome::Icmp) if header.len() < end => Err(Outcome::Malformed),
            other => other,
        };
    }
    if header.len() < end {
        return Err(Outcome::Malformed);
    }
    parsed.transport = parsed.ip + transport;
    parsed.end = parsed.ip + end;
    if !matches!(protocol, 6 | 17 | 132) {
        return Ok(protocol);
    }
    let length = match protocol {
        6 => usize::from(header[transport + 12] >> 4) * 4,
        17 => usize::from(word(header, transport + 4)),
        _ => 12 + usize::from(word(header, transport + 14)),
    };
    // What follows of a datagram or a chunk may stand in later fragments; TCP's options may not.
    let is_here = end >= transport + length || part != Part::Whole && protocol != 6;
    if length < fixed || !is_here {
        return Err(Outcome::Malformed);
    }
    parsed.flow.source.set_port(word(header, transport));
    parsed
        .flow
        .destination
        .set_port(word(header, transport + 2));
    parsed.flow.protocol = protocol;
    parsed.ends_flow = match protocol {
        6 => header[transport + 13] & 0b101 != 0,
        132 => matches!(header[transport + 12], 6 | 14),
        _ => false,
    };
    let is_syn = protocol == 6 && header[transport + 13] & 0b1_0010 == 0b10;
    parsed.is_syn = is_syn && !parsed.ends_flow;
    Ok(protocol)
}

/// The flow of the packet that an ICMP error at `at` quotes: seen from its other end.
///
/// Its header may say that it was longer than what is quoted, and a first fragment has ports too. Where the message
/// ends inside the quoted IP headers and the frame does not, as much as is there is read before that is found:
/// the reason may then be another, but such an error is never steered.
fn quoted(header: &[u8], at: usize, end: usize, parsed: &mut Parsed) -> Result<u8, Outcome> {
    let begin = at + 8;
    let fixed = if parsed.is_v4 { 20 } else { 40 };
    if header.len() < begin + fixed {
        return Err(Outcome::Truncated);
    }
    let quote = &header[begin..];
    let network = if parsed.is_v4 {
        network_v4(quote, 0x1fff)
    } else {
        network_v6(quote, 0xfff8)
    };
    let network = match network {
        Err(Outcome::Fragment) => return Err(Outcome::Icmp),
        other => other?,
    };
    let transport = begin + network.transport;
    if end < transport {
        return Err(Outcome::Truncated);
    }
    if !matches!(network.protocol, 6 | 17 | 132) {
        return Err(Outcome::Icmp);
    }
    if header.len().min(end) < transport + 8 {
        return Err(Outcome::Truncated);
    }
    let (source, destination) = if parsed.is_v4 {
        ends_v4(quote)
    } else {
        ends_v6(quote)
    };
    // Nobody is told about a packet of somebody else's.
    if header.len() < end || source != parsed.destination {
        return Err(Outcome::Malformed);
    }
    parsed.error = Some(parsed.ip + at);
    parsed.transport = parsed.ip + transport;
    parsed.end = parsed.ip + end;
    parsed.flow = FlowKey {
        source: SocketAddr::new(destination, word(header, transport + 2)),
        destination: SocketAddr::new(source, word(header, transport)),
        protocol: network.protocol,
    };
    Ok(network.protocol)
}
