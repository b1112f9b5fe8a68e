//! One row of the packet table: what is sent, and what must become of it.

use std::{fmt::Write as _, panic};

use lb_common::{
    budget::Budget,
    outcome::{Kind, Outcome},
};
use lb_tests::{
    object::{Action, Ran},
    packet::{Packet, Seen, checksum_faults, hex_dump},
};

use crate::{
    member::{Member, Side},
    world::World,
};

/// A name and the steps to take, in a world as new.
pub(crate) struct Row {
    name: String,
    steps: Vec<Step>,
}

enum Step {
    /// A frame comes in.
    Send(Sent),
    /// The daemon changes something.
    Change(fn(&mut World)),
    /// So many flows, and replies, are remembered.
    Remembers { flows: usize, replies: usize },
    /// The backend with this number has so many flows.
    Loads(u32, i64),
    /// Budgets of clients are such.
    Budgets(&'static str, fn(&[Budget]) -> bool),
}

struct Sent {
    frame: Vec<u8>,
    side: Side,
    outcome: Outcome,
    action: Action,
    out: Out,
}

/// What the frame must be afterwards.
enum Out {
    /// Whatever: it is dropped.
    Any,
    /// What it was.
    Untouched,
    /// What this describes, with right checksums.
    Rebuilt(Vec<u8>),
    /// These bytes, whose checksums are not all right: they were not before.
    Bytes(Vec<u8>),
}

/// Anything that can be put on the wire.
pub(crate) trait Frame {
    /// The bytes.
    fn bytes(&self) -> Vec<u8>;
}

impl Frame for Packet {
    fn bytes(&self) -> Vec<u8> {
        self.frame()
    }
}

impl Frame for Vec<u8> {
    fn bytes(&self) -> Vec<u8> {
        self.clone()
    }
}

/// A row without steps.
pub(crate) fn row(name: impl Into<String>) -> Row {
    Row {
        name: name.into(),
        steps: Vec::new(),
    }
}

impl Row {
    /// `frame` must be passed, untouched.
    pub(crate) fn passes(self, frame: &impl Frame, outcome: Outcome) -> Self {
        self.send(Side::Front, frame, outcome, Action::Pass, Out::Untouched)
    }

    /// `frame` must be dropped.
    pub(crate) fn drops(self, frame: &impl Frame, outcome: Outcome) -> Self {
        self.send(Side::Front, frame, outcome, Action::Drop, Out::Any)
    }

    /// `frame` must leave as `out` by the interface it came in by.
    pub(crate) fn transmits(self, frame: &impl Frame, out: &Packet) -> Self {
        let out = Out::Rebuilt(out.frame());
        self.send(
            Side::Front,
            frame,
            Outcome::Forwarded,
            Action::Transmit,
            out,
        )
    }

    /// `frame` must leave as `out` by another interface.
    pub(crate) fn redirects(self, frame: &impl Frame, out: &Packet) -> Self {
        let out = Out::Rebuilt(out.frame());
        self.send(
            Side::Front,
            frame,
            Outcome::Forwarded,
            Action::Redirect,
            out,
        )
    }

    /// `frame` must leave as the bytes `out`, whose checksums no one can verify.
    pub(crate) fn transmits_bytes(self, frame: &impl Frame, out: Vec<u8>) -> Self {
        let out = Out::Bytes(out);
        self.send(
            Side::Front,
            frame,
            Outcome::Forwarded,
            Action::Transmit,
            out,
        )
    }

    /// `frame`, which comes in on `side`, must leave as the bytes `out`, whose checksums no one can verify.
    pub(crate) fn becomes(
        self,
        side: Side,
        frame: &impl Frame,
        outcome: Outcome,
        action: Action,
        out: Vec<u8>,
    ) -> Self {
        self.send(side, frame, outcome, action, Out::Bytes(out))
    }

    /// `frame` must leave as the bytes `out` by another interface.
    pub(crate) fn redirects_bytes(self, frame: &impl Frame, out: Vec<u8>) -> Self {
        let out = Out::Bytes(out);
        self.send(
            Side::Front,
            frame,
            Outcome::Forwarded,
            Action::Redirect,
            out,
        )
    }

    /// `frame` must be sent back as the bytes `out`, whose checksums are not all right.
    pub(crate) fn sends_bytes(self, frame: &impl Frame, outcome: Outcome, out: Vec<u8>) -> Self {
        self.send(
            Side::Front,
            frame,
            outcome,
            Action::Transmit,
            Out::Bytes(out),
        )
    }

    /// What a backend sends on `side` must become of it what `outcome` and `action` say.
    pub(crate) fn answers(
        self,
        side: Side,
        frame: &impl Frame,
        outcome: Outcome,
        action: Action,
        out: Option<&Packet>,
    ) -> Self {
        let out = out.map_or(Out::Any, |out| Out::Rebuilt(out.frame()));
        self.send(side, frame, outcome, action, out)
    }

    /// The daemon changes something.
    pub(crate) fn then(mut self, change: fn(&mut World)) -> Self {
        self.steps.push(Step::Change(change));
        self
    }

    /// So many flows and replies are remembered by now.
    pub(crate) fn remembers(mut self, flows: usize, replies: usize) -> Self {
        self.steps.push(Step::Remembers { flows, replies });
        self
    }

    /// So many flows are counted with a backend by now.
    pub(crate) fn loads(mut self, member: Member, flows: i64) -> Self {
        self.steps.push(Step::Loads(member.id, flows));
        self
    }

    /// The budgets of all clients are as `are` says, in words and as a test.
    pub(crate) fn budgets(mut self, are: &'static str, test: fn(&[Budget]) -> bool) -> Self {
        self.steps.push(Step::Budgets(are, test));
        self
    }

    fn send(
        mut self,
        side: Side,
        frame: &impl Frame,
        outcome: Outcome,
        action: Action,
        out: Out,
    ) -> Self {
        self.steps.push(Step::Send(Sent {
            frame: frame.bytes(),
            side,
            outcome,
            action,
            out,
        }));
        self
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The outcomes it expects.
    pub(crate) fn outcomes(&self) -> Vec<Outcome> {
        let outcome = |step: &Step| match step {
            Step::Send(sent) => Some(sent.outcome),
            Step::Change(_) | Step::Remembers { .. } | Step::Loads(..) | Step::Budgets(..) => None,
        };
        self.steps.iter().filter_map(outcome).collect()
    }

    /// Takes the steps in a world as new; what went wrong first, if anything did.
    pub(crate) fn failure(&self, world: &mut World) -> Option<String> {
        world.renew();
        for (number, step) in (1..).zip(&self.steps) {
            let failure = match step {
                Step::Send(sent) => sent.failure(world),
                Step::Change(change) => {
                    change(world);
                    None
                }
                Step::Loads(backend, flows) => {
                    let found = world.object.counted_flows(*backend);
                    (found != *flows)
                        .then(|| format!("flows of backend {backend}: {found}, expected {flows}"))
                }
                Step::Budgets(are, test) => {
                    let found = world.object.budgets();
                    (!test(&found)).then(|| format!("budgets: {found:?}, expected {are}"))
                }
                Step::Remembers { flows, replies } => {
                    let found = (world.object.flows(), world.object.replies());
                    let wanted = (*flows, *replies);
                    (found != wanted).then(|| {
                        format!("(flows, replies) remembered: {found:?}, expected {wanted:?}")
                    })
                }
            };
            if let Some(failure) = failure {
                return Some(format!("`{}`, step {number}: {failure}", self.name));
            }
        }
        None
    }
}

impl Sent {
    fn failure(&self, world: &mut World) -> Option<String> {
        let ingress = world.index(self.side);
        let ran = panic::catch_unwind(panic::AssertUnwindSafe(|| match self.side {
            Side::Probes => world.object.run_probe(&self.frame, ingress),
            Side::Front | Side::Back | Side::Aside => world.object.run(&self.frame, ingress),
        }));
        let ran = match ran {
            Ok(ran) => ran,
            Err(panic) => return Some(reason(&*panic)),
        };
        let mut faults = Vec::new();
        if (ran.outcome, ran.action) != (self.outcome, self.action) {
            faults.push(format!(
                "became {:?} by {:?}, expected {:?} by {:?}",
                ran.outcome, ran.action, self.outcome, self.action
            ));
        }
        // Probes are no client's traffic.
        let forwarded =
            matches!(ran.outcome, Outcome::Forwarded | Outcome::Local) && self.side != Side::Probes;
        if ran.backend.is_some() != forwarded {
            faults.push(format!(
                "{:?}, but counted for {:?}",
                ran.outcome, ran.backend
            ));
        }
        if expected_action(ran.outcome) != ran.action {
            let fits = matches!(ran.action, Action::Transmit | Action::Redirect);
            if ran.outcome.kind() != Kind::Forward || !fits {
                faults.push(format!("{:?} by {:?}", ran.outcome, ran.action));
            }
        }
        faults.extend(self.frame_faults(&ran));
        (!faults.is_empty()).then(|| self.report(&ran, &faults))
    }

    fn frame_faults(&self, ran: &Ran) -> Vec<String> {
        let (wanted, verify) = match &self.out {
            Out::Any => return Vec::new(),
            Out::Untouched => (&self.frame, false),
            Out::Rebuilt(out) => (out, true),
            Out::Bytes(out) => (out, false),
        };
        let mut faults = Vec::new();
        if ran.frame != *wanted {
            faults.push(format!(
                "expected out: {}\n{}",
                Seen::read(wanted),
                hex_dump(wanted)
            ));
        }
        if verify {
            faults.extend(checksum_faults(&ran.frame));
        }
        faults
    }

    fn report(&self, ran: &Ran, faults: &[String]) -> String {
        let mut text = faults.join("\n  ");
        for (what, frame) in [("in", &self.frame), ("out", &ran.frame)] {
            let _ = write!(
                text,
                "\n  {what}: {}\n{}",
                Seen::read(frame),
                hex_dump(frame)
            );
        }
        text
    }
}

fn expected_action(outcome: Outcome) -> Action {
    match outcome.kind() {
        Kind::Pass => Action::Pass,
        Kind::Drop => Action::Drop,
        Kind::Forward => Action::Transmit,
    }
}

fn reason(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
        .unwrap_or_else(|| "panicked".to_owned())
}
