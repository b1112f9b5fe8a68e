//! Clients behind real 802.1Q devices: their frames reach the balancer tagged, and what it sends back by the same
//! interface keeps the tag.
//!
//! ```text
//! client eth0.7 ---- client.7 [balancer] b0 ---- backend 0
//! ```

use std::net::{IpAddr, SocketAddr, UdpSocket};

use lb_tests::{bed::VIPS, kernel, netns::Namespace, wait};

use crate::scene::{LIMIT, Mode, Scene, destinations};

#[test]
fn tagged_clients_are_served_and_answered_with_their_tag() {
    if !kernel::has_modules(&["8021q"]) {
        return;
    }
    let scene = Scene::new(2);
    tag(&scene);
    let _http = scene.servers();
    let _udp = VIPS.map(|vip| scene.udp_servers(Mode::L2, vip));
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    scene.serve(&mut control, Mode::L2);
    let client = &scene.bed.client;
    for to in destinations(Mode::L2) {
        scene.everybody_answers(to, 40);
    }
    for to in destinations(Mode::L2) {
        let before = time_exceeded(client, to.ip());
        wait::until("an ICMP error with the client's tag", LIMIT, || {
            send_with_one_hop(client, to);
            time_exceeded(client, to.ip()) > before
        });
    }
}

/// Moves the client's way to the VIPs to a VLAN.
fn tag(scene: &Scene) {
    let (client, balancer) = (&scene.bed.client, &scene.bed.balancer);
    // A tag beside the frame, as offloads have it, is nothing that a program sees.
    for features in [["txvlan", "off"], ["rxvlan", "off"]] {
        let [feature, state] = features;
        let _ = client.run("ethtool", &["-K", "eth0", feature, state]);
    }
    for (namespace, below, device, host) in [
        (client, "eth0", "eth0.7", 2),
        (balancer, "client", "client.7", 1),
    ] {
        namespace.ip(&format!(
            "link add link {below} name {device} type vlan id 7"
        ));
        namespace.ip(&format!("link set {device} up"));
        namespace.ip(&format!("address add 10.7.0.{host}/24 dev {device}"));
        namespace.ip(&format!("address add fd07::{host}/64 dev {device} nodad"));
    }
    client.compute_checksums("eth0.7");
    client.ip("route replace default via 10.7.0.1 src 10.7.0.2");
    client.ip("route del default via fd01::1");
    client.ip("route add default via fd07::1 src fd07::2");
}

fn send_with_one_hop(client: &Namespace, to: SocketAddr) {
    client.enter(|| {
        let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).expect("a socket");
        let set = if to.is_ipv4() {
            rustix::net::sockopt::set_ip_ttl(&socket, 1)
        } else {
            rustix::net::sockopt::set_ipv6_unicast_hops(&socket, Some(1))
        };
        set.expect("setting the hop limit");
        socket.send_to(b"one hop", to).expect("sending a datagram");
    });
}

/// ICMP errors of that kind that the client has received, of the version of `vip`.
fn time_exceeded(client: &Namespace, vip: IpAddr) -> u64 {
    if vip.is_ipv6() {
        let counters = client.run("cat", &["/proc/net/snmp6"]);
        let line = counters
            .lines()
            .find_map(|line| line.strip_prefix("Icmp6InTimeExcds"));
        return line
            .and_then(|it| it.trim().parse().ok())
            .expect("a counter");
    }
    // A line of names, then one of numbers.
    let counters = client.run("cat", &["/proc/net/snmp"]);
    let mut lines = counters.lines().filter(|line| line.starts_with("Icmp: "));
    let names = lines.next().expect("names of counters").split(' ');
    let numbers = lines.next().expect("counters").split(' ');
    let (_, number) = names
        .zip(numbers)
        .find(|(name, _)| *name == "InTimeExcds")
        .expect("a counter");
    number.parse().expect("a number")
}
