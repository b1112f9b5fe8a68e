//! Next hops of real routes, links and neighbours: a balancer and its peer in namespaces of their own.

use std::time::Duration;

use tokio::time::timeout;

use self::network::{PEER_MAC, Watch, address, network};
use super::{netlink::LAST_OPENED, *};

mod changes;
pub(super) mod network;
mod routes;

/// Longer than a next hop stays whose neighbour does not answer.
const BEYOND_GRACE: Duration = Duration::from_millis(300);

/// The kernel gives a silent neighbour up after three seconds, then it is asked for again.
const DEADLINE: Duration = Duration::from_secs(20);

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
fn a_neighbour_that_the_kernel_forgot_and_finds_again_was_never_lost() {
    let Some(network) =
        network("a_neighbour_that_the_kernel_forgot_and_finds_again_was_never_lost")
    else {
        return;
    };
    network.run(async || {
        let mut watch = Watch::start(&["10.123.0.2", "192.0.2.1", "2001:db8::1"]);
        for destination in ["10.123.0.2", "192.0.2.1", "2001:db8::1"] {
            watch.until_mac(destination, PEER_MAC).await;
        }
        for _ in 0..3 {
            network.balancer("neigh flush dev l0");
            // The others are looked at with this one, and the kernel is asked for them, however lately it was.
            watch.add(&["203.0.113.1"]);
            let changes = timeout(DEADLINE, watch.update()).await.unwrap();
            assert!(changes.destinations().eq([address("203.0.113.1")]));
            watch.remove(&["203.0.113.1"]);
            let changes = timeout(DEADLINE, watch.update()).await.unwrap();
            assert!(changes.destinations().eq([address("203.0.113.1")]));
            let later = timeout(BEYOND_GRACE, watch.update()).await;
            assert!(later.is_err(), "something was lost: {later:?}");
        }
        network.peer("link set p0 arp off");
        network.balancer("neigh flush dev l0");
        let silent = Unresolved::NoNeighbor {
            next_hop: address("10.123.0.2"),
            interface: "l0".to_owned(),
        };
        watch.until_unresolved("192.0.2.1", silent).await;
    });
}

#[test]
fn what_was_known_stays_when_the_socket_for_questions_fails() {
    let Some(network) = network("what_was_known_stays_when_the_socket_for_questions_fails") else {
        return;
    };
    network.run(async || {
        let mut watch = Watch::start(&["10.123.0.2", "192.0.2.1"]);
        watch.until_mac("10.123.0.2", PEER_MAC).await;
        watch.until_mac("192.0.2.1", PEER_MAC).await;
        let socket = LAST_OPENED.take().expect("the resolver has opened it");
        socket.abort();
        network.balancer("route add blackhole 192.0.2.1/32");
        let changes = timeout(DEADLINE, watch.update()).await.unwrap();
        let blackhole = Err(Unresolved::NoRoute);
        let expected = NextHopChanges {
            changed: [(address("192.0.2.1"), blackhole)].into(),
            gone: BTreeSet::new(),
        };
        assert_eq!(changes, expected);
        assert!(LAST_OPENED.take().is_some(), "the socket was opened anew");
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
        watch.add(&["203.0.113.1"]);
        let changes = timeout(DEADLINE, watch.update()).await.unwrap();
        let destinations: Vec<_> = changes.destinations().collect();
        assert_eq!(
            destinations,
            [address("203.0.113.1")],
            "the first update is about what is new"
        );
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
            ..
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
