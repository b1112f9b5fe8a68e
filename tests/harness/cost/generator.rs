//! Frames sent through real devices: by `BPF_PROG_TEST_RUN` as live frames, which leave as if redirected by a driver.
//!
//! Live frames come back with whatever their receivers did to them, so the wrapper restores each, and gives it to the
//! next flow, before it leaves.

use std::time::{Duration, Instant};

use aya::{
    Ebpf, EbpfLoader, TestRun as _, TestRunAttrs, TestRunOptions,
    maps::ProgramArray,
    programs::{Xdp, XdpMode},
};
use lb_bench_ebpf::names::{self, Forms, TEMPLATE_LENGTH, TEMPLATE_PLACES};

use super::wrapper::{object, of, program, word};
use crate::{netns::Namespace, object::Form};

/// Flows that differ in their source port alone, so that no checksum of an IPv4 header changes: 256.
const FLOWS: u32 = 0x00ff_0000;
/// Frames that the kernel makes at once.
const BATCH: u32 = 64;

/// A program that does the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Floor {
    /// Drops.
    Drop,
    /// Sends back.
    Transmit,
    /// Sends out of the interface with this index, in the same namespace.
    Redirect(u32),
}

impl Floor {
    const fn program(self) -> (Forms, u32) {
        match self {
            Self::Drop => (names::DISCARD, 0),
            Self::Transmit => (names::TX, 0),
            Self::Redirect(egress) => (names::REDIRECT, egress),
        }
    }
}

/// Puts a program on an interface, natively; it goes when what is answered is dropped.
///
/// # Panics
/// If the kernel refuses.
#[must_use]
pub fn put(floor: Floor, namespace: &Namespace, interface: &str) -> Ebpf {
    let (forms, egress) = floor.program();
    let mut ebpf = EbpfLoader::new()
        .override_global(names::EGRESS, &egress, true)
        .load(&object())
        .unwrap_or_else(|error| panic!("creating the programs' maps: {error:?}"));
    let program = loaded(&mut ebpf, forms);
    let attached = namespace.enter(|| program.attach(interface, XdpMode::Driver));
    attached.unwrap_or_else(|error| panic!("attaching {forms:?} to {interface}: {error:?}"));
    ebpf
}

/// Sends frames out of an interface.
#[derive(Debug)]
pub struct Generator {
    ebpf: Ebpf,
    frame: Vec<u8>,
}

impl Generator {
    /// For frames like `frame`, 256 flows of them, out of the interface with index `egress`.
    ///
    /// # Panics
    /// If the frame is too short, or the kernel refuses the programs.
    #[must_use]
    pub fn load(frame: &[u8], egress: u32) -> Self {
        assert!(frame.len() >= TEMPLATE_LENGTH, "a frame of few bytes");
        let template = TEMPLATE_PLACES.map(|place| word(frame, place));
        let length = u32::try_from(frame.len()).expect("a short frame");
        let mut ebpf = EbpfLoader::new()
            .override_global(names::TEMPLATE, template.as_slice(), true)
            .override_global(names::LENGTH, &length, true)
            .override_global(names::FLOWS, &FLOWS, true)
            .override_global(names::EGRESS, &egress, true)
            .load(&object())
            .unwrap_or_else(|error| panic!("creating the generator's maps: {error:?}"));
        let send = loaded(&mut ebpf, names::REDIRECT);
        let send = send.fd().expect("a loaded program").try_clone();
        loaded(&mut ebpf, names::WRAPPER);
        let subject = ebpf.map_mut(names::SUBJECT).expect("an array of programs");
        let mut subject = ProgramArray::try_from(subject).expect("an array of programs");
        let called = subject.set(0, &send.expect("a second descriptor"), 0);
        called.unwrap_or_else(|error| panic!("the kernel refuses the tail call: {error:?}"));
        Self {
            ebpf,
            frame: frame.to_vec(),
        }
    }

    /// Sends so many, from the calling thread's namespace and CPU; how long that took, with all that the frames cause on
    /// this CPU meanwhile.
    ///
    /// # Panics
    /// If the kernel refuses: live frames need 5.18.
    #[must_use]
    pub fn send(&self, packets: u32) -> Duration {
        let name = of(Form::Plain, names::WRAPPER);
        let program = self.ebpf.program(name);
        let program: &Xdp = program
            .and_then(|it| it.try_into().ok())
            .expect("an XDP program");
        let begin = Instant::now();
        let sent = program.test_run(TestRunOptions {
            data_in: Some(&self.frame),
            repeat: packets,
            attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
            ..TestRunOptions::new()
        });
        let taken = begin.elapsed();
        sent.unwrap_or_else(|error| panic!("sending live frames: {error:?}"));
        taken
    }
}

fn loaded(ebpf: &mut Ebpf, forms: Forms) -> &mut Xdp {
    let program = program(ebpf, of(Form::Plain, forms));
    let loaded = program.load();
    loaded.unwrap_or_else(|error| panic!("loading {forms:?}: {error:?}"));
    program
}
