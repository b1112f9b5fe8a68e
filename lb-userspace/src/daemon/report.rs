//! What the daemon tells of itself: status, backends, counters.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Result;
use lb_common::{
    backend::BackendId,
    outcome::{Kind, Outcome},
};

use super::core::Core;
use crate::{
    config::validate,
    control::protocol::{
        BackendStatus, BackendTraffic, Blocklist, Counted, CurrentWeight, ErrorCode,
        InterfaceLedger, ProbeCounts, RpcError, ServiceStatus, ServiceTraffic, SlotMoves, Stats,
        Status, TrafficCounts,
    },
    dataplane::{Dataplane, ServiceId},
    health::{Target, lateness::Counts, machine::Machine},
    model::{AdminState, Backend, Service, Vip},
    plan::{Moving, Serving},
};

/// How far slots have come, if flows of any are remembered.
fn moves(moving: &Moving) -> Option<SlotMoves> {
    let moves = SlotMoves {
        tracked: moving.tracked,
        learning: moving.learning,
        lingering: moving.lingering,
        waiting: moving.waiting,
    };
    (moves.tracked > 0 || moves.waiting > 0).then_some(moves)
}

impl Core {
    pub(super) fn backend_rows(
        &self,
        service: Option<&str>,
    ) -> Result<Vec<BackendStatus>, RpcError> {
        let services: Vec<&Service> = match service {
            Some(name) => vec![self.service(name)?],
            None => self.desired.services.values().map(|it| &**it).collect(),
        };
        Ok(services
            .into_iter()
            .flat_map(|service| self.backends_of(service))
            .collect())
    }

    pub(super) fn backends_of(&self, service: &Service) -> Vec<BackendStatus> {
        let row = |backend: &Backend| {
            let target = Target::of(service, backend.address);
            let machine = self.book.entry(&target);
            let current_weight = self.current_weight(service, backend);
            let drains = backend.state == AdminState::Drain
                || current_weight.as_ref().is_some_and(|it| it.drains);
            let (slots, why_not) = match self.plan.serving.get(&target) {
                Some(Serving::Slots(slots)) => (*slots, None),
                Some(Serving::No(why)) => {
                    let leaving = self.plan.leaving.get(&target).copied();
                    (leaving.unwrap_or_default(), Some(why.to_string()))
                }
                None => (0, Some("not applied yet".to_owned())),
            };
            BackendStatus {
                service: service.name.to_string(),
                address: backend.address.to_string(),
                weight: backend.weight.get(),
                current_weight,
                mode: backend.mode,
                state: backend.state,
                removing: backend.remove_at.is_some(),
                role: backend.role,
                health: self.book.health(&target),
                health_since_ms: machine.and_then(Machine::since).map(milliseconds),
                health_reason: machine.map_or("no probe", Machine::reason).to_owned(),
                serving: why_not.is_none(),
                not_serving_because: why_not,
                slots,
                flows_left: self.flows_left(&target).filter(|_| drains),
                server_ids: backend.server_ids.iter().map(ToString::to_string).collect(),
            }
        };
        service.backends.values().map(row).collect()
    }

    fn current_weight(&self, service: &Service, backend: &Backend) -> Option<CurrentWeight> {
        let standing = self.weights.standing(&service.name, backend.address)?;
        Some(CurrentWeight {
            percent: standing.percent,
            drains: standing.drains,
            reason: standing.reason.clone(),
        })
    }

    pub(super) fn blocklist(&self) -> Blocklist {
        let prefixes = self.desired.blocklist.iter();
        Blocklist {
            prefixes: prefixes.map(ToString::to_string).collect(),
        }
    }

    pub(super) fn status(&self) -> Status {
        let actual = self.reconciler.dataplane().actual();
        let errors = self.problems();
        let service = |service: &Arc<Service>| {
            let published = service.vips.iter().filter_map(|vip| actual.vips.get(vip));
            let published = published.max_by_key(|entry| entry.generation);
            ServiceStatus {
                name: service.name.to_string(),
                vips: service.vips.iter().map(Vip::to_string).collect(),
                quic_lb: validate::spec_of(service).quic_lb,
                algorithm: service.algorithm,
                table_slots: published.map_or(0, |entry| entry.region.slots),
                generation: published.map_or(0, |entry| entry.generation),
                moves: self.plan.moves.get(&service.name).and_then(moves),
                emergency: self
                    .plan
                    .emergencies
                    .get(&service.name)
                    .map(ToString::to_string),
                backends: self.backends_of(service),
            }
        };
        Status {
            generation: actual.generation,
            uptime_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            in_sync: errors.is_empty(),
            errors,
            interfaces: self.edges.interfaces.status(),
            services: self.desired.services.values().map(service).collect(),
        }
    }

    pub(super) fn stats(&self) -> Result<Stats, RpcError> {
        let dataplane = self.reconciler.dataplane();
        let actual = dataplane.actual();
        let internal = |error| {
            RpcError::new(
                ErrorCode::Internal,
                format!("{:#}", anyhow::Error::from(error)),
            )
        };
        // A change of mode gives a backend a second number until the first is cleaned up.
        let mut numbers: BTreeMap<(ServiceId, SocketAddr), Vec<BackendId>> = BTreeMap::new();
        for (id, entry) in &actual.backends {
            numbers
                .entry((entry.service, entry.address))
                .or_default()
                .push(*id);
        }
        let mut services = Vec::new();
        for service in self.desired.services.values() {
            let number = actual.service_of(&service.vips);
            let mut rows = Vec::new();
            for address in service.backends.keys() {
                let mut counts = TrafficCounts::default();
                let ids = number.and_then(|number| numbers.get(&(number, *address)));
                for id in ids.into_iter().flatten() {
                    let traffic = dataplane.traffic(*id).map_err(internal)?;
                    add(&mut counts, traffic.packets, traffic.bytes, traffic.flows);
                }
                rows.push(BackendTraffic {
                    address: address.to_string(),
                    counts,
                });
            }
            let mut total = TrafficCounts::default();
            for row in &rows {
                add(
                    &mut total,
                    row.counts.packets,
                    row.counts.bytes,
                    row.counts.flows,
                );
            }
            services.push(ServiceTraffic {
                name: service.name.to_string(),
                total,
                backends: rows,
            });
        }
        let counted = self
            .counted()
            .map_err(|error| RpcError::new(ErrorCode::Internal, format!("{error:#}")))?;
        Ok(Stats {
            generation: actual.generation,
            services,
            probes: probe_counts(self.edges.prober.counts()),
            ..counted
        })
    }

    /// The ledgers, and nothing else of the statistics.
    fn counted(&self) -> Result<Stats> {
        let mut stats = Stats::default();
        for (interface, ledger) in self.edges.interfaces.ledgers()? {
            let mut counted = Counted::default();
            for outcome in Outcome::ALL {
                let packets = ledger.packets(*outcome as u32);
                let label = ledger_label(*outcome);
                *stats.ledger.entry(label.clone()).or_default() += packets;
                counted.packets += packets;
                if packets > 0 {
                    counted.ledger.insert(label, packets);
                }
            }
            stats.packets += counted.packets;
            match interface {
                Some(name) => stats.interfaces.push(InterfaceLedger { name, counted }),
                None => stats.other = (counted.packets > 0).then_some(counted),
            }
        }
        Ok(stats)
    }
}

fn probe_counts(counts: Counts) -> ProbeCounts {
    let microseconds = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    ProbeCounts {
        made: counts.made,
        failed: counts.failed,
        impossible: counts.impossible,
        late_p50_us: microseconds(counts.late_p50),
        late_p99_us: microseconds(counts.late_p99),
        late_max_us: microseconds(counts.late_max),
    }
}

fn add(counts: &mut TrafficCounts, packets: u64, bytes: u64, flows: u64) {
    counts.packets += packets;
    counts.bytes += bytes;
    counts.flows += flows;
}

/// What the ledger calls an outcome: `forward.forwarded`.
pub(super) fn ledger_label(outcome: Outcome) -> String {
    format!("{}.{}", kind_name(outcome.kind()), outcome.label())
}

const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Pass => "pass",
        Kind::Drop => "drop",
        Kind::Forward => "forward",
    }
}

pub(super) fn milliseconds(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
