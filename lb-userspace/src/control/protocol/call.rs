//! The table of methods: each stands here once, with its parameters, its answer and the right that it takes.

use schemars::{Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    About, Applied, BackendAdd, BackendList, BackendRef, BackendRemove, BackendRows, BackendSetup,
    BackendUpdate, Blocklist, Checked, ConfigApply, ConfigDiff, ConfigGet, ConfigRollback,
    ConfigText, Detached, Diff, ErrorCode, EventsSubscribe, FlowCounts, FlowFilter, FlowList,
    FlowRows, History, NoParams, Planned, Prefixes, RpcError, ServiceRef, ServiceRemove,
    ServiceRows, ServiceUpdate, Setup, Stats, Status, Subscribed, Unsubscribed, Version,
};
use crate::config::spec::{ConfigSpec, ServiceSpec};

/// One method, as a row of [`METHODS`].
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// What a client calls it.
    pub name: &'static str,
    /// In a sentence.
    pub summary: &'static str,
    /// Whether it changes nothing: the right to read suffices.
    pub is_read_only: bool,
    /// The schema of its parameters.
    pub params: fn(&mut SchemaGenerator) -> Schema,
    /// The schema of what it answers.
    pub answer: fn(&mut SchemaGenerator) -> Schema,
}

/// From rows `/// summary`, `"method" Variant(Params) -> Answer, reads|changes;` to [`Call`] and [`METHODS`].
macro_rules! methods {
    (@reads reads) => { true };
    (@reads changes) => { false };
    ($(
        #[doc = $summary:literal]
        $name:literal $variant:ident($params:ty) -> $answer:ty, $effect:ident;
    )*) => {
        /// A call, as a method's name and its parameters.
        ///
        /// `#[serde(tag = "method", content = "params")]`: the JSON of a request without `jsonrpc` and `id`.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
        #[serde(tag = "method", content = "params")]
        pub enum Call {
            $(
                #[doc = $summary]
                #[serde(rename = $name)]
                $variant($params),
            )*
        }

        /// All methods, as a client may call them.
        pub const METHODS: &[Method] = &[$(
            Method {
                name: $name,
                summary: $summary,
                is_read_only: methods!(@reads $effect),
                params: SchemaGenerator::subschema_for::<$params>,
                answer: SchemaGenerator::subschema_for::<$answer>,
            },
        )*];

        impl Call {
            /// Reads a call from a method's name and its parameters; absent parameters are `{}`.
            ///
            /// # Errors
            /// [`ErrorCode::MethodNotFound`]; [`ErrorCode::InvalidParams`] with serde's words (they name the
            /// unknown or missing field).
            pub fn decode(method: &str, params: Option<Value>) -> Result<Self, RpcError> {
                match method {
                    $($name => read(method, params).map(Self::$variant),)*
                    unknown => Err(no_method(unknown)),
                }
            }

            /// The method's name.
            #[must_use]
            pub const fn method(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)*
                }
            }

            /// Whether the call only reads.
            #[must_use]
            pub const fn is_read_only(&self) -> bool {
                match self {
                    $(Self::$variant(_) => methods!(@reads $effect),)*
                }
            }

            /// What the call is about.
            fn about(&self) -> &dyn About {
                match self {
                    $(Self::$variant(params) => params,)*
                }
            }
        }
    };
}

methods! {
    /// Versions of the daemon, the protocol, the ABI and the kernel.
    "version" Version(NoParams) -> Version, reads;
    /// Adds a service, with or without backends.
    "service.add" ServiceAdd(ServiceSpec) -> Applied, changes;
    /// Changes the parts that are given.
    "service.update" ServiceUpdate(ServiceUpdate) -> Applied, changes;
    /// Removes a service and its backends.
    "service.remove" ServiceRemove(ServiceRemove) -> Applied, changes;
    /// One service as configured.
    "service.get" ServiceGet(ServiceRef) -> ServiceSpec, reads;
    /// All services as configured.
    "service.list" ServiceList(NoParams) -> ServiceRows, reads;
    /// Adds a backend.
    "backend.add" BackendAdd(BackendAdd) -> Applied, changes;
    /// Changes weight, mode or server ids.
    "backend.update" BackendUpdate(BackendUpdate) -> Applied, changes;
    /// Drains a backend, then removes it.
    "backend.remove" BackendRemove(BackendRemove) -> Applied, changes;
    /// No new flows; those it has stay.
    "backend.drain" BackendDrain(BackendRef) -> Applied, changes;
    /// Back to `up` from `drain`.
    "backend.undrain" BackendUndrain(BackendRef) -> Applied, changes;
    /// Back to `up` from any state.
    "backend.enable" BackendEnable(BackendRef) -> Applied, changes;
    /// No packets at all; its flows move at once.
    "backend.disable" BackendDisable(BackendRef) -> Applied, changes;
    /// Backends with state and health.
    "backend.list" BackendList(BackendList) -> BackendRows, reads;
    /// What a backend's host needs for its mode.
    "backend.setup" BackendSetup(BackendSetup) -> Setup, reads;
    /// Puts prefixes on the blocklist.
    "blocklist.add" BlocklistAdd(Prefixes) -> Applied, changes;
    /// Takes prefixes off the blocklist.
    "blocklist.remove" BlocklistRemove(Prefixes) -> Applied, changes;
    /// The blocklist.
    "blocklist.list" BlocklistList(NoParams) -> Blocklist, reads;
    /// Every fault of a configuration, without applying it.
    "config.check" ConfigCheck(ConfigText) -> Checked, reads;
    /// What applying a configuration would do.
    "config.plan" ConfigPlan(ConfigApply) -> Planned, reads;
    /// Replaces everything by a configuration.
    "config.apply" ConfigApply(ConfigApply) -> Applied, changes;
    /// How the running configuration differs from another.
    "config.diff" ConfigDiff(ConfigDiff) -> Diff, reads;
    /// The running configuration, or one that was applied before.
    "config.get" ConfigGet(ConfigGet) -> ConfigSpec, reads;
    /// The configurations that were applied.
    "config.history" ConfigHistory(NoParams) -> History, reads;
    /// Goes back to a configuration that was applied before.
    "config.rollback" ConfigRollback(ConfigRollback) -> Applied, changes;
    /// Attachments, generation, services and health with reasons.
    "status" Status(NoParams) -> Status, reads;
    /// Counters: ledger, services, backends.
    "stats" Stats(NoParams) -> Stats, reads;
    /// Takes the program off all interfaces and everything out of the kernel; the daemon ends.
    "detach" Detach(NoParams) -> Detached, changes;
    /// Flows that are remembered.
    "flows.list" FlowsList(FlowList) -> FlowRows, reads;
    /// How many flows are remembered, by backend.
    "flows.count" FlowsCount(FlowFilter) -> FlowCounts, reads;
    /// Has events sent on this connection from now on, as notifications of the method `event`.
    "events.subscribe" EventsSubscribe(EventsSubscribe) -> Subscribed, reads;
    /// Ends that.
    "events.unsubscribe" EventsUnsubscribe(NoParams) -> Unsubscribed, reads;
}

impl Call {
    /// The service that the call is about, if it is about one.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        self.about().service()
    }

    /// The call in words, without its values: `backend.drain 10.0.0.11:80 of web`.
    #[must_use]
    pub fn words(&self) -> String {
        let about = self.about();
        let mut words = self.method().to_owned();
        if let Some(object) = about.object() {
            words = format!("{words} {object}");
        }
        match (about.object(), about.service()) {
            (Some(_), Some(service)) => format!("{words} of {service}"),
            (None, Some(service)) => format!("{words} {service}"),
            (_, None) => words,
        }
    }
}

fn read<P: for<'de> Deserialize<'de>>(method: &str, params: Option<Value>) -> Result<P, RpcError> {
    let invalid = |message| RpcError::new(ErrorCode::InvalidParams, message);
    let params = params.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    if !params.is_object() {
        let message = format!("params of {method} must be an object with named fields");
        return Err(invalid(message));
    }
    serde_json::from_value(params).map_err(|error| invalid(format!("params of {method}: {error}")))
}

fn no_method(unknown: &str) -> RpcError {
    let names: Vec<&str> = METHODS.iter().map(|method| method.name).collect();
    let message = format!("no method `{unknown}`; there are: {}", names.join(", "));
    RpcError::new(ErrorCode::MethodNotFound, message)
}
