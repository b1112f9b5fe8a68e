//! How large a test's maps are, and the object with maps of such sizes.

use aya::{Ebpf, EbpfLoader};
use lb_common::{names, placement::Extent, settings::Settings, table::SLOTS_PER_ELEMENT};

use super::{ENTRIES, object_bytes, object_path};

/// Room in maps.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Backends.
    pub backends: u32,
    /// Slots of all lookup tables.
    pub slots: u32,
    /// VIPs of one IP version.
    pub vips: u32,
    /// Flows of IPv4, and of IPv6; as many replies.
    pub flows: [u32; 2],
}

impl Sizes {
    /// Buckets and places for VIPs.
    pub(super) const fn vip_extent(&self) -> Extent {
        Extent::of(self.vips)
    }
}

impl Default for Sizes {
    /// Enough for fixtures.
    fn default() -> Self {
        Self {
            backends: ENTRIES,
            slots: 2 * ENTRIES * SLOTS_PER_ELEMENT,
            vips: 256,
            flows: [1_024; 2],
        }
    }
}

pub(super) fn load(settings: &Settings, sizes: Sizes) -> Ebpf {
    /// Fragments and sources of one IP version.
    const OTHERS: u32 = 1_024;
    let [flows_v4, flows_v6] = sizes.flows;
    let vips = sizes.vip_extent();
    let settings = Settings {
        vip_shift: vips.shift(),
        ..*settings
    };
    let mut loader = EbpfLoader::new();
    loader.override_global(names::SETTINGS, &settings, true);
    for (name, entries) in [
        (names::VIP_BUCKETS_V4, vips.buckets()),
        (names::VIP_BUCKETS_V6, vips.buckets()),
        (names::VIPS_V4, vips.places()),
        (names::VIPS_V6, vips.places()),
        (names::TABLES, sizes.slots.div_ceil(SLOTS_PER_ELEMENT)),
        (names::BACKENDS, sizes.backends),
        (names::TRAFFIC, sizes.backends),
        (names::LOADS, sizes.backends),
        (names::DEVICES, ENTRIES),
        (names::BLOCKLIST_V4, ENTRIES),
        (names::BLOCKLIST_V6, ENTRIES),
        // Several for each backend.
        (names::SERVER_IDS, 4 * sizes.backends),
        (names::FRESH_V4, flows_v4),
        (names::FRESH_V6, flows_v6),
        (names::FLOWS_V4, flows_v4),
        (names::FLOWS_V6, flows_v6),
        (names::REPLIES_V4, flows_v4),
        (names::REPLIES_V6, flows_v6),
        (names::FRAGMENTS_V4, OTHERS),
        (names::FRAGMENTS_V6, OTHERS),
        (names::SOURCES_V4, OTHERS),
        (names::SOURCES_V6, OTHERS),
    ] {
        loader.map_max_entries(name, entries);
    }
    loader
        .load(&object_bytes())
        .unwrap_or_else(|error| panic!("loading {}: {error:?}", object_path().display()))
}
