//! The network that a balancer stands in: a client, the balancer, backends, each in its own namespace.
//!
//! ```text
//! client eth0 ---- client [balancer] b0 ---- eth0 backend 0
//!                                    b1 ---- eth0 backend 1 ...
//! ```
//!
//! Everything speaks IPv4 and IPv6. The client reaches the VIPs through the balancer, which is also the router of the
//! backends. Of what a mode needs nothing is there: [`Host::set_up`] does what `lbctl backend-setup` says.
#![expect(
    clippy::indexing_slicing,
    reason = "what is out of bounds in a test fails it"
)]

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    sync::{Mutex, PoisonError},
};

use crate::{
    netns::{Namespace, join},
    object::PassProgram,
    setup::{self, Place},
};

/// The address of IPv4 VIPs.
pub const VIP_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10));
/// The address of IPv6 VIPs.
pub const VIP_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10));
/// The VIP addresses of both IP versions.
pub const VIPS: [IpAddr; 2] = [VIP_V4, VIP_V6];

/// A client, a balancer and backends, joined and addressed.
#[derive(Debug)]
pub struct Bed {
    /// Where clients are.
    pub client: Namespace,
    /// Where `lbd` runs.
    pub balancer: Namespace,
    /// Where servers are.
    pub backends: Vec<Host>,
    pass: Mutex<PassProgram>,
}

/// A backend's namespace and addresses.
#[derive(Debug)]
pub struct Host {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name: `b0`, `b1`, ...; also that of the balancer's interface that leads to it.
    pub name: String,
    v4: IpAddr,
    v6: IpAddr,
    place: Place,
}

impl Host {
    /// Its own address, of the IP version of `vip`.
    #[must_use]
    pub const fn address_like(&self, vip: IpAddr) -> IpAddr {
        match vip {
            IpAddr::V4(_) => self.v4,
            IpAddr::V6(_) => self.v6,
        }
    }

    /// Runs on it what `lbctl` prints for `backend` of `service`; what the script printed.
    #[must_use]
    pub fn set_up(
        &self,
        socket: &Path,
        service: &str,
        backend: SocketAddr,
        options: &[&str],
    ) -> String {
        let script = setup::printed(socket, service, backend, options);
        self.place
            .run(&self.namespace, &script)
            .unwrap_or_else(|error| panic!("{}: {error}\n--- script\n{script}---", self.name))
    }

    /// Where its `lbd decap` runs.
    #[must_use]
    pub const fn place(&self) -> &Place {
        &self.place
    }
}

impl Bed {
    /// Builds the network with so many backends, at most 250.
    #[must_use]
    pub fn new(backends: u8) -> Self {
        Self::with(backends, |pass| Some(pass))
    }

    /// The same, with backends whose interfaces are left to another program: until one is attached, no frame
    /// that the balancer sends by XDP reaches them.
    #[must_use]
    pub fn with_bare_backends(backends: u8) -> Self {
        Self::with(backends, |_| None)
    }

    /// The program for the backends' interfaces is what `peer` makes of the one for all.
    fn with(backends: u8, peer: fn(&mut PassProgram) -> Option<&mut PassProgram>) -> Self {
        let balancer = Namespace::new("lb");
        for key in ["ipv4/conf/all/forwarding", "ipv6/conf/all/forwarding"] {
            balancer.sysctl(key, "1");
        }
        let mut pass = PassProgram::load();
        let client = Namespace::new("client");
        join((&balancer, "client"), (&client, "eth0"));
        address(&balancer, "client", "10.1.0.1", "fd01::1");
        address(&client, "eth0", "10.1.0.2", "fd01::2");
        leaf(&client, Some(&mut pass), "10.1.0.1", "fd01::1");
        let backends = (0..backends)
            .map(|number| backend(&balancer, number, peer(&mut pass)))
            .collect();
        Self {
            client,
            balancer,
            backends,
            pass: Mutex::new(pass),
        }
    }

    /// Lets every link carry IP packets of `mtu` bytes.
    pub fn widen(&self, mtu: u16) {
        let set = |namespace: &Namespace, interface: &str| {
            namespace.ip(&format!("link set {interface} mtu {mtu}"));
        };
        for host in &self.backends {
            set(&host.namespace, "eth0");
        }
        set(&self.client, "eth0");
        for interface in self.interfaces() {
            set(&self.balancer, &interface);
        }
    }

    /// Takes the link to a backend away and makes it anew, as a card is changed: same names and addresses, other
    /// indexes and MAC addresses.
    pub fn replug(&self, backend: usize) {
        let host = &self.backends[backend];
        self.balancer.ip(&format!("link delete {}", host.name));
        let mut pass = self.pass.lock().unwrap_or_else(PoisonError::into_inner);
        let number = u8::try_from(backend).expect("at most 250 backends");
        plug(&self.balancer, &host.namespace, number, Some(&mut pass));
    }

    /// A second link to a backend, with the interface `name` on either side: who sends by it must route.
    pub fn bypass(&self, backend: usize, name: &str) {
        let host = &self.backends[backend];
        join((&self.balancer, name), (&host.namespace, name));
        let at = |host| format!("10.3.{backend}.{host}/24");
        self.balancer
            .ip(&format!("address add {} dev {name}", at(1)));
        host.namespace
            .ip(&format!("address add {} dev {name}", at(2)));
        host.namespace.compute_checksums(name);
        let mut pass = self.pass.lock().unwrap_or_else(PoisonError::into_inner);
        pass.attach(&host.namespace, name);
    }

    /// The balancer's interfaces: the client's first.
    #[must_use]
    pub fn interfaces(&self) -> Vec<String> {
        let backends = self.backends.iter().map(|backend| backend.name.clone());
        ["client".to_owned()].into_iter().chain(backends).collect()
    }
}

fn backend(balancer: &Namespace, number: u8, pass: Option<&mut PassProgram>) -> Host {
    let name = format!("b{number}");
    let namespace = Namespace::new(&name);
    // Servers may be there before the VIPs are.
    for version in ["ipv4", "ipv6"] {
        namespace.sysctl(&format!("{version}/ip_nonlocal_bind"), "1");
    }
    plug(balancer, &namespace, number, pass);
    let [_, (v4, v6)] = ends(number);
    Host {
        namespace,
        name,
        v4: v4.into(),
        v6: v6.into(),
        place: Place::new(),
    }
}

/// The addresses of the link to the backend with this number: the balancer's, then the backend's.
fn ends(number: u8) -> [(Ipv4Addr, Ipv6Addr); 2] {
    [1, 2].map(|host| {
        let v6 = Ipv6Addr::new(0xfd02, number.into(), 0, 0, 0, 0, 0, host.into());
        (Ipv4Addr::new(10, 2, number, host), v6)
    })
}

/// Joins the backend with this number to the balancer.
fn plug(balancer: &Namespace, backend: &Namespace, number: u8, pass: Option<&mut PassProgram>) {
    let name = format!("b{number}");
    join((balancer, &name), (backend, "eth0"));
    let [ours, theirs] = ends(number).map(|(v4, v6)| [v4.to_string(), v6.to_string()]);
    address(balancer, &name, &ours[0], &ours[1]);
    address(backend, "eth0", &theirs[0], &theirs[1]);
    leaf(backend, pass, &ours[0], &ours[1]);
}

fn address(namespace: &Namespace, interface: &str, v4: &str, v6: &str) {
    namespace.ip(&format!("address add {v4}/24 dev {interface}"));
    namespace.ip(&format!("address add {v6}/64 dev {interface} nodad"));
}

/// What every host but the balancer needs: a way out, whole checksums, and, unless it brings its own, a program
/// that makes its veth take frames sent by XDP.
fn leaf(namespace: &Namespace, pass: Option<&mut PassProgram>, v4: &str, v6: &str) {
    namespace.ip(&format!("route add default via {v4}"));
    namespace.ip(&format!("route add default via {v6}"));
    namespace.compute_checksums("eth0");
    if let Some(pass) = pass {
        pass.attach(namespace, "eth0");
    }
}
