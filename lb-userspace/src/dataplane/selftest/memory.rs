//! What a program remembers and counts, taken back.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result};
use aya::{
    Ebpf, Pod,
    maps::{Array, HashMap, MapData, PerCpuArray, PerCpuValues},
};
use lb_common::{
    be::Be16,
    family::{Address4, Address6},
    flow::{Flow, FlowKey, Reply},
    interface::Interface,
    names,
    outcome::LEDGER_CELLS,
};

use super::{INGRESS, case::Addresses, packet::ETHERNET};
use crate::dataplane::{kernel::absent_is_fine, source::open};

/// IANA's number of UDP.
const UDP: u32 = 17;

/// Makes the program forget the client's flow, whose packet left as `sent`.
pub(super) fn forget(ebpf: &mut Ebpf, addresses: &Addresses, sent: &[u8]) -> Result<()> {
    let forgotten = if addresses.vip.is_ipv4() {
        let sender = sender(addresses, sent, ETHERNET + 20);
        let maps = [names::FRESH_V4, names::FLOWS_V4, names::REPLIES_V4];
        forget_in(ebpf, maps, addresses, sender, |address| match address {
            IpAddr::V4(address) => Address4::from(address),
            IpAddr::V6(_) => Address4::from(std::net::Ipv4Addr::UNSPECIFIED),
        })
    } else {
        let sender = sender(addresses, sent, ETHERNET + 40);
        let maps = [names::FRESH_V6, names::FLOWS_V6, names::REPLIES_V6];
        forget_in(ebpf, maps, addresses, sender, |address| match address {
            IpAddr::V4(address) => Address6::from(address.to_ipv6_mapped()),
            IpAddr::V6(address) => Address6::from(address),
        })
    };
    forgotten.context("make the program forget the flow of its self-test")
}

/// Who the backend has seen: in mode `snat` ourselves, at the port that stands in `sent` at this offset.
fn sender(addresses: &Addresses, sent: &[u8], port_at: usize) -> SocketAddr {
    match sent.get(port_at..port_at + 2) {
        Some(&[high, low]) => (addresses.source, u16::from_be_bytes([high, low])).into(),
        _ => addresses.client,
    }
}

fn forget_in<A>(
    ebpf: &mut Ebpf,
    [fresh, flows, replies]: [&str; 3],
    addresses: &Addresses,
    sender: SocketAddr,
    word: fn(IpAddr) -> A,
) -> Result<()>
where
    FlowKey<A>: Pod,
    Reply<A>: Pod,
{
    let key = |from: SocketAddr, to: SocketAddr| FlowKey {
        source: word(from.ip()),
        destination: word(to.ip()),
        source_port: Be16::new(from.port()),
        destination_port: Be16::new(to.port()),
        protocol: UDP,
    };
    for name in [fresh, flows] {
        let mut flows: HashMap<&mut MapData, FlowKey<A>, Flow> = open(ebpf, name)?;
        absent_is_fine(flows.remove(&key(addresses.client, addresses.vip)))?;
    }
    let mut replies: HashMap<&mut MapData, FlowKey<A>, Reply<A>> = open(ebpf, replies)?;
    for to in [addresses.client, sender] {
        absent_is_fine(replies.remove(&key(addresses.backend, to)))?;
    }
    Ok(())
}

/// The cells of the ledger that the packets of the self-test are counted in, by outcome.
pub(super) fn counts(ebpf: &mut Ebpf) -> Result<Vec<PerCpuValues<u64>>> {
    let first = first_cell(ebpf)?;
    let cells: PerCpuArray<&mut MapData, u64> = open(ebpf, names::LEDGER)?;
    let counts = (first..first + LEDGER_CELLS).map(|cell| cells.get(&cell, 0));
    counts.collect::<Result<_, _>>().context("read the ledger")
}

/// Makes the cells what they were `before`; answers the outcomes that were counted since, by their numbers, each as
/// often as it was.
pub(super) fn take_back(ebpf: &mut Ebpf, before: &[PerCpuValues<u64>]) -> Result<Vec<u32>> {
    let after = counts(ebpf)?;
    let first = first_cell(ebpf)?;
    let mut cells: PerCpuArray<&mut MapData, u64> = open(ebpf, names::LEDGER)?;
    let mut counted = Vec::new();
    for (outcome, (before, after)) in (0..).zip(before.iter().zip(&after)) {
        let [was, is] = [before, after].map(|values| values.iter().sum::<u64>());
        if was != is {
            counted.extend((was..is).map(|_| outcome));
            let before = PerCpuValues::try_from(before.to_vec())?;
            cells
                .set(first + outcome, before, 0)
                .context("write the ledger")?;
        }
    }
    Ok(counted)
}

/// The first cell of the ledger of [`INGRESS`].
fn first_cell(ebpf: &mut Ebpf) -> Result<u32> {
    let interfaces: Array<&mut MapData, Interface> = open(ebpf, names::INTERFACES)?;
    let interface = interfaces.get(&Interface::element(INGRESS), 0)?;
    let ledger = if interface.index == INGRESS {
        interface.ledger
    } else {
        Interface::OTHER
    };
    Ok(ledger * LEDGER_CELLS)
}
