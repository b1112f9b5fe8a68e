//! Whom something concerns that has happened: what is kept for all backends of all services is then looked at for theirs
//! alone.

use std::collections::{BTreeMap, BTreeSet};

use super::{ServiceName, Target};

/// Whom a change concerns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Everybody, as far as is known.
    #[default]
    All,
    /// These services: their backends, or what is known of them. Their VIPs, and all that services share, are what they
    /// were.
    Services(BTreeSet<ServiceName>),
}

impl Scope {
    /// This service.
    #[must_use]
    pub fn of(service: &ServiceName) -> Self {
        Self::Services([service.clone()].into())
    }

    /// Nobody.
    #[must_use]
    pub const fn none() -> Self {
        Self::Services(BTreeSet::new())
    }

    /// Whether this is nobody.
    #[must_use]
    pub fn is_none(&self) -> bool {
        matches!(self, Self::Services(services) if services.is_empty())
    }

    /// Whether it is concerned.
    #[must_use]
    pub fn has(&self, service: &ServiceName) -> bool {
        match self {
            Self::All => true,
            Self::Services(services) => services.contains(service),
        }
    }

    /// Adds a service.
    pub fn add(&mut self, service: &ServiceName) {
        if let Self::Services(services) = self
            && !services.contains(service)
        {
            services.insert(service.clone());
        }
    }

    /// Only those services that are `kept`; all are no fewer for it.
    pub fn retain(&mut self, kept: impl Fn(&ServiceName) -> bool) {
        if let Self::Services(services) = self {
            services.retain(kept);
        }
    }

    /// Those of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Services(mut one), Self::Services(mut other)) => {
                one.append(&mut other);
                Self::Services(one)
            }
            (Self::All, _) | (_, Self::All) => Self::All,
        }
    }

    /// What `map` has of those that are concerned.
    pub fn part<'a, T, M: Of>(
        &'a self,
        map: &'a BTreeMap<M, T>,
    ) -> impl Iterator<Item = (&'a M, &'a T)> {
        let (all, some) = match self {
            Self::All => (Some(map.iter()), None),
            Self::Services(names) => (None, Some(names)),
        };
        let some = some.into_iter().flatten().flat_map(|name| {
            let theirs = map.range(M::first_of(name)..);
            theirs.take_while(move |(key, _)| key.service() == name)
        });
        all.into_iter().flatten().chain(some)
    }

    /// Takes that out of `map`.
    pub fn take_part<T, M: Of>(&self, map: &mut BTreeMap<M, T>) -> BTreeMap<M, T> {
        if *self == Self::All {
            return std::mem::take(map);
        }
        let keys: Vec<M> = self.part(map).map(|(key, _)| key.clone()).collect();
        let part = keys.into_iter().map(|key| map.remove_entry(&key));
        part.flatten().collect()
    }
}

/// What belongs to a service, in an order in which those of one service stand together.
pub trait Of: Clone + Ord {
    /// What comes before all others of the service, or is the first of them.
    fn first_of(service: &ServiceName) -> Self;

    /// Whose it is.
    fn service(&self) -> &ServiceName;
}

impl Of for ServiceName {
    fn first_of(service: &ServiceName) -> Self {
        service.clone()
    }

    fn service(&self) -> &ServiceName {
        self
    }
}

impl Of for Target {
    fn first_of(service: &ServiceName) -> Self {
        Self {
            service: service.clone(),
            address: ([0; 4], 0).into(),
        }
    }

    fn service(&self) -> &ServiceName {
        &self.service
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn target(service: &str, address: &str) -> Target {
        Target {
            service: service.parse().unwrap(),
            address: address.parse::<SocketAddr>().unwrap(),
        }
    }

    #[test]
    fn a_part_is_what_belongs_to_those_services() {
        let all = [
            target("a", "10.0.0.1:80"),
            target("b", "0.0.0.0:0"),
            target("b", "[2001:db8::1]:80"),
            target("b-2", "10.0.0.1:80"),
        ];
        let mut map: BTreeMap<Target, usize> = all.iter().cloned().zip(0..).collect();
        let scope = Scope::Services(["b", "c"].map(|name| name.parse().unwrap()).into());
        let part: Vec<usize> = scope.part(&map).map(|(_, value)| *value).collect();
        assert_eq!(part, [1, 2]);
        assert_eq!(Scope::All.part(&map).count(), 4);
        assert_eq!(scope.take_part(&mut map).len(), 2);
        assert_eq!(map.into_values().collect::<Vec<usize>>(), [0, 3]);
    }
}
