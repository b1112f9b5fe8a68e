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
pub(crate) const DEVICES: [&str; 3] = ["ipip", "sit", "ip6_tunnel"];
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
    let _http = scene.servers();
    let _udp = [VIP_V4, VIP_V6].map(|vip| scene.udp_servers(mode, vip));
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    for vip in [VIP_V4, VIP_V6] {
        for like in [VIP_V4, VIP_V6] {
            control.must("service.add", &scene.service_by(mode, vip, like));
            wait_serving(&mut control, &name(vip), scene.bed.backends.len());
            scene.set_up(&name(vip), like, &["--with=kernel"]);
            scene.everybody_answers((vip, PORT).into(), 40);
            // 40 requests by TCP with 5 packets at least, and 40 datagrams.
            let through = received(&scene, vip, like);
            assert!(
                through >= 240,
                "{through} packets came through tunnel devices"
            );
            scene.set_up(&name(vip), like, &["--with=kernel", "--undo"]);
            control.must("service.remove", &json!({"name": name(vip), "force": true}));
        }
    }
}

/// The device, made by the script, that takes `vip`'s packets out of packets to an address of the version of `like`.
const fn device(vip: IpAddr, like: IpAddr) -> &'static str {
    match (vip, like) {
        (IpAddr::V4(_), IpAddr::V4(_)) => "lb-ipip",
        (IpAddr::V6(_), IpAddr::V4(_)) => "lb-sit",
        (_, IpAddr::V6(_)) => "lb-ip6tnl",
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
