//! Clients and backends behind real VLAN devices: a frame leaves the balancer with the tag of the device that its route
//! names, whatever tag it came with.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use lb_tests::{bed::VIPS, kernel, netns::Namespace, wait};

use crate::{
    forwarding::{ASKED, counted},
    kernel_tunnel::DEVICES,
    scene::{LIMIT, Mode, Scene, destinations, name, wait_serving},
    vlan_scene::{Tagged, scene},
};

#[test]
fn tagged_clients_are_served_and_answered_with_their_tag() {
    let Some(scene) = scene(Tagged::Client) else {
        return;
    };
    let _http = scene.servers();
    let _udp = VIPS.map(|vip| scene.udp_servers(Mode::L2, vip));
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    scene.serve(&mut control, Mode::L2);
    let client = &scene.bed.client;
    for to in destinations(Mode::L2) {
        scene.everybody_answers(to, ASKED);
    }
    for to in destinations(Mode::L2) {
        let before = time_exceeded(client, to.ip());
        wait::until("an ICMP error with the client's tag", LIMIT, || {
            send_with_one_hop(client, to);
            time_exceeded(client, to.ip()) > before
        });
    }
}

#[test]
fn frames_to_backends_in_vlans_are_tagged() {
    serves(Tagged::Backends, Mode::L2);
}

#[test]
fn nat_tags_requests_and_takes_the_tags_off_replies() {
    serves(Tagged::Backends, Mode::Nat);
}

#[test]
fn between_vlans_tags_are_changed() {
    serves(Tagged::All, Mode::L2);
}

#[test]
fn nat_between_vlans_changes_tags_there_and_back() {
    serves(Tagged::All, Mode::Nat);
}

fn serves(tagged: Tagged, mode: Mode) {
    let Some(scene) = scene(tagged) else { return };
    let _http = scene.servers();
    let _udp = VIPS.map(|vip| scene.udp_servers(mode, vip));
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    scene.serve(&mut control, mode);
    for to in destinations(mode) {
        scene.everybody_answers(to, ASKED);
    }
    counted(&mut control, mode);
}

#[test]
fn tunnels_in_vlans_are_taken_off_by_lbd_decap() {
    if let Some(scene) = scene(Tagged::Backends) {
        serves_by_tunnel(&scene, "--with=decap");
    }
}

#[test]
fn tunnels_in_vlans_are_taken_off_by_kernel_devices() {
    if !kernel::has_modules(&DEVICES) {
        return;
    }
    if let Some(scene) = scene(Tagged::Backends) {
        serves_by_tunnel(&scene, "--with=kernel");
    }
}

fn serves_by_tunnel(scene: &Scene, receiver: &str) {
    let mode = Mode::Ipip;
    let _http = scene.servers();
    let _udp = VIPS.map(|vip| scene.udp_servers(mode, vip));
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    for vip in VIPS {
        control.must("service.add", &scene.service(mode, vip));
        wait_serving(&mut control, &name(vip), scene.bed.backends.len());
        scene.set_up(&name(vip), vip, &[receiver]);
    }
    for to in destinations(mode) {
        scene.everybody_answers(to, ASKED);
    }
    counted(&mut control, mode);
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
