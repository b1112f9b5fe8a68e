//! Loads the programs and creates or adopts the pinned maps.

use std::path::Path;

use anyhow::{Context, Result, bail};
use aya::{
    Ebpf, EbpfLoader,
    maps::{MapData, MapError},
    programs::{ProgramError, Xdp},
};
use lb_common::{names, settings::Settings, table::SLOTS_PER_ELEMENT};
use rustix::process::{Resource, getrlimit};

use super::{Capacity, abi, pins::Pins, trial};

/// The eBPF object that was built with this binary.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/lb-ebpf.o"));

/// Redirect targets; more interfaces than that on one host are refused by the map.
const MAX_DEVICES: u32 = 256;

/// The loaded object: maps and the program, not yet attached.
pub(super) struct Loaded {
    pub(super) ebpf: Ebpf,
    /// The name of the program that was loaded.
    pub(super) program: &'static str,
    /// Sizes of the maps as they are: those of adopted maps may differ from what was asked for.
    pub(super) capacity: Capacity,
}

/// A program in both its forms: the name of the one for jumbo frames, and of the other.
pub(super) type Forms = [&'static str; 2];
/// The program that balances.
pub(super) const BALANCER: Forms = [names::BALANCER_FRAGS, names::BALANCER];
/// The program on the interface of probes.
pub(super) const PROBE: Forms = [names::PROBE_FRAGS, names::PROBE];

/// Loads a program of the object with the maps pinned under `pins`, creating those that are missing.
pub(super) fn load(
    pins: &Pins,
    settings: Settings,
    wanted: Capacity,
    forms: Forms,
) -> Result<Loaded> {
    let maps = pins.maps();
    let adopted = maps.join(names::BACKENDS).exists();
    // Maps that are there keep their sizes; aya must know them, for it checks indexes against what it is told.
    let capacity = if adopted {
        pinned_capacity(&maps)?
    } else {
        wanted
    };
    let settings = sized(settings, capacity);
    let mut loader = EbpfLoader::new();
    for name in names::MAPS {
        loader.map_pin_path(name, maps.join(name));
    }
    finish(&mut loader, &settings, capacity, forms)
}

/// Loads the object a second time, for trials: the maps that the program only reads are those pinned under `pins`, the
/// others are new and nobody else's.
pub(super) fn load_beside(pins: &Pins, settings: Settings, capacity: Capacity) -> Result<Loaded> {
    let maps = pins.maps();
    let settings = sized(settings, capacity);
    let mut loader = EbpfLoader::new();
    for name in names::MAPS {
        if trial::WRITTEN.contains(&name) {
            continue;
        }
        let pin = maps.join(name);
        if !pin.exists() {
            bail!(
                "the pinned map {} is gone: `lbctl status` has it pinned again",
                pin.display()
            );
        }
        loader.map_pin_path(name, pin);
    }
    let capacity = Capacity {
        flows: trial::ENTRIES,
        sources: trial::ENTRIES,
        ..capacity
    };
    finish(&mut loader, &settings, capacity, BALANCER)
}

/// `settings` for a program whose maps have these sizes.
const fn sized(settings: Settings, capacity: Capacity) -> Settings {
    Settings {
        vip_shift: capacity.vip_extent().shift(),
        ..settings
    }
}

/// Loads a program of the object with maps of these sizes.
fn finish<'a>(
    loader: &mut EbpfLoader<'a>,
    settings: &'a Settings,
    capacity: Capacity,
    [jumbo, plain]: Forms,
) -> Result<Loaded> {
    let object = object()?;
    let vips = capacity.vip_extent();
    loader
        .override_global(names::SETTINGS, settings, true)
        .map_max_entries(names::VIP_BUCKETS_V4, vips.buckets())
        .map_max_entries(names::VIP_BUCKETS_V6, vips.buckets())
        .map_max_entries(names::VIPS_V4, vips.places())
        .map_max_entries(names::VIPS_V6, vips.places())
        .map_max_entries(names::VIP_PREFIXES_V4, capacity.vips)
        .map_max_entries(names::VIP_PREFIXES_V6, capacity.vips)
        .map_max_entries(names::TABLES, abi::elements(capacity.slots))
        .map_max_entries(names::BACKENDS, capacity.backends)
        .map_max_entries(names::SERVER_IDS, capacity.server_ids())
        .map_max_entries(names::TRAFFIC, capacity.backends)
        .map_max_entries(names::LOADS, capacity.backends)
        .map_max_entries(names::FRESH_V4, capacity.fresh_flows())
        .map_max_entries(names::FRESH_V6, capacity.fresh_flows())
        .map_max_entries(names::FLOWS_V4, capacity.flows)
        .map_max_entries(names::FLOWS_V6, capacity.flows)
        .map_max_entries(names::REPLIES_V4, capacity.flows)
        .map_max_entries(names::REPLIES_V6, capacity.flows)
        .map_max_entries(names::SOURCES_V4, capacity.sources)
        .map_max_entries(names::SOURCES_V6, capacity.sources)
        .map_max_entries(names::PATHS_V4, capacity.backends)
        .map_max_entries(names::PATHS_V6, capacity.backends)
        .map_max_entries(names::DEVICES, MAX_DEVICES);
    // The object holds the maps of `decap` too: made as small as can be, and closed again.
    for name in names::DECAP_MAPS {
        loader.map_max_entries(name, 1);
    }
    let created = loader.load(object);
    let mut ebpf = created.with_context(|| creation(getrlimit(Resource::Memlock).current))?;
    let program = load_program(&mut ebpf, jumbo, plain)?;
    for name in names::DECAP_MAPS {
        drop(ebpf.take_map(name));
    }
    Ok(Loaded {
        ebpf,
        program,
        capacity,
    })
}

/// Loads the form of a program that takes `jumbo` frames, or the `plain` one where the kernel has only that; answers the
/// name of the one that it took.
pub(super) fn load_program(
    ebpf: &mut Ebpf,
    jumbo: &'static str,
    plain: &'static str,
) -> Result<&'static str> {
    let mut load = |name: &'static str| -> Result<Result<(), ProgramError>> {
        let program: &mut Xdp = ebpf
            .program_mut(name)
            .with_context(|| format!("the eBPF object has no program `{name}`"))?
            .try_into()
            .with_context(|| format!("`{name}` is not an XDP program"))?;
        Ok(program.load())
    };
    let Err(refusal) = load(jumbo)? else {
        return Ok(jumbo);
    };
    load(plain)?.with_context(|| format!("load the program `{plain}` into the kernel"))?;
    tracing::info!(
        "jumbo frames are not taken: kernels before 5.18 have no programs for them ({refusal})"
    );
    Ok(plain)
}

/// The bytes of the object.
pub(super) fn object() -> Result<&'static [u8]> {
    if OBJECT.is_empty() {
        bail!("this lbd was built without the eBPF object: build it with `cargo xtask build`");
    }
    Ok(OBJECT)
}

/// The sizes of the maps pinned under `maps`.
pub(super) fn pinned_capacity(maps: &Path) -> Result<Capacity> {
    Ok(Capacity {
        slots: max_entries(maps, names::TABLES)? * SLOTS_PER_ELEMENT,
        backends: max_entries(maps, names::BACKENDS)?,
        // The others are larger than what was asked for.
        vips: max_entries(maps, names::VIP_PREFIXES_V4)?,
        flows: max_entries(maps, names::FLOWS_V4)?,
        sources: max_entries(maps, names::SOURCES_V4)?,
    })
}

/// What was tried when maps could not be created. Kernels before 5.11 answer "not permitted" when they would take
/// more memory than a process may lock, and only `CAP_SYS_RESOURCE` lets it raise that limit itself.
pub(super) fn creation(lockable: Option<u64>) -> String {
    let step = "create the BPF maps";
    lockable.map_or_else(
        || step.to_owned(),
        |bytes| {
            format!(
                "{step} (kernels before 5.11 count them as locked memory, of which this process may have {bytes} bytes: \
                 give it CAP_SYS_RESOURCE, or LimitMEMLOCK=infinity in its unit)"
            )
        },
    )
}

fn max_entries(maps: &Path, name: &str) -> Result<u32> {
    let read = || -> Result<u32, MapError> {
        Ok(MapData::from_pin(maps.join(name))?.info()?.max_entries())
    };
    read().with_context(|| format!("read the size of map {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_locked_memory_is_named_where_there_is_one() {
        assert_eq!(creation(None), "create the BPF maps");
        let limited = creation(Some(65_536));
        for part in ["65536 bytes", "5.11", "CAP_SYS_RESOURCE", "LimitMEMLOCK"] {
            assert!(limited.contains(part), "{limited}");
        }
    }
}
