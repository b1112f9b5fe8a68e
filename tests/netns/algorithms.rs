//! How new flows are spread: by their source, by turns, by chance; and a service comes from one to the other unharmed.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    thread,
    time::Duration,
};

use lb_tests::{
    bed::{VIP_V4, VIPS},
    control::Control,
    kernel,
    published::Published,
    traffic::{self, Connection, Load, Server},
    wait,
};
use rustix::thread::{CpuSet, sched_getcpu, sched_setaffinity};
use serde_json::{Value, json};

use crate::scene::{
    LIMIT, Mode, NEAR, PORT, Scene, destinations, name, names, wait_moved, wait_serving,
};

/// Weights of the backends: the first has half of all.
const WEIGHTS: [u32; 3] = [2, 1, 1];
/// Another VIP, for the services that have two.
const SECOND_VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 20));
/// Whole cycles of the weights.
const FLOWS: usize = 400;
/// A client port that no flow of a test has: the kernel gives out those from 32,768 on.
const UNUSED: u16 = 20_000;
/// Sources of each IP version that are asked from.
const SOURCES: u16 = 200;

/// A service on `vip` with this algorithm and backends of these weights.
fn service(scene: &Scene, vip: IpAddr, algorithm: &str) -> Value {
    let mut service = scene.service(Mode::L2, vip);
    service["algorithm"] = json!(algorithm);
    let backends = service["backend"].as_array_mut().expect("backends");
    for (backend, weight) in backends.iter_mut().zip(WEIGHTS) {
        backend["weight"] = json!(weight);
    }
    service
}

/// How many answers each backend has given.
fn shares(answers: impl IntoIterator<Item = String>) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for name in answers {
        *shares.entry(name).or_default() += 1;
    }
    shares
}

/// The answers to so many datagrams, each from a new port: every one of them was answered.
fn asked(scene: &Scene, to: SocketAddr, count: usize) -> BTreeMap<String, usize> {
    let answers = traffic::ask_udp(&scene.bed.client, to, count);
    shares(answers.into_iter().map(|answer| answer.expect("an answer")))
}

/// Nobody is further from the share that its weight gives it than `most` flows.
fn assert_shares(shares: &BTreeMap<String, usize>, count: usize, most: impl Fn(f64) -> f64) {
    let total: u32 = WEIGHTS.iter().sum();
    for (number, weight) in WEIGHTS.into_iter().enumerate() {
        let part = f64::from(weight) / f64::from(total);
        let had = shares
            .get(&format!("b{number}"))
            .copied()
            .unwrap_or_default();
        let [had, count] = [had, count].map(|number| u32::try_from(number).expect("a few"));
        let off = (f64::from(had) - f64::from(count) * part).abs();
        assert!(
            off <= most(part),
            "{number} is {off} off its share: {shares:?} of {count}"
        );
    }
}

/// Five standard deviations of how often something of this probability happens.
fn five_sigma(count: usize) -> impl Fn(f64) -> f64 {
    let count = f64::from(u32::try_from(count).expect("a few"));
    move |part| 5.0 * (count * part * (1.0 - part)).sqrt()
}

/// What `explain` says of how the backend was chosen for a new flow.
fn explained(control: &mut Control, to: SocketAddr) -> Option<String> {
    if !kernel::is_5_15() {
        return None;
    }
    let source = NEAR[usize::from(to.is_ipv6())];
    let packet = json!({"source": SocketAddr::new(source.parse().expect("an address"), UNUSED).to_string(),
        "destination": to.to_string(), "protocol": "udp"});
    let told = control.must("explain", &packet);
    let stages = told["stages"].as_array().expect("stages");
    let select = stages
        .iter()
        .find(|stage| stage["stage"] == json!("select"));
    Some(select.expect("a backend is chosen")["what"].to_string())
}

#[test]
fn turns_give_every_backend_its_exact_share() {
    let scene = Scene::new(3);
    let _servers = scene.servers();
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    // Each CPU goes round by itself: what this thread sends is taken by the CPU that it is on.
    let mut cpu = CpuSet::new();
    cpu.set(sched_getcpu());
    sched_setaffinity(None, &cpu).expect("staying on a CPU");
    for vip in VIPS {
        scene.bring_up(&mut control, &service(&scene, vip, "round-robin"), vip);
        let _datagrams = scene.udp_servers(Mode::L2, vip);
        let to = SocketAddr::new(vip, PORT);
        let shares = asked(&scene, to, FLOWS);
        kernel::say(&format!("round-robin, {vip}: {shares:?}, {cpus} CPUs"));
        let turns = u32::try_from(cpus).expect("a few").into();
        assert_shares(&shares, FLOWS, |_| turns);

        let mut connections: Vec<(Connection, String)> = (0..8)
            .map(|_| {
                let mut connection = Connection::open(&scene.bed.client, to).expect("a server");
                let name = connection.ask().expect("an answer");
                (connection, name)
            })
            .collect();
        for (connection, name) in &mut connections {
            assert_eq!(
                connection.ask().expect("an answer"),
                *name,
                "a flow keeps its turn"
            );
        }
        if let Some(what) = explained(&mut control, to) {
            assert!(
                what.contains("turn") && what.contains("in this trial"),
                "{what}"
            );
        }
    }
}

#[test]
fn chance_gives_every_backend_its_share() {
    let scene = Scene::new(3);
    let _servers = scene.servers();
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    for vip in VIPS {
        scene.bring_up(&mut control, &service(&scene, vip, "random"), vip);
        let _datagrams = scene.udp_servers(Mode::L2, vip);
        let to = SocketAddr::new(vip, PORT);
        let shares = asked(&scene, to, FLOWS);
        kernel::say(&format!("random, {vip}: {shares:?}"));
        assert_shares(&shares, FLOWS, five_sigma(FLOWS));
        let mut connection = Connection::open(&scene.bed.client, to).expect("a server");
        let first = connection.ask().expect("an answer");
        for _ in 0..20 {
            assert_eq!(connection.ask().expect("an answer"), first, "a flow stays");
        }
        if let Some(what) = explained(&mut control, to) {
            assert!(what.contains("by chance"), "{what}");
        }
    }
}

#[test]
fn a_source_has_one_backend_whatever_it_asks_for() {
    let scene = Scene::new(3);
    let _servers = scene.servers();
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    let mut both = service(&scene, VIP_V4, "source-hash");
    for protocol in ["tcp", "udp"] {
        let vip = json!(format!("{SECOND_VIP}:{PORT}/{protocol}"));
        both["vips"].as_array_mut().expect("VIPs").push(vip);
    }
    scene.bring_up(&mut control, &both, VIP_V4);
    let _datagrams = [VIP_V4, SECOND_VIP].map(|vip| scene.udp_servers(Mode::L2, vip));
    let ends = [VIP_V4, SECOND_VIP].map(|vip| SocketAddr::new(vip, PORT));
    let client = &scene.bed.client;
    let answers = ends.into_iter().flat_map(|to| {
        let datagrams = traffic::ask_udp(client, to, 20);
        traffic::ask(client, to, 20).into_iter().chain(datagrams)
    });
    let servers = names(answers.collect());
    assert_eq!(servers.len(), 1, "one source, one backend: {servers:?}");

    // From any address of these prefixes, all of which are the client's own.
    client.ip("route add local 10.1.3.0/24 dev lo");
    scene
        .bed
        .balancer
        .ip(&format!("route add 10.1.3.0/24 via {}", NEAR[0]));
    let of_sources: Vec<Vec<String>> = (1..=SOURCES)
        .map(|number| {
            let last = u8::try_from(number).expect("a few");
            let source = Ipv4Addr::new(10, 1, 3, last).into();
            ends.map(|to| answer(&scene, source, to)).into()
        })
        .collect();
    for same in &of_sources {
        assert_eq!(same[0], same[1], "one source, two VIPs");
    }
    let shares_v4 = shares(of_sources.into_iter().flatten().step_by(2));
    let count = usize::from(SOURCES);
    kernel::say(&format!("source-hash, IPv4: {shares_v4:?}"));
    assert_shares(&shares_v4, count, five_sigma(count));
    if let Some(what) = explained(&mut control, ends[0]) {
        assert!(what.contains("by the source address"), "{what}");
        let server = servers.first().expect("the one");
        let number: usize = server[1..].parse().expect("a number");
        let address = scene.backend(number, VIP_V4).to_string();
        assert!(what.contains(&address), "{what}: it was {server}");
    }

    let [_, vip] = VIPS;
    scene.bring_up(&mut control, &service(&scene, vip, "source-hash"), vip);
    let _datagrams = scene.udp_servers(Mode::L2, vip);
    client.ip("route add local fd01:3::/64 dev lo");
    client.sysctl("ipv6/ip_nonlocal_bind", "1");
    scene
        .bed
        .balancer
        .ip(&format!("route add fd01:3::/64 via {}", NEAR[1]));
    let shares_v6 = shares((1..=SOURCES).map(|number| {
        let source = Ipv6Addr::new(0xfd01, 3, 0, 0, 0, 0, 0, number);
        answer(&scene, source.into(), SocketAddr::new(vip, PORT))
    }));
    kernel::say(&format!("source-hash, IPv6: {shares_v6:?}"));
    assert_shares(&shares_v6, count, five_sigma(count));
}

/// Who answers a datagram from `source`.
fn answer(scene: &Scene, source: IpAddr, to: SocketAddr) -> String {
    scene.bed.client.enter(|| {
        let socket = UdpSocket::bind((source, 0)).expect("an address of this host");
        socket.set_read_timeout(Some(LIMIT)).expect("a time");
        socket.connect(to).expect("a route");
        socket.send(b"who is there?").expect("a route");
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer);
        let length = length.unwrap_or_else(|error| panic!("{source} to {to}: {error}"));
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    })
}

/// How many flows each backend has, as the program has counted them.
fn loads(scene: &Scene) -> [i64; 3] {
    let loads = Published::loads(scene.instance.bpffs());
    [0, 1, 2].map(|number| {
        let load = loads.get(&scene.backend(number, VIP_V4));
        load.copied().unwrap_or_default()
    })
}

/// The flows of all backends, each divided by its weight, differ by no more than this.
fn assert_level(loads: [i64; 3], most: i64) {
    let [half, second, third] = loads;
    let levels = [half, 2 * second, 2 * third];
    let (low, high) = (levels.iter().min(), levels.iter().max());
    let apart = high.zip(low).map(|(high, low)| high - low);
    assert!(apart <= Some(most), "{loads:?}");
}

#[test]
fn new_flows_go_to_the_backends_that_have_fewer_for_their_weight() {
    let scene = Scene::new(3);
    let _servers = scene.servers();
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    scene.bring_up(
        &mut control,
        &service(&scene, VIP_V4, "least-connections"),
        VIP_V4,
    );
    let _datagrams = scene.udp_servers(Mode::L2, VIP_V4);
    let others = [1, 2].map(|number| {
        let address = scene.backend(number, VIP_V4).to_string();
        json!({"service": name(VIP_V4), "address": address})
    });
    for other in &others {
        control.must("backend.disable", other);
    }
    wait_serving(&mut control, &name(VIP_V4), 1);
    let to = SocketAddr::new(VIP_V4, PORT);
    assert_eq!(asked(&scene, to, 200), [("b0".to_owned(), 200)].into());
    for other in &others {
        control.must("backend.enable", other);
    }
    wait_serving(&mut control, &name(VIP_V4), 3);

    // Of two slots both are the first backend's in one of four cases; in the others it has more. By weight alone it
    // would get every other flow.
    let shares = asked(&scene, to, FLOWS);
    kernel::say(&format!(
        "least-connections, after 200 flows of b0: {shares:?}; then {:?}",
        loads(&scene)
    ));
    let first = shares.get("b0").copied().unwrap_or_default();
    assert!((57..=143).contains(&first), "{shares:?}");
    let shares = asked(&scene, to, FLOWS);
    kernel::say(&format!("and then: {shares:?}, {:?}", loads(&scene)));
    let loads = loads(&scene);
    // Datagrams do not end; some of a thousand ports have been used twice.
    assert!(
        (950..=1_000).contains(&loads.iter().sum::<i64>()),
        "{loads:?}"
    );
    assert_level(loads, 30);
    if let Some(what) = explained(&mut control, to) {
        assert!(what.contains("fewer flows"), "{what}");
    }
}

#[test]
fn flows_that_end_make_room_for_others_and_counts_are_put_right() {
    let scene = Scene::new(3);
    let _servers = scene.servers();
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    scene.bring_up(
        &mut control,
        &service(&scene, VIP_V4, "least-connections"),
        VIP_V4,
    );
    let to = SocketAddr::new(VIP_V4, PORT);
    let open = |count: usize| -> Vec<(Connection, String)> {
        let opened = (0..count).map(|_| {
            let mut connection = Connection::open(&scene.bed.client, to).expect("a server");
            let name = connection.ask().expect("an answer");
            (connection, name)
        });
        opened.collect()
    };
    let mut connections = open(120);
    // What is counted while a look is written down waits for the next.
    wait::until("all are counted", LIMIT, || {
        loads(&scene).iter().sum::<i64>() == 120
    });
    let before = loads(&scene);
    kernel::say(&format!("120 connections: {before:?}"));
    assert_level(before, 12);

    // The client closes those of the first backend; what is opened then goes there rather than elsewhere.
    connections.retain(|(_, name)| name != "b0");
    wait::until("ends are seen", LIMIT, || loads(&scene)[0] == 0);
    let more = open(120);
    let first = more.iter().filter(|(_, name)| name == "b0").count();
    kernel::say(&format!("120 more: {first} to b0, {:?}", loads(&scene)));
    assert!(first >= 72, "{first} of 120");
    connections.extend(more);
    for (connection, name) in &mut connections {
        assert_eq!(connection.ask().expect("an answer"), *name, "a flow stays");
    }

    // What the flow tables hold is the truth.
    let truth = ["b0", "b1", "b2"].map(|backend| {
        let held = connections.iter().filter(|(_, name)| name == backend);
        i64::try_from(held.count()).expect("a few")
    });
    Published::forge_loads(scene.instance.bpffs(), 1_000);
    wait::until("counts are put right", LIMIT, || loads(&scene) == truth);
    drop(daemon);
    let daemon = scene.instance.start();
    wait_serving(&mut daemon.control(), &name(VIP_V4), 3);
    assert_eq!(loads(&scene), truth, "after a restart");
}

#[test]
fn a_change_of_algorithm_breaks_no_connection() {
    let scene = Scene::new(2);
    let _servers: Vec<Server> = scene.servers();
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    scene.serve(&mut control, Mode::L2);
    let load = Load::begin(&scene.bed.client, destinations(Mode::L2), 16);
    let time = wait::patient(Duration::from_secs(1));
    for algorithm in [
        "round-robin",
        "source-hash",
        "least-connections",
        "random",
        "maglev",
    ] {
        for vip in VIPS {
            let update = json!({"name": name(vip), "algorithm": algorithm, "learn_for": format!("{}ms", time.as_millis())});
            control.must("service.update", &update);
        }
        for vip in VIPS {
            wait_moved(&mut control, &name(vip), false);
            let got = control.must("service.get", &json!({"name": name(vip)}));
            let written = if algorithm == "maglev" {
                Value::Null
            } else {
                json!(algorithm)
            };
            assert_eq!(got["algorithm"], written, "{got:#}");
            assert_eq!(got["tracking"], Value::Null, "{got:#}");
        }
        load.turn();
    }
    for vip in VIPS {
        wait_serving(&mut control, &name(vip), 2);
    }
    let failures = load.end();
    assert!(
        failures.is_empty(),
        "{} failures: {failures:#?}",
        failures.len()
    );
}

#[test]
fn what_cannot_be_remembered_is_not_drawn() {
    let scene = Scene::new(1);
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    let mut service = service(&scene, VIP_V4, "random");
    service["tracking"] = json!("on-demand");
    let refused = control.refused("service.add", &service);
    assert!(refused.message.contains("draws a slot"), "{refused:?}");
    service["tracking"] = json!("always");
    control.must("service.add", &service);
    for tracking in ["on-demand", "off"] {
        let update = json!({"name": name(VIP_V4), "tracking": tracking});
        let refused = control.refused("service.update", &update);
        assert!(refused.message.contains("draws a slot"), "{refused:?}");
    }
    let update = json!({"name": name(VIP_V4), "algorithm": "maglev", "tracking": "off"});
    control.must("service.update", &update);
}
