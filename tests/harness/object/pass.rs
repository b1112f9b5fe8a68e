//! The program that passes every frame, on interfaces that take frames sent by XDP.

use aya::{
    Ebpf,
    programs::{Xdp, XdpMode},
};
use lb_common::settings::Settings;

use super::load;
use crate::netns::Namespace;

/// What a veth peer needs: without a program, it never wakes for frames sent by XDP.
const PASS: &str = "pass";

/// A program on interfaces that passes every frame. Detached when this is dropped.
#[derive(Debug)]
pub struct PassProgram {
    ebpf: Ebpf,
}

impl PassProgram {
    /// Loads it.
    #[must_use]
    pub fn load() -> Self {
        let mut ebpf = load(&Settings::default());
        let program: &mut Xdp = pass(&mut ebpf);
        program
            .load()
            .expect("the verifier accepts the pass program");
        Self { ebpf }
    }

    /// Attaches it natively to an interface of `namespace`.
    pub fn attach(&mut self, namespace: &Namespace, interface: &str) {
        let program = pass(&mut self.ebpf);
        let attached = namespace.enter(|| program.attach(interface, XdpMode::Driver));
        attached.unwrap_or_else(|error| panic!("attaching `{PASS}` to {interface}: {error:?}"));
    }
}

fn pass(ebpf: &mut Ebpf) -> &mut Xdp {
    let program = ebpf.program_mut(PASS).expect("a program named pass");
    program.try_into().expect("an XDP program")
}
