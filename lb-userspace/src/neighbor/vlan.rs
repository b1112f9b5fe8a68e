//! VLAN devices: which interface transmits for them, and with which tag.

use std::{collections::BTreeMap, fmt};

use lb_common::vlan::{Vlan, VlanDevice};

use super::Link;

/// What the kernel says of a VLAN device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VlanLink {
    /// Index of the interface that it lies on.
    pub parent: u32,
    /// The VLAN's number, 0 to 4,094.
    pub id: u16,
    /// Whether its tag is a provider's (802.1ad), not a customer's (802.1Q).
    pub is_provider: bool,
}

/// Why the program cannot send frames for a VLAN device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnsupportedVlan {
    /// Its number is 0, which is no VLAN but a priority.
    PriorityOnly,
    /// The interface that it lies on is in another network namespace.
    ParentElsewhere,
    /// The interface that it lies on is a VLAN device itself: two tags would be needed.
    Stacked {
        /// That interface's name.
        parent: String,
    },
    /// The interface that it lies on is not one that transmits by itself.
    Parent {
        /// Its name.
        parent: String,
        /// Its kind.
        kind: String,
    },
}

impl fmt::Display for UnsupportedVlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PriorityOnly => {
                f.write_str("whose VLAN is number 0: give it one from 1 to 4,094")
            }
            Self::ParentElsewhere => {
                f.write_str("which lies on an interface in another network namespace")
            }
            Self::Stacked { parent } => write!(
                f,
                "which lies on the VLAN device {parent}: frames leave with one tag at most"
            ),
            Self::Parent { parent, kind } => write!(
                f,
                "which lies on {parent}, a {kind}: only VLAN devices on network cards, veth and tap devices are supported"
            ),
        }
    }
}

/// Kinds of software devices that transmit what they are given, as it is.
const TRANSMITTING: [&str; 2] = ["veth", "tun"];

/// How frames for `link` leave; `None` if it is no VLAN device.
pub(super) fn device(
    link: &Link,
    links: &BTreeMap<u32, Link>,
) -> Option<Result<VlanDevice, UnsupportedVlan>> {
    link.vlan.map(|vlan| {
        let parent = links.get(&vlan.parent);
        let parent = parent.ok_or(UnsupportedVlan::ParentElsewhere)?;
        let name = || parent.name.clone();
        if parent.vlan.is_some() {
            return Err(UnsupportedVlan::Stacked { parent: name() });
        }
        if let Some(kind) = &parent.kind
            && !TRANSMITTING.contains(&kind.as_str())
        {
            return Err(UnsupportedVlan::Parent {
                parent: name(),
                kind: kind.clone(),
            });
        }
        if vlan.id == 0 {
            return Err(UnsupportedVlan::PriorityOnly);
        }
        Ok(VlanDevice {
            parent: parent.index,
            vlan: Vlan::new(vlan.id, vlan.is_provider),
            reserved: 0,
        })
    })
}

/// How frames leave by each of the VLAN devices that are supported, and by the interfaces that carry some, by index.
#[must_use]
pub fn devices(links: &[Link]) -> BTreeMap<u32, VlanDevice> {
    let by_index = links.iter().map(|link| (link.index, link.clone()));
    let by_index = by_index.collect();
    let mut devices = BTreeMap::new();
    for link in links {
        if let Some(vlan) = link.vlan {
            // Whether or not the device itself is supported: on its parent, what is not tagged is in no VLAN.
            let untagged = VlanDevice {
                parent: vlan.parent,
                ..VlanDevice::default()
            };
            devices.entry(vlan.parent).or_insert(untagged);
        }
        if let Some(Ok(device)) = device(link, &by_index) {
            devices.insert(link.index, device);
        }
    }
    devices
}
