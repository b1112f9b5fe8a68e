//! What the program answers by itself, as clients' kernels and tools take it: hops, sizes, pings, and nothing to groups.

use std::{
    io,
    net::{Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket},
    time::{Duration, Instant},
};

use lb_tests::{
    bed::{Bed, VIP_V4, VIPS},
    control::Control,
    icmp::{Answer, Probe, allow_pings, ping, time_exceeded_taken, trace},
    traffic::{Connection, Server},
};
use serde_json::json;

use crate::scene::{Mode, PORT, Scene, destinations, name, wait_serving};

/// Far more than a window: it takes full segments all the way.
const TRANSFER: usize = 3 << 20;
/// What the links to backends carry.
const NARROW: u16 = 1_400;
/// How long a ping is waited for that must be answered.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long nothing must come.
const SILENCE: Duration = Duration::from_millis(500);

#[test]
fn a_trace_shows_the_balancer_as_a_hop_and_then_the_service() {
    let scene = Scene::new(2);
    let _http = scene.servers();
    let _udp = VIPS.map(|vip| scene.udp_servers(Mode::L2, vip));
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    scene.serve(&mut control, Mode::L2);
    for to in destinations(Mode::L2) {
        for probe in [Probe::Tcp, Probe::Udp] {
            let answers = scene.bed.client.enter(|| {
                [1, 2].map(|hops| {
                    trace(probe, to, hops)
                        .unwrap_or_else(|error| panic!("{probe:?} to {to}, {hops} hops: {error}"))
                })
            });
            // The balancer answers for the VIP; behind it is the service.
            let wanted = [Answer::Hop(to.ip()), Answer::Service];
            assert_eq!(answers, wanted, "{probe:?} to {to}");
        }
    }
    assert!(outcome(&mut control, "forward.time_exceeded_sent") >= 4);
}

#[test]
fn a_client_learns_what_fits_into_a_tunnel_over_a_narrow_link() {
    for mode in [Mode::Ipip, Mode::Gue] {
        let scene = Scene::on(Bed::with_bare_backends(1));
        let (host, balancer) = (&scene.bed.backends[0], &scene.bed.balancer);
        balancer.ip(&format!("link set b0 mtu {NARROW}"));
        let daemon = scene.instance.start();
        let mut control = daemon.control();
        let _sink = Server::sink(&host.namespace, PORT);
        for vip in VIPS {
            let mut service = scene.service(mode, vip);
            service["probe"] =
                json!({"type": "tcp", "interval": "250ms", "timeout": "250ms", "rise": 1});
            control.must("service.add", &service);
            wait_serving(&mut control, &name(vip), 1);
            let shown = scene.set_up_one(0, &name(vip), vip, &[]);
            assert!(shown.contains("lbd decap"), "{shown}");
            let to = SocketAddr::new(vip, PORT);
            let before = outcome(&mut control, "forward.too_big_sent");
            let sent = Connection::open(&scene.bed.client, to).and_then(|open| open.pour(TRANSFER));
            assert_eq!(sent.ok(), Some(TRANSFER), "{vip} by {mode:?}");
            assert!(
                outcome(&mut control, "forward.too_big_sent") > before,
                "{vip} by {mode:?}"
            );
            let route = scene
                .bed
                .client
                .run("ip", &["route", "get", &vip.to_string()]);
            let overhead =
                if vip.is_ipv4() { 20 } else { 40 } + if mode == Mode::Gue { 8 } else { 0 };
            let mtu = format!("mtu {}", NARROW - overhead);
            assert!(route.contains(&mtu), "no {mtu} in {route}");
        }
    }
}

#[test]
fn pings_of_every_size_are_answered_by_the_program_and_not_by_the_host() {
    let scene = Scene::new(1);
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    for vip in VIPS {
        control.must("service.add", &scene.service(Mode::L2, vip));
    }
    let client = &scene.bed.client;
    allow_pings(client);
    for (count, vip) in (1..).zip(VIPS) {
        for size in [0, 56, 1_400] {
            let answered = client.enter(|| ping((vip, 0).into(), size, 64, PATIENCE));
            assert!(answered.expect("an echo request"), "{size} bytes to {vip}");
        }
        assert_eq!(outcome(&mut control, "forward.echoed"), 3 * count);
    }
}

#[test]
fn groups_are_not_answered() {
    let scene = Scene::new(1);
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    for vip in VIPS {
        control.must("service.add", &scene.service(Mode::L2, vip));
    }
    let client = &scene.bed.client;
    allow_pings(client);
    for namespace in [client, &scene.bed.balancer] {
        // The kernels' own answers; those to IPv4 groups are off by default.
        namespace.sysctl("ipv6/icmp/echo_ignore_multicast", "1");
    }
    let (index, _) = client.interface("eth0");
    let all_nodes = SocketAddr::V6(SocketAddrV6::new(
        Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1),
        0,
        0,
        index,
    ));
    let v4 = |text: &str| SocketAddr::new(text.parse().expect("an address"), 0);
    let groups = [
        v4("10.1.0.255"),
        v4("255.255.255.255"),
        v4("224.0.0.1"),
        all_nodes,
    ];
    for to in groups {
        let answered = client.enter(|| ping(to, 8, 1, SILENCE));
        assert!(!answered.expect("an echo request"), "{to} is answered");
    }
    // To the VIP, but by everybody's MAC address: no echo, and no error about hops.
    client.ip("neighbor replace 10.1.0.1 lladdr ff:ff:ff:ff:ff:ff dev eth0");
    let before = outcome(&mut control, "pass.group_addressed");
    for hops in [64, 1] {
        let answered = client.enter(|| ping((VIP_V4, 0).into(), 8, hops, SILENCE));
        assert!(
            !answered.expect("an echo request"),
            "a broadcast is answered"
        );
    }
    client
        .enter(|| last_hops((VIP_V4, PORT).into(), 10))
        .expect("a socket");
    assert!(outcome(&mut control, "pass.group_addressed") >= before + 12);
    assert_eq!(outcome(&mut control, "forward.echoed"), 0);
    assert_eq!(outcome(&mut control, "forward.time_exceeded_sent"), 0);
}

#[test]
fn errors_are_sent_within_a_budget_and_the_rest_is_counted() {
    let scene = Scene::new(1);
    let _http = scene.servers();
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    control.must("service.add", &scene.service(Mode::L2, VIP_V4));
    wait_serving(&mut control, &name(VIP_V4), 1);
    let begin = Instant::now();
    let packets = 30_000;
    scene
        .bed
        .client
        .enter(|| last_hops((VIP_V4, PORT).into(), packets))
        .expect("a socket");
    let (sent, refused) = (
        outcome(&mut control, "forward.time_exceeded_sent"),
        outcome(&mut control, "drop.ttl_exceeded"),
    );
    // A veth drops what comes faster than it is taken.
    assert!(
        sent + refused <= packets,
        "{sent} and {refused} of {packets}"
    );
    let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64);
    // 1,000 for each second and CPU, and what a CPU has saved.
    let most = (begin.elapsed().as_secs() + 2) * 1_000 * cpus;
    assert!(
        (1..=most).contains(&sent),
        "{sent} errors sent, at most {most}"
    );
    assert!(refused > 0, "{packets} packets did not use the budget up");
    let taken = time_exceeded_taken(&scene.bed.client);
    assert!(
        (1..=sent).contains(&taken),
        "the client has taken {taken} of {sent}"
    );
}

/// Sends datagrams that may go one hop.
fn last_hops(to: SocketAddr, count: u64) -> io::Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_ttl(1)?;
    for _ in 0..count {
        socket.send_to(b"x", to)?;
    }
    Ok(())
}

/// How many packets had this outcome.
fn outcome(control: &mut Control, label: &str) -> u64 {
    let stats = control.must("stats", &json!({}));
    let count = stats["ledger"][label].as_u64();
    count.unwrap_or_else(|| panic!("no {label} in {stats:#}"))
}
