//! What aliases stand for.

use aya_ebpf::{btf_maps::HashMap, macros::btf_map};
use lb_common::{
    family::{Address4, Address6, Family, V4, V6},
    path::Path,
    prefix::Prefix,
};

use super::{NO_PREALLOC, key::Aligned};

#[btf_map]
static PATHS_V4: Paths<Address4> = HashMap::new();
#[btf_map]
static PATHS_V6: Paths<Address6> = HashMap::new();

/// One for each backend; the daemon overrides the size at load.
type Paths<A> = HashMap<A, Path<A>, 4096, NO_PREALLOC>;

/// A family's own map of aliases.
pub trait PathMaps: Family {
    #[doc(hidden)]
    fn paths() -> &'static Paths<Self::Address>;
}

impl PathMaps for V4 {
    #[inline(always)]
    fn paths() -> &'static Paths<Address4> {
        &PATHS_V4
    }
}

impl PathMaps for V6 {
    #[inline(always)]
    fn paths() -> &'static Paths<Address6> {
        &PATHS_V6
    }
}

/// What `alias` stands for, if it is an alias.
#[inline(always)]
#[must_use]
#[expect(
    clippy::needless_borrows_for_generic_args,
    reason = "a copy would not stand at a multiple of 8 bytes"
)]
pub fn path<F: PathMaps>(alias: F::Address) -> Option<&'static Path<F::Address>> {
    let aligned = Aligned::new(Prefix {
        bits: 0,
        address: alias,
    });
    // SAFETY: the element's memory stays the map's. The daemon replaces elements, but the kernel keeps a replaced one
    // for the next write on the same CPU and does not wait for readers; what was written in between is at worst another
    // backend's path, which a probe of this moment takes.
    unsafe { F::paths().get(&aligned.key.address) }
}
