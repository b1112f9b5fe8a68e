//! What the control socket's calls read and change.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use lb_common::names::ABI_VERSION;
use serde::Serialize;
use serde_json::{Value, json};
use tracing::warn;

use super::{change, core::Core, host::host, preflight};
use crate::{
    config::{Config, Fault, Faults, Host, spec::BackendSpec, text, validate},
    control::protocol::{
        API_VERSION, Applied, BackendAdd, BackendRows, Blocklist, Call, Checked, ConfigText,
        ErrorCode, RpcError, ServiceRows, Version,
    },
    dataplane::Dataplane,
    desired::{
        Change, Desired, Refusal, RefusalKind,
        rules::{Breach, way_breach},
    },
    health::Target,
    model::{AdminState, Service, ServiceName, Way, Ways},
    neighbor,
    plan::Serving,
    state,
};

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
            Call::BackendSetup(asked) => value(&self.backend_setup(&asked)?),
            Call::ConfigCheck(config) => value(&self.check(&config).await?),
            Call::ConfigGet(_) => value(&validate::config_spec_of(&self.desired)),
            Call::Status(_) => {
                self.look_at_interfaces().await;
                value(&self.status())
            }
            Call::Stats(_) => value(&self.stats()?),
            Call::ServiceAdd(spec) => {
                let service = validate::service(&spec, "").map_err(faulty)?;
                let name = service.name.clone();
                self.make(Change::AddService(service), &name).await
            }
            Call::ServiceUpdate(update) => {
                let name = change::service_name(&update.name)?;
                let change = change::service_update(name.clone(), &update)?;
                self.make(change, &name).await
            }
            Call::ServiceRemove(which) => {
                let name = change::service_name(&which.name)?;
                let change = Change::RemoveService {
                    name: name.clone(),
                    force: which.force,
                };
                self.make(change, &name).await
            }
            Call::BackendAdd(add) => {
                let name = change::service_name(&add.service)?;
                let change = self.backend_add(&name, &add)?;
                self.make(change, &name).await
            }
            Call::BackendUpdate(update) => {
                let name = change::service_name(&update.service)?;
                let change = change::backend_update(name.clone(), &update)?;
                self.make(change, &name).await
            }
            Call::BackendRemove(remove) => {
                let name = change::service_name(&remove.service)?;
                let change = change::backend_remove(name.clone(), &remove)?;
                self.make(change, &name).await
            }
            Call::BackendDrain(which) => {
                self.set_state(&which.service, &which.address, AdminState::Drain)
                    .await
            }
            Call::BackendUndrain(which) => {
                self.refuse_disabled(&which.service, &which.address)?;
                self.set_state(&which.service, &which.address, AdminState::Up)
                    .await
            }
            Call::BackendEnable(which) => {
                self.set_state(&which.service, &which.address, AdminState::Up)
                    .await
            }
            Call::BackendDisable(which) => {
                self.set_state(&which.service, &which.address, AdminState::Down)
                    .await
            }
            Call::BlocklistAdd(add) => self.edit(Change::Block(change::prefixes(&add)?)).await,
            Call::BlocklistRemove(remove) => {
                self.edit(Change::Unblock(change::prefixes(&remove)?)).await
            }
            Call::BlocklistList(_) => value(&Blocklist {
                prefixes: self
                    .desired
                    .blocklist
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
            }),
            Call::ConfigApply(config) => {
                let names_daemon = names_daemon(&config);
                let (config, digest) = load(&config)?;
                // The file itself, applied over the socket, is not to be applied once more at the next start.
                let digest = digest
                    .filter(|digest| self.file_is(digest))
                    .or_else(|| self.digest());
                self.change(Change::Replace(config.desired), digest).await?;
                let mut applied = self.applied(|_| true);
                applied
                    .warnings
                    .extend(self.fixed(&config.daemon).filter(|_| names_daemon));
                value(&applied)
            }
        }
    }

    /// Makes a change to `service` over the socket; answers when it is in the kernel.
    async fn make(&mut self, change: Change, service: &ServiceName) -> Result<Value, RpcError> {
        self.change(change, self.digest()).await?;
        value(&self.applied(|concerned| concerned == service))
    }

    /// Makes a change to the blocklist over the socket; answers when it is in the kernel.
    async fn edit(&mut self, change: Change) -> Result<Value, RpcError> {
        self.change(change, self.digest()).await?;
        value(&self.applied(|_| false))
    }

    /// Every fault of a configuration, modes among them that routes and interfaces cannot serve as they are now; for one
    /// that has none, what of it does not fit into the running maps.
    async fn check(&mut self, config: &ConfigText) -> Result<Checked, RpcError> {
        let mut host = host();
        if let (Ok(config), _) = read(config, &host)? {
            host.ways = ways_of(&config.desired).await;
        }
        let faults = match read(config, &host)?.0 {
            Ok(config) => self
                .shortages(&config.desired)
                .into_iter()
                .map(Fault::of_whole)
                .collect(),
            Err(Faults(faults)) => faults,
        };
        Ok(Checked {
            valid: faults.is_empty(),
            faults,
        })
    }

    /// What was switched off is not brought back by the end of a drain.
    fn refuse_disabled(&self, service: &str, address: &str) -> Result<(), RpcError> {
        let backend = self
            .service(service)?
            .backends
            .get(&change::backend_address(address)?);
        if backend.is_some_and(|backend| backend.state == AdminState::Down) {
            let message = format!(
                "backend {address} of service `{service}` is disabled, not draining: enable it"
            );
            return Err(RpcError::new(ErrorCode::Conflict, message));
        }
        Ok(())
    }

    async fn set_state(
        &mut self,
        service: &str,
        address: &str,
        state: AdminState,
    ) -> Result<Value, RpcError> {
        let service = change::service_name(service)?;
        let change = Change::UpdateBackend {
            service: service.clone(),
            address: change::backend_address(address)?,
            weight: None,
            mode: None,
            server_ids: None,
            state: Some(state),
        };
        self.make(change, &service).await
    }

    /// The answer to a change: what carries it, and which backends of the services concerned are to serve
    /// and do not.
    fn applied(&self, concerned: impl Fn(&ServiceName) -> bool + Copy) -> Applied {
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
                Serving::No(why) if concerned(&target.service) && wanted(target) => {
                    Some(format!("no new flows go to backend {target}: {why}"))
                }
                Serving::No(_) | Serving::Slots(_) => None,
            });
        Applied {
            generation: self.edges.reconciler.dataplane().actual().generation,
            warnings: idle
                .chain(self.lost_replies(concerned))
                .chain(self.cramped(concerned))
                .collect(),
        }
    }

    /// Warnings of `nat` and `snat` backends whose replies would not meet the program.
    fn lost_replies(&self, concerned: impl Fn(&ServiceName) -> bool) -> Vec<String> {
        let attached = self.edges.interfaces.indexes();
        let mut warnings = Vec::new();
        for service in self
            .desired
            .services
            .values()
            .filter(|service| concerned(&service.name))
        {
            for backend in service
                .backends
                .values()
                .filter(|backend| backend.mode.translates())
            {
                if let Some(Ok(hop)) = self.next_hops.get(&backend.address.ip())
                    && !attached.contains(&hop.interface)
                {
                    warnings.push(format!(
                        "{} backend {} of {} is reached by interface number {}, which lbd is not attached to: its replies cannot be turned back unless they come in by another one",
                        backend.mode, backend.address, service.name, hop.interface
                    ));
                }
            }
        }
        warnings
    }

    /// Warnings of tunnels that carry less than their packets need.
    fn cramped(&self, concerned: impl Fn(&ServiceName) -> bool) -> Vec<String> {
        let services = self.desired.services.values();
        let mut warnings = Vec::new();
        for service in services.filter(|service| concerned(&service.name)) {
            for backend in service.backends.values() {
                if let Some(Ok(hop)) = self.next_hops.get(&backend.address.ip()) {
                    let (on_link, mtu) = (hop.on_link, hop.mtu);
                    let way = Way::By { on_link, mtu };
                    let breach = way_breach(backend, &service.vips, way);
                    let breach = breach.filter(|it| matches!(it, Breach::MtuTooSmall { .. }));
                    warnings.extend(breach.map(|breach| format!("{}: {breach}", service.name)));
                }
            }
        }
        warnings
    }

    pub(super) fn service(&self, name: &str) -> Result<&Service, RpcError> {
        let service = change::service_name(name)?;
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
}

fn version() -> Version {
    Version {
        daemon: env!("CARGO_PKG_VERSION").to_owned(),
        api: API_VERSION,
        abi: ABI_VERSION,
        kernel: preflight::kernel_release(),
    }
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
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub(super) fn faulty(faults: Faults) -> RpcError {
    let messages: Vec<String> = faults.0.iter().map(ToString::to_string).collect();
    RpcError {
        data: Some(json!({ "faults": faults.0 })),
        ..RpcError::new(ErrorCode::InvalidParams, messages.join("; "))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn invalid_config(faults: Faults) -> RpcError {
    let count = faults.0.len();
    RpcError {
        data: Some(json!({ "faults": faults.0 })),
        ..RpcError::new(
            ErrorCode::InvalidConfig,
            format!("the configuration has faults ({count}), nothing has changed: see data.faults"),
        )
    }
}

/// The ways to all backends; none are known if the kernel cannot be asked.
async fn ways_of(desired: &Desired) -> Ways {
    let services = desired.services.values();
    let backends = services.flat_map(|service| service.backends.keys());
    let addresses: BTreeSet<IpAddr> = backends.map(SocketAddr::ip).collect();
    neighbor::ways(addresses).await.unwrap_or_else(|error| {
        warn!("modes are not checked against routes: {error}");
        Ways::new()
    })
}

fn read(
    config: &ConfigText,
    host: &Host,
) -> Result<(Result<Config, Faults>, Option<String>), RpcError> {
    match (&config.toml, &config.config) {
        (Some(toml), None) => Ok((text::load(toml, host), Some(state::digest(toml)))),
        (None, Some(spec)) => Ok((validate::config(spec, host), None)),
        (Some(_), Some(_)) | (None, None) => Err(RpcError::new(
            ErrorCode::InvalidParams,
            "give either `toml`, a text, or `config`, an object",
        )),
    }
}

/// Whether a configuration says anything about what is fixed at start.
fn names_daemon(config: &ConfigText) -> bool {
    let in_text = config.toml.as_deref().map(text::read);
    let in_text = in_text
        .and_then(Result::ok)
        .is_some_and(|spec| spec.daemon.is_some());
    in_text
        || config
            .config
            .as_ref()
            .is_some_and(|spec| spec.daemon.is_some())
}

fn load(config: &ConfigText) -> Result<(Config, Option<String>), RpcError> {
    let (config, digest) = read(config, &host())?;
    Ok((config.map_err(invalid_config)?, digest))
}
