//! A network to resolve in, and a resolver in it.

use std::{
    fs::File,
    os::fd::AsFd,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::{sync::mpsc, time::timeout};

use super::*;

pub(super) const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// A balancer with one link, `l0`, to a peer that answers for `10.123.0.2` and `fd00:123::2` (on link) and is
/// the gateway to `192.0.2.0/24`, `2001:db8::/32` and, by its IPv6 address, `198.51.100.0/24`. Gone when
/// dropped.
pub(in crate::neighbor) struct Network {
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
    pub(in crate::neighbor) fn balancer(&self, arguments: &str) {
        ip(&format!("-n {} {arguments}", self.balancer));
    }

    /// `ip` in the peer's namespace.
    pub(in crate::neighbor) fn peer(&self, arguments: &str) {
        ip(&format!("-n {} {arguments}", self.peer));
    }

    /// Runs `test` on a thread of its own in the balancer's namespace.
    pub(in crate::neighbor) fn run(&self, test: impl AsyncFnOnce() + Send) {
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
pub(in crate::neighbor) fn network(test: &str) -> Option<Network> {
    if rustix::process::geteuid().is_root() {
        Some(Network::new())
    } else {
        println!("SKIPPED: {test}: needs root");
        None
    }
}

/// A resolver and what is known by what it has sent.
pub(super) struct Watch {
    pub(super) handle: ResolverHandle,
    pub(super) updates: mpsc::Receiver<NextHopChanges>,
    pub(super) next_hops: NextHops,
}

impl Watch {
    pub(super) fn start(destinations: &[&str]) -> Self {
        let (sender, updates) = mpsc::channel(1);
        let handle = Resolver::spawn(sender).unwrap();
        let next_hops = NextHops::new();
        let mut watch = Self {
            handle,
            updates,
            next_hops,
        };
        watch.add(destinations);
        watch
    }

    pub(super) fn add(&mut self, destinations: &[&str]) {
        let added = destinations.iter().map(|to| address(to));
        self.handle.change(added, []);
    }

    pub(super) fn remove(&mut self, destinations: &[&str]) {
        let removed = destinations.iter().map(|to| address(to));
        self.handle.change([], removed);
    }

    /// Waits for an update, and takes it over.
    pub(super) async fn update(&mut self) -> NextHopChanges {
        let changes = self.updates.recv().await.expect("the resolver lives");
        self.handle.take_over(changes.clone(), &mut self.next_hops);
        changes
    }

    /// Waits until `is_so` of what is known.
    pub(super) async fn until_all(&mut self, is_so: impl Fn(&NextHops) -> bool) {
        let is_done = async {
            while !is_so(&self.next_hops) {
                self.update().await;
            }
        };
        let in_time = timeout(DEADLINE, is_done).await.is_ok();
        assert!(in_time, "after {DEADLINE:?}: {:?}", self.next_hops);
    }

    /// Waits until `destination` is resolved as `expected` says.
    pub(super) async fn until(
        &mut self,
        destination: &str,
        expected: impl Fn(&Result<NextHop, Unresolved>) -> bool,
    ) -> Result<NextHop, Unresolved> {
        let destination = address(destination);
        self.until_all(|next_hops| next_hops.get(&destination).is_some_and(&expected))
            .await;
        self.next_hops[&destination].clone()
    }

    pub(super) async fn until_mac(&mut self, destination: &str, mac: [u8; 6]) -> NextHop {
        self.until(destination, |next_hop| {
            next_hop
                .as_ref()
                .is_ok_and(|hop| hop.destination_mac == mac)
        })
        .await
        .unwrap()
    }

    pub(super) async fn until_unresolved(&mut self, destination: &str, why: Unresolved) {
        let _ = self
            .until(destination, |next_hop| *next_hop == Err(why.clone()))
            .await;
    }
}

pub(in crate::neighbor) fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}
