//! What calls are about, for the log and for events.

use super::{
    BackendAdd, BackendList, BackendRef, BackendRemove, BackendSetup, BackendUpdate, ConfigApply,
    ConfigDiff, ConfigGet, ConfigRollback, ConfigText, EventsSubscribe, FlowFilter, FlowList,
    NoParams, Prefixes, ServiceRef, ServiceRemove, ServiceUpdate,
};
use crate::config::spec::ServiceSpec;

/// So many prefixes are named in words; of the others, how many there are.
const NAMED_PREFIXES: usize = 3;

/// What parameters name.
pub(super) trait About {
    /// The service, if there is one.
    fn service(&self) -> Option<&str> {
        None
    }

    /// What of it, or what else.
    fn object(&self) -> Option<String> {
        None
    }
}

macro_rules! about_a_service {
    ($($params:ty),*) => {$(
        impl About for $params {
            fn service(&self) -> Option<&str> {
                Some(&self.name)
            }
        }
    )*};
}

macro_rules! about_a_backend {
    ($($params:ty),*) => {$(
        impl About for $params {
            fn service(&self) -> Option<&str> {
                Some(&self.service)
            }

            fn object(&self) -> Option<String> {
                Some(self.address.clone())
            }
        }
    )*};
}

about_a_service!(ServiceSpec, ServiceUpdate, ServiceRemove, ServiceRef);
about_a_backend!(
    BackendAdd,
    BackendUpdate,
    BackendRemove,
    BackendRef,
    BackendSetup
);

impl About for BackendList {
    fn service(&self) -> Option<&str> {
        self.service.as_deref()
    }
}

impl About for Prefixes {
    fn object(&self) -> Option<String> {
        let named: Vec<&str> = self.prefixes.iter().map(String::as_str).collect();
        let named = named.get(..NAMED_PREFIXES).unwrap_or(&named).join(", ");
        let others = self.prefixes.len().saturating_sub(NAMED_PREFIXES);
        Some(if others > 0 {
            format!("{named} and {others} more")
        } else {
            named
        })
    }
}

impl About for NoParams {}
impl About for ConfigText {}
impl About for ConfigApply {}
impl About for ConfigDiff {}

impl About for ConfigGet {
    fn object(&self) -> Option<String> {
        self.number.map(|number| number.to_string())
    }
}

impl About for ConfigRollback {
    fn object(&self) -> Option<String> {
        self.number.map(|number| number.to_string())
    }
}

impl About for FlowList {
    fn service(&self) -> Option<&str> {
        self.service.as_deref()
    }
}

impl About for FlowFilter {
    fn service(&self) -> Option<&str> {
        self.service.as_deref()
    }
}
impl About for EventsSubscribe {}
