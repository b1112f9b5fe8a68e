//! A link that delays, loses and reorders what clients send and get: TCP must get everything across all the same, and
//! every packet of a connection must come to the same backend.

use lb_tests::{bed::VIPS, kernel, netns::Namespace, traffic::Connection};

use crate::scene::{Mode, Scene};

/// Some thousand packets, of which some are lost and many come out of order; but of the few that acknowledge them in mode
/// `nat`, the only ones that are spoiled there, perhaps none.
const TRANSFER: usize = 2 << 20;
/// So many on one connection at most, until something is lost: with 50 packets each, chance has had its turn by then.
const MOST_TRANSFERS: usize = 20;
const NETEM: &str = "netem delay 2ms 1ms loss 1% reorder 25% 50%";

#[test]
fn transfers_survive_loss_and_reordering_in_l2() {
    transfers(Mode::L2);
}

#[test]
fn transfers_survive_loss_and_reordering_in_nat() {
    transfers(Mode::Nat);
}

fn transfers(mode: Mode) {
    if !kernel::has_modules(&["sch_netem"]) {
        return;
    }
    let scene = Scene::new(2);
    let _servers = scene.download_servers(TRANSFER);
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    for vip in VIPS {
        scene.serve_downloads(&mut control, mode, vip);
    }
    let (client, balancer) = (&scene.bed.client, &scene.bed.balancer);
    spoil(client, "eth0");
    // In mode l2 answers come by the balancer's kernel; those of nat are sent by XDP, past every queue.
    spoil(balancer, "client");
    for vip in VIPS {
        let mut connection = Connection::open(client, (vip, mode.port()).into())
            .unwrap_or_else(|error| panic!("connecting to {vip}: {error}"));
        // Several answers on one connection: acknowledgements are lost, too.
        for turn in 0..MOST_TRANSFERS {
            if turn >= 2 && has_lost(client) {
                break;
            }
            let received = connection.ask();
            let length = received.as_ref().map(String::len);
            let error = received.as_ref().err();
            assert_eq!(length.ok(), Some(TRANSFER), "{vip} by {mode:?}: {error:?}");
        }
    }
    assert!(has_lost(client), "nothing was lost: {}", queue(client));
}

/// Whether the client's link has lost anything yet.
fn has_lost(client: &Namespace) -> bool {
    !queue(client).contains("dropped 0,")
}

fn queue(client: &Namespace) -> String {
    client.run("tc", &["-s", "qdisc", "show", "dev", "eth0"])
}

fn spoil(namespace: &Namespace, interface: &str) {
    let mut arguments = vec!["qdisc", "add", "dev", interface, "root"];
    arguments.extend(NETEM.split(' '));
    let _ = namespace.run("tc", &arguments);
}
