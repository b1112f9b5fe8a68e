//! What a change costs and tells: of the destinations that it concerns, and of no others.

use std::collections::BTreeSet;

use tokio::task::yield_now;

use super::*;
use crate::neighbor::netlink::ROUTES_ASKED;

/// So many destinations behind the gateway.
fn behind_the_gateway(many: u32) -> Vec<String> {
    let first = u32::from(std::net::Ipv4Addr::new(100, 64, 0, 1));
    let all = (first..).take(many as usize);
    all.map(|bits| std::net::Ipv4Addr::from_bits(bits).to_string())
        .collect()
}

/// Has these destinations followed, and waits until all are found.
async fn all_found(network: &network::Network, destinations: &[String]) -> Watch {
    network.balancer("route add 100.64.0.0/10 via 10.123.0.2");
    let destinations: Vec<_> = destinations.iter().map(String::as_str).collect();
    let mut watch = Watch::start(&destinations);
    watch
        .until_all(|next_hops| {
            next_hops.len() == destinations.len() && next_hops.values().all(Result::is_ok)
        })
        .await;
    watch
}

#[test]
fn a_new_destination_is_found_without_asking_for_the_others() {
    const MANY: u32 = 1_000;
    let Some(network) = network("a_new_destination_is_found_without_asking_for_the_others") else {
        return;
    };
    for host in 10..20 {
        network.peer(&format!("address add 10.123.0.{host}/24 dev p0"));
    }
    network.run(async || {
        let mut watch = all_found(&network, &behind_the_gateway(MANY)).await;
        let before = ROUTES_ASKED.get();
        for host in 10..20 {
            // Whose neighbour is known, and whose is to be found first.
            let (behind, beside) = (format!("192.0.2.{host}"), format!("10.123.0.{host}"));
            watch.add(&[&behind]);
            watch.until_mac(&behind, PEER_MAC).await;
            watch.add(&[&beside]);
            watch.until_mac(&beside, PEER_MAC).await;
        }
        // An event of something else may have had everything looked at once or twice.
        let asked = ROUTES_ASKED.get() - before;
        assert!(asked < 3 * MANY, "{asked} routes asked for 20 destinations");
    });
}

#[test]
fn a_new_destination_does_not_wait_for_the_end_of_a_look_at_everything() {
    const MANY: u32 = 2_000;
    let Some(network) =
        network("a_new_destination_does_not_wait_for_the_end_of_a_look_at_everything")
    else {
        return;
    };
    network.run(async || {
        let mut watch = all_found(&network, &behind_the_gateway(MANY)).await;
        let before = ROUTES_ASKED.get();
        network.balancer("route add blackhole 203.0.113.0/24");
        let begun = async {
            while ROUTES_ASKED.get() == before {
                yield_now().await;
            }
        };
        timeout(DEADLINE, begun).await.expect("a look has begun");
        let before = ROUTES_ASKED.get();
        watch.add(&["203.0.113.1"]);
        watch
            .until_unresolved("203.0.113.1", Unresolved::NoRoute)
            .await;
        let asked = ROUTES_ASKED.get() - before;
        assert!(asked < MANY / 2, "{asked} routes were asked for before");
    });
}

#[test]
fn a_destination_that_goes_and_comes_back_is_told_each_time() {
    let Some(network) = network("a_destination_that_goes_and_comes_back_is_told_each_time") else {
        return;
    };
    network.run(async || {
        let mut watch = Watch::start(&["10.123.0.2", "192.0.2.1"]);
        watch.until_mac("192.0.2.1", PEER_MAC).await;
        watch.until_mac("10.123.0.2", PEER_MAC).await;
        for _ in 0..3 {
            watch.remove(&["192.0.2.1"]);
            let changes = timeout(DEADLINE, watch.update()).await.unwrap();
            let gone = NextHopChanges {
                changed: NextHops::new(),
                gone: [address("192.0.2.1")].into(),
            };
            assert_eq!(changes, gone);
            assert_eq!(watch.next_hops.len(), 1);
            watch.add(&["192.0.2.1"]);
            let changes = timeout(DEADLINE, watch.update()).await.unwrap();
            assert!(changes.destinations().eq([address("192.0.2.1")]));
            watch.until_mac("192.0.2.1", PEER_MAC).await;
        }
        // All at once: what has come back is told anew, whatever was told of it before.
        watch.remove(&["192.0.2.1"]);
        watch.add(&["192.0.2.1"]);
        let changes = timeout(DEADLINE, watch.update()).await.unwrap();
        assert!(changes.gone.is_empty());
        assert!(changes.destinations().eq([address("192.0.2.1")]));
        assert!(watch.handle.unanswered().is_empty());
    });
}

#[test]
fn an_update_tells_what_has_changed_alone() {
    let Some(network) = network("an_update_tells_what_has_changed_alone") else {
        return;
    };
    network.run(async || {
        let destinations = ["10.123.0.2", "192.0.2.1", "192.0.2.2", "2001:db8::1"];
        let mut watch = Watch::start(&destinations);
        for destination in destinations {
            watch.until_mac(destination, PEER_MAC).await;
        }
        network.balancer("route add blackhole 192.0.2.2/32");
        let changes = timeout(DEADLINE, watch.update()).await.unwrap();
        let blackhole = Err(Unresolved::NoRoute);
        let expected = NextHopChanges {
            changed: [(address("192.0.2.2"), blackhole)].into(),
            gone: BTreeSet::new(),
        };
        assert_eq!(changes, expected);
    });
}

#[test]
fn a_slow_receiver_is_not_told_what_is_over() {
    let Some(network) = network("a_slow_receiver_is_not_told_what_is_over") else {
        return;
    };
    network.run(async || {
        let mut witness = Watch::start(&["192.0.2.1"]);
        let mut watch = Watch::start(&["192.0.2.1"]);
        watch.until_mac("192.0.2.1", PEER_MAC).await;
        // The queue holds one update: this one.
        watch.add(&["203.0.113.1"]);
        let is_full = async {
            while watch.updates.is_empty() {
                yield_now().await;
            }
        };
        timeout(DEADLINE, is_full).await.expect("an update waits");
        watch.add(&["203.0.113.2"]);
        network.balancer("route add blackhole 192.0.2.1/32");
        witness
            .until_unresolved("192.0.2.1", Unresolved::NoRoute)
            .await;
        network.balancer("route del blackhole 192.0.2.1/32");
        witness.until_mac("192.0.2.1", PEER_MAC).await;
        watch.add(&["203.0.113.3"]);
        watch.remove(&["203.0.113.2"]);
        let told = async {
            while !watch.next_hops.contains_key(&address("203.0.113.3")) {
                let changes = watch.update().await;
                let old = changes.changed.get(&address("192.0.2.1"));
                assert_eq!(old, None, "what is over was told");
                assert!(!changes.changed.contains_key(&address("203.0.113.2")));
            }
        };
        timeout(DEADLINE, told).await.expect("the rest is told");
        assert_eq!(watch.next_hops.len(), 3);
    });
}

#[test]
fn many_destinations_come_and_go_at_once() {
    let Some(network) = network("many_destinations_come_and_go_at_once") else {
        return;
    };
    network.run(async || {
        let destinations = behind_the_gateway(3_000);
        let mut watch = all_found(&network, &destinations).await;
        let destinations: Vec<_> = destinations.iter().map(String::as_str).collect();
        watch.remove(&destinations[1..]);
        watch.add(&["192.0.2.1"]);
        watch.until_all(|next_hops| next_hops.len() == 2).await;
        watch.until_mac("192.0.2.1", PEER_MAC).await;
        watch.add(&destinations);
        watch.until_all(|next_hops| next_hops.len() == 3_001).await;
        assert!(watch.next_hops.values().all(Result::is_ok));
    });
}
