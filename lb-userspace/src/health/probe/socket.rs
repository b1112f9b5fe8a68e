//! Sockets to one backend, from which nothing else is heard.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::{TcpStream, UdpSocket};

use super::{Deadline, Failure};

/// A TCP connection.
pub(super) async fn stream(to: SocketAddr, deadline: Deadline) -> Result<TcpStream, Failure> {
    let connect = async { TcpStream::connect(to).await.map_err(Failure::of_socket) };
    deadline
        .limit(connect, || "while connecting".to_owned())
        .await
}

/// A UDP socket that only `to` can answer; errors that come back by ICMP are its errors.
pub(super) async fn datagrams(to: SocketAddr) -> Result<UdpSocket, Failure> {
    let any: SocketAddr = if to.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(any).await.map_err(Failure::of_socket)?;
    socket.connect(to).await.map_err(Failure::of_socket)?;
    Ok(socket)
}

/// Sends one datagram.
pub(super) async fn send(socket: &UdpSocket, datagram: &[u8]) -> Result<(), Failure> {
    socket.send(datagram).await.map_err(Failure::of_socket)?;
    Ok(())
}

/// The next datagram, as much of it as `buffer` holds.
pub(super) async fn receive<'a>(
    socket: &UdpSocket,
    buffer: &'a mut [u8],
) -> Result<&'a [u8], Failure> {
    let length = socket.recv(buffer).await.map_err(Failure::of_socket)?;
    Ok(buffer.get(..length).unwrap_or_default())
}
