//! SCTP through the balancer, by raw sockets: this host's kernel need not speak it.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
    thread,
    time::Duration,
};

use lb_tests::{
    bed::VIPS,
    netns::Namespace,
    packet::{Chunk, Packet},
};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketType, bind, ipproto, recvfrom, sendto, socket,
    sockopt,
};
use serde_json::json;

use crate::scene::{Mode, PORT, Scene, names, set};

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(3);
/// The first of the clients' ports.
const CLIENT_PORT: u16 = 40_000;
const CLIENTS: [&str; 2] = ["10.1.0.2", "fd01::2"];

/// A socket that takes every SCTP packet of an IP version that reaches its namespace.
fn raw(ip: IpAddr) -> OwnedFd {
    let family = match ip {
        IpAddr::V4(_) => AddressFamily::INET,
        IpAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = socket(family, SocketType::RAW, Some(ipproto::SCTP)).expect("a raw socket");
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(LIMIT))
        .expect("a time limit");
    socket
}

/// The next packet, from its common header on, and whom it is from.
fn next(socket: &OwnedFd) -> io::Result<(Vec<u8>, IpAddr)> {
    let mut buffer = [0; 2_048];
    let (_, length, from) = recvfrom(socket, &mut buffer[..], RecvFlags::empty())?;
    let from = from.expect("a sender");
    let from = SocketAddr::try_from(from).expect("an address").ip();
    // An IPv4 raw socket gives the IP header, too.
    let header = match from {
        IpAddr::V4(_) => usize::from(buffer[0] & 15) * 4,
        IpAddr::V6(_) => 0,
    };
    Ok((buffer[header..length].to_vec(), from))
}

fn packet(from: SocketAddr, to: SocketAddr, chunk: Chunk, payload: &str) -> Vec<u8> {
    let packet = Packet::sctp(from, to).chunk(chunk).payload(payload);
    packet.frame()[packet.layers().transport..].to_vec()
}

fn send(socket: &OwnedFd, bytes: &[u8], to: IpAddr) {
    let to = SocketAddr::new(to, 0);
    sendto(socket, bytes, SendFlags::empty(), &to).expect("sending a packet");
}

/// Answers each packet to `vip` with the name of the server, until none has come for a while.
fn serve(namespace: &Namespace, vip: IpAddr, name: &str) -> thread::JoinHandle<Vec<Vec<u8>>> {
    let name = name.to_owned();
    let socket = namespace.enter(|| raw(vip));
    namespace.spawn(move || {
        let mut seen = Vec::new();
        while let Ok((bytes, client)) = next(&socket) {
            let port = u16::from_be_bytes([bytes[0], bytes[1]]);
            let own = SocketAddr::new(vip, PORT);
            let answer = packet(own, (client, port).into(), Chunk(2), &name);
            // Unbound, it would send from the address that the route prefers.
            let own_socket = raw(vip);
            bind(&own_socket, &SocketAddr::new(vip, 0)).expect("binding to the VIP");
            send(&own_socket, &answer, client);
            seen.push(bytes);
        }
        seen
    })
}

#[test]
fn associations_reach_backends_and_are_answered() {
    let scene = Scene::new(2);
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    for (vip, client) in VIPS.into_iter().zip(CLIENTS) {
        let mut service = scene.service(Mode::L2, vip);
        service["vips"] = json!([format!("{}/sctp", SocketAddr::new(vip, PORT))]);
        service["probe"] = json!(null);
        scene.bring_up(&mut control, &service, vip);
        let hosts = &scene.bed.backends;
        let servers: Vec<_> = hosts
            .iter()
            .map(|host| serve(&host.namespace, vip, &host.name))
            .collect();
        let client: IpAddr = client.parse().expect("an address");
        let (sent, answered) = scene.bed.client.enter(|| {
            let socket = raw(vip);
            let mut sent = Vec::new();
            let mut answered = Vec::new();
            for port in CLIENT_PORT..CLIENT_PORT + 20 {
                let bytes = packet(
                    (client, port).into(),
                    (vip, PORT).into(),
                    Chunk::INIT,
                    "hello",
                );
                send(&socket, &bytes, vip);
                let (answer, from) = next(&socket).expect("an answer");
                assert_eq!(from, vip);
                assert_eq!(answer[2..4], port.to_be_bytes());
                answered.push(Ok(String::from_utf8_lossy(&answer[16..]).into_owned()));
                sent.push(bytes);
            }
            (sent, answered)
        });
        let mut seen: Vec<Vec<u8>> = servers
            .into_iter()
            .flat_map(|server| server.join().expect("a server"))
            .collect();
        seen.sort();
        // To the last bit of the checksum.
        assert_eq!(seen, sent);
        assert_eq!(names(answered), set(&["b0", "b1"]));
    }
    let stats = control.must("stats", &json!({}));
    assert_eq!(stats["ledger"]["forward.forwarded"], json!(40), "{stats:#}");
}
