//! What must always hold, looked at without the daemon's help as far as can be.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use lb_common::names;
use lb_tests::{
    control::Control,
    event::{Course, Event},
    netns::{self, Namespace},
    published::Published,
    site::Site,
};
use serde_json::{Value, json};

/// Maps that a program must have in common with those that are pinned.
const SHARED: [&str; 8] = [
    names::VIP_BUCKETS_V4,
    names::VIPS_V4,
    names::VIPS_V6,
    names::TABLES,
    names::BACKENDS,
    names::FLOWS_V6,
    names::REPLIES_V4,
    names::LEDGER,
];
/// Descriptors that sockets of clients, probes and netlink may take beyond those of the first look.
const SOCKETS: usize = 64;

/// What is known from earlier looks.
#[derive(Debug, Default)]
pub(crate) struct Invariants {
    /// By interface: the least and the most by which its own counter can be ahead of its ledger. The counter begins
    /// anew with the interface, the ledger with the maps; else the difference stays what it is.
    ahead: BTreeMap<String, (i128, i128)>,
    /// The descriptors of the daemon at the first look: those of BPF objects, and all.
    descriptors: Option<(usize, usize)>,
}

impl Invariants {
    /// Notes that counters begin anew.
    pub(crate) fn expect(&mut self, event: Event) {
        if event == Event::InterfaceRecreated {
            self.ahead.remove("b0");
        } else if event == Event::DetachAndStart {
            self.ahead.clear();
        }
    }

    /// What is broken now.
    pub(crate) fn broken(&mut self, site: &Site, course: &Course<'_>) -> Vec<String> {
        let mut control = course.control();
        let published = Published::of(site.instance.bpffs());
        let mut broken = Vec::new();
        broken.extend(differs_from_wanted(&mut control, &published));
        broken.extend(wrong_pins(site, &published));
        broken.extend(wrong_programs(site, &published));
        broken.extend(self.wrong_ledgers(site, &mut control));
        broken.extend(self.leaked_descriptors(course.daemon().process()));
        broken
    }

    fn wrong_ledgers(&mut self, site: &Site, control: &mut Control) -> Vec<String> {
        let interfaces = site.bed.interfaces();
        let before = received(&site.bed.balancer, &interfaces);
        let stats = control.must("stats", &json!({}));
        let after = received(&site.bed.balancer, &interfaces);
        let mut broken = Vec::new();
        if stats["other"] != Value::Null {
            broken.push(format!(
                "packets of no interface were counted: {}",
                stats["other"]
            ));
        }
        for row in stats["interfaces"].as_array().into_iter().flatten() {
            let name = row["name"].as_str().expect("a name").to_owned();
            let counted = i128::from(row["packets"].as_u64().expect("a number"));
            let cells = row["ledger"].as_object().expect("a ledger").values();
            let sum: u64 = cells.filter_map(Value::as_u64).sum();
            if i128::from(sum) != counted {
                broken.push(format!(
                    "the ledger of {name} sums up to {sum}, not {counted}"
                ));
            }
            let (Some(before), Some(after)) = (before.get(&name), after.get(&name)) else {
                continue;
            };
            let (least, most) = (i128::from(*before) - counted, i128::from(*after) - counted);
            let known = self.ahead.entry(name.clone()).or_insert((least, most));
            *known = (known.0.max(least), known.1.min(most));
            if known.0 > known.1 {
                broken.push(format!(
                    "{name} has received between {before} and {after} packets, {counted} were counted, and the \
                     difference is not what it was: {known:?}"
                ));
            }
        }
        broken
    }

    fn leaked_descriptors(&mut self, process: u32) -> Option<String> {
        let directory = format!("/proc/{process}/fd");
        let links = fs::read_dir(&directory).expect("the daemon's descriptors");
        let links: Vec<PathBuf> = links
            .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
            .collect();
        let bpf = links
            .iter()
            .filter(|link| link.to_string_lossy().contains("bpf"))
            .count();
        let (known, all) = *self.descriptors.get_or_insert((bpf, links.len()));
        let leaked = bpf > known || links.len() > all + SOCKETS;
        leaked.then(|| {
            format!(
                "{bpf} of {} descriptors are of BPF objects; at first {known} of {all}",
                links.len()
            )
        })
    }
}

/// VIPs and backends that are wanted, against those that the program sees.
fn differs_from_wanted(control: &mut Control, published: &Published) -> Vec<String> {
    let config = control.must("config.get", &json!({}));
    let services = || config["service"].as_array().into_iter().flatten();
    let vips = services().flat_map(|service| service["vips"].as_array().into_iter().flatten());
    let vips: BTreeSet<_> = vips.filter_map(|vip| parse(vip.as_str()?)).collect();
    let mut broken = Vec::new();
    if vips != published.vips {
        broken.push(format!(
            "wanted VIPs {vips:?}, published {:?}",
            published.vips
        ));
    }
    let backends =
        services().flat_map(|service| service["backend"].as_array().into_iter().flatten());
    let backends: BTreeSet<SocketAddr> = backends
        .filter(|backend| backend["state"] != json!("down"))
        .filter_map(|backend| backend["address"].as_str()?.parse().ok())
        .collect();
    let active: BTreeSet<SocketAddr> = published.backends.keys().copied().collect();
    if backends != active {
        broken.push(format!(
            "wanted backends {backends:?}, published {active:?}"
        ));
    }
    broken
}

/// A VIP of one address, as `ADDRESS:PORT/PROTOCOL`.
fn parse(vip: &str) -> Option<(IpAddr, u16, u8)> {
    let (address, protocol) = vip.rsplit_once('/')?;
    let address: SocketAddr = address.parse().ok()?;
    let protocol = match protocol {
        "tcp" => 6,
        "udp" => 17,
        other => panic!("protocol {other}"),
    };
    Some((address.ip(), address.port(), protocol))
}

/// Pins that should not be there, or are missing.
fn wrong_pins(site: &Site, published: &Published) -> Option<String> {
    let maps = names::MAPS
        .iter()
        .map(|name| published.directory.join(name));
    let interfaces = site.bed.interfaces().into_iter();
    let links = interfaces.map(|name| {
        let (index, _) = site.bed.balancer.interface(&name);
        PathBuf::from(format!("links/{index}"))
    });
    let wanted: BTreeSet<PathBuf> = maps.chain(links).collect();
    let found: BTreeSet<PathBuf> = site.instance.bpffs().pins().into_iter().collect();
    (wanted != found).then(|| {
        let missing: Vec<_> = wanted.difference(&found).collect();
        let leaked: Vec<_> = found.difference(&wanted).collect();
        format!("pins are missing: {missing:?}, or leaked: {leaked:?}")
    })
}

/// Interfaces without the one program, and a program that works with other maps than those that are pinned.
fn wrong_programs(site: &Site, published: &Published) -> Vec<String> {
    let mut broken = Vec::new();
    let mut programs = BTreeSet::new();
    for interface in site.bed.interfaces() {
        let arguments = ["-json", "link", "show", "dev", &interface];
        let shown = json_of(&site.bed.balancer.run("ip", &arguments));
        match shown.pointer("/0/xdp/prog/id").and_then(Value::as_u64) {
            Some(id) => drop(programs.insert(id)),
            None => broken.push(format!("no program is attached to {interface}")),
        }
    }
    if programs.len() > 1 {
        broken.push(format!("more than one program is attached: {programs:?}"));
    }
    for program in programs {
        let arguments = ["-j", "prog", "show", "id", &program.to_string()];
        let shown = json_of(&netns::command("bpftool", &arguments));
        let used = shown["map_ids"].as_array().cloned().unwrap_or_default();
        let strange = SHARED
            .iter()
            .filter(|name| !used.contains(&json!(published.maps[*name])));
        broken.extend(
            strange
                .map(|name| format!("program {program} works with another {name} than is pinned")),
        );
    }
    broken
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in `{text}`"))
}

/// What each interface has handed to the program.
fn received(namespace: &Namespace, interfaces: &[String]) -> BTreeMap<String, u64> {
    let of = |interface: &String| {
        let counters = namespace.run("ethtool", &["-S", interface]);
        let queues = counters.lines().filter_map(|line| {
            let (counter, packets) = line.trim().split_once(": ")?;
            let is_ours = counter.starts_with("rx_queue_") && counter.ends_with("_xdp_packets");
            is_ours.then(|| packets.parse::<u64>().expect("a number"))
        });
        (interface.clone(), queues.sum())
    };
    interfaces.iter().map(of).collect()
}
