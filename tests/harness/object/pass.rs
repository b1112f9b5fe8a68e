//! The program that passes every frame, on interfaces that take frames sent by XDP.

use aya::{
    Ebpf, TestRun as _, TestRunOptions,
    programs::{Xdp, XdpMode},
};
use lb_common::settings::Settings;

use super::{load, run::native_bytes};
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

    /// Whether this kernel runs XDP programs on frames of which the caller says where they came in: 5.15 or
    /// newer. Older ones refuse any context, and every frame seems to come in by loopback.
    #[must_use]
    pub fn can_be_run_with_ingress(&mut self) -> bool {
        let frame = [0; 64];
        let context = native_bytes([0, 64, 0, 0, 0, 0]);
        let result = pass(&mut self.ebpf).test_run(TestRunOptions {
            data_in: Some(&frame),
            ctx_in: Some(&context),
            ..TestRunOptions::new()
        });
        result.is_ok()
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
