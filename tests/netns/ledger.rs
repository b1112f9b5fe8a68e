//! The ledgers against the interfaces' own counters: every packet that an interface hands to the program has exactly
//! one outcome, in that interface's ledger.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    thread,
    time::{Duration, Instant},
};

use lb_common::interface::Interface;
use lb_tests::{
    bed::VIPS,
    control::Control,
    daemon::Instance,
    netns::{Namespace, join},
    packet::{Flags, Packet},
    traffic,
};
use rustix::net::{AddressFamily, Protocol, SendFlags, SocketType, sendto, socket};
use serde_json::{Value, json};

use crate::scene::{LIMIT, Mode, Scene, destinations, name, names, wait_serving};

/// Packets by interface.
type Counts = BTreeMap<String, u64>;

/// What each interface has handed to the program since that was first attached. A veth without NAPI, as it is
/// before, counts nothing here.
fn received(namespace: &Namespace, interfaces: &[String]) -> Counts {
    let of = |interface: &String| {
        let counters = namespace.run("ethtool", &["-S", interface]);
        let queues = counters.lines().filter_map(|line| {
            let (counter, packets) = line.trim().split_once(": ")?;
            let is_ours = counter.starts_with("rx_queue_") && counter.ends_with("_xdp_packets");
            is_ours.then(|| packets.parse::<u64>().expect("a number"))
        });
        (interface.clone(), queues.sum())
    };
    interfaces.iter().map(of).collect()
}

/// The ledgers' sums, by interface; they must be what the answer says they are.
fn counted(control: &mut Control) -> (Counts, Value) {
    let stats = control.must("stats", &json!({}));
    let sum = |ledger: &Value| -> u64 {
        let ledger = ledger.as_object().expect("a ledger");
        ledger.values().filter_map(Value::as_u64).sum()
    };
    let rows = stats["interfaces"].as_array().expect("rows");
    let counts = rows.iter().map(|row| {
        let packets = row["packets"].as_u64().expect("a number");
        assert_eq!(packets, sum(&row["ledger"]), "{row:#}");
        (row["name"].as_str().expect("a name").to_owned(), packets)
    });
    let counts: Counts = counts.collect();
    assert_eq!(stats["other"], Value::Null, "{stats:#}");
    assert_eq!(stats["packets"], json!(sum(&stats["ledger"])), "{stats:#}");
    assert_eq!(stats["packets"], json!(counts.values().sum::<u64>()));
    (counts, stats)
}

/// Compares at a moment in which no packet arrives, so that both are of the same packets; `before` was received by
/// interfaces that are gone.
fn balances(scene: &Scene, control: &mut Control, before: &Counts) -> Value {
    let interfaces = scene.bed.interfaces();
    let begun = Instant::now();
    loop {
        let received_by = || received(&scene.bed.balancer, &interfaces);
        let earlier = received_by();
        let (counts, stats) = counted(control);
        let is_quiet = received_by() == earlier;
        let mut wanted = earlier;
        for (interface, packets) in before {
            *wanted.entry(interface.clone()).or_default() += packets;
        }
        if is_quiet && counts == wanted {
            return stats;
        }
        assert!(
            begun.elapsed() < LIMIT,
            "counted {counts:?}, received {wanted:?} (quiet: {is_quiet}): {stats:#}"
        );
        thread::sleep(Duration::from_millis(5));
    }
}

/// Sends IP packets that no well-behaved host sends.
fn send_garbage(namespace: &Namespace, packets: Vec<Packet>) {
    namespace.enter(|| {
        for packet in packets {
            let (domain, layers) = match packet.destination {
                SocketAddr::V4(_) => (AddressFamily::INET, packet.layers()),
                SocketAddr::V6(_) => (AddressFamily::INET6, packet.layers()),
            };
            let raw = Protocol::from_raw(255.try_into().expect("not 0"));
            let socket = socket(domain, SocketType::RAW, Some(raw)).expect("a raw socket");
            let frame = packet.frame();
            let to = SocketAddr::new(packet.destination.ip(), 0);
            let _ = sendto(&socket, &frame[layers.ip..], SendFlags::empty(), &to)
                .unwrap_or_else(|error| panic!("sending {packet:?}: {error}"));
        }
    });
}

/// One of each: dropped, passed, answered.
fn garbage(client: IpAddr, vip: IpAddr, mode: Mode) -> Vec<Packet> {
    let (from, to) = (
        SocketAddr::new(client, 40_000),
        SocketAddr::new(vip, mode.port()),
    );
    let (icmp, echo) = match vip {
        IpAddr::V4(_) => (1, 8),
        IpAddr::V6(_) => (58, 128),
    };
    let mut lies = Packet::udp(from, to);
    // A datagram that says it is longer than its packet.
    lies.transport = lb_tests::packet::Transport::Raw(17);
    lies.payload = vec![0x9c, 0x40, 0x1f, 0x90, 0xff, 0xff, 0, 0];
    let mut short = Packet::tcp(from, to);
    short.transport = lb_tests::packet::Transport::Raw(6);
    short.payload = vec![0; 7];
    vec![
        Packet::tcp(from, to).ttl(1),
        Packet::tcp(from, to).flags(Flags::RST),
        Packet::tcp(from, (vip, 9_999).into()),
        Packet::udp((vip, 1).into(), to),
        Packet::raw(client, vip, icmp, vec![echo, 0, 0, 0, 0, 1, 0, 1]),
        Packet::raw(client, vip, icmp, vec![3, 0, 0]),
        Packet::raw(client, vip, 253, vec![0; 40]),
        lies,
        short,
    ]
}

fn mixed_traffic(scene: &Scene, mode: Mode) {
    for to in destinations(mode) {
        assert!(!names(traffic::ask(&scene.bed.client, to, 40)).is_empty());
        let client: IpAddr = match to {
            SocketAddr::V4(_) => "10.1.0.2".parse().expect("an address"),
            SocketAddr::V6(_) => "fd01::2".parse().expect("an address"),
        };
        for _ in 0..5 {
            send_garbage(&scene.bed.client, garbage(client, to.ip(), mode));
        }
        // To a backend's own address, by the host's stack; at a port of its own, so that the answer cannot be taken for
        // one to a flow of the same client port.
        for backend in 0..2 {
            let closed = SocketAddr::new(scene.backend(backend, to.ip()).ip(), 9);
            for answer in traffic::ask(&scene.bed.client, closed, 5) {
                let error = answer.expect_err("nobody listens there");
                assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused, "{error}");
            }
        }
    }
}

#[test]
fn every_packet_is_in_its_interfaces_ledger() {
    let mode = Mode::Nat;
    let scene = Scene::new(2);
    let _servers = scene.servers();
    let none = Counts::new();
    let interfaces = scene.bed.interfaces();
    let at_first = received(&scene.bed.balancer, &interfaces);
    assert!(at_first.values().all(|packets| *packets == 0));
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    scene.serve(&mut control, mode);
    mixed_traffic(&scene, mode);
    let told = balances(&scene, &mut control, &none);
    for outcome in [
        "forward.forwarded",
        "forward.replied",
        "forward.echoed",
        "forward.time_exceeded_sent",
        "pass.not_ip",
        "pass.not_vip",
        "pass.unmatched",
        "drop.bad_source",
        "drop.malformed",
    ] {
        assert_ne!(told["ledger"][outcome], json!(0), "{outcome}: {told:#}");
    }

    // The counts outlive the daemon ...
    daemon.kill();
    mixed_traffic(&scene, mode);
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    for vip in VIPS {
        wait_serving(&mut control, &name(vip), 2);
    }
    balances(&scene, &mut control, &none);

    // ... and the interface.
    let host = &scene.bed.backends[0];
    let gone = [host.name.clone()];
    let index = scene.bed.balancer.interface(&host.name).0;
    // Its last packets are counted before its counters go with it.
    scene
        .bed
        .balancer
        .ip(&format!("link set {} down", host.name));
    balances(&scene, &mut control, &none);
    let before = received(&scene.bed.balancer, &gone);
    scene.bed.balancer.ip(&format!("link del {}", host.name));
    join((&scene.bed.balancer, &host.name), (&host.namespace, "eth0"));
    assert_ne!(scene.bed.balancer.interface(&host.name).0, index);
    lb_tests::wait::until("lbd attaches to the new interface", LIMIT, || {
        let status = control.must("status", &json!({}));
        let rows = status["interfaces"].as_array().expect("rows");
        let row = rows.iter().find(|row| row["name"] == json!(host.name));
        row.is_some_and(|row| row["xdp_mode"] == json!("native"))
    });
    balances(&scene, &mut control, &before);
}

#[test]
fn interfaces_whose_packets_cannot_be_told_apart_are_refused() {
    let namespace = Namespace::new("twins");
    join((&namespace, "up0"), (&namespace, "up1"));
    let (index, _) = namespace.interface("up0");
    let twin = index + Interface::ELEMENTS;
    namespace.ip(&format!(
        "link add twin index {twin} type veth peer name far"
    ));
    let interfaces = ["up0", "twin"].map(str::to_owned);
    let instance = Instance::new(&namespace, interfaces.into());
    let (code, said) = instance.refused_with(&[]);
    assert_eq!(code, Some(1), "{said}");
    for part in ["`twin`", "`up0`", "4096", "another index"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
