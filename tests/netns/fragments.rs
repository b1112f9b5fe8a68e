//! Datagrams that are longer than a link carries: the kernels cut and join them, the balancer forwards the pieces.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

use lb_tests::{bed::VIPS, netns::Namespace, traffic::Server};

use crate::scene::{Mode, PORT, Scene, name, wait_serving};

/// Bytes of a question: six pieces.
const QUESTION: usize = 8_000;
/// Bytes of an answer: four pieces.
const ANSWER: usize = 5_000;

#[test]
fn l2_carries_fragmented_datagrams() {
    carries(Mode::L2);
}

#[test]
fn nat_carries_fragmented_datagrams_both_ways() {
    carries(Mode::Nat);
}

fn carries(mode: Mode) {
    let scene = Scene::new(2);
    let _http = scene.servers();
    let answer = "x".repeat(ANSWER);
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    for vip in VIPS {
        let hosts = scene.bed.backends.iter();
        let _udp: Vec<Server> = hosts
            .map(|host| {
                let address = match mode {
                    Mode::Nat | Mode::Snat => host.address_like(vip),
                    Mode::L2 | Mode::Ipip | Mode::Gue => vip,
                };
                Server::udp(&host.namespace, (address, PORT).into(), &answer)
            })
            .collect();
        control.must("service.add", &scene.service(mode, vip));
        wait_serving(&mut control, &name(vip), 2);
        let to = (vip, mode.port()).into();
        for turn in 0..10 {
            let length = asked(&scene.bed.client, to);
            let length = length.unwrap_or_else(|error| panic!("turn {turn}, to {to}: {error}"));
            assert_eq!(length, ANSWER, "turn {turn}, to {to}");
        }
    }
}

/// Asks from a new port; the length of the answer.
fn asked(client: &Namespace, to: SocketAddr) -> io::Result<usize> {
    client.enter(|| {
        let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any)?;
        socket.set_read_timeout(Some(Duration::from_secs(3)))?;
        socket.connect(to)?;
        socket.send(&[0x5a; QUESTION])?;
        let mut buffer = [0; 2 * ANSWER];
        socket.recv(&mut buffer)
    })
}
