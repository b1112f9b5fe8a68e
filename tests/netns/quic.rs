//! QUIC connections whose clients change their address: real ends, ids that name servers, and what happens without.

mod ends;

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, SocketAddr},
};

use lb_tests::{
    bed::{VIP_V4, VIP_V6, VIPS},
    control::Control,
    netns::Namespace,
    traffic::Server,
};
use serde_json::{Value, json};

use crate::scene::{Mode, PORT, Scene, generation, name, set, wait_serving};
use ends::{Certificate, Client, Ids, server};

/// Connections at once: enough that some would go elsewhere if they could.
const CONNECTIONS: usize = 12;
const BACKENDS: u8 = 3;
/// The client's addresses: the one it has, and the one that it moves to.
const FROM: [[&str; 2]; 2] = [["10.1.0.2", "10.1.0.3"], ["fd01::2", "fd01::3"]];

#[test]
fn clients_that_move_stay_with_their_server_in_l2() {
    stay(Mode::L2);
}

#[test]
fn clients_that_move_stay_with_their_server_in_nat() {
    stay(Mode::Nat);
}

/// Two configurations at once, as during a rotation: half of the servers make ids of the one, half of the other.
fn stay(mode: Mode) {
    let network = Network::new(mode);
    let daemon = network.scene.instance.start();
    let mut control = daemon.control();
    for vip in VIPS {
        let mut service = network.service(vip);
        service["quic_lb"] = configs();
        network.scene.bring_up(&mut control, &service, vip);
        shown(&mut control, vip);
    }
    let published = generation(&mut control);
    let trips: Vec<Trip> = network.clients(|_| ());
    let mut met = BTreeSet::new();
    for trip in trips {
        let Trip { to, answers } = trip;
        let answers: Vec<String> = answers
            .into_iter()
            .collect::<io::Result<_>>()
            .unwrap_or_else(|error| panic!("a connection to {to} was lost: {error}"));
        let servers: BTreeSet<&String> = answers.iter().collect();
        assert_eq!(servers.len(), 1, "a connection to {to} moved: {answers:?}");
        met.extend(answers);
    }
    assert_eq!(met, set(&["b0", "b1", "b2"]));

    // A new process finds the ids in the kernel.
    assert!(daemon.stop().success());
    let daemon = network.scene.instance.start();
    let mut control = daemon.control();
    for vip in VIPS {
        wait_serving(&mut control, &name(vip), usize::from(BACKENDS));
    }
    assert_eq!(generation(&mut control), published);
    for Trip { to, answers } in network.clients(|_| ()) {
        assert!(answers.iter().all(Result::is_ok), "{to}: {answers:?}");
    }
}

#[test]
fn clients_that_move_are_lost_without_configurations() {
    let network = Network::new(Mode::L2);
    let daemon = network.scene.instance.start();
    let mut control = daemon.control();
    for vip in VIPS {
        network
            .scene
            .bring_up(&mut control, &network.service(vip), vip);
    }
    let trips = network.clients(|_| ());
    let answers = || trips.iter().flat_map(|trip| &trip.answers);
    let lost = answers().filter(|answer| answer.is_err()).count();
    assert!(lost > 0, "nobody was lost: what does the other test show?");
}

#[test]
fn configurations_come_and_go_while_connections_last() {
    let network = Network::new(Mode::L2);
    let daemon = network.scene.instance.start();
    let mut control = daemon.control();
    for vip in VIPS {
        network
            .scene
            .bring_up(&mut control, &network.service(vip), vip);
    }
    // Connections begin, then the balancer learns to read their ids, and only then they move.
    let socket = network.scene.instance.socket();
    let trips = network.clients(move |step| {
        let mut control = Control::connect(&socket).expect("a daemon");
        for vip in VIPS {
            let quic_lb = if step == 1 { configs() } else { json!([]) };
            let update = json!({"name": name(vip), "quic_lb": quic_lb});
            control.must("service.update", &update);
        }
    });
    for Trip { to, answers } in trips {
        assert!(answers.iter().all(Result::is_ok), "{to}: {answers:?}");
    }
    let refused = control.refused(
        "backend.update",
        &json!({"service": name(VIP_V4), "address": network.scene.backend(0, VIP_V4).to_string(), "server_ids": ["zz"]}),
    );
    assert!(
        refused.message.contains("`zz` is not a server id"),
        "{refused:?}"
    );
    let refused = control.refused(
        "service.update",
        &json!({"name": name(VIP_V6), "quic_lb": [{"config_id": 0, "server_id_length": 9}]}),
    );
    assert!(
        refused.message.contains("no server id of 9 bytes"),
        "{refused:?}"
    );
}

/// Server ids of both lengths for every backend.
fn server_ids(backend: usize) -> [Vec<u8>; 2] {
    let number = u8::try_from(backend).expect("few backends");
    [vec![0x0a, number], vec![number, 0, 0xff]]
}

fn configs() -> Value {
    json!([
        {"config_id": 0, "server_id_length": 2, "first_octet_encodes_cid_length": true},
        {"config_id": 5, "server_id_length": 3},
    ])
}

/// `backend.list` tells the ids.
fn shown(control: &mut Control, vip: IpAddr) {
    let listed = crate::scene::backends(control, &name(vip));
    let ids: Vec<&Value> = listed
        .iter()
        .map(|backend| &backend["server_ids"])
        .collect();
    assert_eq!(ids[1], &json!(["0a01", "0100ff"]), "{listed:#?}");
}

/// Servers, and a client with two addresses.
struct Network {
    scene: Scene,
    mode: Mode,
    certificate: Certificate,
    _servers: Vec<Server>,
}

/// What one connection saw: who answered before its client moved, and after each move.
struct Trip {
    to: SocketAddr,
    answers: Vec<io::Result<String>>,
}

impl Network {
    fn new(mode: Mode) -> Self {
        let scene = Scene::new(BACKENDS);
        for [first, second] in FROM {
            let length = if first.contains(':') { 64 } else { 24 };
            let command = format!("address add {second}/{length} dev eth0");
            scene.bed.client.ip(&command);
        }
        let certificate = Certificate::new();
        let mut servers = scene.servers();
        for vip in VIPS {
            for (number, host) in scene.bed.backends.iter().enumerate() {
                let address = mode.server_address(host, vip);
                let tells_length = number % 2 == 0;
                let [short, long] = server_ids(number);
                let ids = Ids {
                    rotation: if tells_length { 0 } else { 5 },
                    tells_length,
                    server_id: if tells_length { short } else { long },
                };
                let at = (address, PORT).into();
                servers.push(server(&host.namespace, at, &host.name, &certificate, ids));
            }
        }
        Self {
            scene,
            mode,
            certificate,
            _servers: servers,
        }
    }

    /// The service with its backends' server ids, which nobody reads yet.
    fn service(&self, vip: IpAddr) -> Value {
        let mut service = self.scene.service(self.mode, vip);
        let backends = service["backend"].as_array_mut().expect("a list");
        for (number, backend) in backends.iter_mut().enumerate() {
            let byte = |byte: &u8| format!("{byte:02x}");
            let hex = |id: Vec<u8>| id.iter().map(byte).collect::<Vec<_>>().concat();
            let ids: [String; 2] = server_ids(number).map(hex);
            backend["server_ids"] = json!(ids);
        }
        service
    }

    /// Connections to every VIP, whose clients then move: to another port, to another address, and back to the
    /// first one. `between` is called before the first move, with 1, and after the last, with 2.
    fn clients(&self, between: impl Fn(u32) + Send + Sync) -> Vec<Trip> {
        let Self {
            scene,
            mode,
            certificate,
            ..
        } = self;
        let client: &Namespace = &scene.bed.client;
        let port = mode.port();
        client.enter(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.expect("a runtime").block_on(async {
                let mut open = Vec::new();
                for (vip, from) in VIPS.into_iter().zip(FROM) {
                    let from = from.map(|text| text.parse::<IpAddr>().expect("an address"));
                    for _ in 0..CONNECTIONS {
                        let to = SocketAddr::new(vip, port);
                        let client = Client::open(from[0], to, certificate).await;
                        let client = client.unwrap_or_else(|error| panic!("to {to}: {error}"));
                        let answers = vec![client.ask().await];
                        open.push((client, from, Trip { to, answers }));
                    }
                }
                between(1);
                for step in [0, 1, 0] {
                    // All move, then all ask: those that are lost take their time together.
                    let asking = open.iter().map(|(client, from, _)| {
                        let moved = client.rebind(from[step]);
                        async move {
                            moved?;
                            client.ask().await
                        }
                    });
                    let answers = futures::future::join_all(asking).await;
                    for ((_, _, trip), answer) in open.iter_mut().zip(answers) {
                        trip.answers.push(answer);
                    }
                }
                between(2);
                open.into_iter().map(|(_, _, trip)| trip).collect()
            })
        })
    }
}
