//! Fleets: how many services with how many backends, as a configuration, and the namespace that they stand in.

use std::{fmt::Write as _, fs, net::Ipv4Addr, time::Instant};

use anyhow::{Context as _, Result};
use lb_tests::{
    daemon::Instance,
    netns::{Namespace, join},
};

/// Where servers would listen.
const PORT: u16 = 8_080;
/// The first of the backends' addresses, of a /14, and of the VIPs'.
const BACKENDS: Ipv4Addr = Ipv4Addr::new(10, 128, 0, 1);
const VIPS: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 1);

/// Sizes that hold every fleet that is measured.
const DAEMON: &str = "[daemon]\nmax_backends = 131072\nmax_vips = 32768\nmax_slots = 16777216\n";

/// So many services with so many backends each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fleet {
    pub(crate) services: u32,
    pub(crate) backends: u32,
}

impl Fleet {
    /// Nobody.
    pub(crate) const NONE: Self = Self {
        services: 0,
        backends: 0,
    };

    /// The text of its configuration file.
    pub(crate) fn configuration(self) -> String {
        let mut text = DAEMON.to_owned();
        for service in 0..self.services {
            let (name, vip) = (name(service), vip(service));
            let _ = write!(
                text,
                "[[service]]\nname = \"{name}\"\nvips = [\"{vip}:80/tcp\"]\nmode = \"local\"\n"
            );
            for backend in 0..self.backends {
                let address = backend_address(service * self.backends + backend);
                let _ = write!(text, "[[service.backend]]\naddress = \"{address}\"\n");
            }
        }
        text
    }
}

/// The name of the service with this number.
pub(crate) fn name(service: u32) -> String {
    format!("s{service}")
}

fn vip(service: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(VIPS.to_bits() + service)
}

/// The address and port of the backend with this number, of all services' together.
pub(crate) fn backend_address(number: u32) -> String {
    let address = Ipv4Addr::from_bits(BACKENDS.to_bits() + number);
    format!("{address}:{PORT}")
}

/// A namespace whose own all addresses of backends are, with an interface, and a place for a daemon on it.
pub(crate) fn place() -> Result<(Namespace, Instance)> {
    let namespace = Namespace::new("control");
    join((&namespace, "up0"), (&namespace, "up1"));
    namespace.ip("link set lo up");
    namespace.ip("route add local 10.128.0.0/14 dev lo");
    let instance = Instance::new(&namespace, vec!["up0".to_owned()]);
    write(&instance, &Fleet::NONE.configuration())?;
    Ok((namespace, instance))
}

/// Makes `text` the configuration file.
pub(crate) fn write(instance: &Instance, text: &str) -> Result<()> {
    let file = instance.config();
    fs::write(&file, text).with_context(|| format!("writing {}", file.display()))
}

/// What `work` gives, and the milliseconds that it takes.
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let begin = Instant::now();
    let result = work();
    (result, milliseconds(begin))
}

/// Milliseconds since `begin`.
pub(crate) fn milliseconds(begin: Instant) -> f64 {
    begin.elapsed().as_secs_f64() * 1e3
}

/// The value below which so many per cent of `values` are; sorts them.
pub(crate) fn percentile(values: &mut [f64], per_cent: usize) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let index = (values.len() * per_cent).div_ceil(100).max(1) - 1;
    values.get(index).copied().unwrap_or(f64::NAN)
}
