//! One run's name, and the places that follow from it: namespaces, directory, socket.

use std::{
    env,
    path::{Path, PathBuf},
    process,
};

use anyhow::ensure;

use super::addressing::Link;

/// What every name of the demo begins with.
const PREFIX: &str = "lb-demo-";

/// Where `ip netns` keeps the files that stand for namespaces.
pub(super) const NETNS_FILES: &str = "/run/netns";

/// The balancer's namespace, among those named after the [`Link`]s.
pub(super) const BALANCER: &str = "balancer";

/// One run of the demo, named after the process that began it.
#[derive(Clone, Debug)]
pub(super) struct Lab {
    name: String,
    directory: PathBuf,
}

impl Lab {
    /// This process's own.
    pub(super) fn own() -> Self {
        Self::of(format!("{PREFIX}{}", process::id()))
    }

    /// The run with this name.
    ///
    /// # Errors
    /// It is not the name of a run.
    pub(super) fn named(name: &str) -> anyhow::Result<Self> {
        let number = name.strip_prefix(PREFIX).unwrap_or_default();
        ensure!(
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()),
            "`{name}` is not the name of a demo: write {PREFIX}NUMBER, as the demo printed it"
        );
        Ok(Self::of(name.to_owned()))
    }

    fn of(name: String) -> Self {
        let directory = env::temp_dir().join(&name);
        Self { name, directory }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether anything of it is there.
    pub(super) fn exists(&self) -> bool {
        let netns = self.all_netns();
        let mut places = netns.iter().map(|netns| Path::new(NETNS_FILES).join(netns));
        self.directory.exists() || places.any(|place| place.exists())
    }

    /// Holds everything that is a file.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Mount point of the run's own bpffs.
    pub(super) fn bpffs(&self) -> PathBuf {
        self.directory.join("bpf")
    }

    /// Where the daemon pins.
    pub(super) fn daemon_pins(&self) -> PathBuf {
        self.bpffs().join("lb")
    }

    /// The pinned program that the far ends of the links carry.
    pub(super) fn pass_pin(&self) -> PathBuf {
        self.bpffs().join("pass")
    }

    /// The control socket.
    pub(super) fn socket(&self) -> PathBuf {
        self.directory.join("control.sock")
    }

    /// The daemon's configuration file.
    pub(super) fn config(&self) -> PathBuf {
        self.directory.join("lb.toml")
    }

    /// The daemon's state directory.
    pub(super) fn state(&self) -> PathBuf {
        self.directory.join("state")
    }

    /// What `program` wrote.
    pub(super) fn log(&self, program: &str) -> PathBuf {
        self.directory.join(format!("{program}.log"))
    }

    /// The full name of a namespace: [`BALANCER`] or a link's name.
    pub(super) fn netns(&self, place: &str) -> String {
        format!("{}-{place}", self.name)
    }

    /// The file that stands for a namespace.
    pub(super) fn netns_file(&self, place: &str) -> PathBuf {
        Path::new(NETNS_FILES).join(self.netns(place))
    }

    /// The full names of all namespaces.
    pub(super) fn all_netns(&self) -> Vec<String> {
        let far = Link::all().map(|link| link.name);
        [BALANCER]
            .into_iter()
            .chain(far)
            .map(|place| self.netns(place))
            .collect()
    }
}
