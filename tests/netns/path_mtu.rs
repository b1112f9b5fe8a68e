//! Path-MTU discovery through a narrow link between clients and the balancer (RFC 1191, RFC 8201): the router's
//! error is addressed to the VIP, and must reach the backend that sends.
//!
//! ```text
//! far ---- (1,400 bytes) ---- client ---- balancer ---- backends
//! ```

use lb_tests::{bed::VIPS, traffic::Connection};

use crate::scene::{FAR, Mode, Scene};

/// Far more than a window: it takes full segments all the way.
const TRANSFER: usize = 4 << 20;

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
    let far = scene.far_client();
    scene.bed.client.ip("link set far mtu 1400");
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
