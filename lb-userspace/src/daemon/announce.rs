//! What happens is said once here: to the log, and to those who have subscribed to events.

use std::time::Duration;

use tracing::{debug, error, info, warn};

use crate::{
    control::{
        access::Peer,
        feed::Feed,
        protocol::{AttachmentState, Call, Happening, Origin},
    },
    health::{Target, machine::Transition, weight::Shift},
    model::ServiceName,
    plan::Plan,
};

/// Says what happens.
#[derive(Clone, Debug)]
pub(super) struct Announcer(Feed);

impl Announcer {
    /// Tells the subscribers of `feed`.
    pub(super) const fn new(feed: Feed) -> Self {
        Self(feed)
    }

    /// Probing came to another conclusion.
    pub(super) fn health(&self, target: &Target, transition: Transition, reason: &str) {
        let Transition { from, to } = transition;
        let Target { service, address } = target;
        info!(%service, backend = %address, %from, %to, reason, "health");
        self.0.tell(Happening::Health {
            service: service.to_string(),
            backend: address.to_string(),
            from,
            to,
            reason: reason.to_owned(),
        });
    }

    /// Weights of a service have taken a step: one line for all of them, and the widest.
    pub(super) fn weights(&self, service: &ServiceName, shifts: &[Shift]) {
        let width = |shift: &&Shift| {
            let (from, to) = (shift.from, &shift.to);
            (to.drains, from.abs_diff(to.percent))
        };
        let Some(Shift { address, from, to }) = shifts.iter().max_by_key(width) else {
            return;
        };
        let (percent, drains, reason) = (to.percent, to.drains, to.reason.as_str());
        info!(%service, backends = shifts.len(), widest = %address, from, to = percent, drains, reason, "weights");
        for shift in shifts {
            self.weight(service, shift);
        }
    }

    fn weight(&self, service: &ServiceName, shift: &Shift) {
        let Shift { address, from, to } = shift;
        let (percent, drains, reason) = (to.percent, to.drains, to.reason.as_str());
        debug!(%service, backend = %address, from, to = percent, drains, reason, "weight");
        self.0.tell(Happening::Weight {
            service: service.to_string(),
            backend: address.to_string(),
            from_percent: *from,
            to_percent: percent,
            drains,
            reason: reason.to_owned(),
        });
    }

    /// The steps of `plan` are in the kernel, `reaction` after the first of the probes that led to it was over; nothing
    /// is said of a plan that has none.
    pub(super) fn published(&self, plan: &Plan, reaction: Option<Duration>) {
        let (generation, steps) = (plan.generation, plan.publish.len());
        if steps > 0 {
            let microseconds = |it: Duration| u64::try_from(it.as_micros()).unwrap_or(u64::MAX);
            let reaction_us = reaction.map(microseconds);
            info!(generation, steps, reaction_us, "published");
            self.0.tell(Happening::Publication {
                generation,
                steps,
                reaction_us,
            });
        }
    }

    /// The program came on an interface; or could not, for a reason; or the interface went.
    pub(super) fn attachment(
        &self,
        interface: &str,
        state: AttachmentState,
        reason: Option<String>,
    ) {
        match state {
            AttachmentState::Attached => info!(interface, "attached"),
            AttachmentState::Adopted => {
                info!(interface, "took over the link of an earlier process");
            }
            AttachmentState::Failed => warn!(interface, error = reason, "cannot attach"),
            AttachmentState::Gone => {
                warn!(
                    interface,
                    "the interface is gone; waiting for it to come back"
                );
            }
        }
        self.0.tell(Happening::Attachment {
            interface: interface.to_owned(),
            state,
            reason,
        });
    }

    /// A client has changed something.
    pub(super) fn changed(&self, change: &SocketChange, generation: u32) {
        let SocketChange {
            peer,
            method,
            what,
            service,
        } = change;
        info!(
            uid = peer.uid,
            gid = peer.gid,
            pid = peer.pid,
            generation,
            what,
            "changed"
        );
        self.0.tell(Happening::Change {
            origin: Origin::Socket {
                method: (*method).to_owned(),
                uid: peer.uid,
                gid: peer.gid,
                pid: peer.pid,
            },
            what: what.clone(),
            service: service.clone(),
            generation,
        });
    }

    /// The file was applied.
    pub(super) fn reloaded(&self, file: &str, generation: u32) {
        info!(file, generation, "reloaded");
        self.0.tell(Happening::Change {
            origin: Origin::Reload {
                file: file.to_owned(),
            },
            what: format!("the file {file} was applied"),
            service: None,
            generation,
        });
    }

    /// A backend has had its time to drain, and is gone.
    pub(super) fn drained(&self, target: &Target, generation: u32) {
        let Target { service, address } = target;
        info!(%service, backend = %address, generation, "removed after its time to drain");
        self.0.tell(Happening::Change {
            origin: Origin::Drain {},
            what: format!("backend {target} was removed after its time to drain"),
            service: Some(service.to_string()),
            generation,
        });
    }

    /// The file was not applied; nothing has changed.
    pub(super) fn not_reloaded(&self, file: &str, faults: &[String]) {
        error!(file, "reload failed; nothing has changed");
        for fault in faults {
            error!(file, "{fault}");
        }
        self.0.tell(Happening::Error {
            what: format!(
                "reload of {file}, nothing has changed: {}",
                faults.join("; ")
            ),
            retry_ms: None,
            recovered: false,
        });
    }

    /// Not everything that is wanted is in the kernel.
    pub(super) fn failed(&self, why: &str, pause: Duration) {
        error!(
            why,
            ?pause,
            "not everything that is wanted is in the kernel; trying again"
        );
        self.tell_failed(why, pause);
    }

    /// What had failed works now.
    pub(super) fn recovered(&self, what: &str) {
        info!(
            what,
            "works again: everything that is wanted is in the kernel"
        );
        self.tell_recovered(what);
    }

    /// What is wanted could not be saved, and is tried again after this pause.
    pub(super) fn not_saved(&self, why: &str, pause: Duration) {
        warn!(why, ?pause, "cannot write the saved state; trying again");
        self.tell_failed(why, pause);
    }

    /// What could not be saved is saved now.
    pub(super) fn saved(&self, what: &str) {
        info!(what, "works again: everything that is wanted is saved");
        self.tell_recovered(what);
    }

    fn tell_failed(&self, why: &str, pause: Duration) {
        self.0.tell(Happening::Error {
            what: why.to_owned(),
            retry_ms: Some(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)),
            recovered: false,
        });
    }

    fn tell_recovered(&self, what: &str) {
        self.0.tell(Happening::Error {
            what: what.to_owned(),
            retry_ms: None,
            recovered: true,
        });
    }
}

/// A call that changes something, as it is told of when that is done.
pub(super) struct SocketChange {
    peer: Peer,
    method: &'static str,
    what: String,
    service: Option<String>,
}

impl SocketChange {
    /// What is told of `call` by `peer`; nothing if it only reads.
    pub(super) fn of(call: &Call, peer: Peer) -> Option<Self> {
        (!call.is_read_only()).then(|| Self {
            peer,
            method: call.method(),
            what: call.words(),
            service: call.service().map(str::to_owned),
        })
    }
}
