//! What is answered beside the core, because it takes long: what is read from the flow tables.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{
    answers::{refused, value},
    change,
    core::Core,
};
use crate::{
    control::protocol::{
        ErrorCode, FlowCount, FlowCounts, FlowFilter, FlowList, FlowRow, FlowRows, RpcError,
    },
    dataplane::{Actual, Dataplane, FlowTables, RememberedFlow, ServiceId},
    desired::Refusal,
    model::ServiceName,
};

/// So many calls may read the flow tables at once.
const READINGS: usize = 2;

/// Flows in one answer, if the caller does not say.
const DEFAULT_LIMIT: u32 = 100;

/// The most flows in one answer: it should fit into what a client is willing to read.
const MAX_LIMIT: u32 = 10_000;

/// Calls that are answered beside the core, so many at once.
pub(super) struct Readings {
    room: Arc<Semaphore>,
}

impl Default for Readings {
    fn default() -> Self {
        Self {
            room: Arc::new(Semaphore::new(READINGS)),
        }
    }
}

/// What makes an answer out of the flow tables, on another thread.
pub(super) type Reading = Box<dyn FnOnce(&FlowTables) -> Result<Value, RpcError> + Send>;

impl Core {
    /// A list of flows.
    ///
    /// # Errors
    /// There is no such service, or a part of the filter cannot be read.
    pub(super) fn list_flows(&self, list: &FlowList) -> Result<Reading, RpcError> {
        let limit = list.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            let message = format!("limit {limit}: write a number from 1 to {MAX_LIMIT}");
            return Err(change::bad(message));
        }
        let wanted = self.wanted(&list.filter())?;
        let (owners, limit) = (self.owners(), limit as usize);
        Ok(Box::new(move |tables| {
            value(&flows(&owners, &wanted, limit, tables)?)
        }))
    }

    /// How many flows each backend has.
    ///
    /// # Errors
    /// As [`list_flows`](Self::list_flows).
    pub(super) fn count_flows(&self, filter: &FlowFilter) -> Result<Reading, RpcError> {
        let (owners, wanted) = (self.owners(), self.wanted(filter)?);
        Ok(Box::new(move |tables| {
            value(&count(&owners, &wanted, tables)?)
        }))
    }

    /// Answers `reading` on a thread of its own.
    pub(super) fn read(&self, reading: Reading, answer: oneshot::Sender<Result<Value, RpcError>>) {
        let tables = match self.reconciler.dataplane().flows() {
            Ok(tables) => tables,
            Err(error) => return drop(answer.send(Err(unreadable(error)))),
        };
        let Ok(permit) = Arc::clone(&self.readings.room).try_acquire_owned() else {
            let message = "others are reading the flow tables: try again in a second";
            // The client may have given up.
            let _ = answer.send(Err(RpcError::new(ErrorCode::Busy, message)));
            return;
        };
        tokio::task::spawn_blocking(move || {
            let permit: OwnedSemaphorePermit = permit;
            let answered = reading(&tables);
            // Who has the answer may ask again.
            drop(permit);
            let _ = answer.send(answered);
        });
    }

    fn owners(&self) -> Owners {
        let actual = self.reconciler.dataplane().actual();
        let number = |name: &ServiceName| {
            let service = self.desired.services.get(name)?;
            Some((actual.service_of(&service.vips)?, name.clone()))
        };
        Owners {
            services: self.desired.services.keys().filter_map(number).collect(),
            actual: actual.clone(),
        }
    }

    fn wanted(&self, filter: &FlowFilter) -> Result<Wanted, RpcError> {
        let service = filter.service.as_deref().map(|name| {
            let service = self.service(name)?;
            Ok(service.name.clone())
        });
        let backend = filter.backend.as_deref().map(change::backend_address);
        let source = filter.source.as_deref().map(|text| {
            let bad = |_| {
                change::bad(format!(
                    "`{text}` is not an address: write one like 192.0.2.7"
                ))
            };
            text.parse::<IpAddr>().map_err(bad)
        });
        let (service, backend) = (service.transpose()?, backend.transpose()?);
        if let Some(backend) = backend {
            let mut services = self.desired.services.values();
            let knows = services.any(|it| {
                it.backends.contains_key(&backend)
                    && service.as_ref().is_none_or(|name| it.name == *name)
            });
            if let (false, Some(service)) = (knows, service.clone()) {
                return Err(refused(Refusal::NoBackend { service, backend }));
            }
        }
        Ok(Wanted {
            service,
            backend,
            source: source.transpose()?,
        })
    }
}

/// Whose a flow is.
pub(super) struct Owners {
    services: BTreeMap<ServiceId, ServiceName>,
    actual: Actual,
}

impl Owners {
    /// The service and the backend that has the flow; `None` if it no longer counts, or its service has gone.
    fn of(&self, flow: &RememberedFlow) -> Option<(&ServiceName, SocketAddr)> {
        let entry = self.actual.backends.get(&flow.backend)?;
        let counts = entry.active && entry.generation == flow.generation && !flow.has_ended;
        let service = self.services.get(&entry.service).filter(|_| counts)?;
        Some((service, entry.address))
    }
}

/// Which flows are asked for.
pub(super) struct Wanted {
    service: Option<ServiceName>,
    backend: Option<SocketAddr>,
    source: Option<IpAddr>,
}

impl Wanted {
    fn takes(&self, flow: &RememberedFlow, service: &ServiceName, backend: SocketAddr) -> bool {
        self.service.as_ref().is_none_or(|wanted| wanted == service)
            && self.backend.is_none_or(|wanted| wanted == backend)
            && self.source.is_none_or(|wanted| wanted == flow.source.ip())
    }
}

fn flows(
    owners: &Owners,
    wanted: &Wanted,
    limit: usize,
    tables: &FlowTables,
) -> Result<FlowRows, RpcError> {
    let mut rows = FlowRows::default();
    let read = tables.each(|flow| {
        let Some((service, backend)) = owners.of(&flow) else {
            return true;
        };
        if wanted.takes(&flow, service, backend) {
            rows.more = rows.flows.len() == limit;
            if !rows.more {
                rows.flows.push(FlowRow {
                    source: flow.source.to_string(),
                    destination: flow.destination.to_string(),
                    protocol: flow.protocol,
                    service: service.to_string(),
                    backend: backend.to_string(),
                });
            }
        }
        !rows.more
    });
    read.map_err(unreadable)?;
    rows.flows.sort_unstable();
    Ok(rows)
}

fn count(owners: &Owners, wanted: &Wanted, tables: &FlowTables) -> Result<FlowCounts, RpcError> {
    let mut counts: BTreeMap<(&ServiceName, SocketAddr), u64> = BTreeMap::new();
    let read = tables.each(|flow| {
        if let Some((service, backend)) = owners.of(&flow)
            && wanted.takes(&flow, service, backend)
        {
            *counts.entry((service, backend)).or_default() += 1;
        }
        true
    });
    read.map_err(unreadable)?;
    let row = |((service, backend), flows): ((&ServiceName, SocketAddr), u64)| FlowCount {
        service: service.to_string(),
        backend: backend.to_string(),
        flows,
    };
    Ok(FlowCounts {
        flows: counts.values().sum(),
        backends: counts.into_iter().map(row).collect(),
    })
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub(super) fn unreadable(error: anyhow::Error) -> RpcError {
    RpcError::new(ErrorCode::Kernel, format!("{error:#}"))
}
