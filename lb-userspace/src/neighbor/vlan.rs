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

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, name: &str, kind: Option<&str>, vlan: Option<(u32, u16, bool)>) -> Link {
        Link {
            index,
            name: name.to_owned(),
            mac: Some([2, 0, 0, 0, 0, 1]),
            up: true,
            mtu: 1_500,
            kind: kind.map(str::to_owned),
            vlan: vlan.map(|(parent, id, is_provider)| VlanLink {
                parent,
                id,
                is_provider,
            }),
            xdp: None,
        }
    }

    fn host() -> Vec<Link> {
        let vlan = Some("vlan");
        vec![
            link(2, "eth0", None, None),
            link(3, "eth1", None, None),
            link(4, "br0", Some("bridge"), None),
            link(10, "eth0.100", vlan, Some((2, 100, false))),
            link(11, "eth0.200", vlan, Some((2, 200, true))),
            link(12, "eth0.100.7", vlan, Some((10, 7, false))),
            link(13, "br0.100", vlan, Some((4, 100, false))),
            link(14, "eth0.0", vlan, Some((2, 0, false))),
            link(15, "lost.1", vlan, Some((99, 1, false))),
        ]
    }

    #[test]
    fn devices_on_what_transmits_have_a_tag_and_their_parents_none() {
        let by = |parent, vlan| VlanDevice {
            parent,
            vlan,
            reserved: 0,
        };
        let devices = devices(&host());
        let supported: Vec<_> = [2, 3, 10, 11]
            .iter()
            .map(|index| devices.get(index).copied())
            .collect();
        assert_eq!(
            supported,
            [
                Some(by(2, Vlan::NONE)),
                None,
                Some(by(2, Vlan::new(100, false))),
                Some(by(2, Vlan::new(200, true))),
            ]
        );
        for index in 12..=15 {
            assert_eq!(devices.get(&index), None, "{index}");
        }
    }

    #[test]
    fn what_is_not_supported_says_why() {
        let links = host();
        let by_index = links.iter().map(|link| (link.index, link.clone()));
        let by_index: BTreeMap<u32, Link> = by_index.collect();
        for (name, why) in [
            ("eth0.100.7", "VLAN device eth0.100"),
            ("br0.100", "br0, a bridge"),
            ("eth0.0", "number 0"),
            ("lost.1", "another network namespace"),
        ] {
            let link = links.iter().find(|link| link.name == name).unwrap();
            let said = device(link, &by_index).unwrap().unwrap_err().to_string();
            assert!(said.contains(why), "{name}: {said}");
        }
    }
}
