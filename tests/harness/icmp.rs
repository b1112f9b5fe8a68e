//! Clients that look at ICMP: pings by the kernel's echo sockets, and hops as traceroute finds them.
//!
//! The client's kernel judges the answers: it gives away none with a bad checksum, nor one that fits no socket.

use std::{
    fs, io,
    mem::MaybeUninit,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::net::{
    self, AddressFamily, Protocol as Number, RecvFlags, SocketFlags, SocketType, ipproto, sockopt,
};

use crate::netns::Namespace;

/// How long a ping or a probe waits.
const LIMIT: Duration = Duration::from_secs(3);
/// How long it looks at one socket before it looks at the other.
const GLANCE: Duration = Duration::from_millis(20);

/// What a probe is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// The begin of a TCP connection.
    Tcp,
    /// A datagram.
    Udp,
}

/// Who answered a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A router where its hops were used up (RFC 792, RFC 4443 section 3.3).
    Hop(IpAddr),
    /// The service.
    Service,
}

/// Lets everybody in `namespace` have echo sockets.
pub fn allow_pings(namespace: &Namespace) {
    namespace.sysctl("ipv4/ping_group_range", "0 0");
}

/// Sends `size` bytes in an echo request with this hop limit, from within a namespace that [allows](allow_pings) it:
/// whether the same bytes came back within `limit`.
///
/// # Errors
/// The kernel did not send it.
pub fn ping(to: SocketAddr, size: usize, hops: u8, limit: Duration) -> io::Result<bool> {
    let (number, kind) = match to {
        SocketAddr::V4(_) => (ipproto::ICMP, 8),
        SocketAddr::V6(_) => (ipproto::ICMPV6, 128),
    };
    let socket = UdpSocket::from(socket(to, SocketType::DGRAM, Some(number))?);
    limit_hops(&socket, to, hops)?;
    if to.is_ipv4() {
        socket.set_broadcast(true)?;
    }
    socket.set_read_timeout(Some(limit))?;
    let payload: Vec<u8> = (0..=250).cycle().take(size).collect();
    let request = [&[kind, 0, 0, 0, 0, 0, 0, 1], payload.as_slice()].concat();
    socket.send_to(&request, to)?;
    let mut buffer = vec![0; size + 100];
    match socket.recv(&mut buffer) {
        Ok(length) => Ok(buffer.get(8..length) == Some(&payload)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

/// Who answers a probe that may go so many hops; nobody within a few seconds is an error.
///
/// # Errors
/// There are no sockets, or nobody answered.
pub fn trace(probe: Probe, to: SocketAddr, hops: u8) -> io::Result<Answer> {
    let number = if to.is_ipv4() {
        ipproto::ICMP
    } else {
        ipproto::ICMPV6
    };
    let errors = socket(to, SocketType::RAW, Some(number))?;
    sockopt::set_socket_timeout(&errors, sockopt::Timeout::Recv, Some(GLANCE))?;
    let has_answered: Box<dyn Fn() -> bool> = match probe {
        Probe::Tcp => {
            let socket = socket(to, SocketType::STREAM, None)?;
            limit_hops(&socket, to, hops)?;
            rustix::io::ioctl_fionbio(&socket, true)?;
            match net::connect(&socket, &to) {
                Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
                Err(error) => return Err(error.into()),
            }
            let stream = TcpStream::from(socket);
            Box::new(move || stream.peer_addr().is_ok())
        }
        Probe::Udp => {
            let socket = UdpSocket::from(socket(to, SocketType::DGRAM, None)?);
            limit_hops(&socket, to, hops)?;
            socket.connect(to)?;
            socket.send(b"who is there?")?;
            socket.set_nonblocking(true)?;
            Box::new(move || socket.recv(&mut [0; 64]).is_ok())
        }
    };
    let begin = Instant::now();
    while begin.elapsed() < LIMIT {
        if let Some(hop) = used_up(&errors, to) {
            return Ok(Answer::Hop(hop));
        }
        if has_answered() {
            return Ok(Answer::Service);
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// Who sent the next error in `errors`, if it says that a packet to `to` used up its hops.
fn used_up(errors: &OwnedFd, to: SocketAddr) -> Option<IpAddr> {
    let mut buffer = [MaybeUninit::uninit(); 2_048];
    let (received, _, from) = net::recvfrom(errors, &mut buffer[..], RecvFlags::empty()).ok()?;
    let received: &[u8] = received.0;
    let from = SocketAddr::try_from(from?).ok()?.ip();
    // IPv4 sockets give the IP header, too.
    let (message, kind, header, destination) = match to.ip() {
        IpAddr::V4(_) => (received.get(20..)?, 11, 20, 16..20),
        IpAddr::V6(_) => (received, 3, 40, 24..40),
    };
    let quoted = message.get(8..)?;
    let destination = quoted.get(destination)?;
    let quoted_to = match to.ip() {
        IpAddr::V4(_) => Ipv4Addr::from(<[u8; 4]>::try_from(destination).ok()?).into(),
        IpAddr::V6(_) => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(destination).ok()?)),
    };
    let port = quoted.get(header + 2..header + 4)?;
    let port = u16::from_be_bytes(port.try_into().ok()?);
    let is_ours = message.get(..2)? == [kind, 0] && (quoted_to, port) == (to.ip(), to.port());
    is_ours.then_some(from)
}

fn socket(like: SocketAddr, kind: SocketType, number: Option<Number>) -> io::Result<OwnedFd> {
    let family = match like {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    Ok(net::socket_with(
        family,
        kind,
        SocketFlags::CLOEXEC,
        number,
    )?)
}

fn limit_hops(socket: impl std::os::fd::AsFd, to: SocketAddr, hops: u8) -> io::Result<()> {
    match to {
        SocketAddr::V4(_) => sockopt::set_ip_ttl(socket, hops.into())?,
        SocketAddr::V6(_) => sockopt::set_ipv6_unicast_hops(socket, Some(hops))?,
    }
    Ok(())
}

/// How many errors about used-up hops the kernel of `namespace` has taken for valid, of IPv4.
#[must_use]
pub fn time_exceeded_taken(namespace: &Namespace) -> u64 {
    let text = namespace.enter(|| fs::read_to_string("/proc/thread-self/net/snmp"));
    let text = text.expect("the kernel's counters");
    let mut lines = text.lines().filter(|line| line.starts_with("Icmp: "));
    let (names, values) = (lines.next(), lines.next());
    let (names, values) = (names.unwrap_or_default(), values.unwrap_or_default());
    let mut pairs = names.split_whitespace().zip(values.split_whitespace());
    let found = pairs.find(|(name, _)| *name == "InTimeExcds");
    found
        .and_then(|(_, value)| value.parse().ok())
        .expect("a counter of ICMP errors")
}
