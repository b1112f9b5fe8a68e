//! Frames of 9,000 bytes, which drivers hand to the program in several buffers.

use lb_tests::{
    bed::{Bed, VIPS},
    kernel, traffic,
};
use serde_json::json;

use crate::scene::{Mode, Scene};

/// What every link carries.
const MTU: u16 = 9_000;
/// Bytes of a question, and of an answer: one frame each.
const LENGTH: usize = 8_800;
const QUESTIONS: usize = 10;

#[test]
fn l2_carries_jumbo_frames() {
    carries(Mode::L2);
}

#[test]
fn nat_carries_jumbo_frames_both_ways() {
    carries(Mode::Nat);
}

#[test]
fn tunnels_carry_jumbo_frames() {
    carries(Mode::Ipip);
}

fn carries(mode: Mode) {
    if !kernel::takes_jumbo_frames() {
        kernel::skipped("this kernel takes no XDP program for jumbo frames (5.18 does)");
        return;
    }
    let bed = match mode {
        Mode::L2 | Mode::Nat | Mode::Snat => Bed::new(2),
        Mode::Ipip | Mode::Gue => Bed::with_bare_backends(2),
    };
    bed.widen(MTU);
    let scene = Scene::on(bed);
    let _http = scene.servers();
    let answer = "x".repeat(LENGTH);
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    for vip in VIPS {
        let _udp = scene.udp_servers_of(mode, vip, |_| &answer);
        scene.bring_up(&mut control, &scene.service(mode, vip), vip);
        let to = (vip, mode.port()).into();
        let before = control.must("stats", &json!({}));
        for turn in 0..QUESTIONS {
            let received = traffic::ask_by(&scene.bed.client, to, &[0x5a; LENGTH]);
            let length = received.map(|answer| answer.len());
            assert_eq!(length.ok(), Some(LENGTH), "turn {turn}, to {to}");
        }
        let after = control.must("stats", &json!({}));
        let count = |stats: &serde_json::Value| stats["ledger"]["forward.forwarded"].as_u64();
        let frames = count(&after).zip(count(&before)).map(|(a, b)| a - b);
        assert_eq!(
            frames,
            Some(QUESTIONS as u64),
            "nobody cut them into fragments"
        );
    }
}
