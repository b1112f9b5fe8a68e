//! Looks by themselves: in which order, and how much at once.

use super::*;
use crate::neighbor::{
    netlink::ROUTES_ASKED,
    tests::network::{Network, address, network},
};

/// More than are looked at in one go.
const DESTINATIONS: u32 = 3_000;

/// So many destinations behind the gateway, from this one on.
fn destinations(network: &Network) -> Vec<IpAddr> {
    network.balancer("route add 100.64.0.0/10 via 10.123.0.2");
    let first = u32::from(std::net::Ipv4Addr::new(100, 64, 0, 1));
    let all = (first..).take(DESTINATIONS as usize);
    all.map(|bits| std::net::Ipv4Addr::from_bits(bits).into())
        .collect()
}

#[test]
fn what_is_new_when_a_look_at_everything_begins_does_not_wait_for_it() {
    let test = "what_is_new_when_a_look_at_everything_begins_does_not_wait_for_it";
    let Some(network) = network(test) else {
        return;
    };
    network.run(async || {
        let (sender, mut updates) = mpsc::channel(8);
        let (mut handle, mut resolver) = Resolver::new(sender);
        let mut kernel = Kernel::open().unwrap();
        handle.change(destinations(&network), []);
        resolver.look_at_all(&mut kernel).await.unwrap();
        let told = updates.recv().await.unwrap();
        assert_eq!(told.changed.len(), DESTINATIONS as usize);
        let before = ROUTES_ASKED.get();
        handle.change([address("192.0.2.1")], []);
        let look = resolver.look_at_all(&mut kernel);
        let first = async {
            let told = updates.recv().await.unwrap();
            (told, ROUTES_ASKED.get() - before)
        };
        let (look, (told, asked)) = futures::join!(look, first);
        look.unwrap();
        assert!(told.destinations().eq([address("192.0.2.1")]));
        assert!(asked < DESTINATIONS / 2, "{asked} were asked for before");
    });
}

#[test]
fn many_new_destinations_are_told_in_parts() {
    let Some(network) = network("many_new_destinations_are_told_in_parts") else {
        return;
    };
    network.run(async || {
        let (sender, mut updates) = mpsc::channel(8);
        let (mut handle, mut resolver) = Resolver::new(sender);
        let mut kernel = Kernel::open().unwrap();
        let destinations = destinations(&network);
        let (known, new) = destinations.split_at(destinations.len() / 2);
        handle.change(known.iter().copied(), []);
        resolver.look_at_all(&mut kernel).await.unwrap();
        assert_eq!(updates.recv().await.unwrap().changed.len(), known.len());
        handle.change(new.iter().copied(), []);
        resolver.look_at_due(&kernel).await.unwrap();
        let mut told = Vec::new();
        while let Ok(changes) = updates.try_recv() {
            told.push(changes.changed.len());
        }
        assert_eq!(told, [MANY, new.len() - MANY]);
    });
}
