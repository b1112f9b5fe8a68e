//! Rows of `bench packet` run, and their packets are what the mode promises; the generator of `bench path` sends what it is
//! told to: nothing is said of how long they take.

use lb_tests::{
    cost::{self, Effort, Floor, Generator, Scenario, put},
    kernel,
    netns::{Namespace, join},
    packet::Packet,
};

const LITTLE: Effort = Effort {
    runs: 2,
    packets: 1_000,
};

fn runs(name: &str) {
    if !kernel::is_5_15() {
        kernel::skipped(
            "this kernel lets nobody choose a test frame's ingress interface (5.15 does)",
        );
        return;
    }
    let row = Scenario::all().into_iter().find(|row| row.name() == name);
    let cost = cost::measure(row.expect("a row of this name"), LITTLE);
    assert_eq!(cost.name, name);
    assert!(cost.ns_min > 0.0 && cost.floor_ns_median > 0.0, "{cost:?}");
    assert!(cost.ns_min <= cost.ns_median, "{cost:?}");
    assert!(cost.new_flows.abs() < f64::EPSILON, "{cost:?}");
}

#[test]
fn a_row_of_tunnels_is_measured() {
    runs("v4/tcp-data/ipip/1/1/always");
}

#[test]
fn a_row_of_many_flows_to_many_services_is_measured() {
    runs("v6/tcp-data/ipip/64k/16/on-demand");
}

#[test]
fn live_frames_arrive_and_are_redirected_and_sent_back() {
    const FRAMES: u32 = 1_000;
    if !kernel::takes_jumbo_frames() {
        kernel::skipped("this kernel has no live frames (5.18 has)");
        return;
    }
    let [source, middle, sink] = ["source", "middle", "sink"].map(Namespace::new);
    join((&source, "g0"), (&middle, "l0"));
    join((&middle, "l1"), (&sink, "s0"));
    let (egress, _) = source.interface("g0");
    let (onward, _) = middle.interface("l1");
    let _ends = [
        put(Floor::Drop, &source, "g0"),
        put(Floor::Drop, &sink, "s0"),
    ];
    let frame = Packet::udp(
        "10.1.0.2:1".parse().expect("an address"),
        "10.2.0.2:2".parse().expect("an address"),
    );
    let generator = Generator::load(&frame.payload(vec![0; 64]).frame(), egress);
    let arrived = |floor, namespace: &Namespace, interface| {
        let _program = put(floor, &middle, "l0");
        let before = namespace.received(interface);
        let _ = source.enter(|| generator.send(FRAMES));
        u32::try_from(namespace.received(interface) - before).expect("few frames")
    };
    assert_eq!(arrived(Floor::Redirect(onward), &sink, "s0"), FRAMES);
    assert_eq!(arrived(Floor::Transmit, &source, "g0"), FRAMES);
    assert_eq!(arrived(Floor::Drop, &middle, "l0"), FRAMES);
}
