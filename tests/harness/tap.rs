//! What comes by in a namespace, frame by frame, as the kernel shows it to packet sockets (packet(7)).

use std::{
    io,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    net::{self, AddressFamily, Protocol, RawProtocol, RecvFlags, SocketType, sockopt},
};

use crate::{netns::Namespace, wait};

/// How long a frame may take.
const LIMIT: Duration = Duration::from_secs(5);
/// How long is waited before the time is looked at.
const GLANCE: Duration = Duration::from_millis(100);
/// `ETH_P_ALL`, in network byte order.
const EVERY_PROTOCOL: u32 = 0x0300;

/// Hears every frame of all interfaces of a namespace, of both directions, from when it was made.
#[derive(Debug)]
pub struct Tap {
    socket: OwnedFd,
}

impl Tap {
    /// Begins to hear.
    ///
    /// # Panics
    /// Without the right to.
    #[must_use]
    pub fn new(namespace: &Namespace) -> Self {
        let protocol = RawProtocol::new(EVERY_PROTOCOL).expect("not 0");
        let socket = namespace.enter(|| {
            net::socket(
                AddressFamily::PACKET,
                SocketType::RAW,
                Some(Protocol::from_raw(protocol)),
            )
        });
        let socket = socket.unwrap_or_else(|error| panic!("a packet socket: {error}"));
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(GLANCE))
            .expect("a socket option");
        Self { socket }
    }

    /// The next frame that holds `mark`.
    ///
    /// # Errors
    /// None came in time.
    pub fn frame_with(&self, mark: &[u8]) -> io::Result<Vec<u8>> {
        let end = Instant::now() + wait::patient(LIMIT);
        let mut buffer = vec![0; 1 << 16];
        while Instant::now() < end {
            let length = match net::recv(&self.socket, &mut buffer[..], RecvFlags::empty()) {
                Ok((length, _)) => length,
                Err(Errno::AGAIN | Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let frame = buffer.get(..length).unwrap_or_default();
            if frame.windows(mark.len()).any(|bytes| bytes == mark) {
                return Ok(frame.to_vec());
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}
