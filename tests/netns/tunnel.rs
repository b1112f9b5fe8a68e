//! Backends behind tunnels, which `lbd decap` takes off: every pair of IP versions, TCP and UDP.

use std::net::IpAddr;

use lb_tests::{
    bed::{Bed, VIP_V4, VIP_V6, VIPS},
    decap::Decap,
};
use serde_json::json;

use crate::scene::{Mode, PORT, Scene, name, wait_serving};

/// The balancer's addresses on its links to backends.
pub(crate) const BALANCER: [&str; 2] = ["10.2.0.0/16", "fd02::/16"];
/// Where the balancer's outer headers come from, if it is told to vary them.
const SOURCES: [&str; 2] = ["10.99.0.0/16", "fd00:99::/96"];

#[test]
fn ip_in_ip_carries_ipv4_and_ipv6_in_either() {
    serves(Mode::Ipip, BALANCER, "");
}

#[test]
fn gue_carries_ipv4_and_ipv6_in_either() {
    serves(Mode::Gue, BALANCER, "");
}

#[test]
fn outer_sources_vary_with_the_flow_within_the_prefix_that_was_chosen() {
    // What the backends take proves it: nothing from the balancer's own addresses.
    serves(
        Mode::Ipip,
        SOURCES,
        "tunnel_sources = [\"10.99.0.0/16\", \"fd00:99::/96\"]",
    );
}

fn serves(mode: Mode, from: [&str; 2], setting: &str) {
    let scene = Scene::on(Bed::with_bare_backends(2));
    scene.instance.configure(setting);
    let decaps: Vec<Decap> = scene
        .bed
        .backends
        .iter()
        .map(|host| Decap::start(&host.namespace, &from, &VIPS))
        .collect();
    let _http = scene.servers();
    let _udp = VIPS.map(|vip| scene.udp_servers(mode, vip));
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    for (vip, like) in pairs() {
        let service = scene.service_by(mode, vip, like);
        control.must("service.add", &service);
        wait_serving(&mut control, &name(vip), scene.bed.backends.len());
        scene.everybody_answers((vip, PORT).into(), 40);
        control.must("service.remove", &json!({"name": name(vip), "force": true}));
    }
    for decap in decaps {
        let ledger = decap.stop();
        assert!(count(&ledger, "stripped") > 100, "{ledger:?}");
        assert_eq!(count(&ledger, "source_not_allowed"), 0, "{ledger:?}");
        assert_eq!(count(&ledger, "malformed"), 0, "{ledger:?}");
    }
}

/// VIP and backends of every pair of IP versions.
fn pairs() -> [(IpAddr, IpAddr); 4] {
    [
        (VIP_V4, VIP_V4),
        (VIP_V6, VIP_V6),
        (VIP_V4, VIP_V6),
        (VIP_V6, VIP_V4),
    ]
}

/// What stands after `outcome` in a printed ledger.
fn count(ledger: &[String], outcome: &str) -> u64 {
    let after = ledger.iter().skip_while(|word| *word != outcome).nth(1);
    after
        .and_then(|count| count.parse().ok())
        .unwrap_or_else(|| panic!("no {outcome} in {ledger:?}"))
}
