//! What is known of those who send: who is blocked, and how much each has sent.

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    btf_maps::{LpmTrie, LruHashMap},
    helpers::bpf_ktime_get_ns,
    macros::btf_map,
};
use lb_common::{
    budget::{Budget, Rate},
    family::{Address, Address4, Address6, Family, V4, V6},
    source::SourceKey,
};

use super::{key::Aligned, prefix::longest};

/// Prefixes of one family: twice as many as the daemon takes, so that it can put new ones in before it takes old ones
/// out. A trie grows with what is in it.
const PREFIXES: usize = 131_072;
/// Clients of one family that are told apart; the daemon overrides it at load.
const CLIENTS: usize = 65_536;

#[btf_map]
static BLOCKLIST_V4: Blocklist<Address4> = LpmTrie::new();
#[btf_map]
static BLOCKLIST_V6: Blocklist<Address6> = LpmTrie::new();
#[btf_map]
static SOURCES_V4: Sources<Address4> = LruHashMap::new();
#[btf_map]
static SOURCES_V6: Sources<Address<2>> = LruHashMap::new();

type Blocklist<A> = LpmTrie<A, u32, PREFIXES>;
type Sources<C> = LruHashMap<SourceKey<C>, Budget, CLIENTS>;

/// A family's own maps of sources.
pub trait SourceMaps: Family {
    #[doc(hidden)]
    fn blocklist() -> &'static Blocklist<Self::Address>;
    #[doc(hidden)]
    fn sources() -> &'static Sources<Self::Client>;
}

impl SourceMaps for V4 {
    #[inline(always)]
    fn blocklist() -> &'static Blocklist<Address4> {
        &BLOCKLIST_V4
    }
    #[inline(always)]
    fn sources() -> &'static Sources<Address4> {
        &SOURCES_V4
    }
}

impl SourceMaps for V6 {
    #[inline(always)]
    fn blocklist() -> &'static Blocklist<Address6> {
        &BLOCKLIST_V6
    }
    #[inline(always)]
    fn sources() -> &'static Sources<Address<2>> {
        &SOURCES_V6
    }
}

/// Whether `source` is on the blocklist.
#[inline(always)]
#[must_use]
pub fn is_blocked<F: SourceMaps>(source: F::Address) -> bool {
    longest::<F, _, _>(F::blocklist(), source).is_some()
}

/// Whether `source` may send one more packet to `service` now; if so, it is taken from its budget.
///
/// CPUs share a budget. What is taken is added, not stored, so that nothing taken is lost; but CPUs that look at the
/// same moment see the same rest, and after a pause the last to store a full bucket's rest wins: a source
/// may send a packet more for each other CPU, once in a burst. A budget that was evicted in between may be
/// another client's by then, which has one packet less. A client that cannot be remembered may send.
#[inline(always)]
#[must_use]
pub fn spend_packet<F: SourceMaps>(service: u32, source: F::Address, rate: Rate) -> bool {
    // SAFETY: the helper only reads the clock.
    let now = unsafe { bpf_ktime_get_ns() };
    let aligned = Aligned::new(SourceKey {
        service,
        client: F::client(source),
    });
    let Some(budget) = budget::<F>(&aligned.key) else {
        return true;
    };
    // SAFETY: aligned, initialised, and an integer: whatever another CPU has just written is a budget.
    let before = unsafe { budget.read_volatile() };
    let Some(rest) = before.spend(now, rate) else {
        return false;
    };
    if let Some(spent) = before.added(rest, rate) {
        // SAFETY: a `Budget` is a `u64`, and the kernel keeps values at a multiple of 8 bytes.
        unsafe { add(budget.cast(), spent) };
    } else {
        // SAFETY: as above.
        unsafe { budget.write_volatile(rest) };
    }
    true
}

/// The budget of a client, a full one if it was not known.
#[inline(always)]
fn budget<F: SourceMaps>(key: &SourceKey<F::Client>) -> Option<*mut Budget> {
    let sources = F::sources();
    if let Some(budget) = sources.get_ptr_mut(key) {
        return Some(budget);
    }
    // If another CPU was faster, its budget stays.
    let _ = sources.insert(key, Budget::default(), u64::from(BPF_NOEXIST));
    sources.get_ptr_mut(key)
}

/// Adds to a word that other CPUs add to at the same time, and tells nothing of what it was: kernels before 5.12 have
/// no instruction that does.
///
/// # Safety
/// `word` is valid, and at a multiple of 8 bytes.
#[cfg(target_arch = "bpf")]
#[inline(always)]
pub(super) unsafe fn add(word: *mut u64, more: u64) {
    // SAFETY: writes the word and nothing else; the caller's promise.
    unsafe {
        core::arch::asm!("lock *(u64 *)({word} + 0) += {more}", word = in(reg) word, more = in(reg) more)
    };
}

/// The same where programs are only checked.
#[cfg(not(target_arch = "bpf"))]
#[inline(always)]
pub(super) unsafe fn add(word: *mut u64, more: u64) {
    use core::sync::atomic::{AtomicU64, Ordering};
    // SAFETY: the caller's promise.
    unsafe { AtomicU64::from_ptr(word) }.fetch_add(more, Ordering::Relaxed);
}
