//! Backends that take our tunnels off by the kernel's own devices, which know nothing of us: ipip, sit and ip6tnl, and
//! GUE by `fou`.

use std::net::IpAddr;

use lb_tests::{
    bed::{Host, VIP_V4, VIP_V6},
    kernel,
};
use serde_json::json;

use crate::scene::{Mode, PORT, Scene, name, wait_serving};

/// Devices for IPv4 in IPv4, IPv6 in IPv4, and both in IPv6.
const DEVICES: [&str; 3] = ["ipip", "sit", "ip6_tunnel"];
/// What takes UDP off, by either outer version.
const UDP_DECAPSULATORS: [&str; 2] = ["fou", "fou6"];

#[test]
fn kernel_devices_take_ip_in_ip_off() {
    if kernel::has_modules(&DEVICES) {
        serves(Mode::Ipip);
    }
}

#[test]
fn kernel_devices_take_gue_off() {
    if kernel::has_modules(&DEVICES) && kernel::has_modules(&UDP_DECAPSULATORS) {
        serves(Mode::Gue);
    }
}

fn serves(mode: Mode) {
    let scene = Scene::new(2);
    for host in &scene.bed.backends {
        make_devices(host, mode);
    }
    let _http = scene.servers();
    let _udp = [VIP_V4, VIP_V6].map(|vip| scene.udp_servers(mode, vip));
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    for vip in [VIP_V4, VIP_V6] {
        for like in [VIP_V4, VIP_V6] {
            let before = received(&scene, vip, like);
            control.must("service.add", &scene.service_by(mode, vip, like));
            wait_serving(&mut control, &name(vip), scene.bed.backends.len());
            scene.everybody_answers((vip, PORT).into(), 40);
            // 40 requests by TCP with 5 packets at least, and 40 datagrams.
            let through = received(&scene, vip, like) - before;
            assert!(
                through >= 240,
                "{through} packets came through tunnel devices"
            );
            control.must("service.remove", &json!({"name": name(vip), "force": true}));
        }
    }
}

/// The device that takes `vip`'s packets out of packets to an address of the version of `like`.
const fn device(vip: IpAddr, like: IpAddr) -> &'static str {
    match (vip, like) {
        (IpAddr::V4(_), IpAddr::V4(_)) => "four",
        (IpAddr::V6(_), IpAddr::V4(_)) => "six",
        (_, IpAddr::V6(_)) => "any",
    }
}

/// Devices that take tunnels from everybody; what fits their outer address is theirs.
fn make_devices(host: &Host, mode: Mode) {
    let (v4, v6) = (host.address_like(VIP_V4), host.address_like(VIP_V6));
    let namespace = &host.namespace;
    namespace.ip(&format!("link add four type ipip local {v4}"));
    namespace.ip(&format!("link add six type sit local {v4}"));
    namespace.ip(&format!("link add any type ip6tnl mode any local {v6}"));
    for device in ["four", "six", "any"] {
        namespace.ip(&format!("link set {device} up"));
    }
    if mode == Mode::Gue {
        namespace.ip("fou add port 6080 gue");
        namespace.ip("-6 fou add port 6080 gue");
    }
}

/// Packets that the backends have received by the device for this pair.
fn received(scene: &Scene, vip: IpAddr, like: IpAddr) -> u64 {
    let counter = format!("/sys/class/net/{}/statistics/rx_packets", device(vip, like));
    let of = |host: &Host| {
        // `ip netns exec` and not `nsenter`: it shows the namespace's own devices below /sys.
        let arguments = ["netns", "exec", host.namespace.name(), "cat", &counter];
        let count = lb_tests::netns::command("ip", &arguments);
        count.trim().parse::<u64>().expect("a count of packets")
    };
    scene.bed.backends.iter().map(of).sum()
}
