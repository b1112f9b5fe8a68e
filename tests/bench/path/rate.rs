//! Packets per second: generator, balancer and receiver in a namespace each, all on one CPU.
//!
//! ```text
//! generator g0 ---- l0 [balancer] l1 ---- s0 receiver
//! ```

use std::time::Duration;

use anyhow::{Context as _, Result};
use aya::Ebpf;
use lb_tests::{
    cost::{Floor, Generator, put},
    netns::{Namespace, command, join},
    packet::Packet,
};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::Serialize;
use serde_json::Value;

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
}

const SUBJECTS: [(&str, Subject); 9] = [
    ("drop", Subject::Drop),
    ("tx", Subject::Transmit),
    ("ours-l2-same-interface", Subject::Ours("l2", BEFORE)),
    ("redirect", Subject::Redirect),
    ("ours-l2", Subject::Ours("l2", BEHIND)),
    ("ours-ipip", Subject::Ours("ipip", BEHIND)),
    ("ours-nat", Subject::Ours("nat", BEHIND)),
    ("kernel-forwarding", Subject::Forwarding),
    ("nftables-dnat", Subject::Nftables),
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
    let mut paths = Vec::new();
    for (name, subject) in SUBJECTS {
        if subject == Subject::Nftables && !has("nft") {
            not_measured.push(format!("{name}: there is no `nft` (Debian: nftables)"));
            continue;
        }
        paths.push((name, Path::lay(subject)?, Vec::new(), 0));
    }
    bind()?;
    // The first frames of a flow are dearer, and those of a generator.
    for (_, path, _, _) in &paths {
        let _ = path.send(10_000)?;
    }
    for _ in 0..rounds {
        for (_, path, rates, delivered) in &mut paths {
            let (arrived, taken) = path.send(packets)?;
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
        let sink_mac = match subject {
            Subject::Forwarding | Subject::Nftables => "02:00:00:00:99:99".to_owned(),
            Subject::Drop | Subject::Transmit | Subject::Redirect | Subject::Ours(..) => {
                text(sink_mac)
            }
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
            Subject::Forwarding | Subject::Nftables => {
                // Without a program it takes frames sent by XDP only with NAPI, which this brings.
                let _ = balancer.run("ethtool", &["-K", "l0", "gro", "on"]);
                None
            }
        };
        match subject {
            Subject::Nftables => process::nftables(&balancer, address(VIP), address(BEHIND)),
            Subject::Forwarding => {}
            Subject::Drop | Subject::Transmit | Subject::Redirect | Subject::Ours(..) => {
                programs.push(put(Floor::Drop, &sink, "s0"));
            }
        }
        let to = match subject {
            Subject::Forwarding => BEHIND,
            Subject::Drop
            | Subject::Transmit
            | Subject::Redirect
            | Subject::Ours(..)
            | Subject::Nftables => VIP,
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
    fn send(&self, packets: u32) -> Result<(u64, Duration)> {
        let before = self.arrived()?;
        let taken = self.source.enter(|| self.generator.send(packets));
        Ok((self.arrived()? - before, taken))
    }

    /// How many packets the interface at the end has received.
    fn arrived(&self) -> Result<u64> {
        let (namespace, interface) = match self.subject {
            Subject::Drop => (&self.balancer, "l0"),
            Subject::Transmit | Subject::Ours(_, BEFORE) => (&self.source, "g0"),
            Subject::Redirect | Subject::Ours(..) | Subject::Forwarding | Subject::Nftables => {
                (&self.sink, "s0")
            }
        };
        let arguments = ["-n", namespace.name(), "-s", "-json", "link", "show", "dev"];
        let arguments = [arguments.as_slice(), &[interface]].concat();
        let shown: Value = serde_json::from_str(&command("ip", &arguments))?;
        let packets = shown.pointer("/0/stats64/rx/packets");
        packets
            .and_then(Value::as_u64)
            .with_context(|| format!("no count of packets in {shown}"))
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
