//! Packets per second: generator, balancer and receiver in a namespace each, all on one CPU.
//!
//! ```text
//! generator g0 ---- l0 [balancer] l1 ---- s0 receiver
//! ```

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aya::Ebpf;
use lb_tests::{
    cost::{Floor, Generator, put},
    kernel,
    netns::{Namespace, join},
    packet::Packet,
};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::Serialize;

use crate::{
    Figures, has,
    process::{self, Process},
};

/// The service, who asks it, and who serves it: behind the balancer, or back where the packets come from.
const VIP: &str = "192.0.2.10:8080";
const CLIENT: &str = "10.1.0.2:40000";
const BEHIND: &str = "10.2.0.2:8080";
const BEFORE: &str = "10.1.0.2:8080";

/// What stands on the balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Drop,
    Transmit,
    Redirect,
    /// The product, in a mode, with a backend behind it or before it.
    Ours(&'static str, &'static str),
    Forwarding,
    Nftables,
    /// Its direct routing.
    Ipvs,
}

const SUBJECTS: [(&str, Subject); 10] = [
    ("drop", Subject::Drop),
    ("tx", Subject::Transmit),
    ("ours-l2-same-interface", Subject::Ours("l2", BEFORE)),
    ("redirect", Subject::Redirect),
    ("ours-l2", Subject::Ours("l2", BEHIND)),
    ("ours-ipip", Subject::Ours("ipip", BEHIND)),
    ("ours-nat", Subject::Ours("nat", BEHIND)),
    ("kernel-forwarding", Subject::Forwarding),
    ("nftables-dnat", Subject::Nftables),
    ("ipvs-dr", Subject::Ipvs),
];

/// One subject.
#[derive(Serialize)]
pub(crate) struct Row {
    name: &'static str,
    rounds: u32,
    /// Delivered, in millions a second.
    mpps: Figures,
    /// Of those that were sent, in all rounds.
    delivered_percent: f64,
}

/// Measures all subjects in turn.
pub(crate) fn measure(quick: bool, not_measured: &mut Vec<String>) -> Result<Vec<Row>> {
    let (rounds, packets) = if quick { (3, 300_000) } else { (10, 1_000_000) };
    let mut paths: Vec<_> = lay(not_measured)?
        .into_iter()
        .map(|(name, path)| (name, path, Vec::new(), 0))
        .collect();
    // The first frames of a flow are dearer, and those of a generator.
    for (_, path, _, _) in &paths {
        let _ = path.send(10_000);
    }
    for _ in 0..rounds {
        for (_, path, rates, delivered) in &mut paths {
            let (arrived, taken) = path.send(packets);
            *delivered += arrived;
            rates.push(float(arrived) / taken.as_secs_f64() / 1e6);
        }
    }
    println!(
        "{:<24} {:>8} {:>8} {:>8} {:>11}",
        "path", "min Mpps", "median", "max", "delivered %"
    );
    let rows = paths.into_iter().map(|(name, _, rates, delivered)| {
        let mpps = Figures::of(&rates);
        let sent = f64::from(rounds) * f64::from(packets);
        let delivered_percent = float(delivered) / sent * 100.0;
        println!(
            "{:<24} {:>8.3} {:>8.3} {:>8.3} {:>11.2}",
            name, mpps.min, mpps.median, mpps.max, delivered_percent
        );
        Row {
            name,
            rounds,
            mpps,
            delivered_percent,
        }
    });
    Ok(rows.collect())
}

/// What one packet takes, of all that the machine executes from its generation to its end.
#[derive(Serialize)]
pub(crate) struct Count {
    name: &'static str,
    instructions: f64,
}

/// Counts instructions by the clock: what the second half of a run takes, so that what every run takes is not in it. The
/// median of three; one path after another, so that no daemon's timers are in another's figures.
pub(crate) fn count(not_measured: &mut Vec<String>) -> Result<Vec<Count>> {
    const PACKETS: u32 = 20_000;
    let mut counts = Vec::new();
    for (name, subject) in SUBJECTS {
        if let Some(why) = subject.lacks() {
            not_measured.push(format!("{name}: {why}"));
            continue;
        }
        let path = Path::lay(subject)?;
        let _ = path.send(PACKETS);
        let clocked = |sent: u32| -> Result<Duration> {
            let (arrived, taken) = path.send(sent);
            // Or more: a host that comes up tells its neighbours.
            let is_whole = arrived >= u64::from(sent);
            ensure!(
                is_whole,
                "{name}: {arrived} of {sent} packets came to their end"
            );
            Ok(taken)
        };
        let mut taken = Vec::new();
        for _ in 0..3 {
            let less = clocked(PACKETS)?;
            let more = clocked(2 * PACKETS)?.saturating_sub(less).as_nanos();
            taken.push(float(u64::try_from(more)?) / f64::from(PACKETS));
        }
        let instructions = Figures::of(&taken).median;
        println!("{name:<24} {instructions:>8.0}");
        counts.push(Count { name, instructions });
    }
    Ok(counts)
}

/// Lays all paths that can be had, and keeps to one CPU.
fn lay(not_measured: &mut Vec<String>) -> Result<Vec<(&'static str, Path)>> {
    let mut paths = Vec::new();
    for (name, subject) in SUBJECTS {
        match subject.lacks() {
            Some(why) => not_measured.push(format!("{name}: {why}")),
            None => paths.push((name, Path::lay(subject)?)),
        }
    }
    bind()?;
    Ok(paths)
}

impl Subject {
    /// What is not there that it needs.
    fn lacks(self) -> Option<String> {
        match self {
            Self::Nftables if !has("nft") => {
                Some("there is no `nft` (Debian: nftables)".to_owned())
            }
            Self::Ipvs => kernel::missing("ip_vs_rr").or_else(|| {
                let is_there = has("ipvsadm");
                (!is_there).then(|| "there is no `ipvsadm` (Debian: ipvsadm)".to_owned())
            }),
            Self::Nftables
            | Self::Drop
            | Self::Transmit
            | Self::Redirect
            | Self::Ours(..)
            | Self::Forwarding => None,
        }
    }

    /// Whether the kernel carries packets by itself.
    const fn is_kernel(self) -> bool {
        matches!(self, Self::Forwarding | Self::Nftables | Self::Ipvs)
    }
}

/// Namespaces with one subject.
struct Path {
    // Dropped first: the product before its namespace.
    _product: Option<Process>,
    _programs: Vec<Ebpf>,
    generator: Generator,
    source: Namespace,
    balancer: Namespace,
    sink: Namespace,
    subject: Subject,
}

impl Path {
    fn lay(subject: Subject) -> Result<Self> {
        let [source, balancer, sink] = ["source", "path", "sink"].map(Namespace::new);
        join((&source, "g0"), (&balancer, "l0"));
        join((&balancer, "l1"), (&sink, "s0"));
        source.ip("address add 10.1.0.2/24 dev g0");
        balancer.ip("address add 10.1.0.1/24 dev l0");
        balancer.ip("address add 10.2.0.1/24 dev l1");
        balancer.sysctl("ipv4/conf/all/forwarding", "1");
        let (egress, source_mac) = source.interface("g0");
        let (_, balancer_mac) = balancer.interface("l0");
        let (_, sink_mac) = sink.interface("s0");
        let text = |mac: [u8; 6]| mac.map(|byte| format!("{byte:02x}")).join(":");
        // What the kernel forwards is dropped as somebody else's as soon as it has arrived.
        let sink_mac = if subject.is_kernel() {
            "02:00:00:00:99:99".to_owned()
        } else {
            text(sink_mac)
        };
        for (address, mac, interface) in [
            ("10.1.0.2", text(source_mac), "l0"),
            ("10.2.0.2", sink_mac, "l1"),
        ] {
            balancer.ip(&format!(
                "neighbour add {address} lladdr {mac} dev {interface} nud permanent"
            ));
        }
        let mut programs = vec![put(Floor::Drop, &source, "g0")];
        let product = match subject {
            Subject::Drop => {
                programs.push(put(Floor::Drop, &balancer, "l0"));
                None
            }
            Subject::Transmit => {
                programs.push(put(Floor::Transmit, &balancer, "l0"));
                None
            }
            Subject::Redirect => {
                let (out, _) = balancer.interface("l1");
                programs.push(put(Floor::Redirect(out), &balancer, "l0"));
                None
            }
            Subject::Ours(mode, backend) => {
                let interfaces = vec!["l0".to_owned(), "l1".to_owned()];
                let service = process::service("web", &format!("{VIP}/udp"), mode, backend);
                Some(Process::product(&balancer, interfaces, &service)?)
            }
            Subject::Forwarding | Subject::Nftables | Subject::Ipvs => {
                // Without a program it takes frames sent by XDP only with NAPI, which this brings.
                let _ = balancer.run("ethtool", &["-K", "l0", "gro", "on"]);
                None
            }
        };
        if !subject.is_kernel() {
            programs.push(put(Floor::Drop, &sink, "s0"));
        }
        match subject {
            Subject::Nftables => process::nftables(&balancer, address(VIP), address(BEHIND)),
            Subject::Ipvs => process::ipvs(&balancer, VIP, BEHIND),
            Subject::Drop
            | Subject::Transmit
            | Subject::Redirect
            | Subject::Ours(..)
            | Subject::Forwarding => {}
        }
        let to = if subject == Subject::Forwarding {
            BEHIND
        } else {
            VIP
        };
        let frame = Packet::udp(CLIENT.parse()?, to.parse()?)
            .without_checksum()
            .macs(source_mac, balancer_mac)
            .payload(vec![0x5a; 64])
            .frame();
        Ok(Self {
            _product: product,
            _programs: programs,
            generator: Generator::load(&frame, egress),
            source,
            balancer,
            sink,
            subject,
        })
    }

    /// Sends so many packets: how many have come to their end, and the time.
    fn send(&self, packets: u32) -> (u64, Duration) {
        let before = self.arrived();
        let taken = self.source.enter(|| self.generator.send(packets));
        (self.arrived() - before, taken)
    }

    /// How many packets the interface at the end has received.
    fn arrived(&self) -> u64 {
        match self.subject {
            Subject::Drop => self.balancer.received("l0"),
            Subject::Transmit | Subject::Ours(_, BEFORE) => self.source.received("g0"),
            Subject::Redirect
            | Subject::Ours(..)
            | Subject::Forwarding
            | Subject::Nftables
            | Subject::Ipvs => self.sink.received("s0"),
        }
    }
}

/// What stands before the port.
fn address(text: &str) -> &str {
    text.split_once(':').map_or(text, |(address, _)| address)
}

/// Keeps this thread, and those that it starts, on the last CPU.
fn bind() -> Result<()> {
    let allowed = sched_getaffinity(None).context("asking which CPUs there are")?;
    let last = (0..CpuSet::MAX_CPU).rfind(|cpu| allowed.is_set(*cpu));
    let mut only = CpuSet::new();
    only.set(last.context("there is no CPU to run on")?);
    sched_setaffinity(None, &only).context("keeping to one CPU")
}

fn float(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::NAN, f64::from)
}
