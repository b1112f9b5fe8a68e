//! Routes of other kinds than by a gateway of the packet's IP version: the daemon's next hops, and the way back.

use lb_tests::{
    bed::{Bed, VIP_V4, VIP_V6},
    traffic,
};
use serde_json::json;

use crate::scene::{LIMIT, Mode, NEAR, Scene, backends, name, names, set};

/// Leads IPv4 to backends and to a client behind the client by their IPv6 addresses alone, to backends by nexthop objects.
fn served_by_ipv6_next_hops(mode: Mode) {
    let scene = match mode {
        Mode::Ipip | Mode::Gue => Scene::on(Bed::with_bare_backends(2)),
        Mode::L2 | Mode::Nat | Mode::Snat => Scene::new(2),
    };
    let far = scene.far_client();
    let balancer = &scene.bed.balancer;
    for (id, host) in (1..).zip(&scene.bed.backends) {
        let [v4, v6] = [VIP_V4, VIP_V6].map(|vip| host.address_like(vip));
        balancer.ip(&format!("nexthop add id {id} via {v6} dev {}", host.name));
        balancer.ip(&format!("route add {v4}/32 nhid {id}"));
    }
    let [_, client] = NEAR;
    let back = format!("route replace 10.9.0.0/24 via inet6 {client} dev client");
    balancer.ip(&back);
    let _servers = scene.servers();
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    let service = scene.service(mode, VIP_V4);
    scene.bring_up(&mut control, &service, VIP_V4);
    let answers = traffic::ask(&far, (VIP_V4, mode.port()).into(), 40);
    assert_eq!(names(answers), set(&["b0", "b1"]));
}

#[test]
fn ipv4_goes_by_ipv6_next_hops_to_tunnelled_backends() {
    served_by_ipv6_next_hops(Mode::Ipip);
}

#[test]
fn ipv4_goes_by_ipv6_next_hops_to_nat_backends_and_back_to_clients() {
    served_by_ipv6_next_hops(Mode::Nat);
}

#[test]
fn a_backend_whose_route_encapsulates_is_left_out_and_status_says_why() {
    let scene = Scene::new(2);
    let host = &scene.bed.backends[1];
    let encap = "encap ip id 7 dst 10.99.0.1";
    let route = format!("{}/32 {encap} dev {}", host.address_like(VIP_V4), host.name);
    let _servers = scene.servers();
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    scene.bring_up(&mut control, &scene.service(Mode::Snat, VIP_V4), VIP_V4);
    scene.bed.balancer.ip(&format!("route add {route}"));
    lb_tests::wait::until("the backend is left out", LIMIT, || {
        let all = backends(&mut control, &name(VIP_V4));
        let out: Vec<_> = all
            .iter()
            .filter(|it| it["serving"] != json!(true))
            .collect();
        out.len() == 1 && out[0].to_string().contains("encapsulates")
    });
}
