//! The interface of probes, as the kernel's stack is to use it.

use std::net::IpAddr;

use rtnetlink::LinkUnspec;

use super::{
    NeighborError, link,
    netlink::{Netlink, refused},
};
use crate::model::Prefix;

/// How the interface is to be.
#[derive(Clone, Copy, Debug)]
pub struct TapSettings {
    /// Its own MAC address, which is that of everybody behind it.
    pub mac: [u8; 6],
    /// The largest IP packet, in bytes.
    pub mtu: u32,
    /// Its own address of each IP version, and the range that is behind it.
    pub addresses: [(IpAddr, Prefix); 2],
}

/// Sets the interface with this index up. It asks for nobody's MAC address: the kernel takes its own for everybody's.
///
/// # Errors
/// An address of this host lies in one of the ranges, or the kernel refused. That this host has no IPv6 is no error.
pub async fn set_up_tap(index: u32, settings: TapSettings) -> Result<(), NeighborError> {
    let TapSettings {
        mac,
        mtu,
        addresses,
    } = settings;
    let here = link::addresses().await?;
    for (_, range) in addresses {
        if let Some(address) = here.iter().find(|it| range.contains((**it).into())) {
            return Err(NeighborError::NoAnswer {
                action: format!("lead packets for {range} to the interface of probes"),
                why: format!(
                    "{address} is an address of this host: choose another prefix as probe_aliases in [daemon]"
                ),
            });
        }
    }
    let netlink = Netlink::open()?;
    let link = LinkUnspec::new_with_index(index)
        .address(mac.to_vec())
        .mtu(mtu)
        .arp(false)
        .up()
        .build();
    let set = netlink.handle().link().set(link).execute().await;
    set.map_err(|error| refused(format!("set interface {index} up"), error))?;
    for (address, range) in addresses {
        let add = netlink.handle().address().add(index, address, range.bits());
        match add.execute().await {
            Err(error) if address.is_ipv6() => {
                tracing::warn!(%error, "this host has no IPv6: nothing can be probed by an IPv6 VIP");
            }
            added => {
                added
                    .map_err(|error| refused(format!("give interface {index} {address}"), error))?;
            }
        }
    }
    Ok(())
}
