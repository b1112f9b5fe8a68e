//! The built eBPF object, loaded on its own: filled by plain map updates, run packet by packet.
//!
//! No daemon, no pins, small maps. [`Object::run`] gives one frame to the program by `BPF_PROG_TEST_RUN` and
//! tells what became of it: the action, the frame as the program left it, and the one cell of the ledger
//! that was incremented.

use std::{
    env,
    net::IpAddr,
    path::{Path, PathBuf},
};

mod decap;
mod pass;
mod path;
mod prefixes;
mod run;
mod size;
mod sources;
mod vips;

pub use decap::{Decap, DecapRan};
pub use pass::PassProgram;
pub(crate) use run::repeat;
pub use run::{Action, Ran};
pub use size::Sizes;
use size::load;
use vips::Vips;

use crate::kernel;

use aya::{
    Ebpf, Pod,
    maps::{
        Array, HashMap, LpmTrie, Map, MapData, PerCpuArray, PerCpuValues, lpm_trie::Key,
        xdp::DevMap, xdp::DevMapHash,
    },
    programs::{ProgramFd, Xdp},
};
use lb_common::{
    backend::{Backend, BackendId},
    family::{Address4, Address6},
    flow::{Flow, FlowKey, Reply},
    fragment::{FragmentKey, FragmentPorts},
    interface::Interface,
    load::Load,
    names,
    prefix::Prefix,
    quic::{Server, ServerIdKey},
    settings::Settings,
    table::{Element, SLOTS_PER_ELEMENT, Slot},
    translation::Translation,
    vip::Vip,
    vlan::VlanDevice,
};

/// Room for backends, devices and so on in a test's maps.
const ENTRIES: u32 = 64;

/// The file to test: `LB_EBPF_OBJECT`, or where the workspace builds it.
#[must_use]
pub fn object_path() -> PathBuf {
    env::var_os("LB_EBPF_OBJECT").map_or_else(
        || target_directory().join("bpfel-unknown-none/ebpf/lb-ebpf"),
        PathBuf::from,
    )
}

/// The workspace's target directory.
#[must_use]
pub fn target_directory() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"),
        PathBuf::from,
    )
}

/// The bytes of the object.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn object_bytes() -> Vec<u8> {
    let path = object_path();
    std::fs::read(&path).unwrap_or_else(|error| {
        panic!(
            "reading the eBPF object {}: {error}; build it by `cargo xtask build`",
            path.display()
        )
    })
}

/// The two forms in which the object has each program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For frames in one buffer.
    Plain,
    /// For jumbo frames.
    Jumbo,
}

impl Form {
    /// Those that this kernel takes; the last is the one that the daemons choose.
    #[must_use]
    pub fn all() -> &'static [Self] {
        if kernel::takes_jumbo_frames() {
            &[Self::Plain, Self::Jumbo]
        } else {
            &[Self::Plain]
        }
    }

    const fn of(self, plain: &'static str, jumbo: &'static str) -> &'static str {
        match self {
            Self::Plain => plain,
            Self::Jumbo => jumbo,
        }
    }
}

/// Loads one program of the object.
fn load_program(ebpf: &mut Ebpf, name: &str) {
    let program: &mut Xdp = xdp(ebpf, name);
    if let Err(error) = program.load() {
        panic!("the verifier refuses `{name}`: {error:?}");
    }
}

fn xdp<'a>(ebpf: &'a mut Ebpf, name: &str) -> &'a mut Xdp {
    let program = ebpf.program_mut(name);
    let program = program.unwrap_or_else(|| panic!("the object has no program {name}"));
    program.try_into().expect("an XDP program")
}

/// The program with its maps.
#[derive(Debug)]
pub struct Object {
    ebpf: Ebpf,
    program: &'static str,
    /// The program for probes, loaded when it is first run.
    probe: (&'static str, bool),
    sizes: Sizes,
    vips: Vips,
}

impl Object {
    /// Loads the balancer with `settings`.
    #[must_use]
    pub fn load(settings: Settings, form: Form) -> Self {
        Self::load_sized(settings, form, Sizes::default())
    }

    /// The same with maps of these sizes.
    #[must_use]
    pub fn load_sized(settings: Settings, form: Form, sizes: Sizes) -> Self {
        let mut ebpf = load(&settings, sizes);
        let program = form.of(names::BALANCER, names::BALANCER_FRAGS);
        load_program(&mut ebpf, program);
        Self {
            ebpf,
            program,
            probe: (form.of(names::PROBE, names::PROBE_FRAGS), false),
            sizes,
            vips: Vips::new(sizes.vip_extent()),
        }
    }

    /// The balancer, for others to call.
    #[must_use]
    pub fn program(&self) -> &ProgramFd {
        let program: Option<&Xdp> = self
            .ebpf
            .program(self.program)
            .and_then(|program| program.try_into().ok());
        let descriptor = program.and_then(|program| program.fd().ok());
        descriptor.expect("the program that was loaded")
    }

    /// Pins a map for other tools to look at.
    pub fn pin_map(&self, name: &str, path: &Path) {
        let map = self.ebpf.map(name);
        let map = map.unwrap_or_else(|| panic!("the object has no map {name}"));
        map.pin(path)
            .unwrap_or_else(|error| panic!("pinning {name} to {}: {error}", path.display()));
    }

    /// Writes a VIP; port and protocol 0 make the address entry.
    pub fn put_vip(&mut self, address: IpAddr, port: u16, protocol: u8, vip: Vip) {
        self.put_prefix_vip((address, 0), port, protocol, vip);
    }

    /// Writes a VIP that is a prefix: its first address and its length, 0 for that address alone.
    pub fn put_prefix_vip(
        &mut self,
        (first, prefix): (IpAddr, u8),
        port: u16,
        protocol: u8,
        vip: Vip,
    ) {
        let from = (first, prefix);
        self.vips.put(&mut self.ebpf, from, (port, protocol), vip);
    }

    /// Says that there are VIPs of a prefix: its first address and its length.
    pub fn announce_prefix(&mut self, (first, length): (IpAddr, u8)) {
        let bits = u32::from(length);
        let done = match first {
            IpAddr::V4(first) => {
                let address = Address4::from(first);
                let mut trie: LpmTrie<&mut MapData, Address4, Prefix<Address4>> =
                    self.write(names::VIP_PREFIXES_V4);
                trie.insert(&Key::new(bits, address), Prefix { bits, address }, 0)
            }
            IpAddr::V6(first) => {
                let address = Address6::from(first);
                let mut trie: LpmTrie<&mut MapData, Address6, Prefix<Address6>> =
                    self.write(names::VIP_PREFIXES_V6);
                trie.insert(&Key::new(bits, address), Prefix { bits, address }, 0)
            }
        };
        done.expect("writing a prefix");
    }

    /// Writes a backend.
    pub fn put_backend(&mut self, id: BackendId, backend: Backend) {
        let mut backends: Array<&mut MapData, Backend> = self.write(names::BACKENDS);
        backends.set(id.0, backend, 0).expect("writing a backend");
    }

    /// Writes who has a server id, of 1 to 15 bytes, of the service with this number.
    ///
    /// # Panics
    /// If it has other than 1 to 15 bytes.
    pub fn put_server(&mut self, service: u32, server_id: &[u8], server: Server) {
        assert!((1..=15).contains(&server_id.len()), "{server_id:?}");
        let number = server_id
            .iter()
            .fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
        let key = ServerIdKey {
            service,
            length: u32::try_from(server_id.len()).expect("at most 15 bytes"),
            id: [number >> 64, number & u128::from(u64::MAX)]
                .map(|half| u64::try_from(half).expect("a half")),
        };
        let mut servers = self.hash(names::SERVER_IDS);
        servers.insert(key, server, 0).expect("writing a server id");
    }

    /// Writes a lookup table at `offset`, a multiple of [`SLOTS_PER_ELEMENT`].
    pub fn write_table(&mut self, offset: u32, slots: &[Slot]) {
        let mut tables: Array<&mut MapData, Element> = self.write(names::TABLES);
        let first = offset / SLOTS_PER_ELEMENT;
        for (index, chunk) in (first..).zip(slots.chunks(SLOTS_PER_ELEMENT as usize)) {
            let mut element = Element::default();
            for (slot, value) in element.iter_mut().zip(chunk) {
                *slot = *value;
            }
            tables.set(index, element, 0).expect("writing the arena");
        }
    }

    /// Allows redirects to the interface with index `device`, which must stand in the calling thread's
    /// namespace.
    pub fn allow_device(&mut self, device: u32) {
        let map = self.ebpf.map_mut(names::DEVICES).expect("a devices map");
        let done = if matches!(map, Map::DevMap(_)) {
            let mut map = DevMap::try_from(map).expect("a device map");
            map.set(device, device, None, 0)
        } else {
            let mut map = DevMapHash::try_from(map).expect("a device map");
            map.insert(device, device, None, 0)
        };
        done.expect("writing the devices map");
    }

    /// Says how frames for the interface with index `index` leave.
    pub fn put_vlan(&mut self, index: u32, device: VlanDevice) {
        let done = self.hash(names::VLANS).insert(index, device, 0);
        done.expect("writing a VLAN device");
    }

    /// Forgets how frames for any interface leave.
    pub fn forget_vlans(&mut self) {
        clear(&mut self.hash::<u32, VlanDevice>(names::VLANS));
    }

    /// Gives the interface with index `index` the ledger with this number.
    pub fn give_ledger(&mut self, index: u32, ledger: u32) {
        let mut interfaces: Array<&mut MapData, Interface> = self.write(names::INTERFACES);
        let interface = Interface {
            index,
            ledger,
            ..Interface::default()
        };
        let done = interfaces.set(Interface::element(index), interface, 0);
        done.expect("writing an interface");
    }

    /// Forgets all flows, replies and fragments.
    pub fn forget_flows(&mut self) {
        for name in [names::FRESH_V4, names::FLOWS_V4] {
            clear(&mut self.hash::<FlowKey<Address4>, Flow>(name));
        }
        for name in [names::FRESH_V6, names::FLOWS_V6] {
            clear(&mut self.hash::<FlowKey<Address6>, Flow>(name));
        }
        self.forget_replies();
    }

    /// Forgets all replies, as if they had been evicted before their flows.
    pub fn forget_replies(&mut self) {
        clear(&mut self.hash::<FlowKey<Address4>, Reply<Address4>>(names::REPLIES_V4));
        clear(&mut self.hash::<FlowKey<Address6>, Reply<Address6>>(names::REPLIES_V6));
        clear(&mut self.hash::<FragmentKey<Address4>, FragmentPorts>(names::FRAGMENTS_V4));
        clear(&mut self.hash::<FragmentKey<Address6>, FragmentPorts>(names::FRAGMENTS_V6));
    }

    /// Lets `ticks` go by since the last packet of every flow that expects replies.
    pub fn age_replies(&mut self, ticks: u32) {
        let mut replies = self.hash::<FlowKey<Address4>, Reply<Address4>>(names::REPLIES_V4);
        each(&mut replies, |reply| age(&mut reply.last_seen, ticks));
        let mut replies = self.hash::<FlowKey<Address6>, Reply<Address6>>(names::REPLIES_V6);
        each(&mut replies, |reply| age(&mut reply.last_seen, ticks));
    }

    /// Lets `ticks` go by since the last packet of every flow that has gone on.
    pub fn age_flows(&mut self, ticks: u32) {
        let mut flows = self.hash::<FlowKey<Address4>, Flow>(names::FLOWS_V4);
        each(&mut flows, |flow| age(&mut flow.last_seen, ticks));
        let mut flows = self.hash::<FlowKey<Address6>, Flow>(names::FLOWS_V6);
        each(&mut flows, |flow| age(&mut flow.last_seen, ticks));
    }

    /// Lets every CPU begin its circle of source ports anew.
    pub fn rewind_ports(&mut self) {
        rewind::<Address4>(self.write(names::TRANSLATIONS_V4));
        rewind::<Address6>(self.write(names::TRANSLATIONS_V6));
    }

    /// Lets every CPU begin anew to give slots to the flows of a service.
    pub fn rewind_turns(&mut self, service: u32) {
        let mut turns: PerCpuArray<&mut MapData, u32> = self.write(names::TURNS);
        let counters = turns.get(&service, 0).expect("an element");
        let zero = PerCpuValues::try_from(vec![0; counters.len()]);
        let done = turns.set(service, zero.expect("one for each CPU"), 0);
        done.expect("writing an element");
    }

    /// Gives a backend this load.
    pub fn put_load(&mut self, backend: u32, load: Load) {
        let mut loads: Array<&mut MapData, Load> = self.write(names::LOADS);
        loads.set(backend, load, 0).expect("writing an element");
    }

    /// How many flows the program counts with a backend.
    #[must_use]
    pub fn counted_flows(&self, backend: u32) -> i64 {
        let loads: Array<&MapData, Load> = self.read(names::LOADS);
        loads.get(&backend, 0).expect("an element").flows
    }

    /// How many flows are remembered, both families: fresh ones and others.
    #[must_use]
    pub fn flows(&self) -> usize {
        self.fresh_flows()
            + self.keys::<FlowKey<Address4>, Flow>(names::FLOWS_V4)
            + self.keys::<FlowKey<Address6>, Flow>(names::FLOWS_V6)
    }

    /// How many flows of one packet so far are remembered, both families.
    #[must_use]
    pub fn fresh_flows(&self) -> usize {
        self.keys::<FlowKey<Address4>, Flow>(names::FRESH_V4)
            + self.keys::<FlowKey<Address6>, Flow>(names::FRESH_V6)
    }

    /// How many flows await replies that must be rewritten, both families.
    #[must_use]
    pub fn replies(&self) -> usize {
        self.keys::<FlowKey<Address4>, Reply<Address4>>(names::REPLIES_V4)
            + self.keys::<FlowKey<Address6>, Reply<Address6>>(names::REPLIES_V6)
    }

    fn values<K: Pod, V: Pod>(&self, name: &str) -> Vec<V> {
        let map: HashMap<&MapData, K, V> = self.read(name);
        map.iter().flatten().map(|(_, value)| value).collect()
    }

    fn keys<K: Pod, V: Pod>(&self, name: &str) -> usize {
        let map: HashMap<&MapData, K, V> = self.read(name);
        map.keys().flatten().count()
    }

    fn hash<K: Pod, V: Pod>(&mut self, name: &str) -> HashMap<&mut MapData, K, V> {
        self.write(name)
    }

    fn read<'a, M: TryFrom<&'a Map, Error: std::fmt::Debug>>(&'a self, name: &str) -> M {
        let map = self.ebpf.map(name);
        let map = map.unwrap_or_else(|| panic!("the object has no map {name}"));
        M::try_from(map).unwrap_or_else(|error| panic!("map {name}: {error:?}"))
    }

    fn write<'a, M: TryFrom<&'a mut Map, Error: std::fmt::Debug>>(&'a mut self, name: &str) -> M {
        let map = self.ebpf.map_mut(name);
        let map = map.unwrap_or_else(|| panic!("the object has no map {name}"));
        M::try_from(map).unwrap_or_else(|error| panic!("map {name}: {error:?}"))
    }
}

const fn age(last_seen: &mut u32, ticks: u32) {
    *last_seen = last_seen.wrapping_sub(ticks);
}

fn each<K: Pod, V: Pod>(map: &mut HashMap<&mut MapData, K, V>, change: impl Fn(&mut V)) {
    let entries: Vec<(K, V)> = map.iter().filter_map(Result::ok).collect();
    for (key, mut value) in entries {
        change(&mut value);
        map.insert(key, value, 0).expect("writing what is there");
    }
}

fn rewind<A: Copy>(mut map: PerCpuArray<&mut MapData, Translation<A>>)
where
    Translation<A>: Pod,
{
    let works = map.get(&0, 0).expect("the only element");
    let works: Vec<Translation<A>> = works
        .iter()
        .map(|work| Translation { place: 0, ..*work })
        .collect();
    let works = PerCpuValues::try_from(works).expect("one for each CPU");
    map.set(0, works, 0).expect("writing the only element");
}

fn clear<K: Pod, V: Pod>(map: &mut HashMap<&mut MapData, K, V>) {
    let keys: Vec<K> = map.keys().filter_map(Result::ok).collect();
    for key in keys {
        map.remove(&key).expect("removing what is there");
    }
}
