//! The self-test: known packets through a program that has been loaded and is attached nowhere yet, on this kernel.
//!
//! It runs over the maps that the program will work with, which may be those that packets go through at this moment: a
//! service of its own, on addresses that are nobody's, is published for as long as it takes, and neither that nor its
//! packets leave a trace. A process that is killed meanwhile leaves a service that the next one takes away.

mod case;
mod memory;
mod packet;

use anyhow::{Context, Result};
use aya::{Ebpf, TestRun, TestRunOptions, programs::Xdp};
use lb_common::{
    backend::BackendId,
    settings::Settings,
    table::{SLOTS_PER_ELEMENT, Slot},
    vlan::Vlan,
};
use tracing::{debug, info};

use super::{BackendEntry, Dataplane, Features, Region, ServiceId, Step, VipEntry};
use crate::{
    model::{Mode, Prefix, Protocol, QuicLb, Source, Vip},
    neighbor::NextHop,
};
use case::{Addresses, Answer, Case};

/// Test runs without a context come in by loopback, which has this index in every namespace; only kernels from 5.15 on
/// take one.
const INGRESS: u32 = 1;
/// No service that is wanted has it: numbers are given out from the lowest on.
const SERVICE: ServiceId = ServiceId(u16::MAX);
/// What a frame may grow by.
const HEADROOM: usize = 256;

/// Sends packets for no VIP, and one to a backend in each mode that the program `name` of `ebpf` knows, which has these
/// settings. The maps of `dataplane` are its maps.
///
/// # Errors
/// The program did something else than it should, or the kernel refused; the maps hold what they held.
pub(super) fn run<D: Dataplane>(
    dataplane: &mut D,
    ebpf: &mut Ebpf,
    name: &'static str,
    settings: &Settings,
) -> Result<()> {
    let mut bench = Bench { ebpf, name };
    for addresses in Addresses::all() {
        for case in case::strangers(&addresses) {
            bench.judge(&case)?;
        }
        let Some(place) = Place::find(dataplane, &addresses) else {
            info!(vip = %addresses.vip, "the self-test forwards no packet: its service has no room in the maps");
            continue;
        };
        let forwarded = place.forward(dataplane, &mut bench, settings);
        // Whatever came of it, the service goes.
        let withdrawn = place.withdraw(dataplane);
        forwarded?;
        withdrawn?;
    }
    debug!("the program has passed its self-test");
    Ok(())
}

/// Where the service of the self-test stands in the maps, which nothing else uses.
struct Place {
    addresses: Addresses,
    vip: Vip,
    backend: BackendId,
    region: Region,
    generation: u32,
}

impl Place {
    /// A free place, if there is one and nothing that is published concerns these addresses.
    fn find(dataplane: &impl Dataplane, addresses: &Addresses) -> Option<Self> {
        let (actual, capacity) = (dataplane.actual(), dataplane.capacity());
        let vip = Vip {
            addresses: addresses.vip.ip().into(),
            port: addresses.vip.port(),
            protocol: Protocol::Udp,
        };
        let client = Prefix::from(addresses.client.ip());
        let concerned = actual.addresses.iter().any(|it| it.overlaps(vip.addresses))
            || actual.blocklist.iter().any(|it| it.overlaps(client))
            || actual.vips.values().any(|it| it.service == SERVICE);
        // An address entry and the VIP's.
        let entries = actual.vips.len() + actual.addresses.len() + 2;
        let backend = (1..capacity.backends)
            .rev()
            .map(BackendId)
            .find(|id| !actual.backends.contains_key(id))?;
        let published = actual.vips.values().map(|entry| entry.region);
        let offset = published
            .chain(actual.retired.iter().copied())
            .map(Region::end)
            .max()
            .unwrap_or_default();
        let region = Region {
            offset,
            slots: SLOTS_PER_ELEMENT,
        };
        let fits = region.end() <= capacity.slots
            && u32::try_from(entries).is_ok_and(|entries| entries <= capacity.vips);
        (fits && !concerned).then_some(Self {
            addresses: *addresses,
            vip,
            backend,
            region,
            generation: actual.generation + 1,
        })
    }

    /// Has one packet forwarded in each mode.
    fn forward<D: Dataplane>(
        &self,
        dataplane: &mut D,
        bench: &mut Bench<'_>,
        settings: &Settings,
    ) -> Result<()> {
        let gue_port = u16::try_from(settings.gue_port).unwrap_or_default();
        let slots = [Slot::new(self.backend).tracked(); SLOTS_PER_ELEMENT as usize];
        let vip = VipEntry {
            region: self.region,
            generation: self.generation,
            service: SERVICE,
            source_limit: None,
            quic_lb: QuicLb::default(),
            algorithm: crate::model::Algorithm::Maglev,
        };
        for mode in modes(settings) {
            dataplane.apply(&Step::PutBackend(self.backend, self.entry(mode)))?;
            dataplane.apply(&Step::WriteTable(self.region, slots.into()))?;
            dataplane.apply(&Step::PutVip(self.vip, vip))?;
            let case = case::forwarded(&self.addresses, mode, gue_port);
            let answer = bench.answer(&case.frame)?;
            // Whatever it is, the flow is forgotten.
            memory::forget(bench.ebpf, &self.addresses, &answer.frame)?;
            case.judge(&answer)?;
        }
        bench.judge(&case::truncated(&self.addresses))?;
        Ok(())
    }

    fn entry(&self, mode: Mode) -> BackendEntry {
        let [source_mac, destination_mac] = case::EGRESS_MACS;
        let address = self.addresses.source;
        BackendEntry {
            generation: self.generation,
            service: SERVICE,
            address: self.addresses.backend,
            mode,
            next_hop: NextHop {
                interface: INGRESS,
                source_mac,
                destination_mac,
                on_link: true,
                source: Some(address),
                mtu: 0,
                vlan: Vlan::NONE,
            },
            source: Some(Source { address, bits: 0 }),
            active: true,
            load_weight: 0,
        }
    }

    /// Takes the service away.
    fn withdraw<D: Dataplane>(&self, dataplane: &mut D) -> Result<()> {
        let actual = dataplane.actual();
        let vip = actual.vips.contains_key(&self.vip);
        let backend = actual.backends.contains_key(&self.backend);
        if vip {
            dataplane.apply(&Step::RemoveVip(self.vip))?;
        }
        if backend {
            dataplane.apply(&Step::RemoveBackend(self.backend))?;
        }
        Ok(())
    }
}

/// The modes that a program with these settings knows.
fn modes(settings: &Settings) -> impl Iterator<Item = Mode> {
    let has_replies = settings.features & Features::REPLIES.bits() != 0;
    let has_ports = settings.snat.ports_per_cpu > 0;
    Mode::ALL.into_iter().filter(move |mode| match mode {
        Mode::L2 | Mode::Ipip | Mode::Gue | Mode::Local => true,
        Mode::Nat => has_replies,
        Mode::Snat => has_replies && has_ports,
    })
}

/// The program, and what it counts.
struct Bench<'a> {
    ebpf: &'a mut Ebpf,
    name: &'static str,
}

impl Bench<'_> {
    /// Gives the frame of `case` to the program and compares.
    fn judge(&mut self, case: &Case) -> Result<()> {
        case.judge(&self.answer(&case.frame)?)?;
        Ok(())
    }

    /// What the program makes of `frame`. The ledger holds what it held: nobody else counts there.
    fn answer(&mut self, frame: &[u8]) -> Result<Answer> {
        let mut out = vec![0; frame.len() + HEADROOM];
        let before = memory::counts(self.ebpf)?;
        let program: &Xdp = self
            .ebpf
            .program(self.name)
            .with_context(|| format!("the eBPF object has no program `{}`", self.name))?
            .try_into()?;
        let ran = program
            .test_run(TestRunOptions {
                data_in: Some(frame),
                data_out: Some(&mut out),
                ..TestRunOptions::new()
            })
            .context("run the program on a packet of its self-test")?;
        out.truncate(usize::try_from(ran.data_size_out)?);
        Ok(Answer {
            action: ran.return_value,
            frame: out,
            counted: memory::take_back(self.ebpf, &before)?,
        })
    }
}
