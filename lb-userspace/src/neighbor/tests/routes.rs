//! Kinds of routes: what the kernel makes of each, and how soon a change of one is seen.

use std::{fs, time::Instant};

use super::*;

/// Less than from one look at everything to the next.
const SOON: Duration = Duration::from_secs(5);

#[test]
fn every_kind_of_route_leads_to_its_next_hop() {
    let Some(network) = network("every_kind_of_route_leads_to_its_next_hop") else {
        return;
    };
    network.peer("address add 10.124.0.2/24 dev p0");
    network.peer("address add fd00:123::3/64 dev p0 nodad");
    for command in [
        "nexthop add id 1 via 10.123.0.2 dev l0",
        "nexthop add id 2 via fd00:123::2 dev l0",
        "nexthop add id 10 group 1/2",
        "route add 198.18.0.1/32 nhid 1",
        "route add 198.18.0.2/32 nhid 2",
        "route add 198.18.0.3/32 nhid 10",
        "route add 198.18.0.4/32 via inet6 fd00:123::2 dev l0",
        "route add 198.18.0.5/32 via 10.124.0.2 dev l0 onlink",
        "route add 198.18.0.6/32 nexthop via 10.123.0.2 nexthop via 10.124.0.2 dev l0 onlink",
        "route add 198.18.0.7/32 nexthop via 10.123.0.2 nexthop via inet6 fd00:123::2 dev l0",
        "route add 2001:db8:1::1 nhid 2",
        "route add 2001:db8:1::2 nexthop via fd00:123::2 dev l0 nexthop via fd00:123::3 dev l0 weight 2",
    ] {
        network.balancer(command);
    }
    network.run(async || {
        let v4 = (1..=7).map(|host| format!("198.18.0.{host}"));
        let v6 = (1..=2).map(|host| format!("2001:db8:1::{host}"));
        for destination in v4.chain(v6) {
            let mut watch = Watch::start(&[&destination]);
            let next_hop = watch.until_mac(&destination, PEER_MAC).await;
            assert!(!next_hop.on_link, "{destination}");
            assert!(next_hop.source.is_some(), "{destination}");
        }
    });
}

#[test]
fn routes_that_end_or_encapsulate_are_told_with_the_reason() {
    let Some(network) = network("routes_that_end_or_encapsulate_are_told_with_the_reason") else {
        return;
    };
    for command in [
        "nexthop add id 11 blackhole",
        "route add 198.18.0.1/32 nhid 11",
        "route add throw 198.18.0.2/32",
        "route add 198.18.0.3/32 encap ip id 7 dst 10.1.1.1 dev l0",
        "route add 2001:db8::4 encap ip6 id 7 dst fd00:77::1 via fd00:123::2 dev l0",
    ] {
        network.balancer(command);
    }
    network.run(async || {
        let interface = "l0".to_owned();
        for (destination, why) in [
            ("198.18.0.1", Unresolved::NoRoute),
            ("198.18.0.2", Unresolved::NoRoute),
            (
                "198.18.0.3",
                Unresolved::Encapsulated {
                    interface: interface.clone(),
                },
            ),
            ("2001:db8::4", Unresolved::Encapsulated { interface }),
        ] {
            let mut watch = Watch::start(&[destination]);
            watch.until_unresolved(destination, why).await;
        }
    });
}

#[test]
fn a_nexthop_object_that_changes_or_goes_is_seen_soon() {
    let Some(network) = network("a_nexthop_object_that_changes_or_goes_is_seen_soon") else {
        return;
    };
    network.peer("address add 10.123.0.3/24 dev p0");
    network.balancer("nexthop add id 1 via 10.123.0.2 dev l0");
    network.balancer("route add 198.18.0.1/32 nhid 1");
    network.run(async || {
        // As where routing daemons ask for it; the kernel then tells of no route.
        fs::write("/proc/sys/net/ipv4/nexthop_compat_mode", "0").unwrap();
        let mut watch = Watch::start(&["198.18.0.1"]);
        watch.until_mac("198.18.0.1", PEER_MAC).await;
        let begin = Instant::now();
        network.balancer("nexthop replace id 1 blackhole");
        watch
            .until_unresolved("198.18.0.1", Unresolved::NoRoute)
            .await;
        network.balancer("nexthop replace id 1 via 10.123.0.3 dev l0");
        watch.until_mac("198.18.0.1", PEER_MAC).await;
        network.balancer("nexthop del id 1");
        watch
            .until_unresolved("198.18.0.1", Unresolved::NoRoute)
            .await;
        let took = begin.elapsed();
        assert!(took < SOON, "it took {took:?}");
    });
}

#[test]
fn of_several_next_hops_the_kernel_avoids_those_that_do_not_answer_if_it_may() {
    let test = "of_several_next_hops_the_kernel_avoids_those_that_do_not_answer_if_it_may";
    let Some(network) = network(test) else {
        return;
    };
    network.balancer("route add 198.18.0.0/24 nexthop via 10.123.0.2 nexthop via 10.123.0.77");
    network.run(async || {
        let destinations: Vec<_> = (1..=32).map(|host| format!("198.18.0.{host}")).collect();
        let destinations: Vec<_> = destinations.iter().map(String::as_str).collect();
        let mut watch = Watch::start(&destinations);
        let silent = Err(Unresolved::NoNeighbor {
            next_hop: address("10.123.0.77"),
            interface: "l0".to_owned(),
        });
        watch
            .until_all(|next_hops| {
                let found = next_hops.values().filter(|it| it.is_ok()).count();
                let lost = next_hops.values().filter(|it| **it == silent).count();
                found > 0 && lost > 0 && found + lost == 32
            })
            .await;
        fs::write("/proc/sys/net/ipv4/fib_multipath_use_neigh", "1").unwrap();
        watch
            .until_all(|next_hops| next_hops.values().all(Result::is_ok))
            .await;
    });
}
