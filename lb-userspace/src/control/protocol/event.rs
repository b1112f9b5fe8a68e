//! Events: what happens in the daemon, as those who have subscribed are told.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Health;

/// The method of the notifications (JSON-RPC 2.0, section 4.1) that carry events.
pub const EVENT_METHOD: &str = "event";

/// What kinds of event there are to subscribe to.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// Changes of a backend's health.
    Health,
    /// Changes of a weight that follows how its backend does.
    Weight,
    /// Publications of tables.
    Publication,
    /// The program on interfaces.
    Attachment,
    /// Changes of what is wanted.
    Change,
    /// What failed, and that it works again.
    Error,
}

impl EventKind {
    /// All of them, each with its name on the wire.
    pub const ALL: [(&'static str, Self); 6] = [
        ("health", Self::Health),
        ("weight", Self::Weight),
        ("publication", Self::Publication),
        ("attachment", Self::Attachment),
        ("change", Self::Change),
        ("error", Self::Error),
    ];
}

/// Which events a client wants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventsSubscribe {
    /// Only these kinds; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kinds: Option<Vec<EventKind>>,
    /// Only events that name this service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

impl EventsSubscribe {
    /// Whether these events are among those that are wanted. That some were lost, everybody wants to know.
    #[must_use]
    pub fn wants(&self, what: &Happening) -> bool {
        let Some(kind) = what.kind() else {
            return true;
        };
        let kinds = self.kinds.as_ref();
        let service = self.service.as_deref();
        kinds.is_none_or(|kinds| kinds.contains(&kind))
            && service.is_none_or(|service| what.service() == Some(service))
    }
}

/// Answer of `events.subscribe`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Subscribed {
    /// Number of the last event before the subscription: all that come later are sent.
    pub sequence: u64,
}

/// Answer of `events.unsubscribe`: no event comes after it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unsubscribed {}

/// One event: the `params` of the notification `event`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Its number: one more than that of the event before it, from 1 at the daemon's start.
    pub sequence: u64,
    /// When, in milliseconds since 1970.
    pub time_ms: u64,
    /// What.
    #[serde(flatten)]
    pub what: Happening,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Happening {
    /// Probing came to another conclusion about a backend.
    Health {
        /// The service's name.
        service: String,
        /// `ADDRESS:PORT`.
        backend: String,
        /// What was concluded before.
        from: Health,
        /// What is concluded now.
        to: Health,
        /// Why, in words: the last probe's result.
        reason: String,
    },
    /// A weight has taken a step, or its backend drains as its agent wants it.
    Weight {
        /// The service's name.
        service: String,
        /// `ADDRESS:PORT`.
        backend: String,
        /// Per cent of the configured weight that it had before.
        from_percent: u32,
        /// What it has now.
        to_percent: u32,
        /// Whether no new flows go to it because its agent says so.
        drains: bool,
        /// Why, in words.
        reason: String,
    },
    /// The kernel has what is wanted: tables, VIPs, backends.
    Publication {
        /// Its number.
        generation: u32,
        /// How many writes it took.
        steps: usize,
        /// How long after the end of the first of the probes that led to it, in microseconds; absent if none did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reaction_us: Option<u64>,
    },
    /// The program came on an interface; or could not; or the interface went.
    Attachment {
        /// The interface's name.
        interface: String,
        /// How it is now.
        state: AttachmentState,
        /// Why the program could not be attached.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// What is wanted was changed, and is in the kernel.
    Change {
        /// Where the change came from.
        origin: Origin,
        /// What it was, in words.
        what: String,
        /// The service, if it is about one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<String>,
        /// The generation that carries it.
        generation: u32,
    },
    /// Something failed and is tried again; or nothing fails any more.
    Error {
        /// What failed, in words; what had failed, if it works again.
        what: String,
        /// Milliseconds until it is tried again; absent if it is not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_ms: Option<u64>,
        /// Whether it works again.
        recovered: bool,
    },
    /// This client read too slowly: events were thrown away.
    Lost {
        /// How many, wanted or not. The event's `sequence` is that of the last one of them.
        count: u64,
    },
}

impl Happening {
    /// The kind to subscribe to; none for what every subscriber gets.
    #[must_use]
    pub const fn kind(&self) -> Option<EventKind> {
        Some(match self {
            Self::Health { .. } => EventKind::Health,
            Self::Weight { .. } => EventKind::Weight,
            Self::Publication { .. } => EventKind::Publication,
            Self::Attachment { .. } => EventKind::Attachment,
            Self::Change { .. } => EventKind::Change,
            Self::Error { .. } => EventKind::Error,
            Self::Lost { .. } => return None,
        })
    }

    /// The service that it names.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        match self {
            Self::Health { service, .. } | Self::Weight { service, .. } => Some(service),
            Self::Change { service, .. } => service.as_deref(),
            Self::Publication { .. }
            | Self::Attachment { .. }
            | Self::Error { .. }
            | Self::Lost { .. } => None,
        }
    }
}

/// How the program is on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AttachmentState {
    /// It was attached.
    Attached,
    /// The link of an earlier process was taken over.
    Adopted,
    /// It could not be attached; that is tried again.
    Failed,
    /// The interface is gone; it is waited for.
    Gone,
}

/// Where a change came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "by", rename_all = "lowercase")]
pub enum Origin {
    /// A call on the control socket.
    Socket {
        /// The method.
        method: String,
        /// The caller's effective user when it connected.
        uid: u32,
        /// Its effective group.
        gid: u32,
        /// Its process, if that is in the daemon's PID namespace.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pid: Option<i32>,
    },
    /// The configuration file, by SIGHUP.
    Reload {
        /// Its path.
        file: String,
    },
    /// The time to drain that an earlier change gave has passed.
    Drain {},
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_on_the_wire_are_those_in_the_table() {
        for (name, kind) in EventKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), name);
        }
    }

    #[test]
    fn an_event_is_one_flat_object_and_comes_back_as_it_went() {
        let event = Event {
            sequence: 7,
            time_ms: 1_700_000_000_000,
            what: Happening::Change {
                origin: Origin::Socket {
                    method: "service.add".to_owned(),
                    uid: 0,
                    gid: 0,
                    pid: None,
                },
                what: "service.add web".to_owned(),
                service: Some("web".to_owned()),
                generation: 3,
            },
        };
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(
            text,
            r#"{"sequence":7,"time_ms":1700000000000,"kind":"change","origin":{"by":"socket","method":"service.add","uid":0,"gid":0},"what":"service.add web","service":"web","generation":3}"#
        );
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    }

    #[test]
    fn a_subscription_leaves_out_other_kinds_and_other_services_and_never_a_loss() {
        let health = |service: &str| Happening::Health {
            service: service.to_owned(),
            backend: "10.0.0.1:80".to_owned(),
            from: Health::Unknown,
            to: Health::Up,
            reason: String::new(),
        };
        let published = Happening::Publication {
            generation: 1,
            steps: 1,
            reaction_us: None,
        };
        let lost = Happening::Lost { count: 1 };
        let all = EventsSubscribe::default();
        let web = EventsSubscribe {
            service: Some("web".to_owned()),
            ..all.clone()
        };
        let published_only = EventsSubscribe {
            kinds: Some(vec![EventKind::Publication]),
            ..all.clone()
        };
        let of = |wanted: &EventsSubscribe| {
            [&health("web"), &health("dns"), &published, &lost].map(|what| wanted.wants(what))
        };
        assert_eq!(of(&all), [true; 4]);
        assert_eq!(of(&web), [true, false, false, true]);
        assert_eq!(of(&published_only), [false, false, true, true]);
    }
}
