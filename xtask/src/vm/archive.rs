//! Debian's archive, as far as it has kernels: asked by apt with lists of its own, so that what is configured on
//! this machine stays as it is. The mirrors are those that this machine uses already.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};

use rustix::fs::{FlockOperation, flock};

use super::{image::Image, kernel::Kernel};
use crate::{shell, workspace};

/// What signs Debian's archive.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// The package that names the kernel of its suite.
const META: &str = "linux-image-amd64";

/// A mirror of the archive, and one of its security updates, by their URIs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mirrors {
    archive: String,
    security: Option<String>,
}

impl Mirrors {
    /// Those that apt is configured with.
    ///
    /// # Errors
    /// There is no apt, or it is not configured for Debian.
    pub(super) fn configured() -> Result<Self> {
        let format = "$(REPO_URI) $(RELEASE)";
        let mut targets = Command::new("apt-get");
        targets.args(["indextargets", "--format", format, "Created-By: Packages"]);
        let targets = shell::output(&mut targets).context("there is no apt-get here")?;
        let codename = codename().context("/etc/os-release has no VERSION_CODENAME")?;
        Self::among(&targets, &codename).with_context(|| {
            format!("apt is not configured with a mirror of Debian's {codename} here")
        })
    }

    /// From lines of URI and suite.
    fn among(targets: &str, codename: &str) -> Option<Self> {
        let uri = |wanted: &str| {
            let mut targets = targets.lines().filter_map(|line| line.split_once(' '));
            let (uri, _) = targets.find(|(_, suite)| *suite == wanted)?;
            Some(uri.trim_end_matches('/').to_owned())
        };
        Some(Self {
            archive: uri(codename)?,
            security: uri(&format!("{codename}-security")),
        })
    }

    /// The source lines of these suites.
    fn source_lines<'a>(&self, suites: impl Iterator<Item = &'a str>) -> String {
        suites
            .filter_map(|suite| {
                let mirror = if suite.ends_with("-security") {
                    self.security.as_ref()?
                } else {
                    &self.archive
                };
                Some(format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n"))
            })
            .collect()
    }
}

/// The name of this machine's release, such as `bookworm`.
pub(super) fn codename() -> Option<String> {
    let text = fs::read_to_string("/etc/os-release").ok()?;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    Some(value.trim_matches('"').to_owned())
}

/// apt with lists and a cache of its own.
#[derive(Debug)]
pub(super) struct Apt {
    directory: PathBuf,
}

impl Apt {
    /// apt for `suites` of the archive, its lists up to date; they are kept in `directory`.
    ///
    /// # Errors
    /// The lists cannot be had.
    pub(super) fn updated<'a>(
        directory: &Path,
        mirrors: &Mirrors,
        suites: impl Iterator<Item = &'a str>,
    ) -> Result<Self> {
        let apt = Self {
            directory: directory.to_owned(),
        };
        for part in ["lists/partial", "cache/archives/partial"] {
            let part = directory.join(part);
            fs::create_dir_all(&part).with_context(|| format!("creating {}", part.display()))?;
        }
        let sources = directory.join("sources.list");
        fs::write(&sources, mirrors.source_lines(suites))
            .with_context(|| format!("writing {}", sources.display()))?;
        let mut update = apt.command("apt-get");
        update.args(["-qq", "update"]);
        shell::run("updating lists of Debian's archive", &mut update)?;
        Ok(apt)
    }

    /// A command of apt's that leaves this machine's configuration aside.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let path = |name: &str| self.directory.join(name).display().to_string();
        for option in [
            format!("Dir::Etc::sourcelist={}", path("sources.list")),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            format!("Dir::State::lists={}", path("lists")),
            format!("Dir::Cache={}", path("cache")),
            // Lists of packages, and nothing else.
            "Acquire::Languages=none".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
            // The directories are not that user's.
            "APT::Sandbox::User=root".to_owned(),
        ] {
            command.args(["-o", &option]);
        }
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    fn asked(&self, question: &str, package: &str) -> Result<String> {
        shell::output(self.command("apt-cache").args([question, package]))
            .with_context(|| format!("asking apt-cache {question} {package}"))
    }

    /// The packages that make up a kernel: its image, and what newer images have outside of themselves.
    ///
    /// # Errors
    /// The archive has no such kernel.
    fn packages(&self, kernel: Kernel) -> Result<Vec<String>> {
        let versions = self.asked("madison", META)?;
        let version = newest(&versions, kernel)
            .with_context(|| format!("the archive has no kernel {kernel} (see {META})"))?;
        let meta = self.asked("show", &format!("{META}={version}"))?;
        let image = dependencies(&meta, "linux-image-")
            .next()
            .with_context(|| format!("{META} {version} names no kernel"))?
            .to_owned();
        let shown = self.asked("show", &image)?;
        // The base has the list of what is built in, without which modprobe takes it for missing.
        let parts = ["linux-base-", "linux-binary-", "linux-modules-"]
            .into_iter()
            .flat_map(|prefix| dependencies(&shown, prefix))
            .map(str::to_owned);
        Ok([image.clone()].into_iter().chain(parts).collect())
    }

    fn download(&self, packages: &[String], to: &Path) -> Result<()> {
        let mut download = self.command("apt-get");
        download
            .args(["-qq", "download"])
            .args(packages)
            .current_dir(to);
        shell::run("downloading a kernel", &mut download)
    }
}

/// The newest version of this kernel among lines such as `linux-image-amd64 | 6.1.176-1 | MIRROR bookworm/main ...`,
/// which are in descending order.
fn newest(versions: &str, kernel: Kernel) -> Option<&str> {
    versions
        .lines()
        .filter_map(|line| line.split('|').nth(1))
        .map(str::trim)
        .find(|version| kernel.is(version))
}

/// Those that a package depends on and whose names begin with `prefix` and a digit.
fn dependencies<'a>(shown: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    shown
        .lines()
        .filter_map(|line| line.strip_prefix("Depends: "))
        .flat_map(|list| list.split(", "))
        .filter_map(|dependency| dependency.split(' ').next())
        .filter(move |name| {
            let rest = name.strip_prefix(prefix);
            rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        })
}

/// The kernels, fetched unless they are there; for each, why not if it cannot be had.
///
/// # Errors
/// Nothing can be fetched at all: no mirror, or no lists.
pub(super) fn fetch(kernels: &[Kernel]) -> Result<Vec<(Kernel, Result<Image>)>> {
    ensure!(
        cfg!(target_arch = "x86_64"),
        "the kernels are Debian's for x86-64, and this machine is none"
    );
    if !Path::new(KEYRING).is_file() {
        bail!("{KEYRING} is missing; it is in the package debian-archive-keyring");
    }
    let directory = workspace::target().join("vm");
    let _lock = locked(&directory)?;
    let suites: BTreeSet<String> = kernels
        .iter()
        .flat_map(|kernel| [Some(kernel.suite().to_owned()), kernel.security_suite()])
        .flatten()
        .collect();
    let suites = suites.iter().map(String::as_str);
    let apt = Apt::updated(&directory.join("apt"), &Mirrors::configured()?, suites)?;
    let images = kernels
        .iter()
        .map(|&kernel| (kernel, image(&apt, kernel, &directory.join("kernels"))));
    Ok(images.collect())
}

/// A lock on a directory, which another run may use: held until what is returned is dropped.
fn locked(directory: &Path) -> Result<File> {
    fs::create_dir_all(directory).with_context(|| format!("creating {}", directory.display()))?;
    let lock = File::open(directory).with_context(|| format!("opening {}", directory.display()))?;
    flock(&lock, FlockOperation::LockExclusive)
        .with_context(|| format!("locking {}", directory.display()))?;
    Ok(lock)
}

fn image(apt: &Apt, kernel: Kernel, directory: &Path) -> Result<Image> {
    let packages = apt.packages(kernel)?;
    let name = packages.first().context("a kernel without a package")?;
    let place = directory.join(name);
    if let Ok(image) = Image::open(&place) {
        return Ok(image);
    }
    println!("fetching kernel {kernel}: {}", packages.join(", "));
    fs::create_dir_all(directory).with_context(|| format!("creating {}", directory.display()))?;
    let work = tempfile::tempdir_in(directory)
        .with_context(|| format!("creating a directory in {}", directory.display()))?;
    let (files, tree) = (work.path().join("packages"), work.path().join("tree"));
    fs::create_dir(&files).with_context(|| format!("creating {}", files.display()))?;
    apt.download(&packages, &files)?;
    let listed = fs::read_dir(&files).with_context(|| format!("listing {}", files.display()))?;
    for file in listed {
        let file = file.with_context(|| format!("listing {}", files.display()))?;
        let mut unpack = Command::new("dpkg-deb");
        unpack.arg("-x").arg(file.path()).arg(&tree);
        shell::run("unpacking a kernel", &mut unpack)?;
    }
    Image::open(&tree)?.index_modules()?;
    // Whole, or not there.
    fs::rename(&tree, &place).with_context(|| format!("renaming to {}", place.display()))?;
    Image::open(&place)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGETS: &str = "http://mirror.example/debian/ bookworm\n\
                           http://mirror.example/debian/ bookworm-updates\n\
                           http://mirror.example/debian-security/ bookworm-security\n\
                           https://other.example/apt/ stable\n";

    #[test]
    fn the_mirrors_are_those_of_this_machines_release() {
        let mirrors = Mirrors::among(TARGETS, "bookworm").unwrap();
        let lines = mirrors.source_lines(["trixie", "bullseye-security"].into_iter());
        let wanted = format!(
            "deb [signed-by={KEYRING}] http://mirror.example/debian trixie main\n\
             deb [signed-by={KEYRING}] http://mirror.example/debian-security bullseye-security main\n"
        );
        assert_eq!(lines, wanted);
        assert_eq!(Mirrors::among(TARGETS, "noble"), None);
    }

    #[test]
    fn the_newest_version_of_a_kernel_is_taken() {
        let versions = " linux-image-amd64 | 7.3.4-1~bpo13+1 | M trixie-backports/main amd64 Packages\n \
                        linux-image-amd64 | 6.12.117-1 | M trixie/main amd64 Packages\n \
                        linux-image-amd64 | 6.1.192-2 | M bookworm-security/main amd64 Packages\n \
                        linux-image-amd64 | 6.1.176-1 | M bookworm/main amd64 Packages\n";
        let of = |name: &str| newest(versions, name.parse().unwrap());
        assert_eq!(of("6.1"), Some("6.1.192-2"));
        assert_eq!(of("newest"), Some("7.3.4-1~bpo13+1"));
        assert_eq!(of("5.10"), None);
    }

    #[test]
    fn only_numbered_packages_make_up_a_kernel() {
        let shown = "Package: linux-image-amd64\n\
                     Depends: linux-base-amd64 (= 7), linux-image-7.3.4+deb13-amd64 (= 7), linux-modules-amd64 (= 7)\n";
        let names: Vec<&str> = dependencies(shown, "linux-image-").collect();
        assert_eq!(names, ["linux-image-7.3.4+deb13-amd64"]);
        assert_eq!(dependencies(shown, "linux-modules-").next(), None);
    }
}
