//! Next hops of real routes, links and neighbours: a balancer and its peer in namespaces of their own.

use std::{
    fs::File,
    os::fd::AsFd,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::{sync::mpsc, time::timeout};

use super::*;

/// The kernel gives a silent neighbour up after three seconds, then it is asked for again.
const DEADLINE: Duration = Duration::from_secs(20);

const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// A balancer with one link, `l0`, to a peer that answers for `10.123.0.2` and `fd00:123::2` (on link) and is
/// the gateway to `192.0.2.0/24`, `2001:db8::/32` and, by its IPv6 address, `198.51.100.0/24`. Gone when
/// dropped.
struct Network {
    balancer: String,
    peer: String,
}

impl Network {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = |role| format!("lbt-{}-{count}-{role}", std::process::id());
        let network = Self {
            balancer: name("l"),
            peer: name("p"),
        };
        let (l, p) = (&network.balancer, &network.peer);
        ip(&format!("netns add {l}"));
        ip(&format!("netns add {p}"));
        ip(&format!(
            "link add l0 netns {l} type veth peer name p0 netns {p}"
        ));
        ip(&format!("-n {p} link set p0 address 02:00:00:00:00:02"));
        for (namespace, link, host) in [(l, "l0", 1), (p, "p0", 2)] {
            ip(&format!("-n {namespace} link set lo up"));
            ip(&format!("-n {namespace} link set {link} up"));
            ip(&format!(
                "-n {namespace} address add 10.123.0.{host}/24 dev {link}"
            ));
            ip(&format!(
                "-n {namespace} address add fd00:123::{host}/64 dev {link} nodad"
            ));
        }
        ip(&format!("-n {l} route add 192.0.2.0/24 via 10.123.0.2"));
        ip(&format!(
            "-n {l} route add 198.51.100.0/24 via inet6 fd00:123::2 dev l0"
        ));
        ip(&format!("-n {l} route add 2001:db8::/32 via fd00:123::2"));
        network
    }

    /// `ip` in the balancer's namespace.
    fn balancer(&self, arguments: &str) {
        ip(&format!("-n {} {arguments}", self.balancer));
    }

    /// `ip` in the peer's namespace.
    fn peer(&self, arguments: &str) {
        ip(&format!("-n {} {arguments}", self.peer));
    }

    /// Runs `test` on a thread of its own in the balancer's namespace.
    fn run(&self, test: impl AsyncFnOnce() + Send) {
        let namespace = File::open(format!("/run/netns/{}", self.balancer)).unwrap();
        let inside = || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap()
                .block_on(test());
        };
        let result = std::thread::scope(|scope| scope.spawn(inside).join());
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for namespace in [&self.balancer, &self.peer] {
            let _ = Command::new("ip")
                .args(["netns", "del", namespace])
                .output();
        }
    }
}

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output();
    let output = output.expect("iproute2 is installed");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {error}");
}

/// A network, if this process may make one.
fn network(test: &str) -> Option<Network> {
    if rustix::process::geteuid().is_root() {
        Some(Network::new())
    } else {
        println!("SKIPPED: {test}: needs root");
        None
    }
}

/// A resolver and what it has sent.
struct Watch {
    handle: ResolverHandle,
    updates: mpsc::Receiver<NextHops>,
}

impl Watch {
    fn start(destinations: &[&str]) -> Self {
        let (sender, updates) = mpsc::channel(1);
        let handle = Resolver::spawn(sender).unwrap();
        let watch = Self { handle, updates };
        watch.destinations(destinations);
        watch
    }

    fn destinations(&self, destinations: &[&str]) {
        self.handle
            .watch(destinations.iter().map(|to| address(to)).collect());
    }

    /// Waits until `destination` is resolved as `expected` says.
    async fn until(
        &mut self,
        destination: &str,
        expected: impl Fn(&Result<NextHop, Unresolved>) -> bool,
    ) -> Result<NextHop, Unresolved> {
        let mut last = None;
        let found = async {
            loop {
                let next_hops = self.updates.recv().await.expect("the resolver lives");
                last = next_hops.get(&address(destination)).cloned();
                if let Some(next_hop) = last.clone().filter(&expected) {
                    return next_hop;
                }
            }
        };
        let found = timeout(DEADLINE, found).await;
        found.unwrap_or_else(|_| panic!("{destination} is still {last:?} after {DEADLINE:?}"))
    }

    async fn until_mac(&mut self, destination: &str, mac: [u8; 6]) -> NextHop {
        self.until(destination, |next_hop| {
            next_hop
                .as_ref()
                .is_ok_and(|hop| hop.destination_mac == mac)
        })
        .await
        .unwrap()
    }

    async fn until_unresolved(&mut self, destination: &str, why: Unresolved) {
        let _ = self
            .until(destination, |next_hop| *next_hop == Err(why.clone()))
            .await;
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn destinations_on_link_and_behind_gateways_are_found() {
    let Some(network) = network("destinations_on_link_and_behind_gateways_are_found") else {
        return;
    };
    network.run(async || {
        let l0 = links()
            .await
            .unwrap()
            .into_iter()
            .find(|link| link.name == "l0");
        let l0 = l0.unwrap();
        for (destination, on_link, source) in [
            ("10.123.0.2", true, "10.123.0.1"),
            ("fd00:123::2", true, "fd00:123::1"),
            ("192.0.2.7", false, "10.123.0.1"),
            ("198.51.100.7", false, "10.123.0.1"),
            ("2001:db8::7", false, "fd00:123::1"),
        ] {
            let mut watch = Watch::start(&[destination]);
            let next_hop = watch.until_mac(destination, PEER_MAC).await;
            let expected = NextHop {
                vlan: Vlan::NONE,
                interface: l0.index,
                source_mac: l0.mac.unwrap(),
                destination_mac: PEER_MAC,
                on_link,
                source: Some(source.parse().unwrap()),
                mtu: 1_500,
            };
            assert_eq!(next_hop, expected, "{destination}");
        }
    });
}

#[test]
fn destinations_that_no_frame_can_reach_are_told_with_the_reason() {
    let Some(network) = network("destinations_that_no_frame_can_reach_are_told_with_the_reason")
    else {
        return;
    };
    network.balancer("route add blackhole 203.0.113.0/25");
    network.balancer("route add unreachable 203.0.113.128/25");
    network.balancer("route add prohibit 2001:db8:dead::/48");
    network.balancer("tuntap add mode tun dev tun0");
    network.balancer("link set tun0 up");
    network.balancer("route add 100.64.0.0/10 dev tun0");
    network.run(async || {
        let tun0 = "tun0".to_owned();
        for (destination, why) in [
            ("203.0.113.1", Unresolved::NoRoute),
            ("203.0.113.129", Unresolved::NoRoute),
            ("2001:db8:dead::1", Unresolved::NoRoute),
            ("9.9.9.9", Unresolved::NoRoute),
            ("2620:fe::9", Unresolved::NoRoute),
            ("10.123.0.255", Unresolved::NoRoute),
            ("10.123.0.1", Unresolved::Local),
            ("fd00:123::1", Unresolved::Local),
            ("127.0.0.1", Unresolved::Local),
            ("100.64.0.1", Unresolved::NoEthernet { interface: tun0 }),
        ] {
            let mut watch = Watch::start(&[destination]);
            watch.until_unresolved(destination, why).await;
        }
    });
}

#[test]
fn a_neighbour_that_was_silent_is_found_when_it_appears() {
    let Some(network) = network("a_neighbour_that_was_silent_is_found_when_it_appears") else {
        return;
    };
    network.run(async || {
        for (destination, prefix) in [("10.123.0.9", "24"), ("fd00:123::9", "64")] {
            let mut watch = Watch::start(&[destination]);
            let silent = Unresolved::NoNeighbor {
                next_hop: address(destination),
                interface: "l0".to_owned(),
            };
            watch.until_unresolved(destination, silent).await;
            let nodad = if prefix == "64" { " nodad" } else { "" };
            network.peer(&format!("address add {destination}/{prefix} dev p0{nodad}"));
            watch.until_mac(destination, PEER_MAC).await;
        }
    });
}

#[test]
fn a_neighbours_new_mac_address_is_seen() {
    let Some(network) = network("a_neighbours_new_mac_address_is_seen") else {
        return;
    };
    network.run(async || {
        let mut watch = Watch::start(&["10.123.0.2", "fd00:123::2", "192.0.2.1"]);
        watch.until_mac("10.123.0.2", PEER_MAC).await;
        network.peer("link set p0 address 02:00:00:00:00:03");
        // As if the old address had timed out: the kernel asks anew.
        network.balancer("neigh flush dev l0");
        for destination in ["10.123.0.2", "fd00:123::2", "192.0.2.1"] {
            let mut watch = Watch::start(&[destination]);
            watch.until_mac(destination, [2, 0, 0, 0, 0, 3]).await;
        }
        watch.until_mac("10.123.0.2", [2, 0, 0, 0, 0, 3]).await;
    });
}

#[test]
fn a_lost_carrier_is_seen_and_its_return() {
    let Some(network) = network("a_lost_carrier_is_seen_and_its_return") else {
        return;
    };
    network.run(async || {
        let mut watch = Watch::start(&["10.123.0.2"]);
        watch.until_mac("10.123.0.2", PEER_MAC).await;
        network.peer("link set p0 down");
        let interface = "l0".to_owned();
        watch
            .until_unresolved("10.123.0.2", Unresolved::InterfaceDown { interface })
            .await;
        network.peer("link set p0 up");
        watch.until_mac("10.123.0.2", PEER_MAC).await;
        network.balancer("link set l0 down");
        watch
            .until_unresolved("10.123.0.2", Unresolved::NoRoute)
            .await;
    });
}

#[test]
fn a_changed_route_is_seen() {
    let Some(network) = network("a_changed_route_is_seen") else {
        return;
    };
    network.run(async || {
        let mut watch = Watch::start(&["192.0.2.1"]);
        assert!(!watch.until_mac("192.0.2.1", PEER_MAC).await.on_link);
        network.balancer("route replace blackhole 192.0.2.1/32");
        watch
            .until_unresolved("192.0.2.1", Unresolved::NoRoute)
            .await;
        network.balancer("route del blackhole 192.0.2.1/32");
        watch.until_mac("192.0.2.1", PEER_MAC).await;
    });
}

#[test]
fn nothing_is_sent_when_no_next_hop_changed() {
    let Some(network) = network("nothing_is_sent_when_no_next_hop_changed") else {
        return;
    };
    network.run(async || {
        let mut watch = Watch::start(&["10.123.0.2"]);
        watch.until_mac("10.123.0.2", PEER_MAC).await;
        network.balancer("link add other type veth peer name another");
        network.balancer("route add blackhole 203.0.113.0/24");
        watch.destinations(&["10.123.0.2", "203.0.113.1"]);
        let next_hops = timeout(DEADLINE, watch.updates.recv())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(next_hops.len(), 2, "the first update is about the new set");
        assert!(next_hops[&address("10.123.0.2")].is_ok());
    });
}

#[test]
fn dropping_the_handle_ends_the_task() {
    let Some(network) = network("dropping_the_handle_ends_the_task") else {
        return;
    };
    network.run(async || {
        let Watch {
            handle,
            mut updates,
        } = Watch::start(&["10.123.0.2"]);
        drop(handle);
        let ended = async { while updates.recv().await.is_some() {} };
        timeout(DEADLINE, ended).await.expect("the task has ended");
    });
}

#[test]
fn interfaces_are_listed_and_their_changes_told() {
    let Some(network) = network("interfaces_are_listed_and_their_changes_told") else {
        return;
    };
    network.run(async || {
        let lo = links()
            .await
            .unwrap()
            .into_iter()
            .find(|link| link.name == "lo");
        let lo = lo.unwrap();
        assert_eq!((lo.mac, lo.up, lo.index), (None, true, 1));

        let mut events = InterfaceEvents::listen().unwrap();
        network.balancer("link add other mtu 1600 type veth peer name another");
        network.balancer("link set another up");
        network.balancer("link set other up");
        let other = timeout(DEADLINE, async {
            loop {
                let links = events.changed().await.unwrap();
                if let Some(other) = links
                    .into_iter()
                    .find(|link| link.name == "other" && link.up)
                {
                    return other;
                }
            }
        });
        let other = other.await.expect("the new interface is told");
        assert_eq!(other.mtu, 1_600);
        assert!(other.mac.is_some());
        network.balancer("link del other");
        let gone = timeout(DEADLINE, async {
            while events.changed().await.unwrap().contains(&other) {}
        });
        gone.await.expect("its end is told");
    });
}
