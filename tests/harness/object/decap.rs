//! The program that strips tunnels, loaded on its own and run packet by packet.

use std::net::IpAddr;

use aya::{
    Ebpf, EbpfLoader,
    maps::{HashMap, MapData, PerCpuArray},
};
use lb_common::{
    decap::{DecapOutcome, DecapSettings},
    family::{Address4, Address6},
    names,
    outcome::LEDGER_CELLS,
};

use super::{
    Action, ENTRIES, Form, load_program, object_bytes,
    prefixes::{self, Names},
    run::test_run,
};
use crate::packet::hex_dump;

const VIPS: Names = [names::DECAP_VIPS_V4, names::DECAP_VIPS_V6];
const SOURCES: Names = [names::DECAP_SOURCES_V4, names::DECAP_SOURCES_V6];

/// What became of one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecapRan {
    /// The program's answer.
    pub action: Action,
    /// The frame as the program left it.
    pub frame: Vec<u8>,
    /// The cell of the ledger that was incremented.
    pub outcome: DecapOutcome,
}

/// The program with its maps.
#[derive(Debug)]
pub struct Decap {
    ebpf: Ebpf,
    program: &'static str,
}

impl Decap {
    /// Loads it with `settings` and empty lists.
    #[must_use]
    pub fn load(settings: DecapSettings, form: Form) -> Self {
        let mut loader = EbpfLoader::new();
        loader.override_global(names::DECAP_SETTINGS, &settings, true);
        for name in names::MAPS {
            if !names::SHARED_MAPS.contains(&name) {
                loader.map_max_entries(name, ENTRIES);
            }
        }
        let mut ebpf = loader.load(&object_bytes()).expect("the object's maps");
        let program = form.of(names::DECAP, names::DECAP_FRAGS);
        load_program(&mut ebpf, program);
        Self { ebpf, program }
    }

    /// Puts a prefix on the list of balancers.
    pub fn allow_source(&mut self, prefix: (IpAddr, u8)) {
        prefixes::insert(&mut self.ebpf, SOURCES, prefix);
    }

    /// Lets tunnels end at `address`.
    pub fn add_destination(&mut self, address: IpAddr) {
        self.list(
            address,
            names::DECAP_DESTINATIONS_V4,
            names::DECAP_DESTINATIONS_V6,
        );
    }

    /// Lets packets inside tunnels be for all addresses of a prefix.
    pub fn add_vip(&mut self, prefix: (IpAddr, u8)) {
        prefixes::insert(&mut self.ebpf, VIPS, prefix);
    }

    /// Gives `frame` to the program.
    ///
    /// # Panics
    /// If not exactly one cell of the ledger is incremented by one.
    pub fn run(&mut self, frame: &[u8]) -> DecapRan {
        let before = self.ledger();
        let (action, out) = test_run(&self.ebpf, self.program, frame, 0);
        let counted: Vec<(usize, u64)> = before
            .iter()
            .zip(self.ledger())
            .map(|(before, after)| after - before)
            .enumerate()
            .filter(|(_, more)| *more > 0)
            .collect();
        let [(cell, 1)] = counted.as_slice() else {
            panic!(
                "one packet must increment one cell by one, but these were (cell, by): {counted:?}, for\n{}",
                hex_dump(frame)
            );
        };
        let outcome = DecapOutcome::ALL
            .iter()
            .find(|outcome| **outcome as usize == *cell);
        DecapRan {
            action,
            frame: out,
            outcome: *outcome.unwrap_or_else(|| panic!("cell {cell} belongs to no outcome")),
        }
    }

    fn ledger(&self) -> Vec<u64> {
        let map = self.ebpf.map(names::LEDGER).expect("a ledger");
        let ledger: PerCpuArray<&MapData, u64> = map.try_into().expect("an array per CPU");
        let cell = |index| {
            let values = ledger.get(&index, 0).expect("a cell of the ledger");
            values.iter().sum()
        };
        (0..LEDGER_CELLS).map(cell).collect()
    }

    fn list(&mut self, address: IpAddr, v4: &str, v6: &str) {
        let done = match address {
            IpAddr::V4(address) => self.hash(v4).insert(Address4::from(address), 1, 0),
            IpAddr::V6(address) => self.hash(v6).insert(Address6::from(address), 1, 0),
        };
        done.expect("writing an address");
    }

    fn hash<K: aya::Pod>(&mut self, name: &str) -> HashMap<&mut MapData, K, u32> {
        let map = self.ebpf.map_mut(name).expect("a list of addresses");
        map.try_into().expect("a hash map")
    }
}
