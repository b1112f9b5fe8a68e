//! Datagrams that are longer than a link carries: the kernels cut and join them, the balancer forwards the pieces.

use lb_tests::{bed::VIPS, traffic};

use crate::scene::{Mode, Scene, name, wait_serving};

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
        let _udp = scene.udp_servers_of(mode, vip, |_| &answer);
        control.must("service.add", &scene.service(mode, vip));
        wait_serving(&mut control, &name(vip), 2);
        scene.set_up(&name(vip), vip, &[]);
        let to = (vip, mode.port()).into();
        for turn in 0..10 {
            let received = traffic::ask_by(&scene.bed.client, to, &[0x5a; QUESTION]);
            let length = received.map(|answer| answer.len());
            assert_eq!(length.ok(), Some(ANSWER), "turn {turn}, to {to}");
        }
    }
}
