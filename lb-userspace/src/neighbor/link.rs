//! The host's interfaces: which there are, and when that changes.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use rtnetlink::MulticastGroup;

use super::{
    NeighborError, VlanLink,
    netlink::{Events, Netlink},
};

/// Events that follow each other this closely are told as one.
const SETTLE: Duration = Duration::from_millis(20);

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its index, from 1; not used again as long as the network namespace lives.
    pub index: u32,
    /// Its name, unique at any one time.
    pub name: String,
    /// Its MAC address; `None` if it is not an Ethernet interface (loopback, a tunnel).
    pub mac: Option<[u8; 6]>,
    /// Whether it is set up and has a carrier.
    pub up: bool,
    /// The largest IP packet it carries, in bytes.
    pub mtu: u32,
    /// What kind of software device it is (`veth`, `bridge`), as the kernel calls it; `None` for hardware.
    pub kind: Option<String>,
    /// The VLAN it stands for, if it is a VLAN device.
    pub vlan: Option<VlanLink>,
    /// How an XDP program is attached to it, if one is, whoever's it may be.
    pub xdp: Option<Xdp>,
}

/// Where XDP programs run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Xdp {
    /// In the driver, or on the card.
    Native,
    /// In the stack.
    Generic,
}

/// All interfaces of this network namespace, by index.
///
/// # Errors
/// The kernel could not be asked.
pub async fn links() -> Result<Vec<Link>, NeighborError> {
    Netlink::open()?.links().await
}

/// All addresses of this network namespace's interfaces.
///
/// # Errors
/// The kernel could not be asked.
pub async fn addresses() -> Result<BTreeSet<IpAddr>, NeighborError> {
    Netlink::open()?.addresses().await
}

/// Tells when an interface comes, goes or changes.
#[derive(Debug)]
pub struct InterfaceEvents {
    netlink: Netlink,
    events: Events,
    /// Whether a change has been heard of and not yet been told.
    due: bool,
}

impl InterfaceEvents {
    /// Listens from now on. To miss nothing, read [`links`] after this. Must be called within a Tokio
    /// runtime.
    ///
    /// # Errors
    /// The kernel gave no socket.
    pub fn listen() -> Result<Self, NeighborError> {
        Self::listen_to(&[MulticastGroup::Link])
    }

    /// The same, and also tells when an address comes or goes.
    ///
    /// # Errors
    /// The kernel gave no socket.
    pub fn listen_with_addresses() -> Result<Self, NeighborError> {
        Self::listen_to(&[
            MulticastGroup::Link,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
        ])
    }

    fn listen_to(groups: &[MulticastGroup]) -> Result<Self, NeighborError> {
        Ok(Self {
            netlink: Netlink::open()?,
            events: Events::listen(groups)?,
            due: false,
        })
    }

    /// Waits until something changes, then answers all interfaces, by index. They may be the same as before:
    /// the kernel tells more than [`Link`] holds. Loses nothing when cancelled.
    ///
    /// # Errors
    /// The kernel could not be asked: listen anew, after a pause.
    pub async fn changed(&mut self) -> Result<Vec<Link>, NeighborError> {
        if !self.due {
            self.events.next().await?;
            self.due = true;
        }
        tokio::time::sleep(SETTLE).await;
        self.events.drain();
        let links = self.netlink.links().await?;
        self.due = false;
        Ok(links)
    }
}
