//! What the program must do for what is published, of that which costs look-ups.

use std::{collections::BTreeSet, fmt};

use lb_common::settings::Settings;

use crate::model::{Algorithm, Mode, Prefix, Vip};

/// A set of features of the program: it looks up only what is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features(u32);

impl Features {
    /// None at all.
    pub const NONE: Self = Self(0);
    /// VIPs that are prefixes.
    pub const PREFIX_VIPS: Self = Self(Settings::PREFIX_VIPS);
    /// Replies that come back through the balancer.
    pub const REPLIES: Self = Self(Settings::REPLIES);
    /// Sources that are blocked.
    pub const BLOCKLIST: Self = Self(Settings::BLOCKLIST);
    /// Services that spread their flows otherwise than by the hash of 5-tuples.
    pub const ALGORITHMS: Self = Self(Settings::ALGORITHMS);
    /// Services that go by the number of flows that backends have.
    pub const LOADS: Self = Self(Settings::LOADS);

    /// Those that these VIPs, backends of these modes, services of these algorithms, and this blocklist need.
    #[must_use]
    pub fn of<'a>(
        vips: impl IntoIterator<Item = &'a Vip>,
        modes: impl IntoIterator<Item = Mode>,
        algorithms: impl IntoIterator<Item = Algorithm>,
        blocklist: &BTreeSet<Prefix>,
    ) -> Self {
        let mut features = Self::NONE;
        if vips.into_iter().any(|vip| vip.is_prefix()) {
            features = features.with(Self::PREFIX_VIPS);
        }
        if modes.into_iter().any(Mode::translates) {
            features = features.with(Self::REPLIES);
        }
        for algorithm in algorithms {
            if !algorithm.is_default() {
                features = features.with(Self::ALGORITHMS);
            }
            if algorithm.counts_flows() {
                features = features.with(Self::LOADS);
            }
        }
        if !blocklist.is_empty() {
            features = features.with(Self::BLOCKLIST);
        }
        features
    }

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are among them.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// As [`Settings::features`] has them.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Self::PREFIX_VIPS, "VIPs that are prefixes"),
            (Self::REPLIES, "replies through the balancer"),
            (Self::BLOCKLIST, "blocked sources"),
            (Self::ALGORITHMS, "other algorithms than maglev"),
            (Self::LOADS, "loads of backends"),
        ];
        let names: Vec<&str> = names
            .into_iter()
            .filter(|(feature, _)| self.has(*feature))
            .map(|(_, name)| name)
            .collect();
        if names.is_empty() {
            return f.write_str("no features");
        }
        f.write_str(&names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_in_use_is_needed() {
        let single: Vip = "192.0.2.10:80/tcp".parse().unwrap();
        let prefix: Vip = "203.0.113.0/28:80/tcp".parse().unwrap();
        let direct = [Mode::L2, Mode::Ipip, Mode::Gue, Mode::Local];
        let nobody = BTreeSet::new();
        let somebody = BTreeSet::from(["203.0.113.9".parse().unwrap()]);
        let maglev = [Algorithm::Maglev];
        let of = |vips: &[&Vip], modes: &[Mode], blocklist| {
            Features::of(
                vips.iter().copied(),
                modes.iter().copied(),
                maglev,
                blocklist,
            )
        };
        assert_eq!(of(&[&single], &direct, &nobody), Features::NONE);
        assert_eq!(
            of(&[&single, &prefix], &direct, &nobody),
            Features::PREFIX_VIPS
        );
        assert_eq!(of(&[&single], &[Mode::Nat], &nobody), Features::REPLIES);
        assert_eq!(of(&[&single], &direct, &somebody), Features::BLOCKLIST);
        for algorithm in Algorithm::ALL.into_iter().filter(|it| !it.is_default()) {
            let mixed = [Algorithm::Maglev, algorithm];
            let needed = Features::of([&single], direct, mixed, &nobody);
            let loads = if algorithm.counts_flows() {
                Features::LOADS
            } else {
                Features::NONE
            };
            assert_eq!(needed, Features::ALGORITHMS.with(loads));
        }
        let modes = [Mode::L2, Mode::Snat];
        let all = Features::of([&prefix], modes, [Algorithm::LeastConnections], &somebody);
        assert!(all.has(Features::REPLIES) && !Features::REPLIES.has(all));
        assert_eq!(all.bits(), Settings::ALL_FEATURES);
    }
}
