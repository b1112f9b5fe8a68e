//! Whether every packet is accounted for: the daemon's ledger against the interfaces' own counters.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use serde::Serialize;
use tokio::time::sleep;

use super::{
    addressing::Link,
    control::Control,
    lab::{BALANCER, Lab},
    netns,
};

/// How long to look for a moment in which no packet arrives.
const DEADLINE: Duration = Duration::from_secs(10);

/// Both counts at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    /// The ledger's sum.
    ledger: u64,
    /// Packets received by the interfaces that the program is attached to.
    received: u64,
}

/// What both counted between two moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Account {
    /// By the ledger.
    pub(super) ledger: u64,
    /// By the interfaces.
    pub(super) received: u64,
}

impl Account {
    /// Whether every packet received has become exactly one outcome.
    pub(super) fn is_balanced(self) -> bool {
        self.ledger == self.received
    }
}

impl Counts {
    /// Reads both at a moment in which no packet arrives, so that they are of the same packets.
    ///
    /// # Errors
    /// There is no such moment, or one of them cannot be read.
    pub(super) async fn read(lab: &Lab, control: &mut Control) -> anyhow::Result<Self> {
        let begun = Instant::now();
        loop {
            let before = received(lab)?;
            let ledger = control.stats().await?.packets;
            if received(lab)? == before {
                return Ok(Self {
                    ledger,
                    received: before,
                });
            }
            if begun.elapsed() > DEADLINE {
                bail!(
                    "the balancer's interfaces were never quiet in {} s",
                    DEADLINE.as_secs()
                );
            }
            sleep(Duration::from_millis(7)).await;
        }
    }

    /// What has been counted since `earlier`.
    pub(super) fn since(self, earlier: Self) -> Account {
        Account {
            ledger: self.ledger.wrapping_sub(earlier.ledger),
            received: self.received.wrapping_sub(earlier.received),
        }
    }
}

/// Sum of the interfaces' `rx_packets`. A veth that carries a program counts there what it hands to it,
/// whatever becomes of that.
fn received(lab: &Lab) -> anyhow::Result<u64> {
    let read =
        || fs::read_to_string("/proc/thread-self/net/dev").context("read the interfaces' counters");
    let text = netns::inside(&lab.netns_file(BALANCER), read)?;
    Link::all()
        .map(|link| rx_packets(&text, &link.near_device()))
        .sum()
}

/// The second column of an interface's line in `/proc/net/dev`.
fn rx_packets(text: &str, device: &str) -> anyhow::Result<u64> {
    let counters = text
        .lines()
        .find_map(|line| line.trim_start().strip_prefix(device)?.strip_prefix(':'));
    let packets = counters.and_then(|counters| counters.split_whitespace().nth(1));
    let packets = packets.with_context(|| format!("no counters of {device}"))?;
    packets
        .parse()
        .with_context(|| format!("counters of {device}: `{packets}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn received_packets_are_the_second_column() {
        let text = "Inter-| Receive\n face |bytes packets\n to-b1: 1234 56 0\nto-b10:9 8 0\n";
        assert_eq!(rx_packets(text, "to-b1").unwrap(), 56);
        assert_eq!(rx_packets(text, "to-b10").unwrap(), 8);
        assert!(rx_packets(text, "to-b2").is_err());
    }

    #[test]
    fn an_account_covers_what_came_between() {
        let (earlier, later) = (
            Counts {
                ledger: 10,
                received: 15,
            },
            Counts {
                ledger: 30,
                received: 35,
            },
        );
        assert!(later.since(earlier).is_balanced());
    }
}
