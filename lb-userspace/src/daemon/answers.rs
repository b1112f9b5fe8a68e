//! What the control socket's calls read and change.

use lb_common::names::ABI_VERSION;
use serde::Serialize;
use serde_json::{Value, json};

use super::{change, core::Core, preflight, reading::Reading};
use crate::{
    config::{Faults, spec::BackendSpec, validate},
    control::{
        access::Peer,
        protocol::{
            API_VERSION, Applied, BackendAdd, BackendRows, Call, ErrorCode, RpcError, ServiceRows,
            Version,
        },
    },
    dataplane::Dataplane,
    desired::{
        Change, Refusal, RefusalKind,
        rules::{Breach, way_breach},
    },
    health::Target,
    model::{AdminState, Scope, Service, ServiceName, Way},
    plan::{NotServing, Serving},
};

/// What the core makes of a call.
pub(super) enum Answer {
    /// The answer.
    Now(Value),
    /// What is to be read for it, which takes longer than others should wait.
    Beside(Reading),
}

impl Core {
    /// Answers one call.
    pub(super) async fn answer(&mut self, call: Call, peer: Peer) -> Result<Answer, RpcError> {
        match call {
            Call::Version(_) => now(&version()),
            Call::ServiceGet(which) => now(&validate::spec_of(self.service(&which.name)?)),
            Call::ServiceList(_) => now(&ServiceRows {
                services: self
                    .desired
                    .services
                    .values()
                    .map(|service| validate::spec_of(service))
                    .collect(),
            }),
            Call::BackendList(which) => now(&BackendRows {
                backends: self.backend_rows(which.service.as_deref())?,
            }),
            Call::BackendSetup(asked) => now(&self.backend_setup(&asked)?),
            Call::ConfigCheck(config) => now(&self.check(&config).await?),
            Call::ConfigGet(which) => now(&self.configuration(which.number)?),
            Call::Status(_) => {
                self.look_at_interfaces().await;
                now(&self.status())
            }
            Call::Stats(_) => now(&self.stats()?),
            Call::Explain(asked) => Ok(Answer::Beside(self.explain(&asked).await?)),
            Call::Detach(_) => now(&self.detach()?),
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
                let change =
                    change::backend_remove(name.clone(), &remove, self.learning_of(&remove))?;
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
            Call::BlocklistList(_) => now(&self.blocklist()),
            Call::EventsSubscribe(_) | Call::EventsUnsubscribe(_) => Err(RpcError::new(
                ErrorCode::Internal,
                "events are told by the connection that subscribes to them",
            )),
            Call::ConfigApply(apply) => now(&self.apply_config(&apply, peer).await?),
            Call::ConfigDiff(diff) => now(&self.diff(&diff)?),
            Call::ConfigHistory(_) => now(&self.history()),
            Call::ConfigRollback(rollback) => now(&self.rollback(&rollback, peer).await?),
            Call::ConfigPlan(plan) => Ok(Answer::Beside(self.plan_config(&plan)?)),
            Call::FlowsList(list) => Ok(Answer::Beside(self.list_flows(&list)?)),
            Call::FlowsCount(filter) => Ok(Answer::Beside(self.count_flows(&filter)?)),
        }
    }

    /// Makes a change to `service` over the socket; answers when it is in the kernel.
    async fn make(&mut self, change: Change, service: &ServiceName) -> Result<Answer, RpcError> {
        self.change(change, self.digest()).await?;
        now(&self.applied(&Scope::of(service)))
    }

    /// Makes a change to the blocklist over the socket; answers when it is in the kernel.
    async fn edit(&mut self, change: Change) -> Result<Answer, RpcError> {
        self.change(change, self.digest()).await?;
        now(&self.applied(&Scope::none()))
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
    ) -> Result<Answer, RpcError> {
        let service = change::service_name(service)?;
        let change = Change::UpdateBackend {
            service: service.clone(),
            address: change::backend_address(address)?,
            weight: None,
            mode: None,
            role: None,
            server_ids: None,
            state: Some(state),
        };
        self.make(change, &service).await
    }

    /// The answer to a change: what carries it, and which backends of the services concerned are to serve
    /// and do not.
    pub(super) fn applied(&self, concerned: &Scope) -> Applied {
        let wanted = |target: &Target| {
            let service = self.desired.services.get(&target.service);
            let backend = service.and_then(|service| service.backends.get(&target.address));
            backend.is_some_and(|backend| backend.state == AdminState::Up)
        };
        let serving = concerned.part(&self.plan.serving);
        let idle = serving.filter_map(|(target, serving)| match serving {
            Serving::No(NotServing::Standby) => None,
            Serving::No(why) if wanted(target) => {
                Some(format!("no new flows go to backend {target}: {why}"))
            }
            Serving::No(_) | Serving::Slots(_) => None,
        });
        Applied {
            generation: self.reconciler.dataplane().actual().generation,
            warnings: idle
                .chain(self.lost_replies(concerned))
                .chain(self.cramped(concerned))
                .collect(),
        }
    }

    /// Warnings of `nat` and `snat` backends whose replies would not meet the program.
    fn lost_replies(&self, concerned: &Scope) -> Vec<String> {
        let attached = self.edges.interfaces.indexes();
        let mut warnings = Vec::new();
        for service in self.desired.within(concerned) {
            for backend in service
                .backends
                .values()
                .filter(|backend| backend.mode.translates())
            {
                if let Some(Ok(hop)) = self.next_hops.get(&backend.address.ip())
                    && !attached.contains(&hop.interface)
                {
                    let interface = self.edges.interfaces.name(hop.interface);
                    warnings.push(format!(
                        "{} backend {} of {} is reached by interface {interface}, which lbd is not attached to: its replies cannot be turned back unless they come in by another one",
                        backend.mode, backend.address, service.name
                    ));
                }
            }
        }
        warnings
    }

    /// Warnings of tunnels that carry less than their packets need.
    fn cramped(&self, concerned: &Scope) -> Vec<String> {
        let mut warnings = Vec::new();
        for service in self.desired.within(concerned) {
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
        let found = self.desired.services.get(&service).map(|it| &**it);
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

fn now(answer: &impl Serialize) -> Result<Answer, RpcError> {
    value(answer).map(Answer::Now)
}

fn version() -> Version {
    Version {
        daemon: env!("CARGO_PKG_VERSION").to_owned(),
        api: API_VERSION,
        abi: ABI_VERSION,
        kernel: preflight::kernel_release(),
    }
}

pub(super) fn value(answer: &impl Serialize) -> Result<Value, RpcError> {
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
