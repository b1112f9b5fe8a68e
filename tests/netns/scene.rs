//! A network with a daemon's place in it, and the service that most tests begin with.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use lb_tests::{
    bed::{Bed, Host, VIPS},
    control::Control,
    daemon::Instance,
    netns::{Namespace, join},
    traffic::{self, Server},
    wait,
};
use serde_json::{Value, json};

/// How long the daemon may take to see what has changed around it.
pub(crate) const LIMIT: Duration = Duration::from_secs(15);
/// Where servers listen.
pub(crate) const PORT: u16 = 8_080;

/// The addresses of the client's own, and of the far client.
pub(crate) const NEAR: [&str; 2] = ["10.1.0.2", "fd01::2"];
pub(crate) const FAR: [&str; 2] = ["10.9.0.2", "fd09::2"];

/// A bed and a place for a daemon.
pub(crate) struct Scene {
    pub(crate) bed: Bed,
    pub(crate) instance: Instance,
}

/// A forwarding mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    L2,
    Nat,
    Ipip,
    Gue,
    Snat,
}

impl Mode {
    const fn word(self) -> &'static str {
        match self {
            Self::L2 => "l2",
            Self::Nat => "nat",
            Self::Ipip => "ipip",
            Self::Gue => "gue",
            Self::Snat => "snat",
        }
    }

    /// The port of the VIP: another one than the servers' in modes `nat` and `snat`.
    pub(crate) const fn port(self) -> u16 {
        match self {
            Self::L2 | Self::Ipip | Self::Gue => PORT,
            Self::Nat | Self::Snat => 80,
        }
    }

    /// Where a server on `host` gets what clients send to `vip`.
    pub(crate) const fn server_address(self, host: &Host, vip: IpAddr) -> IpAddr {
        match self {
            Self::Nat | Self::Snat => host.address_like(vip),
            Self::L2 | Self::Ipip | Self::Gue => vip,
        }
    }
}

impl Scene {
    pub(crate) fn new(backends: u8) -> Self {
        Self::on(Bed::new(backends))
    }

    /// In a network that is there.
    pub(crate) fn on(bed: Bed) -> Self {
        let instance = Instance::new(&bed.balancer, bed.interfaces());
        Self { bed, instance }
    }

    /// A client behind the client, which forwards for it by its interface `far`.
    pub(crate) fn far_client(&self) -> Namespace {
        let (router, balancer) = (&self.bed.client, &self.bed.balancer);
        let far = Namespace::new("far");
        join((router, "far"), (&far, "eth0"));
        for key in ["ipv4/conf/all/forwarding", "ipv6/conf/all/forwarding"] {
            router.sysctl(key, "1");
        }
        router.ip("address add 10.9.0.1/24 dev far");
        router.ip("address add fd09::1/64 dev far nodad");
        let [v4, v6] = FAR;
        far.ip(&format!("address add {v4}/24 dev eth0"));
        far.ip(&format!("address add {v6}/64 dev eth0 nodad"));
        far.ip("route add default via 10.9.0.1");
        far.ip("route add default via fd09::1");
        far.compute_checksums("eth0");
        let [v4, v6] = NEAR;
        balancer.ip(&format!("route add 10.9.0.0/24 via {v4}"));
        balancer.ip(&format!("route add fd09::/64 via {v6}"));
        far
    }

    /// The numbers of the programs attached to the balancer's interfaces; null where there is none.
    pub(crate) fn programs(&self) -> Vec<Value> {
        let shown = self.bed.interfaces().into_iter().map(|interface| {
            let arguments = ["-json", "link", "show", "dev", &interface];
            let shown = self.bed.balancer.run("ip", &arguments);
            let shown: Value = serde_json::from_str(&shown).expect("ip writes JSON");
            shown.pointer("/0/xdp/prog/id").cloned().unwrap_or_default()
        });
        shown.collect()
    }

    /// An HTTP server on a backend.
    pub(crate) fn server(&self, backend: usize) -> Server {
        let host = &self.bed.backends[backend];
        Server::http(&host.namespace, PORT, &host.name)
    }

    /// An HTTP server on every backend.
    pub(crate) fn servers(&self) -> Vec<Server> {
        (0..self.bed.backends.len())
            .map(|backend| self.server(backend))
            .collect()
    }

    /// A UDP server on every backend, which answers with its name: on the backend's own address in modes `nat` and
    /// `snat`, else on the VIP.
    pub(crate) fn udp_servers(&self, mode: Mode, vip: IpAddr) -> Vec<Server> {
        self.udp_servers_of(mode, vip, |host| &host.name)
    }

    /// The same, which answers what `answer` says.
    pub(crate) fn udp_servers_of<'a>(
        &'a self,
        mode: Mode,
        vip: IpAddr,
        answer: impl Fn(&'a Host) -> &'a str,
    ) -> Vec<Server> {
        let server = |host| {
            let address = mode.server_address(host, vip);
            Server::udp(&host.namespace, (address, PORT).into(), answer(host))
        };
        self.bed.backends.iter().map(server).collect()
    }

    /// An HTTP server on every backend, with a body of so many bytes.
    pub(crate) fn download_servers(&self, bytes: usize) -> Vec<Server> {
        let body = "x".repeat(bytes);
        let hosts = self.bed.backends.iter();
        hosts
            .map(|host| Server::http(&host.namespace, PORT, &body))
            .collect()
    }

    /// Adds the service on `vip` with a probe that does not fetch what servers have, and waits until all
    /// backends serve.
    pub(crate) fn serve_downloads(&self, control: &mut Control, mode: Mode, vip: IpAddr) {
        let mut service = self.service(mode, vip);
        service["probe"] =
            json!({"type": "tcp", "interval": probe_time(), "timeout": probe_time(), "rise": 1});
        self.bring_up(control, &service, vip);
    }

    /// Adds a service, waits until all backends serve, and sets them up as `lbctl` says; they have the IP version of
    /// `like`.
    pub(crate) fn bring_up(&self, control: &mut Control, service: &Value, like: IpAddr) {
        control.must("service.add", service);
        let name = service["name"].as_str().expect("a name");
        wait_serving(control, name, self.bed.backends.len());
        wait_moved(control, name, true);
        self.set_up(name, like, &[]);
    }

    /// Asks `to` so many times by TCP, and by UDP: every backend must have answered either.
    pub(crate) fn everybody_answers(&self, to: SocketAddr, count: usize) {
        let everybody: BTreeSet<String> = self
            .bed
            .backends
            .iter()
            .map(|host| host.name.clone())
            .collect();
        let client = &self.bed.client;
        assert_eq!(
            names(traffic::ask(client, to, count)),
            everybody,
            "tcp to {to}"
        );
        assert_eq!(
            names(traffic::ask_udp(client, to, count)),
            everybody,
            "udp to {to}"
        );
    }

    /// The address of a backend, of the IP version of `vip`.
    pub(crate) fn backend(&self, backend: usize, vip: IpAddr) -> SocketAddr {
        (self.bed.backends[backend].address_like(vip), PORT).into()
    }

    /// A service on `vip`, TCP and UDP, with all backends and a probe that is fast, but not so fast that a
    /// busy machine fails it.
    pub(crate) fn service(&self, mode: Mode, vip: IpAddr) -> Value {
        self.service_by(mode, vip, vip)
    }

    /// The same with backends of the IP version of `like`.
    pub(crate) fn service_by(&self, mode: Mode, vip: IpAddr, like: IpAddr) -> Value {
        let backends: Vec<Value> = (0..self.bed.backends.len())
            .map(|backend| json!({"address": self.backend(backend, like).to_string()}))
            .collect();
        let at = SocketAddr::new(vip, mode.port());
        json!({
            "name": name(vip),
            "vips": [format!("{at}/tcp"), format!("{at}/udp")],
            "mode": mode.word(),
            "learn_for": probe_time(),
            "probe": {"type": "http", "interval": probe_time(), "timeout": probe_time(), "rise": 1, "fall": 2,
                "hold_down": "0s"},
            "backend": backends,
        })
    }

    /// Sets all backends of a service up, as `lbctl` says; they have the IP version of `like`.
    pub(crate) fn set_up(&self, service: &str, like: IpAddr, options: &[&str]) {
        for number in 0..self.bed.backends.len() {
            let _ = self.set_up_one(number, service, like, options);
        }
    }

    /// The same with one of them; what the script printed.
    pub(crate) fn set_up_one(
        &self,
        number: usize,
        service: &str,
        like: IpAddr,
        options: &[&str],
    ) -> String {
        let (host, backend) = (&self.bed.backends[number], self.backend(number, like));
        host.set_up(&self.instance.socket(), service, backend, options)
    }

    /// Adds the service on both VIPs, sets its backends up and waits until all serve.
    pub(crate) fn serve(&self, control: &mut Control, mode: Mode) {
        for vip in VIPS {
            control.must("service.add", &self.service(mode, vip));
        }
        for vip in VIPS {
            // Probes do without the VIP; what the script says depends on the way to the backends, which is known then.
            wait_serving(control, &name(vip), self.bed.backends.len());
            wait_moved(control, &name(vip), true);
            self.set_up(&name(vip), vip, &[]);
        }
    }
}

/// How often backends are probed, and how long they may take to answer.
pub(crate) fn probe_time() -> String {
    let time = wait::patient(Duration::from_millis(250));
    format!("{}ms", time.as_millis())
}

/// The name of the service on `vip`.
pub(crate) fn name(vip: IpAddr) -> String {
    let version = if vip.is_ipv4() { "v4" } else { "v6" };
    format!("web-{version}")
}

/// Where clients reach the services of both IP versions.
pub(crate) fn destinations(mode: Mode) -> Vec<SocketAddr> {
    VIPS.map(|vip| SocketAddr::new(vip, mode.port())).into()
}

/// The backends of a service, as `backend.list` shows them.
pub(crate) fn backends(control: &mut Control, service: &str) -> Vec<Value> {
    let list = control.must("backend.list", &json!({"service": service}));
    list.get("backends")
        .and_then(Value::as_array)
        .expect("a list of backends")
        .clone()
}

/// Waits until so many backends of a service take new flows.
pub(crate) fn wait_serving(control: &mut Control, service: &str, count: usize) {
    let mut last = Vec::new();
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait::until("backends serve", LIMIT, || {
            last = backends(control, service);
            let serving = last
                .iter()
                .filter(|backend| backend["serving"] == json!(true));
            serving.count() == count
        });
    }));
    assert!(
        done.is_ok(),
        "{service} never had {count} backends that serve: {last:#?}"
    );
    wait_moved(control, service, false);
}

/// Waits until no slot of the service learns or is to, and if `wholly`, until no flows are where they do not belong.
pub(crate) fn wait_moved(control: &mut Control, service: &str, wholly: bool) {
    wait::until("slots have moved", LIMIT, || {
        let status = control.must("status", &json!({}));
        let services = status["services"].as_array().expect("services");
        let mut own = services.iter().filter(|it| it["name"] == json!(service));
        let moves = &own.next().expect("the service")["moves"];
        let none = |state: &str| moves[state].as_u64().unwrap_or_default() == 0;
        none("learning") && none("waiting") && (!wholly || none("lingering"))
    });
}

/// The generation that is published.
pub(crate) fn generation(control: &mut Control) -> u64 {
    let status = control.must("status", &json!({}));
    status["generation"].as_u64().expect("a generation")
}

/// The names of those who answered; every request must have been answered.
pub(crate) fn names(answers: Vec<io::Result<String>>) -> BTreeSet<String> {
    let count = answers.len();
    let (answered, failed): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert!(
        failed.is_empty(),
        "{} of {count} requests failed: {failed:?}",
        failed.len()
    );
    answered.into_iter().flatten().collect()
}

/// A set of names.
pub(crate) fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

/// A namespace with one interface, `up0`, and an instance on it: enough for a daemon that forwards nothing.
pub(crate) fn lone() -> (Namespace, Instance) {
    let namespace = Namespace::new("lone");
    join((&namespace, "up0"), (&namespace, "up1"));
    let instance = Instance::new(&namespace, vec!["up0".to_owned()]);
    (namespace, instance)
}
