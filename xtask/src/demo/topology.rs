//! Builds the demo's network: five namespaces joined by veth, IPv4 and IPv6, and the file systems it needs.

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
};

use anyhow::Context;
use rustix::mount::{MountFlags, mount};

use super::{
    addressing::{CLIENT, FAR_DEVICE, Family, Link},
    lab::{BALANCER, Lab},
    netns,
};

/// Set in every namespace before it has interfaces: addresses are usable at once.
const SYSCTLS: [(&str, &str); 2] = [
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
];

/// Set in the balancer's namespace: it routes, and a reply that already bears the VIP as its source is
/// not taken for a spoofed one.
const ROUTER_SYSCTLS: [(&str, &str); 4] = [
    ("ipv4/ip_forward", "1"),
    ("ipv6/conf/all/forwarding", "1"),
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
];

/// Makes the run's directory with its bpffs, the namespaces, links, addresses and routes.
///
/// # Errors
/// A command fails, for example for want of privilege. What was made by then stays: the
/// [`Guard`](super::guard::Guard) takes it down.
pub(super) fn build(lab: &Lab) -> anyhow::Result<()> {
    file_systems(lab)?;
    namespaces(lab)?;
    for link in Link::all() {
        join(lab, link)?;
    }
    Ok(())
}

fn file_systems(lab: &Lab) -> anyhow::Result<()> {
    let directory = lab.directory();
    DirBuilder::new()
        .mode(0o700)
        .create(directory)
        .with_context(|| format!("make {}", directory.display()))?;
    let bpffs = lab.bpffs();
    fs::create_dir(&bpffs).with_context(|| format!("make {}", bpffs.display()))?;
    mount(c"bpf", &bpffs, c"bpf", MountFlags::empty(), None)
        .with_context(|| format!("mount a bpffs on {}", bpffs.display()))?;
    let pins = lab.daemon_pins();
    fs::create_dir(&pins).with_context(|| format!("make {}", pins.display()))
}

fn namespaces(lab: &Lab) -> anyhow::Result<()> {
    let add: Vec<_> = lab
        .all_netns()
        .iter()
        .map(|netns| format!("netns add {netns}"))
        .collect();
    netns::ip_batch(None, &add)?;
    for place in Link::all().map(|link| link.name) {
        netns::inside(&lab.netns_file(place), || set(&SYSCTLS))?;
    }
    netns::inside(&lab.netns_file(BALANCER), || {
        set(&SYSCTLS)?;
        set(&ROUTER_SYSCTLS)
    })
}

fn set(sysctls: &[(&str, &str)]) -> anyhow::Result<()> {
    for (name, value) in sysctls {
        fs::write(format!("/proc/sys/net/{name}"), value)
            .with_context(|| format!("set net/{name} to {value}"))?;
    }
    Ok(())
}

fn join(lab: &Lab, link: Link) -> anyhow::Result<()> {
    let near = link.near_device();
    let (balancer, far) = (lab.netns(BALANCER), lab.netns(link.name));
    let pair =
        format!("link add {near} netns {balancer} type veth peer name {FAR_DEVICE} netns {far}");
    netns::ip_batch(None, &[pair])?;

    let mut near_side = vec![format!("link set {near} up")];
    let mut far_side = vec![
        "link set lo up".to_owned(),
        format!("link set {FAR_DEVICE} up"),
    ];
    for family in Family::ALL {
        let bits = family.prefix_length();
        let (gateway, host) = (link.near_address(family), link.far_address(family));
        near_side.push(format!("address add {gateway}/{bits} dev {near}"));
        far_side.push(format!("address add {host}/{bits} dev {FAR_DEVICE}"));
        far_side.push(if link == CLIENT {
            format!("route add {} via {gateway}", family.vip().ip())
        } else {
            format!("route add default via {gateway}")
        });
    }
    netns::ip_batch(Some(&balancer), &near_side)?;
    netns::ip_batch(Some(&far), &far_side)?;
    write_checksums(lab, link)
}

/// A veth leaves checksums to be filled in later, and a frame that XDP sends on has lost the note that
/// says so: sources write them themselves.
fn write_checksums(lab: &Lab, link: Link) -> anyhow::Result<()> {
    let mut command = netns::command(&lab.netns_file(link.name), "ethtool");
    netns::run(command.args(["-K", FAR_DEVICE, "tx", "off"])).map(drop)
}
