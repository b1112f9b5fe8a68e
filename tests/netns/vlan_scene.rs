//! A scene in VLANs, by real devices.
//!
//! ```text
//! client eth0.7 ---- client.7 [balancer] b0.100 ---- eth0.100 backend 0    802.1Q
//!                                        b1.200 ---- eth0.200 backend 1    802.1ad
//! ```
//!
//! Each of these devices has a MAC address of its own, which only frames with its tag have: what lacks it, or has
//! another one, nobody takes.

use lb_tests::{kernel, netns::Namespace};

use crate::scene::Scene;

/// A VLAN, as `ip link` names it.
#[derive(Clone, Copy)]
struct Vlan {
    protocol: &'static str,
    id: u8,
}

/// That of clients.
const CLIENT: Vlan = Vlan {
    protocol: "802.1Q",
    id: 7,
};
/// Those of the backends.
const BACKENDS: [Vlan; 2] = [
    Vlan {
        protocol: "802.1Q",
        id: 100,
    },
    Vlan {
        protocol: "802.1ad",
        id: 200,
    },
];

/// Who is in a VLAN.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tagged {
    Client,
    Backends,
    All,
}

/// A scene with two backends; `None` where the kernel has no VLAN devices.
pub(crate) fn scene(tagged: Tagged) -> Option<Scene> {
    if !kernel::has_modules(&["8021q"]) {
        return None;
    }
    let scene = Scene::new(2);
    if tagged != Tagged::Backends {
        move_client(&scene);
    }
    if tagged != Tagged::Client {
        for (number, vlan) in BACKENDS.into_iter().enumerate() {
            move_backend(&scene, number, vlan);
        }
    }
    Some(scene)
}

/// Moves the client's way to the VIPs to its VLAN.
fn move_client(scene: &Scene) {
    let (client, balancer) = (&scene.bed.client, &scene.bed.balancer);
    let ends = [(balancer, "client"), (client, "eth0")];
    connect(ends, CLIENT, ["10.7.0", "fd07:"]);
    client.ip("route replace default via 10.7.0.1 src 10.7.0.2");
    client.ip("route del default via fd01::1");
    client.ip("route add default via fd07::1 src fd07::2");
}

/// Moves a backend's addresses and its way out to a VLAN, and the balancer's way to it.
fn move_backend(scene: &Scene, number: usize, vlan: Vlan) {
    let host = &scene.bed.backends[number];
    let ends = [
        (&scene.bed.balancer, host.name.as_str()),
        (&host.namespace, "eth0"),
    ];
    for (namespace, below) in ends {
        namespace.ip(&format!("address flush dev {below} scope global"));
    }
    let networks = [format!("10.2.{number}"), format!("fd02:{number}:")];
    connect(ends, vlan, networks.each_ref().map(String::as_str));
    let [v4, v6] = networks;
    for gateway in [format!("{v4}.1"), format!("{v6}:1")] {
        host.namespace
            .ip(&format!("route replace default via {gateway}"));
    }
}

/// Joins the balancer and a host by a VLAN on the interfaces that join them; their addresses in its networks end with
/// 1 and 2.
fn connect(ends: [(&Namespace, &str); 2], vlan: Vlan, networks: [&str; 2]) {
    let Vlan { protocol, id } = vlan;
    let [v4, v6] = networks;
    for (number, (namespace, below)) in (1..).zip(ends) {
        keep_tags_inside(namespace, below);
        let device = format!("{below}.{id}");
        let mac = format!("02:00:00:00:{id:02x}:{number:02x}");
        namespace.ip(&format!(
            "link add link {below} name {device} address {mac} type vlan protocol {protocol} id {id}"
        ));
        namespace.ip(&format!("link set {device} up"));
        namespace.ip(&format!("address add {v4}.{number}/24 dev {device}"));
        namespace.ip(&format!("address add {v6}:{number}/64 dev {device} nodad"));
        namespace.compute_checksums(&device);
    }
}

/// A tag beside the frame, as offloads have it, is nothing that a program sees.
fn keep_tags_inside(namespace: &Namespace, interface: &str) {
    for feature in [
        "txvlan",
        "rxvlan",
        "tx-vlan-stag-hw-insert",
        "rx-vlan-stag-hw-parse",
    ] {
        let _ = namespace.run("ethtool", &["-K", interface, feature, "off"]);
    }
}
