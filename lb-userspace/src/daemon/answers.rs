//! What the control socket's calls read and change.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use lb_common::{names::ABI_VERSION, outcome::Kind};
use serde::Serialize;
use serde_json::{Value, json};

use super::{core::Core, preflight};
use crate::{
    config::{Config, Faults, spec::BackendSpec, text, validate},
    control::protocol::{
        API_VERSION, Applied, BackendAdd, BackendRemove, BackendRows, BackendStatus,
        BackendTraffic, BackendUpdate, Call, Checked, ConfigText, ErrorCode, RpcError, ServiceRows,
        ServiceStatus, ServiceTraffic, ServiceUpdate, Stats, Status, TrafficCounts, Version,
    },
    dataplane::Dataplane,
    desired::{Change, Refusal, RefusalKind},
    health::{Target, machine::Machine},
    model::{AdminState, Backend, Service, ServiceName, Vip},
    neighbor,
    plan::Serving,
};

/// How long a backend that is removed drains, if the caller does not say.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

impl Core {
    /// Answers one call.
    pub(super) async fn answer(&mut self, call: Call) -> Result<Value, RpcError> {
        match call {
            Call::Version(_) => value(&version()),
            Call::ServiceGet(which) => value(&validate::spec_of(self.service(&which.name)?)),
            Call::ServiceList(_) => value(&ServiceRows {
                services: self
                    .desired
                    .services
                    .values()
                    .map(validate::spec_of)
                    .collect(),
            }),
            Call::BackendList(which) => value(&BackendRows {
                backends: self.backend_rows(which.service.as_deref())?,
            }),
            Call::ConfigCheck(config) => value(&check(&config)?),
            Call::ConfigGet(_) => value(&validate::config_spec_of(&self.desired)),
            Call::Status(_) => {
                self.look_at_interfaces().await?;
                value(&self.status())
            }
            Call::Stats(_) => value(&self.stats()?),
            Call::ServiceAdd(spec) => {
                let service = validate::service(&spec, "").map_err(faulty)?;
                let name = service.name.clone();
                self.make(Change::AddService(service), Some(&name)).await
            }
            Call::ServiceUpdate(update) => {
                let name = service_name(&update.name)?;
                let change = service_update(name.clone(), &update)?;
                self.make(change, Some(&name)).await
            }
            Call::ServiceRemove(which) => {
                let name = service_name(&which.name)?;
                let force = which.force;
                self.make(Change::RemoveService { name, force }, None).await
            }
            Call::BackendAdd(add) => {
                let name = service_name(&add.service)?;
                let change = self.backend_add(&name, &add)?;
                self.make(change, Some(&name)).await
            }
            Call::BackendUpdate(update) => {
                let name = service_name(&update.service)?;
                let change = backend_update(name.clone(), &update)?;
                self.make(change, Some(&name)).await
            }
            Call::BackendRemove(remove) => {
                let name = service_name(&remove.service)?;
                let change = backend_remove(name.clone(), &remove)?;
                self.make(change, None).await
            }
            Call::BackendDrain(which) => {
                self.set_state(&which.service, &which.address, AdminState::Drain)
                    .await
            }
            Call::BackendUndrain(which) | Call::BackendEnable(which) => {
                self.set_state(&which.service, &which.address, AdminState::Up)
                    .await
            }
            Call::BackendDisable(which) => {
                self.set_state(&which.service, &which.address, AdminState::Down)
                    .await
            }
            Call::ConfigApply(config) => {
                let (config, digest) = load(&config)?;
                // The file itself, applied over the socket, is not to be applied once more at the next start.
                let digest = digest
                    .filter(|digest| self.file_is(digest))
                    .or_else(|| self.digest());
                self.change(Change::Replace(config.desired), digest).await?;
                value(&self.applied(None))
            }
        }
    }

    /// Makes a change over the socket; answers when it is in the kernel.
    async fn make(
        &mut self,
        change: Change,
        service: Option<&ServiceName>,
    ) -> Result<Value, RpcError> {
        self.change(change, self.digest()).await?;
        value(&self.applied(service))
    }

    async fn set_state(
        &mut self,
        service: &str,
        address: &str,
        state: AdminState,
    ) -> Result<Value, RpcError> {
        let service = service_name(service)?;
        let change = Change::UpdateBackend {
            service: service.clone(),
            address: backend_address(address)?,
            weight: None,
            mode: None,
            state: Some(state),
        };
        self.make(change, None).await
    }

    /// The answer to a change: what carries it, and which backends of `service` (of all, if none is named)
    /// are to serve and do not.
    fn applied(&self, service: Option<&ServiceName>) -> Applied {
        let concerned = |target: &Target| service.is_none_or(|service| target.service == *service);
        let wanted = |target: &Target| {
            let service = self.desired.services.get(&target.service);
            let backend = service.and_then(|service| service.backends.get(&target.address));
            backend.is_some_and(|backend| backend.state == AdminState::Up)
        };
        let idle = self
            .plan
            .serving
            .iter()
            .filter_map(|(target, serving)| match serving {
                Serving::No(why) if concerned(target) && wanted(target) => {
                    Some(format!("no new flows go to backend {target}: {why}"))
                }
                Serving::No(_) | Serving::Slots(_) => None,
            });
        Applied {
            generation: self.reconciler.dataplane().actual().generation,
            warnings: idle.collect(),
        }
    }

    fn service(&self, name: &str) -> Result<&Service, RpcError> {
        let service = service_name(name)?;
        let found = self.desired.services.get(&service);
        found.ok_or_else(|| refused(Refusal::NoService { service }))
    }

    fn backend_add(&self, name: &ServiceName, add: &BackendAdd) -> Result<Change, RpcError> {
        let service = self.service(name.as_str())?;
        let spec: BackendSpec = add.spec();
        Ok(Change::AddBackend {
            service: name.clone(),
            backend: validate::backend(&spec, service.mode, "").map_err(faulty)?,
        })
    }

    fn backend_rows(&self, service: Option<&str>) -> Result<Vec<BackendStatus>, RpcError> {
        let services: Vec<&Service> = match service {
            Some(name) => vec![self.service(name)?],
            None => self.desired.services.values().collect(),
        };
        Ok(services
            .into_iter()
            .flat_map(|service| self.backends_of(service))
            .collect())
    }

    fn backends_of(&self, service: &Service) -> Vec<BackendStatus> {
        let row = |backend: &Backend| {
            let target = Target {
                service: service.name.clone(),
                address: backend.address,
            };
            let machine = self.book.entry(&target);
            let (slots, why_not) = match self.plan.serving.get(&target) {
                Some(Serving::Slots(slots)) => (*slots, None),
                Some(Serving::No(why)) => (0, Some(why.to_string())),
                None => (0, Some("not applied yet".to_owned())),
            };
            BackendStatus {
                service: service.name.to_string(),
                address: backend.address.to_string(),
                weight: backend.weight.get(),
                mode: backend.mode,
                state: backend.state,
                removing: backend.remove_at.is_some(),
                health: self.book.health(&target),
                health_since_ms: machine.and_then(Machine::since).map(milliseconds),
                health_reason: machine.map_or("no probe", Machine::reason).to_owned(),
                serving: why_not.is_none(),
                not_serving_because: why_not,
                slots,
            }
        };
        service.backends.values().map(row).collect()
    }

    /// Attaching does not make the kernel tell of a changed interface: the mode must be asked for.
    async fn look_at_interfaces(&mut self) -> Result<(), RpcError> {
        let links = neighbor::links().await;
        let links = links.map_err(|error| RpcError::new(ErrorCode::Internal, error.to_string()))?;
        if self.interfaces.follow(&links) {
            self.reconcile();
        }
        Ok(())
    }

    fn status(&self) -> Status {
        let actual = self.reconciler.dataplane().actual();
        let errors = self.problems();
        let service = |service: &Service| {
            let published = service.vips.iter().find_map(|vip| actual.vips.get(vip));
            ServiceStatus {
                name: service.name.to_string(),
                vips: service.vips.iter().map(Vip::to_string).collect(),
                table_slots: published.map_or(0, |entry| entry.region.slots),
                generation: published.map_or(0, |entry| entry.generation),
                backends: self.backends_of(service),
            }
        };
        Status {
            generation: actual.generation,
            uptime_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            in_sync: errors.is_empty(),
            errors,
            interfaces: self.interfaces.status(),
            services: self.desired.services.values().map(service).collect(),
        }
    }

    fn stats(&self) -> Result<Stats, RpcError> {
        let dataplane = self.reconciler.dataplane();
        let actual = dataplane.actual();
        let internal = |error| {
            RpcError::new(
                ErrorCode::Internal,
                format!("{:#}", anyhow::Error::from(error)),
            )
        };
        let mut services = Vec::new();
        for service in self.desired.services.values() {
            let number = service
                .vips
                .iter()
                .find_map(|vip| actual.vips.get(vip))
                .map(|entry| entry.service);
            let mut rows = Vec::new();
            for address in service.backends.keys() {
                let mine = |(_, entry): &(_, &crate::dataplane::BackendEntry)| {
                    Some(entry.service) == number && entry.address == *address
                };
                let mut counts = TrafficCounts::default();
                // A change of mode gives a backend a second number until the first is cleaned up.
                for (id, _) in actual.backends.iter().filter(mine) {
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
        let ledger = dataplane.ledger().map_err(internal)?;
        Ok(Stats {
            generation: actual.generation,
            packets: ledger.values().sum(),
            ledger: ledger
                .into_iter()
                .map(|(outcome, packets)| {
                    (
                        format!("{}.{}", kind_name(outcome.kind()), outcome.label()),
                        packets,
                    )
                })
                .collect(),
            services,
        })
    }
}

fn add(counts: &mut TrafficCounts, packets: u64, bytes: u64, flows: u64) {
    counts.packets += packets;
    counts.bytes += bytes;
    counts.flows += flows;
}

const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Pass => "pass",
        Kind::Drop => "drop",
        Kind::Forward => "forward",
    }
}

fn version() -> Version {
    Version {
        daemon: env!("CARGO_PKG_VERSION").to_owned(),
        api: API_VERSION,
        abi: ABI_VERSION,
        kernel: preflight::kernel_release(),
    }
}

fn milliseconds(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn value(answer: &impl Serialize) -> Result<Value, RpcError> {
    serde_json::to_value(answer)
        .map_err(|error| RpcError::new(ErrorCode::Internal, error.to_string()))
}

/// A refusal as an error of the protocol.
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub(super) fn refused(refusal: Refusal) -> RpcError {
    let code = match refusal.kind() {
        RefusalKind::NotFound => ErrorCode::NotFound,
        RefusalKind::Conflict => ErrorCode::Conflict,
        RefusalKind::Invalid => ErrorCode::InvalidParams,
    };
    RpcError::new(code, refusal.to_string())
}

/// Faults of parameters: all in one sentence, and one by one for machines.
fn faulty(faults: Faults) -> RpcError {
    let messages: Vec<String> = faults.0.iter().map(ToString::to_string).collect();
    RpcError {
        data: Some(json!({ "faults": faults.0 })),
        ..RpcError::new(ErrorCode::InvalidParams, messages.join("; "))
    }
}

fn invalid_config(faults: Faults) -> RpcError {
    let count = faults.0.len();
    RpcError {
        data: Some(json!({ "faults": faults.0 })),
        ..RpcError::new(
            ErrorCode::InvalidConfig,
            format!("the configuration has {count} faults, nothing has changed: see data.faults"),
        )
    }
}

fn read(config: &ConfigText) -> Result<(Result<Config, Faults>, Option<String>), RpcError> {
    match (&config.toml, &config.config) {
        (Some(toml), None) => Ok((text::load(toml), Some(crate::state::digest(toml)))),
        (None, Some(spec)) => Ok((validate::config(spec), None)),
        (Some(_), Some(_)) | (None, None) => Err(RpcError::new(
            ErrorCode::InvalidParams,
            "give either `toml`, a text, or `config`, an object",
        )),
    }
}

fn check(config: &ConfigText) -> Result<Checked, RpcError> {
    let faults = read(config)?
        .0
        .err()
        .map(|faults| faults.0)
        .unwrap_or_default();
    Ok(Checked {
        valid: faults.is_empty(),
        faults,
    })
}

fn load(config: &ConfigText) -> Result<(Config, Option<String>), RpcError> {
    let (config, digest) = read(config)?;
    Ok((config.map_err(invalid_config)?, digest))
}

fn bad(error: impl ToString) -> RpcError {
    RpcError::new(ErrorCode::InvalidParams, error.to_string())
}

fn service_name(name: &str) -> Result<ServiceName, RpcError> {
    name.parse().map_err(bad)
}

fn backend_address(address: &str) -> Result<SocketAddr, RpcError> {
    Backend::parse_address(address).map_err(bad)
}

fn service_update(name: ServiceName, update: &ServiceUpdate) -> Result<Change, RpcError> {
    let vips: Option<BTreeSet<Vip>> = update
        .vips
        .as_deref()
        .map(|vips| validate::vips(vips, "vips"))
        .transpose()
        .map_err(faulty)?;
    let mode = update
        .mode
        .as_deref()
        .map(|mode| validate::mode(mode, "mode"))
        .transpose()
        .map_err(faulty)?;
    let slots = update.table_slots.as_ref();
    let table_slots = slots
        .map(|slots| validate::table_slots(slots, "table_slots"))
        .transpose()
        .map_err(faulty)?;
    let probe = update
        .probe
        .as_ref()
        .map(|probe| validate::probe(probe, "probe"))
        .transpose()
        .map_err(faulty)?;
    if probe.is_some() && update.no_probe {
        return Err(bad("give either `probe` or `no_probe`"));
    }
    Ok(Change::UpdateService {
        name,
        vips,
        mode,
        table_slots,
        probe: if update.no_probe {
            Some(None)
        } else {
            probe.map(Some)
        },
    })
}

fn backend_update(service: ServiceName, update: &BackendUpdate) -> Result<Change, RpcError> {
    let weight = update
        .weight
        .map(|weight| validate::weight(weight, "weight"))
        .transpose()
        .map_err(faulty)?;
    let mode = update
        .mode
        .as_deref()
        .map(|mode| validate::mode(mode, "mode"))
        .transpose()
        .map_err(faulty)?;
    Ok(Change::UpdateBackend {
        service,
        address: backend_address(&update.address)?,
        weight,
        mode,
        state: None,
    })
}

fn backend_remove(service: ServiceName, remove: &BackendRemove) -> Result<Change, RpcError> {
    let timeout = remove
        .drain_timeout
        .as_deref()
        .map(|text| validate::duration(text, "drain_timeout"));
    let timeout = timeout.transpose().map_err(faulty)?;
    if remove.force && timeout.is_some() {
        return Err(bad("give either `force` or `drain_timeout`"));
    }
    let at = SystemTime::now() + timeout.unwrap_or(DRAIN_TIMEOUT);
    Ok(Change::RemoveBackend {
        service,
        address: backend_address(&remove.address)?,
        at: (!remove.force).then_some(at),
    })
}
