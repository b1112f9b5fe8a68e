//! The other pipeline: takes tunnels off, on a backend that balancers tunnel packets to.
//!
//! ```text
//! outer header -> is it a tunnel -> may it end here, and come from there -> inner header -> strip
//! ```
//!
//! IP in IP (RFC 2003, RFC 2473, RFC 4213) and GUE (draft-ietf-intarea-gue), each of IPv4 and IPv6 in either.
//! What is not stripped goes to this host's stack as it came; only what an allowed balancer sent and
//! contradicts itself is dropped. The UDP checksum of GUE is not verified: what is inside has its own.

use lb_common::{
    be::Be16,
    decap::DecapOutcome,
    family::{V4, V6},
    outcome::Outcome,
};
use network_types::{ip::IpProto, udp::UdpHdr};

use crate::{
    frame::Frame,
    ip::{Ip, Occurrence},
    maps::decap as maps,
    packet::{Link, Network, Version},
    parse,
    wire::{
        ethernet::{Ethernet, Tag},
        gue::Gue,
    },
};

const IPV4_INSIDE: u8 = IpProto::Ipv4 as u8;
const IPV6_INSIDE: u8 = IpProto::Ipv6 as u8;

/// Where the packet inside the tunnel stands.
struct Inner {
    /// What announced it: the protocol number, or GUE's first bits.
    version: Version,
    /// Its header, in bytes from the frame's start.
    offset: usize,
    /// Where the tunnel's payload ends.
    end: usize,
}

/// Strips a tunnelled packet; what became of it.
#[inline(always)]
pub fn decap(frame: &mut Frame) -> DecapOutcome {
    match stripped(frame) {
        Ok(()) => DecapOutcome::Stripped,
        Err(outcome) => outcome,
    }
}

#[inline(always)]
fn stripped(frame: &mut Frame) -> Result<(), DecapOutcome> {
    let link = parse::link(frame).map_err(|_| DecapOutcome::NotTunnelled)?;
    let inner = match link.version {
        Version::V4 => outer::<V4>(frame, link.network)?,
        Version::V6 => outer::<V6>(frame, link.network)?,
    };
    match inner.version {
        Version::V4 => admitted::<V4>(frame, &inner)?,
        Version::V6 => admitted::<V6>(frame, &inner)?,
    }
    strip(frame, &link, &inner)
}

/// Reads the outer header, which stands at `offset`, and finds the packet inside.
#[inline(always)]
fn outer<F: Ip>(frame: &Frame, offset: usize) -> Result<Inner, DecapOutcome> {
    let header = frame.view(offset).ok_or(DecapOutcome::NotTunnelled)?;
    let (source, destination) = (F::source(header), F::destination(header));
    let network = match F::read(frame, header, offset, Occurrence::Tunnel) {
        Ok(network) => network,
        Err(Outcome::Fragment) => {
            let ours = permitted::<F>(source, destination);
            return Err(ours.map_or(DecapOutcome::NotTunnelled, |()| DecapOutcome::Fragment));
        }
        Err(_) => return Err(DecapOutcome::NotTunnelled),
    };
    let direct = tunnel(frame, &network)?;
    permitted::<F>(source, destination)?;
    if !frame.reaches(network.end) {
        return Err(DecapOutcome::Malformed);
    }
    match direct {
        Some(version) => Ok(Inner {
            version,
            offset: network.payload,
            end: network.end,
        }),
        None => gue(frame, &network),
    }
}

/// Whether it is a tunnel: the version inside if the outer header says so itself, `None` for GUE.
#[inline(always)]
fn tunnel(frame: &Frame, network: &Network) -> Result<Option<Version>, DecapOutcome> {
    const IPV4: u64 = IPV4_INSIDE as u64;
    const IPV6: u64 = IPV6_INSIDE as u64;
    const UDP: u64 = IpProto::Udp as u64;
    match network.protocol {
        IPV4 => Ok(Some(Version::V4)),
        IPV6 => Ok(Some(Version::V6)),
        UDP => {
            let header = frame
                .view::<UdpHdr>(network.payload)
                .ok_or(DecapOutcome::NotTunnelled)?;
            let port = u32::from(u16::from_be_bytes(header.dst));
            if port == maps::settings().gue_port {
                Ok(None)
            } else {
                Err(DecapOutcome::NotTunnelled)
            }
        }
        _ => Err(DecapOutcome::NotTunnelled),
    }
}

/// Whether a tunnel may end at `destination` and begin at `source`.
#[inline(always)]
fn permitted<F: Ip>(source: F::Address, destination: F::Address) -> Result<(), DecapOutcome> {
    if !maps::is_destination::<F>(destination) {
        return Err(DecapOutcome::NotForUs);
    }
    if !maps::is_allowed_source::<F>(source) {
        return Err(DecapOutcome::SourceNotAllowed);
    }
    Ok(())
}

/// Finds the packet inside GUE, whose UDP header begins the payload of the outer header.
#[inline(always)]
fn gue(frame: &Frame, network: &Network) -> Result<Inner, DecapOutcome> {
    let udp = frame
        .view::<UdpHdr>(network.payload)
        .ok_or(DecapOutcome::Malformed)?;
    let end = network.payload + usize::from(u16::from_be_bytes(udp.len));
    let offset = network.payload + size_of::<UdpHdr>();
    // An IP packet is longer than GUE's header: one that does not fit holds neither.
    if end > network.end || offset + Gue::LEN > end {
        return Err(DecapOutcome::Malformed);
    }
    let header = frame.view::<Gue>(offset).ok_or(DecapOutcome::Malformed)?;
    let (version, header_len) = match header.version() {
        4 => (Version::V4, 0),
        6 => (Version::V6, 0),
        _ if !header.is_plain_data() => return Err(DecapOutcome::NotTunnelled),
        _ => match header.protocol() {
            IPV4_INSIDE => (Version::V4, header.len()),
            IPV6_INSIDE => (Version::V6, header.len()),
            _ => return Err(DecapOutcome::NotTunnelled),
        },
    };
    Ok(Inner {
        version,
        offset: offset + header_len,
        end,
    })
}

/// Whether the packet inside is whole and for a VIP. Its own headers beyond the first are the stack's business:
/// it may be a fragment.
#[inline(always)]
fn admitted<F: Ip>(frame: &Frame, inner: &Inner) -> Result<(), DecapOutcome> {
    let header = frame.view(inner.offset).ok_or(DecapOutcome::Malformed)?;
    let extent = F::extent(header).ok_or(DecapOutcome::Malformed)?;
    if inner.offset + extent > inner.end {
        return Err(DecapOutcome::Malformed);
    }
    if maps::is_vip::<F>(F::destination(header)) {
        Ok(())
    } else {
        Err(DecapOutcome::NotAVip)
    }
}

/// Takes away what stands before the packet inside, but the Ethernet header and its tags: those are read before
/// and written after, at offsets that the verifier knows.
#[inline(always)]
fn strip(frame: &mut Frame, link: &Link, inner: &Inner) -> Result<(), DecapOutcome> {
    const ONE_TAG: usize = Ethernet::LEN + Tag::LEN;
    const TWO_TAGS: usize = ONE_TAG + Tag::LEN;
    let inside = inner.version.ethertype();
    let ethernet = frame.ethernet().ok_or(DecapOutcome::Malformed)?;
    let (addresses, announced) = (ethernet.addresses(), ethernet.ethertype());
    // Whatever stands there if there are fewer tags: it is not used then.
    let [outer, customer] = [Ethernet::LEN, ONE_TAG].map(|at| frame.view::<Tag>(at).copied());
    // Never refused: the packet inside alone is longer than an Ethernet header.
    frame
        .shrink(inner.offset - link.network)
        .map_err(|_| DecapOutcome::Malformed)?;
    match link.network {
        ONE_TAG => write_tag(frame, Ethernet::LEN, outer, Some(inside))?,
        TWO_TAGS => {
            write_tag(frame, Ethernet::LEN, outer, None)?;
            write_tag(frame, ONE_TAG, customer, Some(inside))?;
        }
        _ => {}
    }
    let ethernet = frame.ethernet_mut().ok_or(DecapOutcome::Malformed)?;
    ethernet.set_addresses(addresses);
    ethernet.set_ethertype(if link.network == Ethernet::LEN {
        inside
    } else {
        announced
    });
    Ok(())
}

/// Writes a tag, with what follows it if that has changed.
#[inline(always)]
fn write_tag(
    frame: &mut Frame,
    at: usize,
    tag: Option<Tag>,
    follows: Option<Be16>,
) -> Result<(), DecapOutcome> {
    let place = frame.view_mut::<Tag>(at).ok_or(DecapOutcome::Malformed)?;
    *place = tag.ok_or(DecapOutcome::Malformed)?;
    if let Some(follows) = follows {
        place.set_ethertype(follows);
    }
    Ok(())
}
