//! A balancer at work: two services with servers, out of a configuration file, and a state directory of a few pages.
//!
//! One service has IPv4 and mode `nat`, the other IPv6 and mode `l2`; both take TCP and UDP and are probed.
#![expect(
    clippy::indexing_slicing,
    reason = "what is out of bounds in a test fails it"
)]

use std::{
    ffi::CStr,
    fs,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use serde_json::{Value, json};

use crate::{
    bed::{Bed, Host, VIP_V4, VIP_V6},
    control::Control,
    daemon::Instance,
    meter::{self, Meter},
    traffic::Server,
    wait,
};

/// The services' names.
pub const SERVICES: [&str; 2] = ["web-v4", "web-v6"];
/// The second link to the first backend, on both sides.
pub const BYPASS: &str = "bypass";
/// How long anything may take to be as it should again.
pub const LIMIT: Duration = Duration::from_secs(30);
/// Where servers listen.
const PORT: u16 = 8_080;
/// Flows of datagrams to each service, and connections.
const FLOWS: usize = 12;

/// The network, the servers, and a place for a daemon.
#[derive(Debug)]
pub struct Site {
    _servers: Vec<Server>,
    _state: Tmpfs,
    /// The network.
    pub bed: Bed,
    /// Where the daemon keeps what it keeps.
    pub instance: Instance,
}

impl Site {
    /// Builds it, with so many backends.
    #[must_use]
    pub fn new(backends: u8) -> Self {
        let bed = Bed::new(backends);
        bed.bypass(0, BYPASS);
        // An interface that is down keeps its addresses, as IPv4 does.
        bed.balancer.sysctl("ipv6/conf/all/keep_addr_on_down", "1");
        let instance = Instance::new(&bed.balancer, bed.interfaces());
        let site = Self {
            _servers: bed.backends.iter().flat_map(servers).collect(),
            _state: Tmpfs::mount(instance.state_directory(), c"size=64k"),
            bed,
            instance,
        };
        site.configure(1);
        site
    }

    /// Writes the configuration file, in which the first backend of each service has this weight.
    pub fn configure(&self, weight: u16) {
        let texts = [(VIP_V4, "nat", 80), (VIP_V6, "l2", PORT)];
        let services = SERVICES.iter().zip(texts);
        let text = services.map(|(name, (vip, mode, port))| {
            let at = SocketAddr::new(vip, port);
            let time = format!("{}ms", wait::patient(Duration::from_millis(250)).as_millis());
            let backends = (0..self.bed.backends.len()).map(|backend| {
                let weight = if backend == 0 { weight } else { 1 };
                let address = self.backend(backend, vip);
                format!("[[service.backend]]\naddress = \"{address}\"\nweight = {weight}\n")
            });
            format!(
                "[[service]]\nname = \"{name}\"\nvips = [\"{at}/tcp\", \"{at}/udp\"]\nmode = \"{mode}\"\nlearn_for = \"{time}\"\n\
                 [service.probe]\ntype = \"tcp\"\ninterval = \"{time}\"\ntimeout = \"{time}\"\nrise = 1\nfall = 2\n{}",
                backends.collect::<String>()
            )
        });
        self.instance.configure(&text.collect::<String>());
    }

    /// The address of a backend, of the IP version of `vip`.
    #[must_use]
    pub fn backend(&self, backend: usize, vip: IpAddr) -> SocketAddr {
        (self.bed.backends[backend].address_like(vip), PORT).into()
    }

    /// The service's VIP address.
    ///
    /// # Panics
    /// If there is no such service.
    #[must_use]
    pub fn vip(service: &str) -> IpAddr {
        match service {
            "web-v4" => VIP_V4,
            "web-v6" => VIP_V6,
            other => panic!("no service {other}"),
        }
    }

    /// Sets the backends up, as `lbctl` says, once they serve.
    pub fn set_up(&self, control: &mut Control) {
        self.is_well(control);
        for service in SERVICES {
            for (number, host) in self.bed.backends.iter().enumerate() {
                let backend = self.backend(number, Self::vip(service));
                let _ = host.set_up(&self.instance.socket(), service, backend, &[]);
            }
        }
    }

    /// Traffic to both services.
    #[must_use]
    pub fn traffic(&self) -> Meter {
        let to = [(VIP_V4, 80), (VIP_V6, PORT)].map(SocketAddr::from);
        Meter::begin(&self.bed.client, &to, FLOWS)
    }

    /// How many flows and connections that is.
    #[must_use]
    pub const fn flows() -> u64 {
        2 * 2 * FLOWS as u64
    }

    /// Waits until the kernel holds what is wanted and every backend that should serve does.
    pub fn is_well(&self, control: &mut Control) {
        let mut last = Value::Null;
        let is_well = || {
            last = control.must("status", &json!({}));
            last["in_sync"] == json!(true) && unserving(&last).next().is_none()
        };
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait::until("all is well", LIMIT, is_well);
        }));
        assert!(done.is_ok(), "not all is well: {last:#}");
    }
}

/// Backends that are `up` and do not serve, in the answer of `status`.
pub fn unserving(status: &Value) -> impl Iterator<Item = &Value> {
    let services = status["services"].as_array().into_iter().flatten();
    let backends =
        services.flat_map(|service| service["backends"].as_array().into_iter().flatten());
    backends.filter(|it| it["state"] == json!("up") && it["serving"] != json!(true))
}

/// What serves both services on a backend.
fn servers(host: &Host) -> Vec<Server> {
    let (namespace, name) = (&host.namespace, &host.name);
    let udp = |address: IpAddr| meter::udp_server(namespace, (address, PORT).into(), name);
    vec![
        meter::tcp_server(namespace, PORT, name),
        udp(host.address_like(VIP_V4)),
        udp(VIP_V6),
    ]
}

/// A file system in memory; unmounted when dropped.
#[derive(Debug)]
pub struct Tmpfs(PathBuf);

impl Tmpfs {
    /// Mounts one with these options (`tmpfs(5)`) on a directory, which is created if it is not there.
    #[must_use]
    pub fn mount(at: PathBuf, options: &CStr) -> Self {
        fs::create_dir_all(&at).expect("a directory");
        let mounted = mount("tmpfs", &at, "tmpfs", MountFlags::empty(), Some(options));
        mounted.unwrap_or_else(|error| panic!("mounting a tmpfs at {}: {error}", at.display()));
        Self(at)
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        if let Err(error) = unmount(&self.0, UnmountFlags::DETACH) {
            eprintln!("left behind: mount {}: {error}", self.0.display());
        }
    }
}
