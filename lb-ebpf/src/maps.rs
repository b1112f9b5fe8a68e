//! Every map, private, behind functions named by the question they answer.
//!
//! Who writes and who reads stands at each map's value in `lb_common`; sizes here are defaults that the
//! daemon overrides at load.
#![expect(
    unsafe_code,
    reason = "map values are reached by pointers that the verifier checks"
)]

pub mod decap;
mod flows;
mod key;
pub mod path;
mod prefix;
mod replies;
pub mod settings;
pub mod sources;

use aya_ebpf::{
    bindings::xdp_action::XDP_REDIRECT,
    btf_maps::{Array, DevMapHash, HashMap, LpmTrie, LruHashMap, PerCpuArray},
    helpers::{bpf_get_prandom_u32, bpf_ktime_get_ns},
    macros::btf_map,
};
use lb_common::{
    backend::{Backend, BackendId},
    budget::Budget,
    family::{Address4, Address6, Family, V4, V6},
    flow::{Flow, FlowKey, Reply},
    fragment::{FragmentKey, FragmentPorts},
    interface::Interface,
    load::Load,
    outcome::LEDGER_CELLS,
    placement::{self, Bucket, Extent, Place},
    prefix::Prefix,
    quic::{Server, ServerIdKey},
    settings::Settings,
    table::{self, Element, SLOTS_PER_ELEMENT, Slot},
    traffic::Traffic,
    translation::Translation,
    vip::{Vip, VipKey},
    vlan::VlanDevice,
};

pub use flows::{KnownFlow, confirm_flow, flow, fresh_flow, remember_flow, remember_fresh_flow};
use prefix::longest;
pub use replies::{KnownReply, claim_reply, now, own_ports, remember_reply, reply, translation};
use sources::add;

/// `BPF_F_NO_PREALLOC`: only what is in use takes memory.
const NO_PREALLOC: usize = 1;

/// `BPF_F_MMAPABLE`: the daemon writes tables with plain stores.
const MMAPABLE: usize = 1 << 10;

#[btf_map]
static VIP_BUCKETS_V4: VipBuckets = Array::new();
#[btf_map]
static VIP_BUCKETS_V6: VipBuckets = Array::new();
#[btf_map]
static VIPS_V4: Vips<V4> = Array::new();
#[btf_map]
static VIPS_V6: Vips<V6> = Array::new();
#[btf_map]
static VIP_PREFIXES_V4: VipPrefixes<Address4> = LpmTrie::new();
#[btf_map]
static VIP_PREFIXES_V6: VipPrefixes<Address6> = LpmTrie::new();
#[btf_map]
static TABLES: Array<Element, 131_072, MMAPABLE> = Array::new();
#[btf_map]
static TURNS: PerCpuArray<u32, { table::TURNS as usize }> = PerCpuArray::new();
#[btf_map]
static BACKENDS: Array<Backend, 4096> = Array::new();
#[btf_map]
static SERVER_IDS: HashMap<ServerIdKey, Server, 8192, NO_PREALLOC> = HashMap::new();
#[btf_map]
static FRESH_V4: Fresh<Address4> = LruHashMap::new();
#[btf_map]
static FRESH_V6: Fresh<Address6> = LruHashMap::new();
#[btf_map]
static FLOWS_V4: Flows<Address4> = LruHashMap::new();
#[btf_map]
static FLOWS_V6: Flows<Address6> = LruHashMap::new();
#[btf_map]
static REPLIES_V4: LruHashMap<FlowKey<Address4>, Reply<Address4>, 262_144> = LruHashMap::new();
#[btf_map]
static REPLIES_V6: LruHashMap<FlowKey<Address6>, Reply<Address6>, 262_144> = LruHashMap::new();
#[btf_map]
static FRAGMENTS_V4: Fragments<Address4> = LruHashMap::new();
#[btf_map]
static FRAGMENTS_V6: Fragments<Address6> = LruHashMap::new();
#[btf_map]
static TRAFFIC: PerCpuArray<Traffic, 4096> = PerCpuArray::new();
#[btf_map]
static LOADS: Array<Load, 4096> = Array::new();
#[btf_map]
static LEDGER: PerCpuArray<u64, { (Interface::LEDGERS * LEDGER_CELLS) as usize }> =
    PerCpuArray::new();
#[btf_map]
static INTERFACES: Array<Interface, { Interface::ELEMENTS as usize }> = Array::new();
#[btf_map]
static DEVICES: DevMapHash<256> = DevMapHash::new();
#[btf_map]
static VLANS: HashMap<u32, VlanDevice, { VlanDevice::ELEMENTS as usize }> = HashMap::new();
#[btf_map]
static ERROR_BUDGET: PerCpuArray<Budget, 1> = PerCpuArray::new();
#[btf_map]
static TRANSLATIONS_V4: Translations<Address4> = PerCpuArray::new();
#[btf_map]
static TRANSLATIONS_V6: Translations<Address6> = PerCpuArray::new();

/// How many VIPs there is room for.
const VIPS: Extent = Extent::of(Settings::VIPS);

type VipBuckets = Array<Bucket, { VIPS.buckets() as usize }, MMAPABLE>;
type Vips<F> = Array<Place<F>, { VIPS.places() as usize }, MMAPABLE>;
type VipPrefixes<A> = LpmTrie<A, Prefix<A>, 4096>;
type Fresh<A> = LruHashMap<FlowKey<A>, Flow, 65_536>;
type Flows<A> = LruHashMap<FlowKey<A>, Flow, 262_144>;
type Replies<A> = LruHashMap<FlowKey<A>, Reply<A>, 262_144>;
type Translations<A> = PerCpuArray<Translation<A>, 1>;
type Fragments<A> = LruHashMap<FragmentKey<A>, FragmentPorts, 16_384>;

/// A family's own maps.
pub trait FamilyMaps: Family {
    #[doc(hidden)]
    fn vip_buckets() -> &'static VipBuckets;
    #[doc(hidden)]
    fn vips() -> &'static Vips<Self>;
    #[doc(hidden)]
    fn vip_prefixes() -> &'static VipPrefixes<Self::Address>;
    #[doc(hidden)]
    fn fresh() -> &'static Fresh<Self::Address>;
    #[doc(hidden)]
    fn flows() -> &'static Flows<Self::Address>;
    #[doc(hidden)]
    fn replies() -> &'static Replies<Self::Address>;
    #[doc(hidden)]
    fn fragments() -> &'static Fragments<Self::Address>;
    #[doc(hidden)]
    fn translations() -> &'static Translations<Self::Address>;
}

impl FamilyMaps for V4 {
    #[inline(always)]
    fn vip_buckets() -> &'static VipBuckets {
        &VIP_BUCKETS_V4
    }
    #[inline(always)]
    fn vips() -> &'static Vips<Self> {
        &VIPS_V4
    }
    #[inline(always)]
    fn vip_prefixes() -> &'static VipPrefixes<Address4> {
        &VIP_PREFIXES_V4
    }
    #[inline(always)]
    fn fresh() -> &'static Fresh<Address4> {
        &FRESH_V4
    }
    #[inline(always)]
    fn flows() -> &'static Flows<Address4> {
        &FLOWS_V4
    }
    #[inline(always)]
    fn replies() -> &'static Replies<Address4> {
        &REPLIES_V4
    }
    #[inline(always)]
    fn fragments() -> &'static Fragments<Address4> {
        &FRAGMENTS_V4
    }
    #[inline(always)]
    fn translations() -> &'static Translations<Address4> {
        &TRANSLATIONS_V4
    }
}

impl FamilyMaps for V6 {
    #[inline(always)]
    fn vip_buckets() -> &'static VipBuckets {
        &VIP_BUCKETS_V6
    }
    #[inline(always)]
    fn vips() -> &'static Vips<Self> {
        &VIPS_V6
    }
    #[inline(always)]
    fn vip_prefixes() -> &'static VipPrefixes<Address6> {
        &VIP_PREFIXES_V6
    }
    #[inline(always)]
    fn fresh() -> &'static Fresh<Address6> {
        &FRESH_V6
    }
    #[inline(always)]
    fn flows() -> &'static Flows<Address6> {
        &FLOWS_V6
    }
    #[inline(always)]
    fn replies() -> &'static Replies<Address6> {
        &REPLIES_V6
    }
    #[inline(always)]
    fn fragments() -> &'static Fragments<Address6> {
        &FRAGMENTS_V6
    }
    #[inline(always)]
    fn translations() -> &'static Translations<Address6> {
        &TRANSLATIONS_V6
    }
}

/// The VIP published under `key`: it stays what it is until the packet is through.
#[inline(always)]
#[must_use]
pub fn vip<F: FamilyMaps>(key: &VipKey<F::Address>) -> Option<&'static Vip> {
    let (hash, extent) = (placement::hash::<F>(key), settings::vip_extent());
    let bucket = F::vip_buckets().get_ptr(extent.bucket(hash))?;
    // SAFETY: an element of the map, which the daemon stores whole; volatile, for it may do so now.
    let ticket = unsafe { bucket.read_volatile() };
    if ticket == 0 {
        return None;
    }
    // What is written there now has another ticket; see `placement`.
    let place = F::vips().get(extent.place(hash, ticket))?;
    (place.ticket == ticket && place.key.is(key)).then_some(&place.vip)
}

/// The longest prefix that is a VIP and that `address` lies in; no look-up if no VIP is a prefix.
#[inline(always)]
#[must_use]
pub fn vip_prefix<F: FamilyMaps>(address: F::Address) -> Option<&'static Prefix<F::Address>> {
    if !settings::has_feature(Settings::PREFIX_VIPS) {
        return None;
    }
    longest::<F, _, _>(F::vip_prefixes(), address)
}

/// `prefix` as a value, word by word: a plain copy of an IPv6 address out of a map is a call to `memmove`.
#[inline(always)]
#[must_use]
pub fn copied<A: Copy>(prefix: &Prefix<A>) -> Prefix<A> {
    // SAFETY: a reference can be read, and the type is plain data.
    unsafe { core::ptr::from_ref(prefix).read_volatile() }
}

/// The slot at `index` of the arena, in slots from its start.
#[inline(always)]
#[must_use]
pub fn slot(index: u32) -> Option<Slot> {
    let element = TABLES.get_ptr(index / SLOTS_PER_ELEMENT)?;
    // SAFETY: the index within the element is masked to its 16 slots; the daemon stores slots whole, and only
    // into regions that no published VIP points to.
    Some(unsafe {
        element
            .cast::<Slot>()
            .add((index % SLOTS_PER_ELEMENT) as usize)
            .read_volatile()
    })
}

/// Whose turn it is on this CPU among the `slots` slots of the service with this number; if `is_taken`, the next packet
/// that asks has the next one.
#[inline(always)]
#[must_use]
pub fn turn(service: u32, slots: u32, is_taken: bool) -> u32 {
    let Some(counter) = TURNS.get_ptr_mut(service % table::TURNS) else {
        return 0;
    };
    // SAFETY: this CPU's own element, and the program is not preempted by itself.
    unsafe {
        let (slot, next) = table::turn(*counter, slots);
        if is_taken {
            *counter = next;
        }
        slot
    }
}

/// A random number.
#[inline(always)]
#[must_use]
pub fn chance() -> u32 {
    // SAFETY: no arguments; every XDP program may call it.
    unsafe { bpf_get_prandom_u32() }
}

/// The entry of backend `id`, in use or not.
#[inline(always)]
#[must_use]
pub fn backend(id: BackendId) -> Option<&'static Backend> {
    BACKENDS.get(id.0)
}

/// Who has the server id `key`.
#[inline(always)]
#[must_use]
pub fn server(key: &ServerIdKey) -> Option<Server> {
    // SAFETY: copied at once; an element that is reused in between can only give the backend of another server id,
    // with its generation.
    unsafe { SERVER_IDS.get(key) }.copied()
}

/// What the first fragment of the datagram `key` told.
#[inline(always)]
#[must_use]
pub fn fragment<F: FamilyMaps>(key: &FragmentKey<F::Address>) -> Option<FragmentPorts> {
    // SAFETY: copied at once; an eviction in between can only give another datagram's ports, and the packet
    // then goes to a service that its sender could have addressed itself.
    unsafe { F::fragments().get(key) }.copied()
}

/// Remembers what the first fragment of the datagram `key` tells.
#[inline(always)]
pub fn remember_fragment<F: FamilyMaps>(key: &FragmentKey<F::Address>, value: &FragmentPorts) {
    // As in `remember_flow`; without it the datagram's later fragments are dropped.
    let _ = F::fragments().insert(key, value, 0);
}

/// Counts a packet of `bytes` bytes forwarded to backend `id`, with which a flow began or not.
#[inline(always)]
pub fn count_traffic(id: BackendId, bytes: u64, begins_flow: bool) {
    if let Some(traffic) = TRAFFIC.get_ptr_mut(id.0) {
        // SAFETY: this CPU's own element, and the program is not preempted by itself.
        unsafe {
            (*traffic).packets += 1;
            (*traffic).bytes += bytes;
            (*traffic).flows += u64::from(begins_flow);
        }
    }
}

/// What backend `id` has to bear.
#[inline(always)]
#[must_use]
pub fn load(id: u32) -> Load {
    let Some(load) = LOADS.get_ptr(id) else {
        return Load::default();
    };
    // SAFETY: in the map's memory, aligned, and whole words: whatever another CPU has just written of the count is one.
    unsafe {
        Load {
            flows: (&raw const (*load).flows).read_volatile(),
            weight: (&raw const (*load).weight).read_volatile(),
            reserved: 0,
        }
    }
}

/// Counts so many flows more for backend `id`, or fewer, if anybody asks for its load.
#[inline(always)]
pub fn add_load(id: u32, flows: i64) {
    if let Some(load) = LOADS.get_ptr_mut(id) {
        // SAFETY: as in `load`; the count stands at a multiple of 8 bytes.
        unsafe {
            if (&raw const (*load).weight).read_volatile() != 0 {
                add((&raw mut (*load).flows).cast(), flows.cast_unsigned());
            }
        }
    }
}

/// Counts a packet that came in by interface `ingress` and had the outcome with this number.
#[inline(always)]
pub fn count(ingress: u32, outcome: u32) {
    let interface = INTERFACES.get(Interface::element(ingress));
    let ledger = interface
        .filter(|interface| interface.index == ingress)
        .map_or(Interface::OTHER, |interface| interface.ledger);
    if let Some(cell) = LEDGER.get_ptr_mut(ledger * LEDGER_CELLS + outcome) {
        // SAFETY: as in `count_traffic`.
        unsafe { *cell += 1 };
    }
}

/// Whether one more ICMP error may be sent now; if so, it is taken from this CPU's budget.
#[inline(always)]
#[must_use]
pub fn spend_error() -> bool {
    let Some(budget) = ERROR_BUDGET.get_ptr_mut(0) else {
        return false;
    };
    // SAFETY: the helper only reads the clock; the element as in `count_traffic`.
    let spent = unsafe { (*budget).spend(bpf_ktime_get_ns(), settings::icmp_errors()) };
    if let Some(rest) = spent {
        // SAFETY: as in `count_traffic`.
        unsafe { *budget = rest };
    }
    spent.is_some()
}

/// How frames for the interface `index` leave, if that is a VLAN device or carries some.
#[inline(always)]
#[must_use]
pub fn vlan_device(index: u32) -> Option<VlanDevice> {
    // SAFETY: copied at once; an element that is reused in between can only be another device's.
    unsafe { VLANS.get(index) }.copied()
}

/// The action that sends the frame out of interface `egress`; `None` if that is not allowed.
#[inline(always)]
#[must_use]
pub fn redirect(egress: u32) -> Option<u32> {
    DEVICES
        .redirect(egress, 0)
        .ok()
        .filter(|action| *action == XDP_REDIRECT)
}
