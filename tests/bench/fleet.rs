//! A fleet for benchmarks: a namespace in which every address of one prefix is its own, the daemon's configuration with
//! that many backends, and the wait until all of them are healthy.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result};
use lb_tests::{
    control::Control,
    daemon::Instance,
    netns::{Namespace, join},
    wait,
};
use serde::Serialize;
use serde_json::{Value, json};

/// Where the backends' servers listen.
pub(crate) const PORT: u16 = 8_080;
/// The first of the backends' addresses; the prefix is a /18.
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 128, 0, 1);
/// How long the backends may take to be found healthy.
const LIMIT: Duration = Duration::from_mins(1);

/// A namespace that has the interface `up0` and takes the backends' addresses for its own.
pub(crate) fn namespace(name: &str) -> Namespace {
    let namespace = Namespace::new(name);
    join((&namespace, "up0"), (&namespace, "up1"));
    namespace.ip("link set lo up");
    namespace.ip("route add local 10.128.0.0/18 dev lo");
    namespace
}

/// The backend with this number, from 0 on.
pub(crate) fn backend(number: u32) -> SocketAddr {
    (Ipv4Addr::from_bits(FIRST.to_bits() + number), PORT).into()
}

/// An instance on `up0` with one service that has so many backends and, in TOML, `settings`.
pub(crate) fn instance(namespace: &Namespace, backends: u32, settings: &str) -> Result<Instance> {
    let instance = Instance::new(namespace, vec!["up0".to_owned()]);
    let backends = (0..backends)
        .map(|number| format!("[[service.backend]]\naddress = \"{}\"\n", backend(number)));
    let backends: String = backends.collect();
    let configuration = format!(
        "[daemon]\nmax_backends = 16384\n[[service]]\nname = \"web\"\nvips = [\"192.0.2.1:80/tcp\"]\nmode = \"local\"\n\
         {settings}\n{backends}"
    );
    fs::write(instance.config(), configuration).context("writing the configuration")?;
    Ok(instance)
}

/// Waits until all `backends` are healthy.
pub(crate) fn await_healthy(control: &mut Control, backends: u32) {
    wait::until("all backends are healthy", LIMIT, || {
        let listed = control.must("backend.list", &json!({}));
        let up = |row: &&Value| row["health"] == json!("up");
        let rows = listed["backends"].as_array();
        rows.is_some_and(|rows| rows.iter().filter(up).count() == backends as usize)
    });
}

/// Writes what was measured to `file`, if there is one.
pub(crate) fn write(measured: &impl Serialize, file: Option<&Path>) -> Result<()> {
    let Some(file) = file else {
        return Ok(());
    };
    let text = serde_json::to_string_pretty(measured)?;
    fs::write(file, text + "\n").with_context(|| format!("writing {}", file.display()))
}
