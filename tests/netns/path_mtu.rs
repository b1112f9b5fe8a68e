//! Path-MTU discovery through a narrow link between clients and the balancer (RFC 1191, RFC 8201): the router's
//! error is addressed to the VIP, and must reach the backend that sends.
//!
//! ```text
//! far ---- (1,400 bytes) ---- client ---- balancer ---- backends
//! ```

use lb_tests::{
    bed::VIPS,
    netns::{Namespace, join},
    traffic::Connection,
};

use crate::scene::{Mode, Scene};

/// Far more than a window: it takes full segments all the way.
const TRANSFER: usize = 4 << 20;

/// The far client's addresses.
const FAR: [&str; 2] = ["10.9.0.2", "fd09::2"];

#[test]
fn l2_backends_learn_of_a_narrow_link() {
    transfers(Mode::L2);
}

#[test]
fn nat_backends_learn_of_a_narrow_link() {
    transfers(Mode::Nat);
}

fn transfers(mode: Mode) {
    let scene = Scene::new(2);
    let far = beyond_a_narrow_link(&scene);
    let _servers = scene.download_servers(TRANSFER);
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    for vip in VIPS {
        scene.serve_downloads(&mut control, mode, vip);
        for _ in 0..4 {
            let mut connection = Connection::open(&far, (vip, mode.port()).into())
                .unwrap_or_else(|error| panic!("connecting to {vip}: {error}"));
            let received = connection.ask();
            let length = received.as_ref().map(String::len);
            assert_eq!(
                length.ok(),
                Some(TRANSFER),
                "{vip} by {mode:?}: {received:.40?}"
            );
        }
        let client = if vip.is_ipv4() { FAR[0] } else { FAR[1] };
        let hosts = scene.bed.backends.iter();
        let routes: Vec<String> = hosts
            .map(|host| {
                let own = host.address_like(vip).to_string();
                host.namespace
                    .run("ip", &["route", "get", client, "from", &own])
            })
            .collect();
        let learnt = routes.iter().any(|route| route.contains("mtu 1400"));
        assert!(learnt, "no backend knows how narrow the way is: {routes:?}");
    }
}

/// A client behind the client, whose link carries less than all others; the client forwards.
fn beyond_a_narrow_link(scene: &Scene) -> Namespace {
    let (router, balancer) = (&scene.bed.client, &scene.bed.balancer);
    let far = Namespace::new("far");
    join((router, "far"), (&far, "eth0"));
    for key in ["ipv4/conf/all/forwarding", "ipv6/conf/all/forwarding"] {
        router.sysctl(key, "1");
    }
    router.ip("link set far mtu 1400");
    router.ip("address add 10.9.0.1/24 dev far");
    router.ip("address add fd09::1/64 dev far nodad");
    let [v4, v6] = FAR;
    far.ip(&format!("address add {v4}/24 dev eth0"));
    far.ip(&format!("address add {v6}/64 dev eth0 nodad"));
    far.ip("route add default via 10.9.0.1");
    far.ip("route add default via fd09::1");
    far.compute_checksums("eth0");
    balancer.ip("route add 10.9.0.0/24 via 10.1.0.2");
    balancer.ip("route add fd09::/64 via fd01::2");
    far
}
