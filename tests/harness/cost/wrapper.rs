//! The wrapper, loaded for one frame, with the program that it is to call.

use std::{fs, time::Duration};

use aya::{
    Ebpf, EbpfLoader,
    maps::ProgramArray,
    programs::{ProgramFd, Xdp},
};
use lb_bench_ebpf::names::{self, Forms, TEMPLATE_LENGTH, TEMPLATE_PLACES};

use super::scenario::Family;
use crate::object::{Action, Form, repeat, target_directory};

/// The wrapper and the floors.
pub(super) struct Wrapper {
    ebpf: Ebpf,
    form: Form,
    frame: Vec<u8>,
    ingress: u32,
}

/// How the packets of a run differ.
#[derive(Clone, Copy, Debug)]
pub(super) struct Variety {
    pub(super) family: Family,
    /// Powers of two.
    pub(super) flows: u32,
    pub(super) services: u32,
}

/// What `packets` runs in a row came to.
pub(super) struct Run {
    /// The answer to the last packet, and what became of it.
    pub(super) action: Action,
    pub(super) frame: Vec<u8>,
    /// The mean of one packet, by the kernel's clock, in whole nanoseconds.
    pub(super) each: Duration,
}

impl Wrapper {
    /// Loads it for packets like `frame`, received on the interface with index `ingress`.
    pub(super) fn load(form: Form, frame: &[u8], variety: Variety, ingress: u32) -> Self {
        assert!(
            frame.len() >= TEMPLATE_LENGTH && frame.len() < 1_500,
            "a frame of {} bytes cannot be restored",
            frame.len()
        );
        let template = TEMPLATE_PLACES.map(|place| word(frame, place));
        let length = u32::try_from(frame.len()).expect("a short frame");
        let is_ipv6 = u32::from(variety.family == Family::V6);
        let (flows, services) = (variety.flows - 1, variety.services - 1);
        let mut ebpf = EbpfLoader::new()
            .override_global(names::TEMPLATE, template.as_slice(), true)
            .override_global(names::LENGTH, &length, true)
            .override_global(names::FLOWS, &flows, true)
            .override_global(names::SERVICES, &services, true)
            .override_global(names::IS_IPV6, &is_ipv6, true)
            .load(&object())
            .unwrap_or_else(|error| panic!("creating the wrapper's maps: {error:?}"));
        for forms in [
            names::WRAPPER,
            names::TX,
            names::PASS,
            names::SWAP,
            names::GROW_20,
            names::GROW_28,
            names::GROW_40,
            names::GROW_48,
        ] {
            let loaded = program(&mut ebpf, of(form, forms)).load();
            loaded.unwrap_or_else(|error| panic!("loading {forms:?}: {error:?}"));
        }
        Self {
            ebpf,
            form,
            frame: frame.to_vec(),
            ingress,
        }
    }

    /// Makes `program` the one that is called.
    pub(super) fn call(&mut self, program: &ProgramFd) {
        let map = self.ebpf.map_mut(names::SUBJECT);
        let map = map.expect("an array of programs");
        let mut subject = ProgramArray::try_from(map).expect("an array of programs");
        subject
            .set(0, program, 0)
            .unwrap_or_else(|error| panic!("the kernel refuses the tail call: {error:?}"));
    }

    /// Makes one of the object's own programs the one that is called.
    pub(super) fn call_floor(&mut self, floor: Forms) {
        let program = program(&mut self.ebpf, of(self.form, floor));
        let descriptor = program.fd().expect("a loaded program").try_clone();
        self.call(&descriptor.expect("a second descriptor"));
    }

    /// Gives so many packets to the program, one after the other.
    pub(super) fn run(&self, packets: u32) -> Run {
        let mut frame = Vec::new();
        let wrapper = of(self.form, names::WRAPPER);
        let (action, each) = repeat(
            &self.ebpf,
            wrapper,
            &self.frame,
            self.ingress,
            packets,
            &mut frame,
        );
        Run {
            action,
            frame,
            each,
        }
    }
}

pub(super) const fn of(form: Form, [plain, jumbo]: Forms) -> &'static str {
    match form {
        Form::Plain => plain,
        Form::Jumbo => jumbo,
    }
}

pub(super) fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> &'a mut Xdp {
    let program = ebpf.program_mut(name);
    let program = program.unwrap_or_else(|| panic!("the wrapper's object has no program {name}"));
    program.try_into().expect("an XDP program")
}

pub(super) fn object() -> Vec<u8> {
    let path = target_directory().join("bpfel-unknown-none/ebpf/lb-bench-ebpf");
    fs::read(&path).unwrap_or_else(|error| {
        panic!(
            "reading the wrapper {}: {error}; `cargo xtask test` and `cargo xtask bench packet` build it",
            path.display()
        )
    })
}

/// The eight bytes at `place`, in this machine's order, as the wrapper writes them.
#[expect(
    clippy::host_endian_bytes,
    reason = "the wrapper writes in the same order"
)]
pub(super) fn word(frame: &[u8], place: usize) -> u64 {
    let bytes = frame.get(place..place + size_of::<u64>());
    u64::from_ne_bytes(
        bytes
            .and_then(|it| it.try_into().ok())
            .expect("a long frame"),
    )
}
