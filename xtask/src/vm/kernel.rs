//! Which kernels are asked for, and in which suite of Debian's archive each is found.

use std::{fmt, str::FromStr};

use anyhow::{Result, bail};

/// A kernel as the command line names it: a release such as `6.1`, or `newest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kernel {
    name: &'static str,
    suite: &'static str,
    has_security: bool,
}

/// Those that can be had: Debian's kernels from the oldest that the programs are for to the newest there is.
const KERNELS: [Kernel; 4] = [
    Kernel {
        name: "5.10",
        suite: "bullseye",
        has_security: true,
    },
    Kernel {
        name: "6.1",
        suite: "bookworm",
        has_security: true,
    },
    Kernel {
        name: "6.12",
        suite: "trixie",
        has_security: true,
    },
    Kernel {
        name: NEWEST,
        suite: "trixie-backports",
        has_security: false,
    },
];

const NEWEST: &str = "newest";

impl Kernel {
    /// The oldest kernel that the programs are for, and the newest there is.
    pub(crate) const ENDS: [Self; 2] = [KERNELS[0], KERNELS[3]];

    /// The suite of the archive that has it.
    pub(super) const fn suite(self) -> &'static str {
        self.suite
    }

    /// The suite with its security updates.
    pub(super) fn security_suite(self) -> Option<String> {
        self.has_security
            .then(|| format!("{}-security", self.suite))
    }

    /// Whether `version`, of a package, is one of this kernel.
    pub(super) fn is(self, version: &str) -> bool {
        let rest = version.strip_prefix(self.name);
        self.name == NEWEST || rest.is_some_and(|rest| rest.starts_with('.'))
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name)
    }
}

impl FromStr for Kernel {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        let known = KERNELS.into_iter().find(|kernel| kernel.name == name);
        let Some(kernel) = known else {
            let names = KERNELS.map(|kernel| kernel.name).join(", ");
            bail!("no kernel `{name}` here; there are {names}");
        };
        Ok(kernel)
    }
}

/// The first two numbers of a release.
pub(crate) fn series(release: &str) -> String {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut number = || numbers.next().unwrap_or_default();
    format!("{}.{}", number(), number())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_known_by_its_name_and_its_packages_by_their_version() {
        let kernel: Kernel = "6.1".parse().unwrap();
        assert!(kernel.is("6.1.176-1"));
        assert!(!kernel.is("6.12.117-1"));
        assert_eq!(kernel.security_suite().unwrap(), "bookworm-security");
        let [_, newest] = Kernel::ENDS;
        assert!(newest.is("7.3.4-1~bpo13+1"));
    }

    #[test]
    fn an_unknown_kernel_is_refused_with_those_that_are_known() {
        let error = "4.19".parse::<Kernel>().unwrap_err().to_string();
        assert!(error.contains("`4.19`") && error.contains("5.10, 6.1, 6.12, newest"));
    }
}
