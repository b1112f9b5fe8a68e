//! Backends behind tunnels, which `lbd decap` takes off: every pair of IP versions, TCP and UDP.

use std::net::IpAddr;

use lb_tests::bed::{Bed, VIP_V4, VIP_V6, VIPS};
use serde_json::json;

use crate::scene::{Mode, PORT, Scene, name, wait_serving};

#[test]
fn ip_in_ip_carries_ipv4_and_ipv6_in_either() {
    serves(Mode::Ipip, "", "--from=10.2.0.1");
}

#[test]
fn gue_carries_ipv4_and_ipv6_in_either() {
    serves(Mode::Gue, "gue_port = 6081", "--gue-port=6081");
}

#[test]
fn outer_sources_vary_with_the_flow_within_the_prefix_that_was_chosen() {
    // What the backends take proves it: nothing from the balancer's own addresses.
    serves(
        Mode::Ipip,
        "tunnel_sources = [\"10.99.0.0/16\", \"fd00:99::/96\"]",
        "--from=fd00:99::/96",
    );
}

/// Serves with `setting` in `[daemon]`; one of the backends runs `lbd decap` with `argument` at some time.
fn serves(mode: Mode, setting: &str, argument: &str) {
    let scene = Scene::on(Bed::with_bare_backends(2));
    scene.instance.configure(setting);
    let _http = scene.servers();
    let _udp = VIPS.map(|vip| scene.udp_servers(mode, vip));
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    let mut shown = String::new();
    for (vip, like) in pairs() {
        let service = scene.service_by(mode, vip, like);
        control.must("service.add", &service);
        wait_serving(&mut control, &name(vip), scene.bed.backends.len());
        for number in 0..scene.bed.backends.len() {
            shown += &scene.set_up_one(number, &name(vip), like, &[]);
        }
        scene.everybody_answers((vip, PORT).into(), 40);
        scene.set_up(&name(vip), like, &["--undo"]);
        for host in &scene.bed.backends {
            assert_eq!(host.place().decap(), None, "lbd decap still runs");
            let ledger = host.place().ledger();
            assert!(count(&ledger, "stripped") > 50, "{ledger:?}");
            assert_eq!(count(&ledger, "source_not_allowed"), 0, "{ledger:?}");
            assert_eq!(count(&ledger, "malformed"), 0, "{ledger:?}");
        }
        control.must("service.remove", &json!({"name": name(vip), "force": true}));
    }
    assert!(shown.contains(argument), "no {argument} in {shown}");
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
