//! What runs in the middle of a path, with what it keeps: killed when dropped.

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result};
use lb_tests::{control::Control, daemon::Instance, netns::Namespace, wait};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long the product may take to have its services published.
const LIMIT: Duration = Duration::from_secs(15);

/// What a process keeps.
enum Place {
    Instance(Instance),
    Directory { _kept: TempDir },
}

/// A process in a namespace.
pub(crate) struct Process {
    child: Child,
    // Gone after the process.
    place: Place,
}

impl Process {
    /// The product on these interfaces, with these services, when all of their backends serve.
    pub(crate) fn product(
        namespace: &Namespace,
        interfaces: Vec<String>,
        services: &str,
    ) -> Result<Self> {
        let instance = Instance::new(namespace, interfaces);
        instance.configure(services);
        let bpffs = instance.bpffs().path().to_owned();
        let child = instance
            .command(&[])
            .args(["--bpffs".as_ref(), bpffs.as_os_str()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting lbd")?;
        let process = Self {
            child,
            place: Place::Instance(instance),
        };
        wait::until("all backends serve", LIMIT, || process.serves());
        Ok(process)
    }

    /// haproxy with this configuration.
    pub(crate) fn haproxy(namespace: &Namespace, configuration: &str) -> Result<Self> {
        let directory = TempDir::with_prefix("lbt-").context("making a directory")?;
        let file = directory.path().join("haproxy.cfg");
        fs::write(&file, configuration).with_context(|| format!("writing {}", file.display()))?;
        let child = Command::new("nsenter")
            .arg(format!("--net={}", namespace.path().display()))
            .args(["haproxy", "-db", "-f"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting haproxy")?;
        Ok(Self {
            child,
            place: Place::Directory { _kept: directory },
        })
    }

    /// The product's place.
    pub(crate) const fn instance(&self) -> Option<&Instance> {
        match &self.place {
            Place::Instance(instance) => Some(instance),
            Place::Directory { .. } => None,
        }
    }

    fn serves(&self) -> bool {
        let listed = self.instance().and_then(|instance| {
            let mut control = Control::connect(&instance.socket()).ok()?;
            control.call("backend.list", &json!({})).ok()
        });
        let rows = listed
            .as_ref()
            .and_then(|it| it.get("backends")?.as_array());
        let serves = |row: &Value| row.get("serving") == Some(&json!(true));
        rows.is_some_and(|rows| !rows.is_empty() && rows.iter().all(serves))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The text of a service with one backend.
pub(crate) fn service(name: &str, vip: &str, mode: &str, backend: &str) -> String {
    format!(
        "[[service]]\nname = \"{name}\"\nvips = [\"{vip}\"]\nmode = \"{mode}\"\n[[service.backend]]\naddress = \"{backend}\"\n"
    )
}

/// Has the kernel send on to `to` what is for the address `vip`.
pub(crate) fn nftables(namespace: &Namespace, vip: &str, to: &str) {
    let rules = format!(
        "table ip lb {{ chain pre {{ type nat hook prerouting priority dstnat; ip daddr {vip} meta l4proto {{ tcp, udp }} dnat to {to}; }}; }}"
    );
    let _ = namespace.run("nft", &[&rules]);
}

/// Has IPVS send on to the host `to` what is for `vip`, as it is.
pub(crate) fn ipvs(namespace: &Namespace, vip: &str, to: &str) {
    let (address, _) = vip.split_once(':').unwrap_or((vip, ""));
    // It takes what is for this host.
    namespace.ip(&format!("address add {address}/32 dev lo"));
    let _ = namespace.run("ipvsadm", &["-A", "-u", vip, "-s", "rr"]);
    let _ = namespace.run("ipvsadm", &["-a", "-u", vip, "-r", to, "-g"]);
}
