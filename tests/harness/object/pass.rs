//! The program that passes every frame, on interfaces that take frames sent by XDP.

use aya::{Ebpf, programs::XdpMode};
use lb_common::settings::Settings;

use super::{Form, Sizes, load, load_program, xdp};
use crate::netns::Namespace;

/// A program on interfaces that passes every frame: what a veth peer needs, which without one never wakes for frames
/// sent by XDP. Detached when this is dropped.
#[derive(Debug)]
pub struct PassProgram {
    ebpf: Ebpf,
    program: &'static str,
}

impl PassProgram {
    /// Loads it.
    #[must_use]
    pub fn load() -> Self {
        let form = Form::all().last().copied().unwrap_or(Form::Plain);
        let program = form.of("pass", "pass_frags");
        let mut ebpf = load(&Settings::default(), Sizes::default());
        load_program(&mut ebpf, program);
        Self { ebpf, program }
    }

    /// Attaches it natively to an interface of `namespace`.
    pub fn attach(&mut self, namespace: &Namespace, interface: &str) {
        let program = xdp(&mut self.ebpf, self.program);
        let attached = namespace.enter(|| program.attach(interface, XdpMode::Driver));
        attached.unwrap_or_else(|error| {
            panic!("attaching `{}` to {interface}: {error:?}", self.program)
        });
    }
}
