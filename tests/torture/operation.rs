//! What an operator may do at any time, over the socket.

use lb_tests::{
    control::Control,
    random::Random,
    site::{SERVICES, Site},
};
use serde_json::{Value, json};

/// VIPs of services that come and go; the last one is a prefix, and a program that knows those is loaded for it.
const EXTRA_VIPS: [&str; 3] = [
    "192.0.2.21:90/tcp",
    "[2001:db8::21]:8080/udp",
    "203.0.113.64/28:8080/tcp",
];

/// One change.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    /// A backend has another weight.
    Weigh {
        service: &'static str,
        backend: usize,
        weight: usize,
    },
    /// The last backend is drained, or comes back from whatever state it is in.
    DrainOrReturn { service: &'static str },
    /// The last backend is switched off, or comes back: its flows move.
    DisableOrReturn { service: &'static str },
    /// A service comes, or goes if it is there.
    ToggleService { extra: usize },
    /// A prefix comes onto the blocklist, or goes if it is there.
    ToggleBlock { number: usize },
    /// All that is wanted is applied as it is.
    ApplyConfig,
}

impl Operation {
    /// One for a site with so many backends.
    pub(crate) fn next(random: &mut Random, backends: usize) -> Self {
        let service = random.pick(&SERVICES);
        match random.below(8) {
            0 | 1 => Self::Weigh {
                service,
                backend: random.below(backends),
                weight: 1 + random.below(20),
            },
            2 | 3 => Self::DrainOrReturn { service },
            4 => Self::DisableOrReturn { service },
            5 => Self::ToggleService {
                extra: random.below(EXTRA_VIPS.len()),
            },
            6 => Self::ToggleBlock {
                number: random.below(4),
            },
            _ => Self::ApplyConfig,
        }
    }

    pub(crate) const fn label(&self) -> &'static str {
        match self {
            Self::Weigh { .. } => "weigh",
            Self::DrainOrReturn { .. } => "drain",
            Self::DisableOrReturn { .. } => "disable",
            Self::ToggleService { .. } => "service",
            Self::ToggleBlock { .. } => "blocklist",
            Self::ApplyConfig => "config_apply",
        }
    }

    /// Whether no packet may be lost, and no flow of the two services may move.
    pub(crate) const fn is_seamless(&self) -> bool {
        !matches!(self, Self::DisableOrReturn { .. })
    }

    /// Makes the change, which must be accepted.
    pub(crate) fn make(&self, site: &Site, control: &mut Control) {
        let last = site.bed.backends.len() - 1;
        match self {
            Self::Weigh {
                service,
                backend,
                weight,
            } => {
                let change = json!({"service": service, "address": address(site, service, *backend), "weight": weight});
                control.must("backend.update", &change);
            }
            Self::DrainOrReturn { service } | Self::DisableOrReturn { service } => {
                let rows = control.must("backend.list", &json!({"service": service}));
                let is_up = rows["backends"][last]["state"] == json!("up");
                let method = if !is_up {
                    "backend.enable"
                } else if self.is_seamless() {
                    "backend.drain"
                } else {
                    "backend.disable"
                };
                let which = json!({"service": service, "address": address(site, service, last)});
                control.must(method, &which);
            }
            Self::ToggleService { extra } => toggle_service(site, control, *extra),
            Self::ToggleBlock { number } => {
                let prefix = format!("198.51.100.{}/30", number * 4);
                let listed = control.must("blocklist.list", &json!({}));
                let is_there = listed["prefixes"]
                    .as_array()
                    .is_some_and(|listed| listed.contains(&json!(prefix)));
                let method = if is_there {
                    "blocklist.remove"
                } else {
                    "blocklist.add"
                };
                control.must(method, &json!({"prefixes": [prefix]}));
            }
            Self::ApplyConfig => {
                let config = control.must("config.get", &json!({}));
                control.must("config.apply", &json!({"config": config}));
            }
        }
    }
}

fn toggle_service(site: &Site, control: &mut Control, extra: usize) {
    let name = format!("extra-{extra}");
    let which = json!({"name": name});
    if control.call("service.get", &which).is_ok() {
        let gone = json!({"name": name, "force": true});
        control.must("service.remove", &gone);
        return;
    }
    // Not the first one, whose way changes: `l2` needs it on the link.
    let backend = 1 + extra % 2;
    let backends: Vec<Value> = SERVICES
        .iter()
        .map(|service| json!({"address": address(site, service, backend)}))
        .collect();
    let mode = if extra == 1 { "gue" } else { "l2" };
    let service =
        json!({"name": name, "vips": [EXTRA_VIPS[extra]], "mode": mode, "backend": backends});
    control.must("service.add", &service);
}

fn address(site: &Site, service: &str, backend: usize) -> String {
    site.backend(backend, Site::vip(service)).to_string()
}
