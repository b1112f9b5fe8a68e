//! What the resolver asks the kernel by, and what it is told by.

use rtnetlink::MulticastGroup;
use tracing::debug;

use super::{
    NeighborError,
    netlink::{Events, Netlink},
    resolve::{Links, NeighborKey},
};

const GROUPS: &[MulticastGroup] = &[
    MulticastGroup::Link,
    MulticastGroup::Neigh,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv4Rule,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv6Route,
    MulticastGroup::Ipv6Rule,
];

/// The two sockets: events could crowd out answers if they shared one.
pub(super) struct Kernel {
    pub(super) netlink: Netlink,
    pub(super) events: Events,
}

impl Kernel {
    pub(super) fn open() -> Result<Self, NeighborError> {
        // Events first: nothing can change unseen after the first look.
        let events = Events::listen(GROUPS)?.with_nexthops()?;
        let netlink = Netlink::open()?;
        Ok(Self { netlink, events })
    }

    /// All interfaces.
    pub(super) async fn links(&self) -> Result<Links, NeighborError> {
        let links = self.netlink.links().await?;
        Ok(links.into_iter().map(|link| (link.index, link)).collect())
    }

    /// Has the kernel look for neighbours.
    pub(super) async fn solicit(&self, neighbors: &[NeighborKey]) {
        for neighbor in neighbors {
            // One neighbour that cannot be looked for must not hold up the others.
            if let Err(error) = self.netlink.solicit(*neighbor).await {
                debug!("{error}");
            }
        }
    }
}
